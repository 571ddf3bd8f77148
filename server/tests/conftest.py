# SPDX-License-Identifier: Apache-2.0
"""An application on a database of its own for each test."""

import base64
import hashlib
import json
import pathlib
import sqlite3
import sys

import pytest
import webtest
from hypothesis.configuration import set_hypothesis_home_dir

SOURCES = str(pathlib.Path(__file__).resolve().parent.parent / "src")
sys.path.insert(0, SOURCES)

from weave.server.app import Databases, create_application  # noqa: E402

INI = """
[storage]
sqluri = sqlite:///%(here)s/weave.db?timeout=0.2
create_tables = true
{storage}
[auth]
strict_usernames = false
{auth}
{more}
"""

PASSWORD = "correct:hörse"

RETRY_HEADERS = ("Retry-After", "X-Weave-Backoff", "X-Backoff")


def basic(name, password):
    """An Authorization header."""
    secret = ("%s:%s" % (name, password)).encode("utf-8")
    return "Basic " + base64.b64encode(secret).decode("ascii")


class User:
    """Somebody with an account; paths are below /1.1/NAME/."""

    def __init__(self, app, name, password=PASSWORD):
        self.app = app
        self.name = name
        self.password = password
        self.version = "1.1"

    def sign_up(self):
        body = {"email": self.name + "@example.org", "password": self.password}
        self.app.put_json("/user/1.0/" + self.name, body)
        return self

    def call(self, method, path, body=None, status=200, **headers):
        """The response; body is encoded as JSON unless it is bytes."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers.setdefault("Authorization", basic(self.name, self.password))
        return self.app.request(
            "/%s/%s/%s" % (self.version, self.name, path),
            method=method,
            body=body or b"",
            headers=headers,
            status=status,
        )

    def get(self, path, status=200, **headers):
        return self.call("GET", path, None, status, **headers)

    def put(self, path, body, status=200, **headers):
        return self.call("PUT", path, body, status, **headers)

    def post(self, path, body, status=200, **headers):
        return self.call("POST", path, body, status, **headers)

    def delete(self, path, status=200, **headers):
        return self.call("DELETE", path, None, status, **headers)


class Site:
    """An application with its folder."""

    def __init__(self, folder, storage="", auth="", more=""):
        self.folder = folder
        self.ini = folder / "sync.ini"
        self.ini.write_text(
            INI.replace("{storage}", storage)
            .replace("{auth}", auth)
            .replace("{more}", more)
        )
        self.databases = Databases()
        self.application = create_application(str(self.ini), self.databases)
        # lint: whatever is wrong by PEP 3333 raises.
        self.app = webtest.TestApp(self.application, lint=True)

    def user(self, name="alice"):
        return User(self.app, name).sign_up()

    def sql(self, *statement):
        """Runs a statement behind the application's back."""
        connection = sqlite3.connect(self.folder / "weave.db")
        try:
            with connection:
                return connection.execute(*statement).fetchall()
        finally:
            connection.close()

    def digest(self):
        """A hash of everything in the database, but for logins."""
        connection = sqlite3.connect(self.folder / "weave.db")
        try:
            lines = "\n".join(
                line
                for line in connection.iterdump()
                if not line.startswith('INSERT INTO "weave_logins"')
            )
        finally:
            connection.close()
        return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()


@pytest.fixture(scope="session", autouse=True)
def hypothesis_home(tmp_path_factory):
    """Keeps the folder of the sources as it is; it may not be writable."""
    set_hypothesis_home_dir(tmp_path_factory.mktemp("hypothesis"))


@pytest.fixture
def make_site(tmp_path):
    """Makes a Site; the arguments are lines for the sections of its ini."""

    def make(**lines):
        return Site(tmp_path, **lines)

    return make


@pytest.fixture
def site(make_site):
    return make_site()


@pytest.fixture
def user(site):
    return site.user()


def is_unavailable(response, seconds=1800):
    """Whether it is the 503 that clients know how to take."""
    return (
        response.status_int == 503
        and all(response.headers[name] == str(seconds) for name in RETRY_HEADERS)
        and response.headers["Cache-Control"] == "no-store"
        and response.content_type == "application/json"
        and "X-Weave-Timestamp" in response.headers
        and "WWW-Authenticate" not in response.headers
        and response.json not in (0, 1)
    )
