# SPDX-License-Identifier: Apache-2.0
"""The application as a whole: hosts, pages, entry points, administration."""

import importlib
import io
import re
import sqlite3
import sys

import pytest
import webtest
from sqlalchemy import inspect

from conftest import PASSWORD, Site15, User
from weave.server import __main__ as admin
from weave.server import clients, wsgi
from weave.server.commands import purge
from weave.server.config import ConfigError
from weave.server.version import VERSION


def test_every_answer_has_a_timestamp(site, user):
    for path in ("/", "/__heartbeat__", "/__lbheartbeat__", "/user/1.0/alice", "/user/1.0/a%20b",
                 "/1.1/alice/info/collections", "/weave-password-reset"):  # fmt: skip
        response = site.app.get(path, status="*")
        assert re.fullmatch(
            r"[0-9]{10}\.[0-9]{2}", response.headers["X-Weave-Timestamp"]
        )


def test_health_pages(site):
    assert site.app.get("/__heartbeat__").json == {"status": "ok"}
    assert site.app.get("/__lbheartbeat__").json == {"status": "ok"}


def test_health_page_can_be_moved(make_site):
    app = make_site(more="[global]\nheartbeat_page = /are/you/there").app
    app.get("/are/you/there")
    app.get("/__heartbeat__", status=404)


def test_debug_page(make_site):
    site = make_site(more="[global]\ndebug_page = __debug__")
    page = site.app.get("/__debug__").json
    (database,) = site.databases
    assert page["storage"].startswith(database.dialect + ": Pool")
    assert str(site.folder) not in str(page)


def test_no_debug_page_unless_wanted(site):
    site.app.get("/__debug__", status=404)


def test_welcome_page(make_site):
    page = make_site(more="[global]\ndebug_page = __debug__").app.get("/")
    assert page.content_type == "text/html"
    assert "<code>http://localhost:80/</code>" in page
    assert "Anybody may make an account" in page
    assert "prefers-color-scheme: dark" in page and "max-width: 30em" in page
    assert "weave.server " + VERSION in page
    assert '<a href="/__debug__">' in page


def test_welcome_page_of_a_closed_server_below_a_path(make_site):
    app = make_site(auth="allow_new_users = false").app
    page = app.get("/", headers={"Host": "a<b{footer}"}, extra_environ={"SCRIPT_NAME": "/sync"})
    assert "<code>http://a&lt;b{footer}/sync/</code>" in page
    assert "New accounts are not made here" in page
    assert '<a href="/sync/__heartbeat__">' in page
    assert VERSION not in page


def test_welcome_page_without_sync15(make_site):
    page = make_site(more="[sync15]\npublic_url = https://a.example.org/").app.get("/")
    assert "cannot use this" in page
    assert "a.example.org" not in page and clients.PREFERENCE not in page


class Elsewhere(Site15):
    node = "https://a.example.org:444/p"


@pytest.mark.parametrize("kind", [Site15, Elsewhere])
def test_welcome_page_for_todays_firefox(make_site, kind):
    """What is typed is on the page, exactly; the text for Pale Moon stays."""
    page = make_site(kind).app.get("/")
    uri = "<code>%s/1.0/sync/1.5</code>" % kind.node
    assert "<code>identity.sync.tokenserver.uri</code> to " + uri in page
    assert "Custom Sync server to " + uri in page
    assert "token server: <code>%s</code>" % kind.node in page
    assert "<code>services.sync.serverURL</code> to <code>http://localhost:80/</code>" in page
    assert "The first Mozilla account that comes may" in page
    assert "cannot use this" not in page
    assert "{" not in page.text.split("</style>")[1]


def test_no_welcome_page(make_site):
    make_site(more="[global]\nwelcome_page = false").app.get("/", status=404)


def test_heartbeat_at_the_top(make_site):
    """A load balancer that asks for / is not told about browsers."""
    site = make_site(more="[global]\nheartbeat_page = /")
    assert site.app.get("/").json == {"status": "ok"}


def test_hosts(make_site):
    site = make_site(
        more="""
[host:closed.example.org]
auth.allow_new_users = false
[host:own.example.org:8080]
storage.sqluri = sqlite:///%(here)s/own.db
"""
    )
    site.user("alice").put("storage/col/a", {"payload": "x"})
    body = {"email": "b@example.org", "password": PASSWORD}
    closed = {"HTTP_HOST": "Closed.example.org"}
    response = site.app.put_json(
        "/user/1.0/bob", body, extra_environ=closed, status=400
    )
    assert response.body == b"11"
    site.app.put_json(
        "/user/1.0/bob", body, extra_environ={"HTTP_HOST": "closed.example.org:81"}
    )
    assert site.app.get("/user/1.0/alice", extra_environ=closed).body == b"1"
    own = {"HTTP_HOST": "own.example.org:8080"}
    assert site.app.get("/user/1.0/alice", extra_environ=own).body == b"0"
    assert (site.folder / "own.db").exists()


def test_separate_databases(make_site, make_url):
    site = make_site(auth="sqluri = " + make_url("auth"))
    site.user().put("storage/col/a", {"payload": "x"})
    records, accounts = (
        set(inspect(database.engine).get_table_names()) for database in site.databases
    )
    assert accounts == {"weave_accounts", "weave_logins", "weave_schema"}
    assert records & accounts == {"weave_schema"} != records


@pytest.mark.sqlite_only
def test_database_in_memory(make_site, tmp_path):
    (tmp_path / "x").mkdir()
    site = make_site()
    text = site.ini.read_text()
    site.ini.write_text(re.sub("sqluri = .*", "sqluri = sqlite://", text))
    user = User(
        webtest.TestApp(wsgi.Application().load(str(site.ini))), "alice"
    ).sign_up()
    user.put("storage/col/a", {"payload": "x"})
    assert user.get("storage/col").json == ["a"]


@pytest.mark.sqlite_only
def test_sqlite_is_set_up(site, user):
    assert site.sql("PRAGMA journal_mode") == [("wal",)]
    (database,) = site.databases
    with database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_entry_point_takes_the_ini_of_the_request(site, monkeypatch):
    monkeypatch.delenv("WEAVE_INI", raising=False)
    app = webtest.TestApp(wsgi.Application())
    with pytest.raises(ConfigError, match="no sync.ini.*WEAVE_INI"):
        app.get("/__heartbeat__")
    app.get("/__heartbeat__", extra_environ={"weave.ini": str(site.ini)})
    monkeypatch.setenv("WEAVE_INI", str(site.ini))
    app.get("/__heartbeat__")


def test_entry_point_says_at_import_what_is_wrong(site, monkeypatch):
    site.ini.write_text("[storage]\nsqluri = nonsense")
    monkeypatch.setenv("WEAVE_INI", str(site.ini))
    monkeypatch.delitem(sys.modules, "weave.server.wsgi")
    with pytest.raises(ConfigError, match="sync.ini:2: .storage. sqluri: must be"):
        importlib.import_module("weave.server.wsgi")


@pytest.fixture(autouse=True)
def as_caller(monkeypatch):
    """Commands run as the user who runs the tests; test_owner.py is about others."""
    monkeypatch.setattr(admin, "become_owner", lambda *_: None)


def run(capsys, *arguments):
    admin.main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def test_admin_check(site, capsys):
    assert run(capsys, "check", site.ini) == "ok\n"
    site.ini.write_text("[storage]\nsqluri = nonsense")
    with pytest.raises(SystemExit, match="1"):
        run(capsys, "check", site.ini)
    assert ": error: %s:2: " % site.ini in capsys.readouterr().err


def test_admin_create_tables(tmp_path, capsys):
    ini = tmp_path / "sync.ini"
    ini.write_text("[storage]\nsqluri = sqlite:///%(here)s/weave.db\n")
    with pytest.raises(SystemExit, match="1"):
        run(capsys, "check", ini)
    assert "create-tables" in capsys.readouterr().err
    assert run(capsys, "create-tables", ini) == "the tables are there\n"
    assert run(capsys, "check", ini) == "ok\n"


def test_admin_purge(site, user, capsys, monkeypatch):
    monkeypatch.setattr(purge, "BATCH", 10)
    for name in ("one", "two"):
        batch = [{"id": str(n), "payload": "x", "ttl": 0} for n in range(12)]
        user.post("storage/" + name, batch)
    user.put("storage/three/a", {"payload": "x", "ttl": 100})
    site.sql("insert into weave_logins values ('address x', 1), ('name y', 1)")
    assert run(capsys, "purge", site.ini) == "24 expired records removed\n"
    assert site.sql("select id from weave_records") == [("a",)]
    logins = site.sql("select substr(subject, 1, 9) from weave_logins")
    assert set(logins) <= {("verified ",), ("sign-up 1",)}


@pytest.mark.sqlite_only
def test_admin_backup(site, user, capsys):
    user.put("storage/col/a", {"payload": "x"})
    target = site.folder / "copy.db"
    run(capsys, "backup", site.ini, target)
    copy = sqlite3.connect(target)
    assert copy.execute("select payload from weave_records").fetchall() == [("x",)]
    assert copy.execute("select name from weave_accounts").fetchall() == [("alice",)]
    copy.close()


def test_admin_set_password(site, user, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("a new password\n"))
    run(capsys, "set-password", site.ini, "Alice")
    user.get("info/collections", status=401)
    user.password = "a new password"
    user.get("info/collections")
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    with pytest.raises(SystemExit, match="at least 8"):
        run(capsys, "set-password", site.ini, "alice")
    with pytest.raises(SystemExit, match="no account bob"):
        run(capsys, "set-password", site.ini, "bob")
