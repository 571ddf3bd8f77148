# SPDX-License-Identifier: Apache-2.0
"""Tests of pytest as TAP, one line for each: what tests/server.t and its like are."""

import os
import pathlib
import sys

import pytest
from tap.tracker import Tracker

TOP = pathlib.Path(__file__).resolve().parent.parent


class Reporter:
    """A pytest plugin; `count` is the number of tests that had an outcome."""

    def __init__(self, stream):
        self._tap = Tracker(streaming=True, stream=stream, header=False)
        self.count = 0

    def pytest_collectreport(self, report):
        if report.failed:
            self._add(False, report)

    def pytest_runtest_logreport(self, report):
        if report.skipped:
            self.count += 1
            self._tap.add_skip("pytest", report.nodeid, str(report.longrepr[-1]))
        elif report.failed:
            self._add(False, report)
        elif report.when == "call":
            self._add(True, report)

    def pytest_sessionfinish(self):
        self._tap.generate_tap_reports()

    def _add(self, ok, report):
        self.count += 1
        # "#" would begin a directive.
        name = report.nodeid.replace("#", "?")
        if ok:
            self._tap.add_ok("pytest", name)
            return
        text = "".join("# %s\n" % line for line in report.longreprtext.splitlines())
        self._tap.add_not_ok("pytest", name, diagnostics=text.rstrip())


def main(folder, tests="tests"):
    """Runs the tests of a folder of the repository; the exit status.

    The program's arguments go to pytest, as in `tests/server.t -k quota`.
    """
    # What pytest prints itself would be no TAP, and says nothing more.
    stream = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    reporter = Reporter(stream)
    root = TOP / folder
    options = ["--rootdir", str(root), "-p", "no:cacheprovider"]
    arguments = options + sys.argv[1:] + [str(root / tests)]
    status = pytest.main(arguments, plugins=[reporter])
    if not reporter.count:
        print("Bail out! pytest ran no test", file=stream)
    return int(status)
