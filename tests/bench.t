#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of the bench's arithmetic as TAP."""

import pathlib
import sys
import unittest

from tap import TAPTestRunner

BENCH = pathlib.Path(__file__).resolve().parent / "bench"


def main():
    sys.dont_write_bytecode = True
    tests = unittest.TestLoader().discover(str(BENCH))
    if not tests.countTestCases():
        print("Bail out! no test in", BENCH)
        return 1
    runner = TAPTestRunner()
    runner.set_stream(True)
    return 0 if runner.run(tests).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
