# SPDX-License-Identifier: Apache-2.0
"""The tests use what was built: build/weave-release, or that of $BUILD."""

import os
import pathlib
import shutil
import sys
import tempfile

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


@pytest.fixture(scope="session")
def libdir():
    """What was built, where every user can read it."""
    import served
    top = pathlib.Path(tempfile.mkdtemp(prefix="weave-lib-", dir="/tmp"))
    top.chmod(0o755)
    yield served.build_copy(top / "lib")
    shutil.rmtree(top)


@pytest.fixture(scope="session")
def shop_share():
    """A plain share with the versions of shop.py."""
    import shop
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weave-share-", dir="/tmp"))
    folder.chmod(0o755)
    shop.share_make(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def python():
    """The distribution's Python, as PLAN asks it."""
    import fetching
    return fetching.python_of()


@pytest.fixture
def share(tmp_path):
    """An empty share of hand-made archives; see fetching.py."""
    import fetching
    return fetching.Share(tmp_path / "share")
