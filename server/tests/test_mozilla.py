# SPDX-License-Identifier: Apache-2.0
"""Configuration files of Mozilla's servers, and what a check says about one."""

import pathlib

import pytest
import webtest

from conftest import User
from weave.server import keys, mozilla
from weave.server.accounts import canonical_name
from weave.server.app import create_application
from weave.server.check import check
from weave.server.setting_up import Settings15, new_secret
from weave.server.settings import load

MOZILLA = pathlib.Path(__file__).parent / "mozilla.conf"
MINIMAL = "[storage]\nsqluri = sqlite:///%(here)s/x.db\ncreate_tables = true\n"


@pytest.fixture
def write(tmp_path):
    """Writes the text into a sync.ini; its path."""

    def write(text):
        path = tmp_path / "sync.ini"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def rows(path, severity):
    """{line: message} of a severity."""
    return {line: text for line, text, level in check(path) if level == severity}


def line_of(path, start):
    lines = pathlib.Path(path).read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.startswith(start))


def noticing(path, notices):
    """A function: the notice about the line that begins so."""
    return lambda start: notices[line_of(path, start)]


def test_a_file_of_mozilla_serves_a_sync(write):
    path = write("[wsgi]\nmodule = weave.server.wsgi\n" + MOZILLA.read_text())
    app = webtest.TestApp(create_application(path), lint=True)
    user = User(app, canonical_name("alice@example.org"))
    app.put_json(
        "/user/1.0/" + user.name,
        {"email": "alice@example.org", "password": user.password},
    )
    node = app.get("/user/1.0/%s/node/weave" % user.name)
    assert node.text == "http://localhost:5000/"
    user.put("storage/bookmarks/a", {"payload": "x"})
    assert user.get("storage/bookmarks/a").json["payload"] == "x"
    assert user.get("info/quota").json[1] == 5120
    assert app.get("/__debug__").json["storage"].startswith("sqlite")


def test_each_key_of_mozilla_has_a_word(write):
    path = write(MOZILLA.read_text())
    assert rows(path, "error") == {}
    notices = rows(path, "notice")
    notice = noticing(path, notices)

    assert "[global] clean_shutdown: does nothing here: " in notice("clean_shut")
    assert "is taken as nodes.fallback_node" in notice("fallback_node")
    assert "is taken as storage.pool_max_overflow" in notice("pool_overflow")
    assert "no mail is sent" in notice("username")
    assert "memcached" in notice("cache_servers")
    assert "[cef] use: the section does nothing here" in notice("use = true")
    assert "reset_codes" in notice("backend = services.resetcodes")
    assert not set(notices) & {
        line_of(path, start)
        for start in ("retry_after", "standard_coll", "quota_size", "create_tables")
    }
    values, hosts = load(path)
    assert values["storage.pool_max_overflow"] == 5
    assert values["nodes.fallback_node"] == "http://localhost:5000/"
    # as the guides have it: clients elsewhere would sign in, and never sync
    assert any("only browsers on this machine" in text for _, text, _ in check(path))
    assert hosts["some-test-host"]["storage.sqluri"].endswith("/some.db")


SYNCSERVER = """[server:main]
use = egg:gunicorn
port = 5000
[app:main]
use = egg:syncserver
[syncserver]
public_url = http://localhost:5000/
identity_provider = https://accounts.firefox.com/
sqluri = sqlite:///%(here)s/syncserver.db
secret = s3cret
allow_new_users = false
force_wsgi_environ = false
[tokenserver]
backend = x
secrets.backend = mozsvc.secrets.FixedSecrets
[browserid]
audiences = x
[hawkauth]
secret = s3cret
[storage]
create_tables = true
batch_upload_enabled = true
max_post_records = 50
"""


def test_each_key_of_a_server_for_sync15_has_a_word(write, tmp_path):
    path = write(SYNCSERVER)
    (error,) = rows(path, "error").values()
    assert "sync15.secret_file: is missing" in error and "weavectl init" in error
    settings = Settings15(path)
    assert not settings.read()
    (tmp_path / "sync.secret").write_text(new_secret())
    (tmp_path / "sync.secret").chmod(0o600)
    path = write(SYNCSERVER + "\n".join(settings.lines))
    assert rows(path, "error") == {}
    notices = rows(path, "notice")
    notice = noticing(path, notices)

    texts = [text for _, text, _ in check(path)]
    assert any("public_url: is taken as sync15.public_url" in text for text in texts)
    assert "is taken as storage.sqluri" in notice("sqluri")
    assert "is taken as sync15.allow_new_users" in notice("allow_new")
    assert "is taken as sync15.max_post_records" in notice("max_post")
    assert "accounts are Mozilla's" in notice("identity_provider")
    assert "the file of sync15.secret_file has the secrets" in notice("secret = ")
    assert "whatever a proxy changes" in notice("force_wsgi")
    assert "[tokenserver] backend: the section does nothing here" in notice("backend = x")
    assert "[browserid] audiences: the section does nothing here" in notice("audiences")
    assert "batches are always taken" in notice("batch_upload")
    assert "s3cret" not in str(list(check(path)))
    # as guides have it: no browser elsewhere would reach it
    assert any("only browsers on this machine" in text for text in texts)
    values, _ = load(path)
    assert values["sync15.public_url"] == "http://localhost:5000/"
    assert values["sync15.allow_new_users"] == "false"
    assert values["sync15.max_post_records"] == 50
    assert values["storage.sqluri"].endswith("/syncserver.db")


def test_another_account_server(write):
    text = "[syncserver]\nidentity_provider = https://a.example.org\n"
    errors = rows(write(MINIMAL + text), "error")
    assert "sync15.jwks_url" in errors[5]


def test_a_file_of_a_server_for_sync15_serves(write, tmp_path):
    (tmp_path / "secret").write_text(new_secret())
    (tmp_path / "secret").chmod(0o600)
    path = write(SYNCSERVER + "[sync15]\nsecret_file = %(here)s/secret\n")
    app = webtest.TestApp(create_application(path), lint=True)
    for above in ("", "/token"):
        answer = app.get(above + "/1.0/sync/1.5", status=401)
        assert answer.json["errors"][0]["description"] == "Unauthorized"


def test_a_server_for_sync15_whose_database_is_not_named(write):
    path = write("[app:main]\nuse = egg:syncserver\n[syncserver]\nsecret = x\n")
    text = "\n".join(message for _, message, _ in check(path))
    assert "storage.sqluri: is missing" in text and "file of Paste" not in text


def test_own_name_wins(write):
    path = write(
        MINIMAL + "[auth]\nfallback_node = http://a\n[nodes]\nfallback_node=http://b"
    )
    assert load(path)[0]["nodes.fallback_node"] == "http://b/"
    assert "beside nodes.fallback_node" in rows(path, "notice")[5]


@pytest.mark.parametrize(
    "lines, message",
    [
        ("[auth]\nbackend = services.user.mozilla_ldap.LDAPUser", "LDAP is not sup"),
        ("[auth]\nbackend = ldap", "LDAP is not supported"),
        ("[auth]\nbackend = services.user.sreg.SregUser", "no other server is asked"),
        ("[auth]\nbackend = services.user.proxycache.ProxyCacheUser", "no other serv"),
        ("[auth]\nbackend = services.auth.dummy.DummyAuth", "this backend is not"),
        ("[auth]\nproxy = true", "no other server is asked"),
        ("[storage]\nbackend = a.b.SpannerStorage", "records are in the SQL database"),
        ("[storage]\nbackend =\n  a\n  b", "records are in the SQL database"),
        ("[captcha]\nuse = True", "captchas are not supported"),
    ],
)
def test_what_is_lacking_is_refused(write, lines, message):
    text = MINIMAL.replace("[storage]\n", lines + "\n") if "[sto" in lines else None
    errors = rows(write(text or MINIMAL + lines), "error")
    assert [message in text for text in errors.values()] == [True]


@pytest.mark.parametrize(
    "backend",
    ["sql", "memcached", "syncstorage.storage.memcachedsql.MemcachedSQLStorage"],
)
def test_backends_of_sql_are_taken(write, backend):
    path = write(MINIMAL + "backend = " + backend)
    assert rows(path, "error") == {}
    assert "[storage] backend: does nothing here" in rows(path, "notice")[4]


@pytest.mark.parametrize(
    "given, taken",
    [
        ("pymysql://u:p@h/d", "mysql+pymysql://u:p@h/d"),
        ("postgres://u:p@h/d", "postgresql://u:p@h/d"),
        ("mysql://u:p@h/d", "mysql://u:p@h/d"),
    ],
)
def test_names_of_drivers(write, given, taken):
    assert load(write("[storage]\nsqluri = " + given))[0]["storage.sqluri"] == taken


def test_all_mistakes_at_once(write, tmp_path, monkeypatch):
    monkeypatch.delenv("WEAVE_UNSET", raising=False)
    path = write(
        "[global]\nretry_aftr = 5\nretry_after = soon\n"
        "[storage]\nsqluri = nonsense://s3cret\nstandard_colections = s3cret\n"
        "[auth]\nfallback_nod = s3cret\nsqluri = sqlite:////nowhere/s3cret.db\n"
        "pool_size = ${WEAVE_UNSET}\n"
        "[stroage]\nx = s3cret\n"
        "[host:a]\nauth.allow_new_users = s3cret\nwsgi.script = s3cret\n"
    )
    found = list(check(path))
    assert [line for line, _, _ in found] == [2, 3, 5, 6, 8, 9, 10, 12, 14, 15]
    text = "\n".join(message for _, message, _ in found)
    assert "s3cret" not in text
    assert "did you mean global.retry_after?" in text
    assert "did you mean storage.standard_collections?" in text
    assert "did you mean auth.fallback_node?" in text
    assert "did you mean [storage]?" in text
    assert not list(tmp_path.glob("*.db*"))


def test_paste_file_is_explained(write):
    errors = rows(write("[app:main]\nconfiguration = file:sync.conf\n"), "error")
    assert "file of Paste" in errors[0]


@pytest.mark.parametrize(
    "lines, message",
    [
        ("sqluri = sqlite:////nowhere/at/all/x.db", "its folder does not exist"),
        ("sqluri = sqlite:///%(here)s/x.db", "its file is missing: run"),
        ("sqluri = oracle://u:s3cret@h/x", "of this kind are not supported"),
        ("sqluri = mysql+nonsense://u:s3cret@h/x", "its driver is missing"),
    ],
)
def test_database_is_looked_at_and_not_opened(write, tmp_path, lines, message):
    errors = rows(write("[storage]\n" + lines), "error")
    assert message in errors[2] and "s3cret" not in errors[2]
    assert not list(tmp_path.glob("*.db*"))


def test_file_that_is_none(write):
    path = write("[s]\ns3cret\n[t]\ns3cret\n")
    assert sorted(rows(path, "error")) == [2, 4]
    assert "s3cret" not in str(list(check(path)))
    assert [row[::2] for row in check("/nowhere/sync.ini")] == [(0, "error")]


def test_tables_of_keys():
    ours = {key.name for key in keys.KEYS}
    theirs = [*mozilla.ALIASES, *mozilla.IDLE, *mozilla.JUDGED]
    assert len(set(theirs)) == len(theirs) and not ours & set(theirs)
    assert set(mozilla.ALIASES.values()) <= ours
