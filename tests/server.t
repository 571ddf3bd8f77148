#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of server/ as TAP: one line for each of pytest's.

Arguments go to pytest, as in `tests/server.t -k quota`.
"""

import os
import pathlib
import sys

import pytest
from tap.tracker import Tracker

SERVER = pathlib.Path(__file__).resolve().parent.parent / "server"


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


def main():
    # What pytest prints itself would be no TAP, and says nothing more.
    stream = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    reporter = Reporter(stream)
    options = ["--rootdir", str(SERVER), "-p", "no:cacheprovider"]
    arguments = options + sys.argv[1:] + [str(SERVER / "tests")]
    status = pytest.main(arguments, plugins=[reporter])
    if not reporter.count:
        print("Bail out! pytest ran no test", file=stream)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
