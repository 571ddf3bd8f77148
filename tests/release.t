#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of src/release as TAP; arguments go to pytest."""

import sys

import pytest_tap

sys.exit(pytest_tap.main("tests", "release"))
