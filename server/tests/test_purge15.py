# SPDX-License-Identifier: Apache-2.0
"""weave-server purge and fetch-keys, where there is Sync 1.5."""

import time

import pytest

import proxies
from commands15 import (
    ANNA,
    KEY,
    add_batch,
    attempt,
    come,
    new_key,
    rows_of,
    run,
    store,
    users,
)
from conftest import Site15
from weave.server.database import Database

WEEK = 7 * 24 * 3600


# ---- purge ----


def test_purge_of_replaced_keys(token_site, capsys):
    old = come(token_site, ANNA).json["uid"]
    new = new_key(token_site, ANNA)
    for uid in (old, new):
        store(token_site, uid)
        add_batch(token_site, uid)
    said = run(capsys, "purge", token_site)
    assert "the records of 0 replaced keys removed" in said
    assert "weave_records" in rows_of(token_site, old)
    when = int((time.time() - WEEK - 10) * 100)
    token_site.sql("update weave_fxa_users set replaced = ? where user_id = ?", [when, old])
    said = run(capsys, "purge", token_site)
    assert "the records of 1 replaced keys removed" in said
    # what is left refuses a device that has the old key
    assert set(rows_of(token_site, old)) == {"weave_users", "weave_fxa_users"}
    assert len(rows_of(token_site, new)) == 6
    assert come(token_site, ANNA).json["status"] == "invalid-client-state"
    assert "of 0 replaced keys" in run(capsys, "purge", token_site)


@pytest.mark.sqlite_only
def test_purge_of_replaced_keys_at_once(token_site, capsys):
    old = come(token_site, ANNA).json["uid"]
    new_key(token_site, ANNA)
    store(token_site, old)
    assert "of 0 replaced" in run(capsys, "purge", token_site, "--replaced", "1d")
    assert "of 1 replaced" in run(capsys, "purge", token_site, "--replaced", "now")
    assert "weave_records" not in rows_of(token_site, old)


def test_removing_many_records(token_site, capsys, monkeypatch):
    """Some in each transaction, so that others can write; what is left is counted right."""
    monkeypatch.setattr("weave.server.people.AT_ONCE", 10)
    writes, write = [], Database.write

    def count(database, act):
        writes.append(act)
        if len(writes) == 3:
            raise OSError(28, "No space left on device")
        return write(database, act)

    old = come(token_site, ANNA).json["uid"]
    new_key(token_site, ANNA)
    store(token_site, old, 25)
    store(token_site, old, 12, 4, "history")
    with monkeypatch.context() as patch:
        patch.setattr(Database, "write", count)
        attempt(capsys, "purge", token_site, "--replaced", "now")
    # the 12 of the first collection are gone, by two transactions
    assert users(capsys, token_site)[ANNA][0]["records"] == 25
    run(capsys, "purge", token_site, "--replaced", "now")
    assert set(rows_of(token_site, old)) == {"weave_users", "weave_fxa_users"}


def test_purge_of_uploads(token_site, capsys):
    uid = come(token_site, ANNA).json["uid"]
    add_batch(token_site, uid)
    assert "0 uploads that were given up removed" in run(capsys, "purge", token_site)
    token_site.sql("update weave_batches set expires = 1")
    assert "1 uploads that were given up removed" in run(capsys, "purge", token_site)
    assert set(rows_of(token_site, uid)) == {"weave_users", "weave_fxa_users"}


def test_purge_of_a_batch_alone(token_site, capsys):
    """A key was replaced before its first upload was complete."""
    old = come(token_site, ANNA).json["uid"]
    new_key(token_site, ANNA)
    add_batch(token_site, old)
    assert "of 1 replaced" in run(capsys, "purge", token_site, "--replaced", "now")
    assert set(rows_of(token_site, old)) == {"weave_users", "weave_fxa_users"}


# ---- fetch-keys ----


@pytest.mark.sqlite_only
def test_fetch_keys_from_a_file(make_site, capsys, tmp_path):
    site = make_site(Site15, sync15="jwks_url = http://127.0.0.1:1/jwks")
    _, _, wrong = attempt(capsys, "fetch-keys", site)
    assert "http://127.0.0.1:1/jwks cannot be fetched (the server cannot be asked" in wrong
    assert "open http://127.0.0.1:1/jwks with a browser" in wrong
    assert come(site, ANNA).status == 503
    file = tmp_path / "keys.json"
    file.write_bytes(b"<html>")
    wrong = attempt(capsys, "fetch-keys", site, str(file))[2]
    assert "this file has no keys of the account server: it is no JSON (" in wrong
    assert "`weave-server fetch-keys %s FILE`" % site.ini in wrong
    assert "No such file" in attempt(capsys, "fetch-keys", site, str(file) + "x")[2]
    file.write_bytes(KEY.jwks())
    said = run(capsys, "fetch-keys", site, str(file))
    assert said == "the public keys of the account server are stored (1)\n"


@pytest.mark.sqlite_only
def test_fetch_keys_from_the_url(make_site, capsys):
    with proxies.Front() as front:
        site = make_site(Site15, sync15="jwks_url = %s/jwks" % front.url)
        assert "answers 404" in attempt(capsys, "fetch-keys", site)[2]
        front.application = proxies.answer(200, KEY.jwks(), "application/json")
        run(capsys, "fetch-keys", site)
    assert come(site, ANNA).status == 200
