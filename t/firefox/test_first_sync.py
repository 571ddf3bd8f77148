# SPDX-License-Identifier: Apache-2.0
"""The first sync of somebody who has used a browser for years."""

import time

from account import Account
from test_devices import UNWANTED, WELL

VISITS = ["https://visited.example/%d" % number for number in range(5000)]
BOOKMARKS = ["https://kept.example/%d" % number for number in range(1000)]
MOST_BYTES = 150 * 1024 * 1024


def test_5000_visits_and_1000_bookmarks(site, start):
    browser, account = start(), Account("dora")
    browser("addVisits", VISITS)
    browser("addBookmarks", BOOKMARKS)
    began = time.monotonic()
    assert browser("signIn", account.sign_in()) == WELL
    print("first sync: %.1f s, worker: %d MiB" % (
        time.monotonic() - began, site.peak_memory() >> 20))  # fmt: skip
    assert len(site.ids(account, "history")) == len(VISITS)
    assert len(site.ids(account, "bookmarks")) >= len(BOOKMARKS)
    assert site.peak_memory() < MOST_BYTES
    assert site.complaints() == []
    assert site.asked(UNWANTED) == []
