#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of src/release as TAP, in parts that prove runs side by side.

tests/release_NAME.t is a link to this file and runs what is named here; release.t runs
all other files. Arguments go to pytest, and are for all files.
"""

import sys

import pytest_tap

PARTS = {
    "release_checkout": ["test_checkout.py", "test_repository.py", "test_tree.py"],
    "release_fetch": ["test_build.py", "test_fetch.py", "test_server.py", "test_share_faults.py"],
    "release_flow": ["test_flow.py", "test_full.py"],
    "release_inplace": ["test_aside.py", "test_inplace.py", "test_move.py"],
    "release_install": ["test_install.py", "test_prove.py"],
    "release_whole": ["test_whole.py"],
}

if __name__ == "__main__":  # multiprocessing imports the program in each new process
    sys.exit(pytest_tap.main("tests", "release", PARTS))
