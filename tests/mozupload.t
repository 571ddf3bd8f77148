#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of mozupload/ as TAP, in parts as tests/release.t has them; arguments go to pytest."""

import sys

import pytest_tap

PARTS = {
    "mozupload_releasing": ["test_command.py", "test_releasing.py"],
    "mozupload_vcs": ["test_testing.py", "test_tree.py", "test_vcs.py"],
}

if __name__ == "__main__":  # multiprocessing imports the program in each new process
    sys.exit(pytest_tap.main("mozupload", parts=PARTS))
