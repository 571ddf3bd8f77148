# SPDX-License-Identifier: Apache-2.0
"""16 browsers of Sync 1.5 while httpd, weaved, workers and database restart and die.

WEAVE_TEST_MINUTES=10 before pytest: for so long, and not only once through all of it.
"""

import collections
import contextlib
import os
import time

import pytest

from browsers15 import WRITTEN_MEANWHILE, Account, Browser
from farm15 import running_farm15
from operations15 import Operations
from outages15 import Outages, unexplained

ACCOUNTS = 8
MINUTES = float(os.environ.get("WEAVE_TEST_MINUTES") or 0)


@pytest.fixture
def url(make_url):
    return make_url().replace("mysql+pymysql:", "mysql+mysqldb:")


@pytest.fixture
def farm(url):
    with running_farm15(url) as running:
        yield running


def test_browsers_while_the_server_restarts(farm, url, database_server, capsys):
    """Nothing that was acknowledged is lost, nothing comes back, and nothing that is there
    is ever answered with a 404."""
    accounts = [Account(number) for number in range(ACCOUNTS)]
    outages = Outages()
    browsers = [
        Browser(farm.port, accounts[number % ACCOUNTS], number, number < ACCOUNTS, outages)
        for number in range(2 * ACCOUNTS)
    ]
    operations = Operations(farm, url, database_server, browsers, outages)
    until = time.monotonic() + MINUTES * 60

    def is_enough():
        return time.monotonic() > until and any(b.done[WRITTEN_MEANWHILE] for b in browsers)

    with contextlib.ExitStack() as stack:
        stack.callback(lambda: print(farm.log()))
        for browser in browsers:
            stack.callback(browser.close)
            browser.start()
            stack.callback(browser.join)
            stack.callback(browser.stop)
        operations.go_through(is_enough, 1 if MINUTES else 0.1)
        for browser in browsers:
            browser.stop()
        for browser in browsers:
            browser.join()
        assert not operations.failures, operations.failures
        for browser in browsers:
            browser.check()
        check_counts(browsers)
    if MINUTES:
        with capsys.disabled():
            report(browsers, operations.done)
    assert not unexplained(farm.log(), farm.killed, bool(database_server))


def check_counts(browsers):
    """The records of each account are those of its two browsers, and no others."""
    for one, other in zip(browsers[:ACCOUNTS], browsers[ACCOUNTS:]):
        must = {"meta": 1, "crypto": 1}
        for browser in (one, other):
            for name, records in browser.records.items():
                must[name] = must.get(name, 0) + len(records)
        shown = one.sure("GET", "info/collection_counts").json
        assert shown == {name: count for name, count in must.items() if count}


def report(browsers, operations):
    counts, done = collections.Counter(), collections.Counter()
    for browser in browsers:
        counts += browser.counts
        done += browser.done
    print()
    for what in (operations, done, counts):
        print(", ".join("%s: %d" % item for item in sorted(what.items())))
