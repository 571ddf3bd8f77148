# SPDX-License-Identifier: Apache-2.0
"""Pages for load balancers and administrators."""

import os
import platform

import falcon
import sqlalchemy

from weave.server import http
from weave.server.version import VERSION


class Heartbeat:
    """200 while the application and its databases answer; else 503."""

    def __init__(self, *pings):
        self._pings = pings

    def on_get(self, _req, resp):
        for ping in self._pings:
            ping()
        http.send_json(resp, {"status": "ok"})


class LoadBalancerHeartbeat:
    """200 when anything answers at all."""

    def on_get(self, _req, resp):
        http.send_json(resp, {"status": "ok"})


class Version:
    """The page /__version__: the name of the program, and its version."""

    def on_get(self, _req, resp):
        http.send_json(resp, {"name": "weave.server", "version": VERSION})


class Debug:
    """What one wants to know first when something is wrong; no secrets."""

    def __init__(self, databases):
        self._databases = databases

    def on_get(self, _req, resp):
        page = {
            "weave.server": VERSION,
            "python": platform.python_version(),
            "falcon": falcon.__version__,
            "sqlalchemy": sqlalchemy.__version__,
            "pid": os.getpid(),
        }
        for name, database in self._databases.items():
            page[name] = "%s: %s" % (database.dialect, database.status)
        http.send_json(resp, page)
