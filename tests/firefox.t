#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of t/firefox as TAP: a real Firefox against our server in a real httpd.

tests/firefox_NAME.t is a link to this file and runs what is named here; firefox.t runs all
other files. Arguments go to pytest, and are for all files.
"""

import sys

import pytest_tap

PARTS = {
    "firefox_faults": ["test_faults.py"],
    "firefox_members": ["test_first_sync.py", "test_members.py"],
}

if __name__ == "__main__":
    sys.exit(pytest_tap.main("t", "firefox", PARTS))
