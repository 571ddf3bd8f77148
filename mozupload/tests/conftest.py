# SPDX-License-Identifier: Apache-2.0
"""The sources on the path, and small archives made by hand."""

import pathlib
import sys

SOURCES = str(pathlib.Path(__file__).resolve().parent.parent / "src")
sys.path.insert(0, SOURCES)


import projects  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture(scope="session")
def links(tmp_path_factory):
    """A folder with what pip may find."""
    made = tmp_path_factory.mktemp("links")
    projects.links_make(made)
    return made


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A folder for PYTHONPATH in which mozupload is installed."""
    return projects.mozupload_installed(tmp_path_factory.mktemp("installed"))
