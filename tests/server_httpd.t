#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of the protocol in server/ as TAP, through a real httpd with mod_weave, on
SQLite; arguments go to pytest.

tests/server_httpd_KIND.t is a link to this file, and has that kind of database.
"""

import os
import pathlib
import sys

import pytest_tap

if __name__ == "__main__":
    kind = pathlib.Path(sys.argv[0]).stem[len("server_httpd_"):]
    os.environ["WEAVE_TEST_DATABASE"] = kind or "sqlite"
    os.environ["WEAVE_TEST_HTTPD"] = "1"
    sys.exit(pytest_tap.main("server"))
