# SPDX-License-Identifier: Apache-2.0
"""Tests of pytest as TAP, one line for each: what tests/server.t and its like are."""

import os
import pathlib
import signal
import sys

import pytest
from tap.tracker import Tracker

TOP = pathlib.Path(__file__).resolve().parent.parent


class Reporter:
    """A pytest plugin; `count` is the number of tests that had an outcome.

    Why one has failed goes to `errors`, of which prove passes everything on.
    """

    def __init__(self, stream, errors):
        self._errors = errors
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
        self._tap.add_not_ok("pytest", name)
        text = "".join("# %s\n" % line for line in report.longreprtext.splitlines())
        self._errors.write("# Failed test '%s'\n%s" % (name, text))


def part_files(tests, parts):
    """The test files of the part that this program is the name of; tests: their folder.

    parts: the name of a further program, a link to the first one -> its files. The first one
    has all that no other part names. AssertionError where a link or a file is missing.
    """
    program = pathlib.Path(sys.argv[0])
    first = program.resolve()
    assert set(parts) == {path.stem for path in first.parent.glob(first.stem + "_*.t")}
    named = [name for names in parts.values() for name in names]
    rest = {path.name for path in tests.glob("test_*.py")} - set(named)
    missing = [name for name in named if not (tests / name).exists()]
    assert not missing and len(named) == len(set(named)), missing or named
    return [tests / name for name in parts.get(program.stem, sorted(rest))]


def main(folder, tests="tests", parts=None):
    """Runs the tests of a folder of the repository; the exit status.

    The program's arguments go to pytest, as in `tests/server.t -k quota`. parts: as
    part_files() has them; with arguments every part looks at all files.
    """
    # What pytest prints itself would be no TAP, and says nothing more.
    stream = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    errors = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="replace")
    reporter = Reporter(stream, errors)
    root = TOP / folder
    # a conftest.py above the folder is none of ours
    options = ["--rootdir", str(root), "--confcutdir", str(root), "-p", "no:cacheprovider"]
    paths = [root / tests]
    if parts and not sys.argv[1:]:
        paths = part_files(root / tests, parts)
    arguments = options + sys.argv[1:] + [str(path) for path in paths]
    # who is ended takes along what its tests have made and started
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    status = pytest.main(arguments, plugins=[reporter])
    if not reporter.count:
        print("Bail out! pytest ran no test", file=stream)
    return int(status)
