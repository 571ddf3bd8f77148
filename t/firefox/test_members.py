# SPDX-License-Identifier: Apache-2.0
"""Admission to a server, the life of a token, and the recovery of lost data."""

import json
import time

import pytest

from account import Account
from site15 import eventually
from test_devices import WELL
from test_faults import urls

# The reasons are in the error log.
REFUSED = "is answered 40[13]: "

SYNC15 = "allow_new_users = first"


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
    """The browser does the rest by itself: another token, another sync."""
    first("takeShortToken", False)
    time.sleep(2)
    before, given = len(site.asked()), tokens_given(site)
    first("addBookmarks", urls("overdue", 1))
    first("sync")
    eventually(lambda: first("rest") == WELL, "a sync with another token")
    assert statuses(site, before) == {"200", "401"}
    assert tokens_given(site) == given + 1
    assert "is answered 401: the token has expired" in site.log()


def test_somebody_else_is_not_admitted(site, other, stranger):
    before = len(site.asked())
    met = other("signIn", stranger.sign_in())
    assert met["login"] == "error.login.reason.network" and met["ui"] == "signed_in", met
    assert statuses(site, before) == {"403"}
    assert site.uid(stranger) is None
    assert [line for line in site.log().splitlines() if stranger.uid in line]


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
    eventually(lambda: site.asked()[before:] and other("rest")["login"] != WELL["login"], "401")
    assert statuses(site, before) == {"401"}
    assert "it must sign in again" in site.log()


def test_all_data_is_lost_and_uploaded_again(site, first, account):
    site.lose_data()
    assert first("sync")["ui"] == "signed_in"
    eventually(lambda: first("syncNow") == WELL, "a sync with the empty server")
    assert len(site.ids(account, "bookmarks")) >= 5
    assert set(urls("first", 3) + urls("round", 1) + urls("overdue", 1)) <= set(first("bookmarks"))


def test_the_server_complains_of_nothing_else(site):
    assert site.complaints(REFUSED) == []
