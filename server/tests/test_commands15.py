# SPDX-License-Identifier: Apache-2.0
"""weave-server users and admit, of Sync 1.1 and 1.5."""

import io
import json
import re
import time

import pytest
from client15 import key_id

from commands15 import (
    ANNA,
    BERND,
    CARLA,
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


# ---- list ----


def test_list_of_both_protocols(token_site, capsys):
    alice = token_site.user()
    alice.post("storage/bookmarks", [{"id": n, "payload": "x" * 10} for n in "abc"])
    alice.put("storage/clients/a", {"payload": "x"})
    uid = come(token_site, ANNA).json["uid"]
    store(token_site, uid)
    store(token_site, uid, 2, 1, "clients")
    run(capsys, "admit", token_site, BERND, "--note", "Bernd's phone")
    now = time.time()
    found = users(capsys, token_site)
    assert set(found) == {"alice", ANNA, BERND}
    (listed,) = found["alice"]
    expected = {"protocol": "1.1", "note": "alice@example.org", "state": "in use", "devices": 1,
                "records": 4, "bytes": 31, "host": None}  # fmt: skip
    assert expected.items() <= listed.items()
    assert abs(listed["last_sync"] - now) < 100
    (listed,) = found[ANNA]
    expected = {"protocol": "1.5", "note": None, "state": "in use", "devices": 2, "records": 5,
                "bytes": 500, "user_id": uid}  # fmt: skip
    assert expected.items() <= listed.items()
    assert abs(listed["last_sync"] - now) < 100
    (listed,) = found[BERND]
    expected = {"state": "admitted", "note": "Bernd's phone", "last_sync": None, "records": 0,
                "user_id": None}  # fmt: skip
    assert expected.items() <= listed.items()


@pytest.mark.sqlite_only
def test_list_for_eyes(token_site, capsys):
    token_site.user()
    uid = come(token_site, ANNA).json["uid"]
    store(token_site, uid, 25)
    run(capsys, "users note", token_site, ANNA, "Anna")
    new_key(token_site, ANNA)
    lines = run(capsys, "users list", token_site).splitlines()
    date = r"\d{4}-\d\d-\d\d \d\d:\d\d"
    expected = (
        r"WHO +SYNC  LAST SYNC +DEVICES +SIZE  STATE +NOTE",
        r"alice +1\.1   never +0 +0 B  in use +alice@example\.org",
        r"%s  1\.5   %s +0  2\.5 kB  replaced %s +Anna" % (ANNA, date, date),
        r"%s  1\.5   %s +0 +0 B  in use +Anna" % (ANNA, date),
    )
    assert len(lines) == len(expected), lines
    for pattern, line in zip(expected, lines):
        assert re.fullmatch(pattern, line), line


def test_the_last_sync_is_a_token_or_a_write(token_site, capsys):
    old = come(token_site, ANNA).json["uid"]
    new = new_key(token_site, ANNA)
    day = 24 * 3600
    today = int(time.time()) // day * day
    for uid, seen in ((old, today - 4 * day), (new, today - 2 * day)):
        token_site.sql("update weave_fxa_users set seen = ? where user_id = ?", [seen * 100, uid])
    for modified, last in ((today - 3 * day, today - 2 * day), (today - day, today - day)):
        token_site.sql("update weave_users set modified = ?", [modified * 100])
        times = {each["user_id"]: each["last_sync"] for each in users(capsys, token_site)[ANNA]}
        # the records of a replaced key are written to by what removes them, and no sync
        assert times == {old: today - 4 * day, new: last}


@pytest.mark.sqlite_only
def test_list_without_sync_15(site, capsys):
    site.user()
    assert "alice" in run(capsys, "users list", site)
    assert json.loads(run(capsys, "users list", site, "--json"))["admission"] == []
    for command, *words in (("admit",), ("users note", "x", "y"), ("fetch-keys",)):
        _, _, wrong = attempt(capsys, command, site, *words)
        assert "Sync 1.5 is off: set secret_file" in wrong


@pytest.mark.sqlite_only
def test_a_note_cannot_write_to_the_terminal(token_site, capsys):
    come(token_site, ANNA)
    token_site.sql("update weave_fxa_users set note = ?", ["a\x1b[2Jb"])
    assert "\x1b" not in run(capsys, "users list", token_site)
    assert "one line" in attempt(capsys, "users note", token_site, ANNA, "a\nb")[2]


@pytest.mark.sqlite_only
def test_hosts_with_databases_of_their_own(make_site, capsys):
    """--host names the one that is meant; the list has all, each once."""
    other = "[host:b.example.org]\nstorage.sqluri = sqlite:///%(here)s/b.db\n"
    site = make_site(Site15, more=other + "[host:c.example.org]\nauth.allow_new_users = false\n")
    site.load_keys()
    come(site, ANNA)
    run(capsys, "admit", site, BERND, "--host", "B.example.org", "--note", "Bernd")
    found = users(capsys, site)
    assert {who: each["host"] for who, (each,) in found.items()} == {
        ANNA: None,
        BERND: "b.example.org",
    }
    assert "%s (b.example.org)  1.5   never" % BERND in run(capsys, "users list", site)
    for words in (("users note", BERND, "x"), ("users delete", BERND, "--yes")):
        assert "has the " in attempt(capsys, words[0], site, *words[1:])[2]
        run(capsys, words[0], site, *words[1:], "--host", "b.example.org")
    assert set(users(capsys, site)) == {ANNA}
    _, _, wrong = attempt(capsys, "admit", site, "--host", "d.example.org")
    assert "the sync.ini has no [host:d.example.org]; it has b.example.org, c.example.org" in wrong


# ---- note ----


@pytest.mark.sqlite_only
def test_note(token_site, capsys):
    come(token_site, ANNA)
    assert run(capsys, "users note", token_site, ANNA.upper(), "Anna") == ANNA + ": Anna\n"
    assert users(capsys, token_site)[ANNA][0]["note"] == "Anna"
    # by the note, from now on
    assert run(capsys, "users note", token_site, "Anna", "") == ANNA + ": no note\n"
    assert users(capsys, token_site)[ANNA][0]["note"] is None
    _, _, wrong = attempt(capsys, "users note", token_site, "Anna", "x")
    assert "no account of Sync 1.5 has the id or the note 'Anna'" in wrong
    _, _, wrong = attempt(capsys, "users note", token_site, ANNA, "x" * 201)
    assert "200 characters" in wrong


def test_a_note_goes_with_the_account(token_site, capsys):
    """The note of an admission stays when the account comes, and when it has a new key."""
    run(capsys, "admit", token_site, ANNA)
    run(capsys, "users note", token_site, ANNA, "Anna")
    come(token_site, ANNA)
    new_key(token_site, ANNA)
    assert [each["note"] for each in users(capsys, token_site)[ANNA]] == ["Anna", "Anna"]


@pytest.mark.sqlite_only
def test_a_note_of_two(token_site, capsys):
    for fxa_uid in (ANNA, BERND):
        run(capsys, "admit", token_site, fxa_uid, "--note", "Anna")
    for command, *words in (("users note", "x"), ("users delete", "--yes")):
        _, _, wrong = attempt(capsys, command, token_site, "Anna", *words)
        assert "is the note of %s and of %s" % (ANNA, BERND) in wrong


# ---- delete ----


def test_delete_of_a_member(token_site, capsys):
    other = come(token_site, BERND).json["uid"]
    run(capsys, "admit", token_site, ANNA)
    old = come(token_site, ANNA).json["uid"]
    new = new_key(token_site, ANNA)
    for uid in (other, old, new):
        store(token_site, uid)
        add_batch(token_site, uid)
    before = rows_of(token_site, other)
    assert set(before) == set(rows_of(token_site, new)) and len(before) == 6
    said = run(capsys, "users delete", token_site, ANNA, "--yes")
    assert said == "%s is deleted, with the records of all its keys (2)\n" % ANNA
    assert (rows_of(token_site, old), rows_of(token_site, new)) == ({}, {})
    assert rows_of(token_site, other) == before
    assert set(users(capsys, token_site)) == {BERND}
    # and its admission has gone with it
    assert come(token_site, ANNA).status == 403
    assert "no user has the " in attempt(capsys, "users delete", token_site, ANNA, "--yes")[2]


def test_delete_works_at_once(token_site, capsys):
    come(token_site, ANNA)
    device = token_site.device(int(token_site.sql("select user_id from weave_fxa_users")[0][0]))
    device.get("info/collections")
    run(capsys, "users delete", token_site, ANNA, "--yes")
    device.get("info/collections", 401)
    device.put("storage/bookmarks/a", {"payload": "x"}, 401)
    assert rows_of(token_site, device.uid) == {}


def test_delete_that_fails_half_way(token_site, capsys, monkeypatch):
    """Nobody comes in meanwhile, and the next call does the rest."""
    old = come(token_site, ANNA).json["uid"]
    new = new_key(token_site, ANNA)
    for uid in (old, new):
        store(token_site, uid)

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("weave.server.people.forget_member", fail)
        _, _, wrong = attempt(capsys, "users delete", token_site, ANNA, "--yes")
    assert "No space left" in wrong
    assert [each["state"] for each in users(capsys, token_site)[ANNA]] == ["replaced"] * 2
    later = int(time.time() * 1000) + 60000
    again = (key_id(later, "fe" * 16),)
    assert come(token_site, ANNA, *again, fxa_generation=later).status == 403
    run(capsys, "admit", token_site, ANNA)
    assert come(token_site, ANNA, *again, fxa_generation=later).status == 503
    token_site.device(new).get("info/collections", 401)
    run(capsys, "users delete", token_site, ANNA, "--yes")
    assert (rows_of(token_site, old), rows_of(token_site, new)) == ({}, {})


@pytest.mark.sqlite_only
def test_delete_says_who_comes_again(make_site, capsys):
    site = make_site(Site15, sync15="allow_new_users = true")
    site.load_keys()
    uid = come(site, ANNA).json["uid"]
    assert "begin anew unless they sign out" in run(capsys, "users delete", site, ANNA, "--yes")
    assert come(site, ANNA).json["uid"] != uid


@pytest.mark.sqlite_only
def test_delete_of_who_is_only_admitted(token_site, capsys):
    run(capsys, "admit", token_site, ANNA, "--note", "Anna")
    come(token_site, BERND)
    run(capsys, "users delete", token_site, "Anna", "--yes")
    assert come(token_site, ANNA).status == 403


@pytest.mark.parametrize("who", ["alice", "ALICE"])
def test_delete_of_an_account(who, site, capsys):
    alice, bob = site.user(), site.user("bob")
    for user in (alice, bob):
        user.put("storage/bookmarks/a", {"payload": "x"})
    said = run(capsys, "users delete", site, who, "--yes")
    assert said == "the account alice is deleted, with its records\n"
    alice.get("info/collections", 401)
    bob.get("storage/bookmarks/a")
    assert len(site.sql("select * from weave_users")) == 1
    assert site.app.get("/user/1.0/alice").text == "0"


@pytest.mark.sqlite_only
def test_delete_asks(site, capsys, monkeypatch):
    site.user()
    _, _, wrong = attempt(capsys, "users delete", site, "alice")
    assert "add --yes" in wrong and "alice" in users(capsys, site)

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert "nothing is deleted" in attempt(capsys, "users delete", site, "alice")[2]
    assert "alice" in users(capsys, site)
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert "is deleted" in run(capsys, "users delete", site, "alice")
    assert "alice" not in users(capsys, site)


@pytest.mark.sqlite_only
def test_delete_of_a_name_that_two_have(token_site, capsys):
    token_site.user("anna")
    come(token_site, ANNA)
    run(capsys, "users note", token_site, ANNA, "anna")
    _, _, wrong = attempt(capsys, "users delete", token_site, "anna", "--yes")
    assert "say --protocol" in wrong
    run(capsys, "users delete", token_site, "anna", "--yes", "--protocol", "1.1")
    assert set(users(capsys, token_site)) == {ANNA}
    run(capsys, "users delete", token_site, "anna", "--yes", "--protocol", "1.5")
    assert users(capsys, token_site) == {}


# ---- admit ----


@pytest.mark.parametrize("command", ["admit", "users admit"])
def test_admit_by_id(command, token_site, capsys):
    come(token_site, ANNA)
    assert come(token_site, BERND).status == 403
    said = run(capsys, command, token_site, BERND.upper(), "--note", "Bernd")
    assert said == "%s is let in\n" % BERND
    assert come(token_site, BERND).status == 200
    assert users(capsys, token_site)[BERND][0]["note"] == "Bernd"
    assert come(token_site, CARLA).status == 403
    assert "no id of an account" in attempt(capsys, command, token_site, "Bernd")[2]


def test_admit_the_next(token_site, capsys):
    come(token_site, ANNA)
    said = run(capsys, "admit", token_site)
    assert re.fullmatch(r"the next account that comes is let in, until .{16}\n", said)
    assert said in run(capsys, "users list", token_site)
    assert come(token_site, BERND).status == 200
    assert come(token_site, CARLA).status == 403
    assert "let in" not in run(capsys, "users list", token_site)


@pytest.mark.sqlite_only
def test_admit_several_for_a_time(token_site, capsys):
    come(token_site, ANNA)
    now = time.time()
    run(capsys, "admit", token_site, "--next", "3", "--for", "2h")
    (admission,) = json.loads(run(capsys, "users list", token_site, "--json"))["admission"]
    assert (admission["allow_new_users"], admission["next"]) == ("first", 3)
    assert abs(admission["until"] - now - 7200) < 100
    run(capsys, "admit", token_site, "--next", "0")
    assert come(token_site, BERND).status == 403
    run(capsys, "admit", token_site, "--for", "1s")
    time.sleep(1.1)
    assert come(token_site, BERND).status == 403


@pytest.mark.sqlite_only
@pytest.mark.parametrize("words", [("--for", "10"), ("--for", "0m"), ("--next", "-1"),
                                   ("--next", "many")])  # fmt: skip
def test_admit_what_is_no_number(words, token_site, capsys):
    status, _, wrong = attempt(capsys, "admit", token_site, *words)
    assert status == 2 and "argument %s: %r is no " % words in wrong


@pytest.mark.sqlite_only
@pytest.mark.parametrize("words", [("--next", "1"), ("--for", "10m")])
def test_admit_an_account_and_whoever_comes(words, token_site, capsys):
    status, _, wrong = attempt(capsys, "admit", token_site, BERND, *words)
    assert status == 1 and "leave them out, or the id" in wrong
    assert users(capsys, token_site) == {}


@pytest.mark.sqlite_only
def test_list_of_nobody(token_site, capsys):
    assert run(capsys, "users list", token_site) == "there are no users yet\n"
