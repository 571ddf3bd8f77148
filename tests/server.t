#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of server/ as TAP; arguments go to pytest."""

import sys

import pytest_tap

if __name__ == "__main__":  # multiprocessing imports the program in each new process
    sys.exit(pytest_tap.main("server"))
