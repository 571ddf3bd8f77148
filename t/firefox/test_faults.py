# SPDX-License-Identifier: Apache-2.0
"""Faults of a server while a browser syncs: nothing is lost, and nobody has to help."""

import collections
import contextlib
import functools
import os
import re
import signal
import time

import pytest

import installed
from account import Account
from site15 import RETRY_AFTER_S, eventually
from test_devices import UNWANTED, WELL

# An upload of many bookmarks takes long enough to be met in the middle; a disk can be filled.
SITE = {"sync15": "allow_new_users = true\nmax_post_records = 5", "disk_mib": 48}
SOME, MANY = 300, 1150
ATTEMPTS = 5

A_DAY_S = 86400

# httpd has lost the worker that had a request, or has no worker.
WORKER_IS_GONE = "WEAVE0[0-9]{3}: .*worker"

# A rollback leaves the tables as the newer release has made them.
NEWER = "99.1.0"
DISK_IS_FULL = "disk is full"
NEWER_TABLES = "its tables are those of release %s; this older one, " % NEWER

Device = collections.namedtuple("Device", "account browser")


def urls(name, count):
    return ["https://%s.example/%d" % (name, number) for number in range(count)]


@pytest.fixture(scope="module")
def device(start):
    made = Device(Account("bob"), start())
    made.browser("addBookmarks", urls("old", 3))
    assert made.browser("signIn", made.account.sign_in()) == WELL
    return made


def batched(site, before):
    """The answers to POSTs of bookmarks since httpd's log had BEFORE lines."""
    return [line.split()[0] for line in site.asked(under_way=True)[before:]
            if " POST " in line and "/storage/bookmarks?batch=" in line]  # fmt: skip


def in_the_middle(site, device, made, prepare):
    """Has the browser upload bookmarks, and calls while it does what prepare() has returned.

    made: their URLs. Returns the URLs of all uploads: on a slow machine the first one may end
    before that is done. The browser stands still meanwhile in later ones.
    """
    found = []
    for attempt in range(ATTEMPTS):
        act = prepare()
        found += ["%s/%d" % (url, attempt) for url in made]
        device.browser("addBookmarks", found[-len(made):])
        before = len(site.asked())
        device.browser("startSync")
        eventually(lambda: len(batched(site, before)) >= 5, "an upload is under way")
        with device.browser.halted() if attempt else contextlib.nullcontext():
            act()
            if "200" not in batched(site, before):
                return found
        device.browser("rest")
    raise AssertionError("it was too late %d times" % ATTEMPTS)


def sync_until_well(device):
    """Syncs again and again, as a browser does in the course of a day."""
    end = time.monotonic() + 60
    while device.browser("syncNow") != WELL:
        assert time.monotonic() < end, device.browser("status")
        time.sleep(0.2)


def check_complete(site, device, made=()):
    """All that was made is there; the browser has never begun anew."""
    assert set(made) <= set(device.browser("bookmarks"))
    # the roots and menus are records, too
    assert len(site.ids(device.account, "bookmarks")) >= len(device.browser("bookmarks"))
    assert len(site.asked("DELETE /1.5/\\d+/storage ")) == 1
    assert len(site.asked("^404 .*/storage/meta/global")) == 1


def kill(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("count", [1, 2])
def test_workers_are_killed_in_the_middle_of_a_batch(site, device, count):
    """One of the two, or both."""

    def prepare():
        workers = site.workers()
        survivors[:] = workers[count:]
        shown[:] = site.ids(device.account, "bookmarks")
        return functools.partial(kill, workers[:count])

    survivors, shown = [], []
    made = in_the_middle(site, device, urls("killed%d" % count, SOME), prepare)
    # nothing of the batch shows before it is whole
    found = len(site.ids(device.account, "bookmarks") - set(shown))
    assert found == 0 or found >= SOME
    device.browser("rest")
    sync_until_well(device)
    check_complete(site, device, made)
    assert set(survivors) <= set(site.workers())


def release_in_the_middle(site, device, name, serving, *words):
    """Calls weavectl with the words while the browser uploads: then another release than
    SERVING serves. No request fails."""

    def prepare():
        if site.version() != serving:
            site.weavectl("switch", "--again", serving)
        return act

    def act():
        site.weavectl(*words)
        assert site.version() != serving

    before = len(site.asked())
    made = in_the_middle(site, device, urls(name, MANY), prepare)
    assert device.browser("rest") == WELL
    assert set(batched(site, before)) == {"200", "202"}
    assert [line for line in site.asked()[before:] if re.match(UNWANTED, line)] == []
    check_complete(site, device, made)


def test_a_release_is_installed_in_the_middle_of_a_sync(site, device):
    """It brings the tables of the database to a newer version."""
    installed.put_wheel(site.folder, NEWER)
    site.weavectl("install", "--no-switch", installed.PROJECT + "==" + NEWER)
    release_in_the_middle(site, device, "installed", site.version(), "switch", NEWER)


def test_two_devices_at_once(site, device, start):
    """A new one receives all while the other one uploads; then both of them upload."""
    other = Device(device.account, start())
    both, made = (device, other), urls("beside", SOME)
    device.browser("addBookmarks", made)
    device.browser("startSync")
    other.browser("signIn", device.account.sign_in())
    for one in both:
        one.browser("rest")
        more = urls("at-once-%d" % both.index(one), SOME)
        one.browser("addBookmarks", more)
        made += more
    for one in both:
        one.browser("startSync")
    # a device whose write meets a later one writes at the next sync
    for one in both * 2:
        sync_until_well(one)
    check_complete(site, device, made)
    assert sorted(other.browser("bookmarks")) == sorted(device.browser("bookmarks"))


def test_a_rollback_in_the_middle_of_a_sync(site, device):
    release_in_the_middle(site, device, "back", NEWER, "rollback")


def test_a_disk_that_is_full(site, device):
    if not site.has_disk:
        pytest.skip("no disk can be mounted here")
    more = urls("full", SOME)
    device.browser("addBookmarks", more)
    with site.full_disk():
        met = device.browser("sync")
        assert met["sync"] == "error.sync.reason.serverMaintenance", met
        assert met["ui"] == "signed_in"
    why = "answered 503: the database refuses: database or disk is full: make room"
    eventually(lambda: why in site.log(), "the reason")
    sync_until_well(device)
    check_complete(site, device, more)


def test_a_browser_comes_back_by_itself_after_maintenance(site, device):
    site.weavectl("maintenance", "on")
    device.browser("addBookmarks", urls("late", 1))
    met = device.browser("sync")
    assert met["service"] != WELL["service"] and met["ui"] == "signed_in", met
    assert site.asked("^503 ")
    site.weavectl("maintenance", "off")
    planned, not_before = device.browser("planned")
    assert RETRY_AFTER_S - 60 <= not_before <= planned <= A_DAY_S
    device.browser("letTimePass")
    eventually(lambda: device.browser("rest") == WELL, "the browser comes back")
    assert urls("late", 1)[0] in device.browser("bookmarks")
    check_complete(site, device)


def test_the_server_complains_of_nothing_else(site):
    assert site.complaints(WORKER_IS_GONE, NEWER_TABLES, DISK_IS_FULL) == []
