# SPDX-License-Identifier: Apache-2.0
"""16 browsers of Sync 1.5 while httpd and the workers restart and die.

WEAVE_TEST_MINUTES=10 before pytest: for so long, and not only once through all of it.
"""

import collections
import contextlib
import itertools
import os
import random
import time

import pytest

from browsers15 import Account, Browser
from conftest import eventually
from farm15 import running_farm15

ACCOUNTS = 8
MINUTES = float(os.environ.get("WEAVE_TEST_MINUTES") or 0)


@pytest.fixture
def farm(make_url):
    url = make_url().replace("mysql+pymysql:", "mysql+mysqldb:")
    with running_farm15(url) as running:
        yield running


def all_go_on(browsers):
    """Each of them has had another three answers, unless it has failed."""
    before = [browser.answers for browser in browsers]

    def go_on():
        return any(browser.failure for browser in browsers) or all(
            browser.answers > count + 2 for browser, count in zip(browsers, before)
        )

    eventually(go_on, "all browsers go on")
    return not any(browser.failure for browser in browsers)


def operate(farm, browsers):
    """Restarts and kills until the time is over: {what: how often}."""
    done, until = collections.Counter(), time.monotonic() + MINUTES * 60
    operations = {
        "graceful": farm.graceful,
        "reload": farm.reload,
        "kill -9 of a worker": lambda: farm.kill_workers(1),
        "kill -9 of all workers": lambda: farm.kill_workers(2),
    }
    names = itertools.cycle(operations)
    while all_go_on(browsers) and (len(done) < len(operations) or time.monotonic() < until):
        name = next(names)
        operations[name]()
        done[name] += 1
        time.sleep(random.uniform(0, 1))
    return done


def test_browsers_while_the_server_restarts(farm, capsys):
    """Nothing that was acknowledged is lost, nothing comes back, and nothing that is there
    is ever answered with a 404."""
    accounts = [Account(number) for number in range(ACCOUNTS)]
    browsers = [
        Browser(farm.port, accounts[number % ACCOUNTS], number, number < ACCOUNTS)
        for number in range(2 * ACCOUNTS)
    ]
    with contextlib.ExitStack() as stack:
        for browser in browsers:
            stack.callback(browser.close)
            browser.start()
            stack.callback(browser.join)
            stack.callback(browser.stop)
        operations = operate(farm, browsers)
        for browser in browsers:
            browser.stop()
        for browser in browsers:
            browser.join()
        failures = [browser.failure for browser in browsers if browser.failure]
        assert not failures, failures
        for browser in browsers:
            browser.check()
        check_counts(browsers)
    log = farm.log()
    assert "unexpected exception" not in log, log[-5000:]
    if MINUTES:
        with capsys.disabled():
            report(browsers, operations)


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
