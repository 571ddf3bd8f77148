# SPDX-License-Identifier: Apache-2.0
"""What administrators read who have made a mistake with the database: one line, with the cure."""

import pytest
from conftest import KIND
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url as parse

from weave.server import __main__ as admin

pytestmark = pytest.mark.skipif(KIND == "sqlite", reason="SQLite has no server")

SECRET = "do-not-show"


@pytest.fixture
def said(tmp_path, monkeypatch):
    """What a command says of a URL; it fails, on one line, and shows no password."""
    monkeypatch.setattr(admin, "become_owner", lambda *_: None)
    ini = tmp_path / "sync.ini"

    def run(url, command="check"):
        url = url if isinstance(url, str) else url.render_as_string(hide_password=False)
        ini.write_text("[storage]\nsqluri = %s\ncreate_tables = true\n" % url)
        with pytest.raises(SystemExit) as caught:
            admin.main([command, str(ini)])
        sentence = caught.value.code
        assert "\n" not in sentence and SECRET not in sentence
        return sentence

    return run


@pytest.fixture
def url(make_url):
    return parse(make_url())


def test_a_wrong_password(url, said):
    sentence = said(url.set(password=SECRET))
    assert "in the sqluri of sync.ini" in sentence
    assert "password" in sentence


def test_no_such_database(url, said):
    sentence = said(url.set(database="nothing"))
    assert "nothing" in sentence and "database" in sentence
    assert "in the sqluri of sync.ini" in sentence


def test_no_server(url, said, tmp_path):
    name = "host" if KIND == "postgresql" else "unix_socket"
    sentence = said(url.set(query={name: str(tmp_path / "none")}, password=SECRET))
    assert "the database does not answer: " in sentence
    assert "server" in sentence.split(": ")[-1] and "?:" not in sentence
    assert "in the sqluri of sync.ini" in sentence


def test_a_user_who_must_make_no_tables(url, said):
    engine = create_engine(url, future=True)

    def sql(statement):
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
            connection.commit()

    if KIND == "mariadb":
        name = "poor@localhost"
        sql("CREATE USER poor@localhost IDENTIFIED BY '%s'" % SECRET)
        sql("GRANT SELECT, INSERT, UPDATE, DELETE ON `%s`.* TO poor@localhost" % url.database)
    else:
        name = "poor"
        sql("CREATE USER poor PASSWORD '%s'" % SECRET)
    try:
        sentence = said(url.set(username="poor", password=SECRET), "migrate")
    finally:
        sql("DROP USER %s" % name)
        engine.dispose()
    assert "the database refuses: " in sentence and "(GRANT)" in sentence
