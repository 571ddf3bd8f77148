#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The simulated fleet, a small one, as TAP; `make fleet` has the large one."""

import sys
import unittest
from pathlib import Path

from tap import TAPTestRunner

FOLDER = Path(__file__).resolve().parent / "fleet"


def main():
    sys.dont_write_bytecode = True
    tests = unittest.defaultTestLoader.discover(str(FOLDER))
    if tests.countTestCases() == 0:
        print("Bail out! nothing to run in", FOLDER)
        return 1
    runner = TAPTestRunner()
    runner.set_stream(True)
    return not runner.run(tests).wasSuccessful()


if __name__ == "__main__":
    sys.exit(main())
