#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of mozupload/ as TAP; arguments go to pytest."""

import sys

import pytest_tap

sys.exit(pytest_tap.main("mozupload"))
