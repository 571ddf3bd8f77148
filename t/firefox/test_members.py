# SPDX-License-Identifier: Apache-2.0
"""Admission to a server, the life of a token, and the recovery of lost data."""

import json
import re
import time

import pytest

from account import Account
from site15 import eventually
from test_devices import WELL
from test_faults import urls

# The reasons are in the error log.
REFUSED = "is answered 40[13]: "
SLOW_CLOCK = r"is answered 503: .* begins in \d+ s: set the clock of this server"

SITE = {"sync15": "allow_new_users = first", "wants_clock": True}
TWO_HOURS_S = 7200


@pytest.fixture(scope="module")
def account():
    return Account("carol")


@pytest.fixture(scope="module")
def first(start, account):
    made = start()
    made("addBookmarks", urls("first", 3))
    assert made("signIn", account.sign_in()) == WELL
    return made


@pytest.fixture(scope="module")
def stranger():
    return Account("mallory")


@pytest.fixture(scope="module")
def other(start):
    made = start()
    made("addBookmarks", urls("other", 2))
    return made


def tokens_given(site):
    return len(site.asked("^200 GET /1.0/sync/1.5"))


def statuses(site, before):
    """The statuses of all answers since httpd's log had BEFORE lines."""
    return {line.split()[0] for line in site.asked()[before:]}


def is_wiped(site, before):
    """Whether a browser has removed all data of its account since httpd's log had BEFORE lines."""
    return any(re.search(r"DELETE /1.5/\d+/storage ", line) for line in site.asked()[before:])


def check_another_token(site, browser, name):
    """The browser's token is refused: by itself it gets another one, and syncs with it."""
    before, given = len(site.asked()), tokens_given(site)
    browser("addBookmarks", urls(name, 1))
    browser("sync")
    eventually(lambda: browser("rest") == WELL, "a sync with another token")
    assert statuses(site, before) == {"200", "401"}
    assert tokens_given(site) == given + 1
    assert not is_wiped(site, before)


def sign_in_again(site, browser, account):
    """The outcome of the first sync of an account, in a browser that had another."""
    browser("signOut")
    eventually(lambda: browser("tokenServer") != site.token_server, "the preference is set back")
    browser("setTokenServer", site.token_server)
    return browser("signIn", account.sign_in())


def test_another_token_before_the_first_one_is_over(site, first):
    first("takeShortToken", True)
    time.sleep(1)
    before, given = len(site.asked()), tokens_given(site)
    first("addBookmarks", urls("round", 1))
    assert first("sync") == WELL
    assert tokens_given(site) == given + 1
    assert statuses(site, before) == {"200"}


def test_a_token_that_is_over_is_refused(site, first):
    first("takeShortToken", False)
    time.sleep(2)
    check_another_token(site, first, "overdue")
    eventually(lambda: "is answered 401: the token has expired" in site.log(), "the reason")


def test_another_secret_ends_all_tokens(site, first):
    """An administrator has thought that somebody knows the old one."""
    site.write_secret("0ddba11" * 10)
    site.weavectl("reload")
    check_another_token(site, first, "secret")
    why = "is answered 401: the token is signed with none of the secrets"
    eventually(lambda: why in site.log(), "the reason")


def test_a_clock_that_is_hours_off(site, first):
    if not site.has_clock:
        pytest.skip("there is no build/tests/clock_shim.so")
    before = len(site.asked())
    site.set_clock(TWO_HOURS_S)
    first("addBookmarks", urls("ahead", 1))
    first("sync")
    eventually(lambda: first("rest") == WELL, "a sync with another token")
    # now the account server is in the future
    site.set_clock(-TWO_HOURS_S)
    first("addBookmarks", urls("behind", 1))
    first("dropToken")
    met = first("sync")
    assert met["login"] == "error.login.reason.network" and met["ui"] == "signed_in", met
    eventually(lambda: re.search(SLOW_CLOCK, site.log()), "the reason")
    site.set_clock(0)
    eventually(lambda: first("syncNow") == WELL, "a sync by the right time")
    assert not is_wiped(site, before)


def test_somebody_else_is_not_admitted(site, other, stranger):
    before = len(site.asked())
    met = other("signIn", stranger.sign_in())
    assert met["login"] == "error.login.reason.network" and met["ui"] == "signed_in", met
    assert statuses(site, before) == {"403"}
    assert site.uid(stranger) is None
    eventually(lambda: stranger.uid in site.log(), "who was refused")


def test_an_administrator_lets_somebody_in(site, other, stranger, account):
    site.command("admit", site.ini, stranger.uid, "--note", "the neighbour")
    assert other("sync") == WELL
    assert len(site.ids(stranger, "bookmarks")) >= 2
    users = json.loads(site.command("users", "list", site.ini, "--json"))["users"]
    assert {user["who"]: (user["note"], user["devices"]) for user in users} == {
        account.uid: (None, 1), stranger.uid: ("the neighbour", 1)}


def test_all_devices_of_a_deleted_user_are_refused(site, other, stranger):
    user_id = site.uid(stranger)
    site.command("users", "delete", site.ini, stranger.uid, "--yes")
    before = len(site.asked())
    other("addBookmarks", urls("more", 1))
    assert other("sync")["ui"] == "signed_in"
    eventually(lambda: "403" in statuses(site, before), "no other token")
    assert statuses(site, before) == {"401", "403"}
    assert site.uid(stranger) is None
    assert site.sql("SELECT count(*) FROM weave_records WHERE user_id = ?", user_id) == [(0,)]


def test_a_deleted_user_who_is_admitted_again_uploads_all(site, other, stranger):
    site.command("admit", site.ini, stranger.uid)
    before = len(site.asked())
    eventually(lambda: other("syncNow") == WELL, "a sync with the empty store")
    assert is_wiped(site, before), "it was empty: the browser says so"
    assert len(site.ids(stranger, "bookmarks")) >= 3
    assert set(urls("other", 2) + urls("more", 1)) <= set(other("bookmarks"))


def test_an_account_with_a_new_key_begins_with_an_empty_store(site, first, other, account):
    assert sign_in_again(site, other, account) == WELL
    old = site.uid(account)
    account.change_key()
    assert sign_in_again(site, first, account) == WELL
    assert site.uid(account) != old
    assert len(site.ids(account, "bookmarks")) >= 5
    # a device that has not noticed
    before = len(site.asked())
    other("addBookmarks", urls("stale", 1))
    other("sync")
    eventually(lambda: other("rest")["login"] != WELL["login"], "401")
    assert statuses(site, before) == {"401"}
    eventually(lambda: "it must sign in again" in site.log(), "the reason")


def test_all_data_is_lost_and_uploaded_again(site, first, account):
    site.lose_data()
    assert first("sync")["ui"] == "signed_in"
    eventually(lambda: first("syncNow") == WELL, "a sync with the empty server")
    made = [urls("first", 3)] + [urls(name, 1) for name in (
        "round", "overdue", "secret", "ahead", "behind") if site.has_clock]  # fmt: skip
    made = {url for some in made for url in some}
    assert made <= set(first("bookmarks"))
    assert len(site.ids(account, "bookmarks")) >= len(made)


def test_the_server_complains_of_nothing_else(site):
    assert site.complaints(REFUSED, SLOW_CLOCK) == []
