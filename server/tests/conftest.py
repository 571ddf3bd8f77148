# SPDX-License-Identifier: Apache-2.0
"""An application on a database of its own for each test.

WEAVE_TEST_DATABASE says of which kind: sqlite (the default), mariadb, postgresql. Tests
without a database, and those of SQLite alone (the mark sqlite_only), run with the first.
WEAVE_TEST_HTTPD=1 runs those of OF_HTTPD through a real httpd with mod_weave.
"""

import base64
import contextlib
import hashlib
import itertools
import json
import os
import pathlib
import re
import sys
import time

import pytest
import webtest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir
from sqlalchemy import create_engine, inspect
from sqlalchemy.pool import NullPool

import client
import client15
import dbservers
from waiting import LONG_SECONDS, eventually  # noqa: F401: tests import them from here

SOURCES = str(pathlib.Path(__file__).resolve().parent.parent / "src")
sys.path.insert(0, SOURCES)

import doctoring  # noqa: E402
from weave.server import engines, passwords, retries, secret, turns  # noqa: E402
from weave.server.app import Databases, create_application  # noqa: E402
from weave.server.database import Database  # noqa: E402
from weave.server.jwks import Jwks  # noqa: E402
from weave.server.stamps import Stamp  # noqa: E402

KIND = os.environ.get("WEAVE_TEST_DATABASE") or "sqlite"

# Whether the tests ask a real httpd (apache.py), and not the application in their process.
THROUGH_HTTPD = bool(os.environ.get("WEAVE_TEST_HTTPD"))
if THROUGH_HTTPD:
    import apache

# Whether another run has the tests of the protocol, on this database through httpd.
BESIDE_HTTPD = bool(os.environ.get("WEAVE_TEST_BESIDE_HTTPD")) and not THROUGH_HTTPD

# The modules that say something about the way through httpd.
OF_HTTPD = {"test_protocol", "test_reading", "test_writing", "test_users",
            "test_streams_httpd", "test_through_httpd"}  # fmt: skip
if KIND == "sqlite":
    OF_HTTPD |= {"test_garbage", "test_model", "test_model15", "test_garbage15", "test_batches",
                 "test_anything15", "test_traps15", "test_traps15_desktop",
                 "test_traps15_tokens", "test_doctor_httpd", "test_protocol15",
                 "test_reading15", "test_writing15", "test_deleting15"}  # fmt: skip

INI = """
[storage]
sqluri = {url}
create_tables = true
{storage}
[auth]
strict_usernames = {strict}
{auth}
{more}
"""

PASSWORD = "correct:hörse"

# Settings.pool() of a Database that a test opens itself.
POOL = {
    "pool_size": 10,
    "pool_max_overflow": 5,
    "pool_timeout": 120,
    "pool_recycle": 3600,
    "reset_on_return": True,
}

DRIVERS = {
    "sqlite": ["sqlite"],
    "postgresql": ["postgresql+psycopg2"],
    "mariadb": ["mysql+pymysql", "mysql+mysqldb"],
}

RETRY_HEADERS = ("Retry-After", "X-Weave-Backoff", "X-Backoff")

# Of all tests by hypothesis: each run has the same examples, and no time is too long.
settings.register_profile(
    "weave", deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
settings.load_profile("weave")


def basic(name, password):
    """An Authorization header."""
    secret = ("%s:%s" % (name, password)).encode("utf-8")
    return "Basic " + base64.b64encode(secret).decode("ascii")


class User(client.Verbs):
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


class Site:
    """An application with its folder."""

    def __init__(self, folder, url, storage="", auth="", more="", strict=False):
        if THROUGH_HTTPD:
            folder = apache.server().folder_for(folder)
        self.folder = folder
        self.url = url
        self.prepare()
        self.ini = folder / "sync.ini"
        self.ini.write_text(
            INI.replace("{url}", url)
            .replace("{storage}", storage)
            .replace("{strict}", str(strict).lower())
            .replace("{auth}", auth)
            .replace("{more}", more)
        )
        self._engine = create_engine(
            url.replace("%(here)s", str(folder)), poolclass=NullPool, future=True
        )
        self.databases = Databases()
        if THROUGH_HTTPD:
            self.app = apache.server().app(self.ini)
            return
        self.application = create_application(str(self.ini), self.databases)
        # lint: whatever is wrong by PEP 3333 raises.
        self.app = webtest.TestApp(self.application, lint=True)

    def prepare(self):
        """Makes what else must be in the folder."""

    def user(self, name="alice"):
        return User(self.app, name).sign_up()

    def sql(self, statement, parameters=()):
        """Runs a statement behind the application's back; its rows. Parameters are `?`."""
        return self.run([(statement, parameters)])

    def run(self, statements):
        """Runs (statement, parameters) in one transaction; the rows of the last."""
        with self._engine.begin() as connection:
            for statement, parameters in statements:
                if KIND != "sqlite":
                    statement = statement.replace("%", "%%").replace("?", "%s")
                result = connection.exec_driver_sql(statement, tuple(parameters))
            return [tuple(row) for row in result] if result.returns_rows else []

    def digest(self, but=("weave_logins",)):
        """A hash of everything in the database, but for logins, or those tables."""
        lines = []
        with self._engine.connect() as connection:
            for table in sorted(inspect(connection).get_table_names()):
                lines.append(table)
                if table not in but:
                    rows = connection.exec_driver_sql("SELECT * FROM %s" % table)
                    lines += sorted(repr(tuple(row)) for row in rows)
        return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()


class Site15(Site):
    """An application that serves Sync 1.5, too. With a token of the test client's own, or
    with one of its token server, which has the test key among the account server's."""

    secret = "5ec2e7" * 10
    node = "http://localhost"

    def __init__(self, folder, url, sync15="", more="", **lines):
        section = "\n[sync15]\nsecret_file = %(here)s/secrets\n"
        section += "public_url = " + self.node if self.node else ""
        super().__init__(folder, url, more=more + section + "\n" + sync15, **lines)
        self.transport = client15.InProcess(self.app)
        self.app.get("/__heartbeat__")  # makes the tables

    def prepare(self):
        path = self.folder / "secrets"
        path.write_text(self.secret + "\n")
        path.chmod(0o600)
        if THROUGH_HTTPD:
            apache.give(path)

    def add_member(self, uid, **values):
        """Makes the rows of a member without the token server; there may be the user."""
        stamp = int(time.time() * 100)
        rows = {
            "weave_users": {"user_id": uid, "modified": 0},
            "weave_fxa_users": {
                "user_id": uid,
                "fxa_uid": "%032x" % uid,
                "client_state": client15.CLIENT_STATE,
                "generation": client15.KEYS_CHANGED_AT,
                "keys_changed_at": client15.KEYS_CHANGED_AT,
                "created": stamp,
                "endpoint": "%s/1.5/%d" % (self.node, uid),
                "seen": stamp,
            },
        }
        rows["weave_fxa_users"].update(values)
        if self.sql("select 1 from weave_users where user_id = ?", [uid]):
            del rows["weave_users"]
        with self._engine.connect() as connection:
            known = inspect(connection)
            names = {table: {column["name"] for column in known.get_columns(table)}
                     for table in set(rows) & set(known.get_table_names())}  # fmt: skip
        for table in sorted(names, reverse=True):
            row = {name: value for name, value in rows[table].items() if name in names[table]}
            marks = ",".join("?" * len(row))
            statement = "insert into %s (%s) values (%s)" % (table, ",".join(row), marks)
            self.sql(statement, row.values())

    def load_keys(self, data=None):
        """Gives it the account server's keys: a JWKS, or that of the test key. Returns self."""
        url = self.url.replace("%(here)s", str(self.folder))
        database = Database(url, POOL)
        try:
            Jwks(database, "").load(data or client15.KEY.jwks())
        finally:
            database.close()
        return self

    def ask_for_token(self, keys_changed_at=client15.KEYS_CHANGED_AT,
                      client_state=client15.CLIENT_STATE, jwt=None, **claims):  # fmt: skip
        """The Answer of the token server to a device of the account `sub`, whose access
        token is jwt, or has the claims."""
        kid = client15.key_id(keys_changed_at, client_state)
        jwt = jwt or client15.KEY.jwt(**claims)
        return client15.ask_for_token(self.transport, "/1.0/sync/1.5", jwt, kid)

    def device(self, uid=12345, **claims):
        """A client15.Client that has a token; the user is made when the test has not yet."""
        if not self.sql("select 1 from weave_fxa_users where user_id = ?", [uid]):
            self.add_member(uid)
        id_, key = client15.make_token(self.secret, uid, self.node, **claims)
        return client15.Client(self.transport, "%s/1.5/%d" % (self.node, uid), id_, key)


def pytest_configure(config):
    config.addinivalue_line("markers", "sqlite_only: says nothing about other databases")
    config.addinivalue_line(
        "markers", "in_process: reaches into the application, and is not for httpd"
    )


def _is_chosen(item):
    of_httpd = item.module.__name__ in OF_HTTPD and not item.get_closest_marker("in_process")
    if of_httpd if BESIDE_HTTPD else THROUGH_HTTPD and not of_httpd:
        return False
    return KIND == "sqlite" or (
        "database_server" in item.fixturenames and not item.get_closest_marker("sqlite_only")
    )


def pytest_collection_modifyitems(config, items):
    chosen = [item for item in items if _is_chosen(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


@pytest.fixture(scope="session")
def database_server():
    """The Server of the session; None with SQLite."""
    if KIND == "sqlite":
        yield None
        return
    lacks = dbservers.missing(KIND)
    if lacks:
        assert not os.environ.get("CI"), lacks
        pytest.skip(lacks)
    server = dbservers.Server(KIND)
    yield server
    server.close()


@pytest.fixture
def clock(monkeypatch):
    """What time it is for the application: clock.forward(seconds) from the true one."""

    class Clock:
        def forward(self, seconds):
            if THROUGH_HTTPD:
                apache.server().forward(seconds)
            else:
                later = classmethod(lambda cls: cls(now() + int(seconds * 100)))
                monkeypatch.setattr(Stamp, "now", later)

    now, clock = Stamp.now, Clock()
    yield clock
    if THROUGH_HTTPD:
        clock.forward(0)


@pytest.fixture(scope="session", autouse=True)
def hypothesis_home(tmp_path_factory):
    """Keeps the folder of the sources as it is; it may not be writable."""
    set_hypothesis_home_dir(tmp_path_factory.mktemp("hypothesis"))


_numbers = itertools.count(1)


@contextlib.contextmanager
def urls(server):
    """A function that makes databases, which end with the context: name -> URL for an ini.

    patience: how long others wait where one writes to a SQLite file, in seconds.
    """
    prefix = "t%d_" % next(_numbers)
    made = {}

    def make(name="weave", patience=LONG_SECONDS):
        if server is None:
            return "sqlite:///%%(here)s/%s.db?timeout=%s" % (name, patience)
        if name not in made:
            made[name] = server.make_database(prefix + name)
        return made[name]

    yield make
    for name in made:
        server.drop_database(prefix + name)


@contextlib.contextmanager
def sites(server, folder):
    """A function that makes Sites of one database, as the fixture make_site is one."""
    with urls(server) as make_url:
        with _sites(make_url, folder) as make:
            yield make


@contextlib.contextmanager
def _sites(make_url, folder):
    made = []

    def make(kind=Site, patience=LONG_SECONDS, **lines):
        made.append(kind(folder, make_url(patience=patience), **lines))
        return made[-1]

    yield make
    if THROUGH_HTTPD:
        apache.server().rest()
    for site in made:
        for database in site.databases:
            database.close()


@pytest.fixture
def make_url(database_server):
    """Gives the URL of a database of the test's own with a name, for an ini."""
    with urls(database_server) as make:
        yield make


@pytest.fixture(params=DRIVERS[KIND])
def driver_url(request, make_url, tmp_path):
    """The URL of a database of the test's own, with each driver."""
    if request.param.endswith("mysqldb"):
        pytest.importorskip("MySQLdb")
    url = make_url().replace("%(here)s", str(tmp_path))
    return re.sub(r"^[^:]+", request.param, url)


@pytest.fixture
def patience(monkeypatch):
    """For tests in which all that write at once must succeed: on a machine that is busy a
    transaction takes long, or a hash, and that is no reason to give it up."""

    def make_turns(what, running, waiting, seconds):
        return turns.Turns(what, running, waiting, LONG_SECONDS)

    monkeypatch.setattr(passwords, "Turns", make_turns)
    monkeypatch.setattr(retries, "PATIENCE_SECONDS", LONG_SECONDS)
    monkeypatch.setattr(engines, "LOCK_TIMEOUT_SECONDS", LONG_SECONDS)


@pytest.fixture
def own_secret(tmp_path, monkeypatch):
    """The folder of the shared secret, which is the test's own."""
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(secret, "FOLDER", str(folder))
    return folder


@pytest.fixture
def make_site(make_url, tmp_path):
    """Makes a Site; the arguments are lines for the sections of its ini, but for patience,
    which is that of urls().

    All Sites of a test have one database, unless they say otherwise.
    """
    with _sites(make_url, tmp_path) as make:
        yield make


@pytest.fixture
def site(make_site):
    return make_site()


@pytest.fixture
def site15(make_site):
    """A Site15; make_site(Site15, sync15=LINES) makes others."""
    return make_site(Site15)


@pytest.fixture
def token_site(make_site):
    """A Site15 that takes access tokens of the test key."""
    return make_site(Site15).load_keys()


@pytest.fixture
def serve(make_site):
    """Makes a doctoring.Served, with the public_url that it is given."""
    with doctoring.serving(make_site, Site15) as make:
        yield make


@pytest.fixture
def served(serve):
    return serve()


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
