# SPDX-License-Identifier: Apache-2.0
"""The httpd that runs on this node, and who the application runs as.

The broker alone uses it.
"""

import os
import pwd
import signal
import subprocess
import time

from . import users
from .errors import ReleaseError
from .weaved import RUNTIME_DIR

# httpd's user where none runs, as distributions have it.
USUAL_USERS = ("www-data", "apache", "http", "www")
CONFIGTEST_SECONDS = 300
RESTART_SECONDS = 60
POLL_SECONDS = 0.1
LINES = 10
NOTICE = ("requests waited while httpd's new processes imported it; idle connections were "
          "closed, and what ran before was finished")


# ---- users ----


def user_of(broker, node):
    """The User that the application runs as, or would; None: the caller, who is not root.

    workers.user, but in embedded mode; or else the user of the httpd that runs, or the
    usual one.
    """
    if os.geteuid() != 0:
        return None
    if broker.workers is not None and broker.key("workers.mode") != "embedded":
        return broker.workers
    if node.httpd.get("uid"):
        try:
            return users.User(pwd.getpwuid(node.httpd["uid"]), node.httpd["gid"])
        except KeyError:
            raise ReleaseError("httpd runs as user %d and group %d, who have no name on this "
                               "system" % (node.httpd["uid"], node.httpd["gid"])) from None
    for name in USUAL_USERS:
        try:
            return users.User(pwd.getpwnam(name))
        except KeyError:
            continue
    raise ReleaseError(
        "no httpd runs, so it is not known as which user %s would run" % broker.options.ini,
        "set workers.user there, or start httpd")


def refuse_writer(broker, user):
    """Refuses a user of the application who could change a release."""
    if user is not None:
        users.workers_refuse(broker.home, broker.owner, user)


# ---- its process ----


def _process_read(pid, name):
    """The texts, which end with NUL, of a file in /proc."""
    with open("/proc/%d/%s" % (pid, name), "rb") as stream:
        return stream.read().split(b"\0")[:-1]


def environment_of(node):
    """The environment that httpd was started with, for workers.pass_env; ours without one."""
    if not node.httpd:
        return dict(os.environ)
    try:
        rows = _process_read(node.httpd["pid"], "environ")
    except OSError:
        return dict(os.environ)
    return {os.fsdecode(name): os.fsdecode(value)
            for name, _, value in (row.partition(b"=") for row in rows)}


def _program_of(pid):
    """The path of the program that PID runs; of its successor, where a package has replaced it."""
    path = os.readlink("/proc/%d/exe" % pid)
    gone = " (deleted)"
    return path[:-len(gone)] if path.endswith(gone) else path


def _test_arguments(arguments):
    """The arguments of httpd's parent, for a test of its configuration."""
    kept, rest = [], list(arguments[1:])
    while rest:
        word = rest.pop(0)
        if word == b"-k" and rest:
            rest.pop(0)
        elif not word.startswith(b"-k") and word != b"-X":
            kept.append(word)
    return kept + [b"-t"]


def configtest(node):
    """Has the httpd that runs test its configuration: its own program, arguments, environment.

    ReleaseError: it is broken, and a restart would end httpd.
    """
    pid = node.httpd["pid"]
    try:
        program = _program_of(pid)
        command = [program] + _test_arguments(_process_read(pid, "cmdline"))
        done = subprocess.run(command, env=environment_of(node), cwd="/proc/%d/cwd" % pid,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=CONFIGTEST_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReleaseError("httpd's configuration cannot be tested, so httpd was not restarted: %s"
                           % error, "apachectl graceful") from error
    if done.returncode != 0:
        lines = done.stdout.decode("utf-8", "replace").splitlines()[-LINES:]
        raise ReleaseError("httpd's configuration is broken, so httpd was not restarted, and "
                           "goes on with what it has",
                           "mend it, and then: apachectl graceful", lines)


def _birth(pid):
    """When a process was born, in the kernel's own unit; None: there is none."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as stream:
            return stream.read().rpartition(b")")[2].split()[19]
    except OSError:
        return None


def _state_stamp(broker):
    """Changes when httpd has read its configuration again."""
    path = os.path.join(broker.options.directory or RUNTIME_DIR, "httpd.json")
    try:
        info = os.stat(path)
    except OSError:
        return None
    return info.st_ino, info.st_mtime_ns


def graceful(broker, node):
    """Has httpd start its children anew, with what `current` leads to now."""
    pid = node.httpd["pid"]
    born = _birth(pid)
    configtest(node)
    before = _state_stamp(broker)
    if _birth(pid) != born:
        raise ReleaseError("httpd has ended while its configuration was tested",
                           "start it: it serves what %s/current leads to" % broker.home)
    try:
        os.kill(pid, signal.SIGUSR1)
    except OSError as error:
        raise ReleaseError("httpd cannot be restarted: %s" % error.strerror,
                           "apachectl graceful") from error
    until = time.monotonic() + RESTART_SECONDS
    while _state_stamp(broker) in (before, None):
        if time.monotonic() > until:
            raise ReleaseError("httpd was told to restart and has not done it within %d s"
                               % RESTART_SECONDS, "its error log says why")
        time.sleep(POLL_SECONDS)
    return {"graceful": True, "notice": NOTICE}
