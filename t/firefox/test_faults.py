# SPDX-License-Identifier: Apache-2.0
"""Faults of a server while a browser syncs: nothing is lost, and nobody has to help."""

import collections
import contextlib
import functools
import os
import signal
import time

import pytest

from account import Account
from site15 import RETRY_AFTER_S, eventually
from test_devices import WELL

# So that an upload of many bookmarks takes long enough to be met in the middle.
SYNC15 = "allow_new_users = true\nmax_post_records = 5"
COUNT = 1150
ATTEMPTS = 5

A_DAY_S = 86400

# httpd has lost the worker that had a request, or has no worker.
WORKER_IS_GONE = "WEAVE0[0-9]{3}: .*worker"

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
    return [line.split()[0] for line in site.asked()[before:]
            if " POST " in line and "/storage/bookmarks?batch=" in line]  # fmt: skip


def in_the_middle(site, device, name, prepare):
    """Has the browser upload bookmarks, and calls while it does what prepare() has returned.

    Returns the names of the uploads: a machine may be so slow that it takes several until that
    was done before the end of one.
    """
    names = []
    while len(names) < ATTEMPTS:
        names.append("%s%d" % (name, len(names)))
        act = prepare()
        device.browser("addBookmarks", urls(names[-1], COUNT))
        before = len(site.asked())
        device.browser("startSync")
        eventually(lambda: len(batched(site, before)) >= 5, "an upload is under way")
        act()
        if "200" not in batched(site, before):
            return names
        device.browser("rest")
    raise AssertionError("it was too late %d times" % ATTEMPTS)


def sync_until_well(device):
    """Syncs again and again, as a browser does in the course of a day."""
    end = time.monotonic() + 60
    while device.browser("syncNow") != WELL:
        assert time.monotonic() < end, device.browser("status")
        time.sleep(0.2)


def check_complete(site, device, *names):
    """All that was made is there; the browser has never begun anew."""
    expected = {url for name in names for url in urls(name, COUNT)}
    assert expected <= set(device.browser("bookmarks"))
    # the roots and menus are records, too
    assert len(site.ids(device.account, "bookmarks")) >= len(expected)
    assert len(site.asked("DELETE /1.5/\\d+/storage ")) == 1
    assert len(site.asked("^404 .*/storage/meta/global")) == 1


def kill(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_workers_are_killed_in_the_middle_of_a_batch(site, device):
    def prepare():
        return functools.partial(kill, site.workers())

    names = in_the_middle(site, device, "killed", prepare)
    # nothing of the batch shows before it is whole
    assert len(site.ids(device.account, "bookmarks")) < len(names) * COUNT
    device.browser("rest")
    sync_until_well(device)
    check_complete(site, device, *names)


def test_a_release_is_switched_in_the_middle_of_a_sync(site, device):
    site.make_release("two", "99.1.0")
    versions = [site.version()]

    def switch():
        site.switch_release("venv" if versions[-1] == "99.1.0" else "two")
        versions.append(site.version())

    before = len(site.asked())
    names = in_the_middle(site, device, "switched", lambda: switch)
    assert versions[0] != versions[1] == "99.1.0"
    assert device.browser("rest") == WELL
    assert set(batched(site, before)) == {"200", "202"}
    check_complete(site, device, *names)


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


def test_a_new_device_receives_all(site, device, start):
    other = start()
    assert other("signIn", device.account.sign_in()) == WELL
    assert sorted(other("bookmarks")) == sorted(device.browser("bookmarks"))


def test_the_server_complains_of_nothing_else(site):
    assert site.complaints(WORKER_IS_GONE) == []
