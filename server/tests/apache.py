# SPDX-License-Identifier: Apache-2.0
"""A real httpd with mod_weave, through which the tests of the protocol run with
WEAVE_TEST_HTTPD=1.

One httpd serves all sites of a session: the script below takes the sync.ini from a
header of the request. The tests ask it with the same webtest.TestApp as they ask
the application in their own process.
"""

import atexit
import contextlib
import functools
import http.client
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
from urllib.parse import quote

import pytest
import webtest

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "supp"))

import e2e  # noqa: E402

# Makes Argon2 as cheap as it can be: these tests are not about passwords.
CHEAP_HASHES = """
import argon2
from weave.server import passwords


class Hasher(argon2.PasswordHasher):
    def __init__(self, **_):
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)


passwords.PasswordHasher = Hasher
"""

# Serves the sync.ini that a request names. The clock shows what the file `clock` adds
# to it, so that nobody waits.
SCRIPT = '''
import threading

from weave.server.stamps import Stamp

true_now = Stamp.now


def now(cls):
    with open({clock!r}) as file:
        return cls(true_now() + int(file.read() or 0))


Stamp.now = classmethod(now)

from weave.server.app import Databases, create_application

lock = threading.Lock()
served = {{}}


def close_all():
    for databases, _ in served.values():
        for database in databases:
            database.close()
    served.clear()


def application_of(ini):
    """Only the last one that was asked for keeps its connections."""
    with open(ini) as file:
        key = ini, file.read()
    with lock:
        if key not in served:
            close_all()
            databases = Databases()
            served[key] = databases, create_application(ini, databases)
        return served[key][1]


def application(environ, start_response):
    ini = environ.pop("HTTP_X_TEST_INI", None)
    if ini is None:
        with lock:
            close_all()
        start_response("204 No Content", [])
        return []
    return application_of(ini)(environ, start_response)
'''

INI = """
[wsgi]
script = %(here)s/weave.wsgi
python_path = %(here)s/src
[workers]
processes = 1
threads = 8
"""

# Slashes of ids come to the application as they do in process, and so do long
# lists of ids.
CONF = """
AllowEncodedSlashes On
LimitRequestLine 100000
"""

# Headers of one connection, which are none of the application's.
OF_HTTPD = {"connection", "keep-alive", "transfer-encoding", "date", "server"}

# Variables that a test can set and a client cannot: such a test is skipped.
INNER = ("SCRIPT_NAME", "REMOTE_ADDR")


class Request(webtest.TestRequest):
    """Keeps the target as the test has it, before it is decoded."""

    @classmethod
    def blank(cls, path, environ=None, **more):
        request = super().blank(path, environ, **more)
        target = "/" + path.split("://", 1)[1].partition("/")[2] if "://" in path else path
        query = (environ or {}).get("QUERY_STRING")  # TestApp.get() has taken it off
        if query and "?" not in target:
            target += "?" + query
        request.environ["test.target"] = quote(target, safe="%/:?#[]@!$&'()*+,;=~^|{}\"<>\\`")
        return request


class App(webtest.TestApp):
    RequestClass = Request


class Unsendable(ValueError):
    """http.client refuses to send it: a target or a header with control characters."""


class Connections:
    """One kept-alive connection to httpd for each thread."""

    def __init__(self, port):
        self._port = port
        self._local = threading.local()

    def of_thread(self):
        """(HTTPConnection, whether it has been used before)"""
        kept = hasattr(self._local, "connection")
        if not kept:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
            self._local.connection = connection
        return self._local.connection, kept


class Forward:
    """A WSGI application that asks httpd for the answer."""

    def __init__(self, connections, ini):
        self._connections = connections
        self._ini = str(ini)

    def __call__(self, environ, start_response):
        if any(environ.get(name) for name in INNER) or environ["wsgi.url_scheme"] != "http":
            pytest.skip("no client can ask that of httpd")
        response = self._ask(environ)
        body = response.read()
        headers = [(name, value) for name, value in response.getheaders()
                   if name.lower() not in OF_HTTPD]  # fmt: skip
        start_response("%d %s" % (response.status, response.reason), headers)
        return [body]

    def _ask(self, environ):
        headers = {name[5:].replace("_", "-"): value for name, value in environ.items()
                   if name.startswith("HTTP_")}  # fmt: skip
        headers["X-Test-Ini"] = self._ini
        if environ.get("CONTENT_TYPE"):
            headers["Content-Type"] = environ["CONTENT_TYPE"]
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else None
        request = (environ["REQUEST_METHOD"], environ["test.target"], body, headers)
        connection, kept = self._connections.of_thread()
        try:
            connection.request(*request)
            return connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            connection.close()
            if not kept:
                raise
            # httpd has closed a connection that had rested.
            connection.request(*request)
            return connection.getresponse()
        except ValueError as error:
            connection.close()
            raise Unsendable(error) from None


def make_httpd(folder, script, ini, conf):
    """The e2e.Httpd, not running yet, of a folder with copies of what was built, and of the
    server's sources in src. conf: more lines for its configuration."""
    e2e.copy_build(folder)
    shutil.copytree(TOP / "server" / "src", folder / "src")
    # whatever the umask of the checkout was
    subprocess.run(["chmod", "-R", "a+rX", folder / "src"], check=True)
    (folder / "weave.wsgi").write_text(script)
    (folder / "sync.ini").write_text(ini)
    httpd = e2e.Httpd(folder, "event")
    with (folder / "httpd.conf").open("a") as file:
        file.write(conf)
    return httpd


def give(path):
    """Makes it a file or a folder of the workers' user."""
    user = e2e.server_user()
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)


class Apache:
    """An httpd that serves any sync.ini which its user can read."""

    def __init__(self, folder):
        self.folder = folder
        self._clock = folder / "clock"
        self._folders = {}
        self.forward(0)
        script = CHEAP_HASHES + SCRIPT.format(clock=str(self._clock))
        self._httpd = make_httpd(folder, script, INI, CONF)
        self.port = self._httpd.port
        self._connections = Connections(self.port)
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(self._httpd.running())

    def close(self):
        self._connections.of_thread()[0].close()
        self._stack.close()
        self._httpd.holder.close()

    def forward(self, seconds):
        """From now on the server's clock is so much later than the machine's."""
        self._clock.write_text(str(int(seconds * 100)))

    def folder_for(self, folder):
        """The folder that stands for one of a test's: the workers can write there."""
        if folder not in self._folders:
            made = self.folder / "data" / str(len(self._folders))
            made.mkdir()
            give(made)
            self._folders[folder] = made
        return self._folders[folder]

    def rest(self):
        """Makes the workers close their databases; nothing of httpd may have crashed."""
        connection, _ = self._connections.of_thread()
        connection.close()  # httpd may have closed one that had rested
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        finally:
            crashes = [line for line in self._httpd.log().splitlines() if "exit signal" in line]
            assert not crashes, crashes

    def app(self, ini):
        """A webtest.TestApp whose answers come from httpd."""
        return App(Forward(self._connections, ini), lint=True)


@functools.lru_cache(None)
def server():
    """The one of this session, which is started when it is first needed."""
    folder = tempfile.TemporaryDirectory(prefix="weave-facts-")
    os.chmod(folder.name, 0o755)
    made = Apache(pathlib.Path(folder.name))
    atexit.register(folder.cleanup)
    atexit.register(made.close)
    return made
