# SPDX-License-Identifier: Apache-2.0
"""What the numbers were measured on."""

import datetime
import json
import os
import platform

from . import wrk
from .client import Connection
from .httpd import run_text
from .servers import build_program
from .workloads import ABOUT


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def system():
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def about(server):
    """What app.wsgi knows of the server that runs it."""
    connection = Connection(server.port)
    try:
        return json.loads(connection.request(ABOUT)[1])
    finally:
        connection.close()


def known():
    """A dict for the report: what is the same whatever is measured."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc)
        .strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "system": system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }


def wakeup_us(bench):
    """What a hand-over between two threads costs, of wakeup.c."""
    found = json.loads(run_text(str(build_program(bench, "wakeup"))))
    return {"wakeup_us_one_core": found["one_core_us"],
            "wakeup_us_two_cores": found.get("two_cores_us")}


def facts(bench, applications):
    """known() and more; `applications` is {name: about(server)}."""
    python = {seen["python"] for seen in applications.values()}
    return {
        **known(),
        **wakeup_us(bench),
        "httpd": bench.installation.version(),
        "python": "/".join(sorted(python)),
        "mod_wsgi": next((seen["mod_wsgi"] for seen in applications.values()
                          if seen["mod_wsgi"]), None),
        "wrk": wrk.version(),
    }
