# SPDX-License-Identifier: Apache-2.0
"""Two devices of one account, from the first sync to the sign-out."""

import collections

import pytest

from account import Account
from site15 import eventually

LOGIN = {"origin": "https://login.example", "username": "ada", "password": "pässwörd 1"}
BOOKMARKS = ["https://bookmark.example/%d" % number for number in range(5)]
VISITS = ["https://visit.example/%d" % number for number in range(5)]
MANY = ["https://many.example/%d" % number for number in range(1150)]
WELL = {"service": "success.status_ok", "sync": "success.sync", "login": "success.login",
        "engines": {}, "enforceBackoff": False, "ui": "signed_in"}  # fmt: skip

# Answers that a browser gives no reason for. 412 it does: two devices write at the same time.
UNWANTED = "^(40[0135]|41[0135]|5)"

# A time in milliseconds where seconds belong, as Firefox sends it.
FAR_AHEAD = "4102405200000"

Devices = collections.namedtuple("Devices", "account first second")


@pytest.fixture(scope="module")
def devices(site, start):
    """Two browsers that are not signed in; the first one has something to sync."""
    made = Devices(Account("ada"), start(), start())
    made.first("addBookmarks", BOOKMARKS)
    made.first("addVisits", VISITS)
    made.first("addLogin", LOGIN)
    made.first("addForm", "city", "Zürich")
    made.first("openTab", site.url)
    return made


def test_the_first_sync_of_a_new_profile(site, devices):
    account, first, _ = devices
    assert first("signIn", account.sign_in()) == WELL
    assert site.uid(account)
    for collection, least in (("bookmarks", 5), ("history", 5), ("passwords", 1),
                              ("forms", 1), ("clients", 1), ("tabs", 1), ("prefs", 1),
                              ("meta", 1), ("crypto", 1)):  # fmt: skip
        assert len(site.ids(account, collection)) >= least, collection
    assert first("sync") == WELL


def test_a_second_device_receives_all(site, devices):
    account, _, second = devices
    assert second("signIn", account.sign_in()) == WELL
    assert sorted(second("bookmarks")) == BOOKMARKS
    assert second("logins") == [LOGIN]
    assert second("visited", VISITS) == VISITS
    assert second("forms", "city") == ["Zürich"]
    assert site.url in second("remoteTabs")
    assert len(site.ids(account, "clients")) == 2


def test_what_one_deletes_the_other_loses(devices):
    _, first, second = devices
    first("removeBookmarks", BOOKMARKS[:2])
    first("removeLogin", LOGIN)
    assert first("sync") == WELL
    assert second("sync") == WELL
    assert sorted(second("bookmarks")) == BOOKMARKS[2:]
    assert second("logins") == []
    second("addBookmarks", ["https://back.example/"])
    assert second("sync") == WELL
    assert first("sync") == WELL
    assert "https://back.example/" in first("bookmarks")


def test_1150_bookmarks_are_one_batch_and_two_pages(site, devices):
    account, first, second = devices
    before = len(site.asked())
    first("addBookmarks", MANY)
    assert first("sync") == WELL
    posts = [line for line in site.asked()[before:]
             if "POST" in line and "/storage/bookmarks?batch=" in line]  # fmt: skip
    assert [line.split()[0] for line in posts] == ["202"] * 11 + ["200"], posts
    assert "?batch=true " in posts[0] and posts[-1].split()[2].endswith("&commit=true")
    before = len(site.asked())
    assert second("sync") == WELL
    pages = [line for line in site.asked()[before:]
             if "GET" in line and "/storage/bookmarks?" in line]  # fmt: skip
    assert len(pages) == 2 and "&offset=" in pages[1], pages
    assert set(MANY) <= set(second("bookmarks"))
    assert len(site.ids(account, "bookmarks")) >= len(MANY)


def test_tabs_are_written_at_once(site, devices):
    _, first, second = devices
    first("openTab", site.url + "?quick")
    assert first("quickWriteTabs") is True
    (asked,) = [line for line in site.asked("/storage/tabs") if line.endswith(FAR_AHEAD)]
    assert asked.startswith("200 POST"), asked
    assert second("sync") == WELL
    assert site.url + "?quick" in second("remoteTabs")


def test_a_device_that_signs_out_leaves_no_record_of_itself(site, devices):
    account, _, second = devices
    own = second("clientId")
    assert own in site.ids(account, "clients") and own in site.ids(account, "tabs")
    second("signOut")
    eventually(lambda: second("status")["ui"] == "not_configured", "the window shows it")
    # docs/firefox_sync.md says so
    eventually(lambda: "mozilla" in second("tokenServer"), "the preference is set back")
    assert own not in site.ids(account, "clients") | site.ids(account, "tabs")
    assert len(site.ids(account, "clients")) == 1


def test_the_server_has_nothing_to_complain_about(site):
    assert site.complaints() == []
    assert site.asked(UNWANTED) == []
    assert len(site.asked("DELETE /1.5/\\d+/storage ")) == 1
