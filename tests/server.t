#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of server/ as TAP, on SQLite; arguments go to pytest.

tests/server_KIND.t is a link to this file, and runs on that kind of database what says
something about it (server/tests/conftest.py), but for what server_httpd_KIND.t runs.
"""

import os
import pathlib
import sys

import pytest_tap

if __name__ == "__main__":  # multiprocessing imports the program in each new process
    kind = pathlib.Path(sys.argv[0]).stem.partition("_")[2]
    os.environ["WEAVE_TEST_DATABASE"] = kind or "sqlite"
    # what SQLAlchemy 2 takes no more becomes a warning with 1.4, and so an error of the test
    os.environ["SQLALCHEMY_WARN_20"] = "1"
    if kind and not sys.argv[1:]:
        os.environ["WEAVE_TEST_BESIDE_HTTPD"] = "1"
    sys.exit(pytest_tap.main("server"))
