# SPDX-License-Identifier: Apache-2.0
"""What runs on this node: httpd, its weaved, and what that does for a release.

The broker alone uses it. It reads and runs nothing below release.home.
"""

import contextlib
import json
import os
import select
import socket
import struct
import subprocess
import time

from . import programs
from .errors import ReleaseError

CONTROL_VERSION = 6  # WEAVE_CONTROL_VERSION
RUNTIME_DIR = "/run/weave"
LINE_BYTES = 16 << 20
STATUS_SECONDS = 60
ANSWER_SECONDS = 30
POLL_SECONDS = 0.2
AWAY_SECONDS = 30    # for httpd to start a weaved in the place of one that has died

# What an httpd has of an application.
STOPPED, ABSENT, EMBEDDED, FAILED, WORKERS = "stopped", "absent", "embedded", "failed", "workers"


class WeavedAway(ReleaseError):
    """weaved does not answer: httpd may be about to start another."""


class Node:
    """What `weavectl status` says of an application, at one moment.

    kind: STOPPED (no httpd runs), ABSENT (httpd does not have it), EMBEDDED, FAILED (httpd
    could not bring it up) or WORKERS. app: its object in the status, or {}. httpd: pid, uid
    and gid, or {}. error_log, state_dir: paths, or "".
    """

    def __init__(self, status, ini):
        self.httpd = status.get("httpd") or {}
        self.error_log = status.get("error_log") or ""
        self.state_dir = status.get("state_dir") or ""
        apps = status.get("applications") or []
        self.app = next((app for app in apps if app.get("ini") == ini), {})
        if not self.httpd:
            self.kind, self.app = STOPPED, {}
        elif not self.app:
            self.kind = ABSENT
            _name_check(ini, apps)
        elif self.app.get("httpd_failed"):
            self.kind = FAILED
        else:
            self.kind = EMBEDDED if self.app.get("embedded") else WORKERS

    def virtualenvs(self):
        """Those that something runs from, links followed."""
        if self.kind == EMBEDDED:
            found = [self.app.get("virtualenv")]
        else:
            found = [generation.get("virtualenv") for generation in self.generations()
                     if generation.get("workers")]
        return [path for path in found if path]

    def generations(self):
        return self.app.get("generations") or []

    def serving(self):
        """The virtualenv that requests go to, links followed; None: not known, or none."""
        if self.kind == EMBEDDED:
            return self.app.get("virtualenv")
        number = self.app.get("generation")
        return next((generation.get("virtualenv") for generation in self.generations()
                     if generation.get("number") == number), None)


def _name_check(ini, apps):
    for app in apps:
        with contextlib.suppress(OSError, TypeError):
            if os.path.samefile(app["ini"], ini):
                raise ReleaseError("httpd has the application of %s by another name"
                                   % ini, "say -i %s" % app["ini"])


def weavectl_run(broker, *words):
    """Runs weavectl itself. Returns its exit status, its output, and what it says is wrong."""
    command = [broker.weavectl] + list(words)
    for option, value in (("-d", broker.options.directory), ("-s", broker.options.state_dir)):
        if value:
            command += [option, value]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=programs.environment(),
            timeout=STATUS_SECONDS if words[0] == "status" else None)
    except subprocess.TimeoutExpired:
        raise ReleaseError("weavectl %s does not come to an end" % words[0]) from None
    return done.returncode, done.stdout.decode("utf-8", "replace"), \
        done.stderr.decode("utf-8", "replace").replace("weavectl: ", "").strip()


def node_get(broker):
    """The Node of now. ReleaseError: it is not known what runs."""
    status, output, problem = weavectl_run(broker, "status", "--json")
    try:
        found = json.loads(output)
    except ValueError:
        raise ReleaseError(problem or "weavectl status fails with %d" % status) from None
    httpd = found.get("httpd") or {}
    if "problem" in httpd:
        raise ReleaseError(
            "it is not known what runs: %s" % httpd["problem"],
            "--no-switch makes the release, and leaves the rest to them"
            if hasattr(broker.options, "no_switch") and os.getuid() != 0 else "")
    if httpd and not found.get("applications") and found.get("problems"):
        raise ReleaseError("it is not known what runs: %s" % found["problems"][0])
    node = Node(found, broker.options.ini)
    if node.app.get("state") == "unknown":
        raise WeavedAway(problem or "weaved does not answer",
                         "apachectl graceful")
    return node


def again(ask, seconds=AWAY_SECONDS):
    """What ask() returns; again and again while weaved is away, for some time."""
    until = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except WeavedAway:
            if time.monotonic() >= until:
                raise
        time.sleep(POLL_SECONDS)


def release_of(broker, virtualenv):
    """The release of release.home that a virtualenv, links followed, is; None: it is none."""
    releases = os.path.join(broker.home, "releases")
    real = os.path.join(os.path.realpath(broker.home), "releases") + os.sep
    if not virtualenv or not virtualenv.startswith(real):
        return None
    return os.path.join(releases, virtualenv[len(real):].split(os.sep)[0])


def call_serving(broker, request):
    """What runs: for commands that ask before they change anything, and for `releases`."""
    node = again(lambda: node_get(broker),
                 0 if broker.options.command == "releases" else AWAY_SECONDS)
    return {
        "httpd": node.kind not in (STOPPED, ABSENT), "embedded": node.kind == EMBEDDED,
        "release": release_of(broker, node.serving()), "in_use": node.virtualenvs(),
    }


# ---- the control socket ----


class Control:
    """A connection to weaved. What it holds for this command ends with close()."""

    def __init__(self, broker):
        directory = broker.options.directory or RUNTIME_DIR
        self._broker = broker
        self._lines = b""
        path = os.path.join(directory, "weaved.sock")
        try:
            owner = os.stat(directory).st_uid
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.connect(path)
        except OSError as error:
            raise WeavedAway("%s: %s" % (path, error.strerror)) from error
        peer = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        uid = struct.unpack("3i", peer)[1]
        if uid != owner or owner not in (0, os.geteuid()):
            self.close()
            raise ReleaseError("%s belongs to user %d, and user %d listens there: it is not the "
                               "weaved of an httpd that root or you have started"
                               % (path, owner, uid))

    def close(self):
        self._socket.close()

    def ask(self, operation, seconds=ANSWER_SECONDS, **facts):
        """Asks weaved for something and returns its answer. ReleaseError says why not."""
        line = json.dumps(dict(facts, op=operation, version=CONTROL_VERSION)).encode() + b"\n"
        try:
            self._socket.sendall(line)
            answer = json.loads(self._line_read(time.monotonic() + seconds).decode())
        except (OSError, ValueError) as error:
            raise ReleaseError("weaved has ended, or does not answer: %s"
                               % (getattr(error, "strerror", None) or error)) from error
        if not answer.get("ok"):
            raise ReleaseError(str(answer.get("error")))
        return answer

    def _line_read(self, until):
        """The next line. OSError: the connection has ended, or nothing comes in time."""
        while b"\n" not in self._lines:
            if inner_has_ended(self._broker):
                raise OSError(0, "the other half of weavectl has ended")
            if time.monotonic() > until:
                raise OSError(0, "no answer in time")
            if not select.select([self._socket], [], [], POLL_SECONDS)[0]:
                continue
            data = self._socket.recv(65536)
            if not data or len(self._lines) > LINE_BYTES:
                raise OSError(0, "the connection is closed")
            self._lines += data
        line, self._lines = self._lines.split(b"\n", 1)
        return line


def inner_has_ended(broker):
    """Whether the process that waits for this call is gone."""
    if not broker.inner_pid:
        return False
    return os.waitid(os.P_PID, broker.inner_pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
