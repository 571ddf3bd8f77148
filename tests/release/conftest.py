# SPDX-License-Identifier: Apache-2.0
"""The tests use what was built: build/weave-release, or that of $BUILD."""

import os
import pathlib
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = TOP / os.environ.get("BUILD", "build")

sys.dont_write_bytecode = True
sys.path.insert(0, str(BUILD / "weave-release"))

import pytest


@pytest.fixture
def node():
    """A new node; see nodes.py."""
    import nodes
    made = nodes.Node()
    yield made
    made.close()
