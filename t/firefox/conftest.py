# SPDX-License-Identifier: Apache-2.0
"""Real browsers and a real httpd, in a network that only this process and its children see.

Everything is skipped where no Firefox is installed, or where no such network can be made.
"""

import pathlib
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(TOP / "tests" / "supp"), str(TOP / "server" / "tests")]

import browser  # noqa: E402
import installed  # noqa: E402
import loopback  # noqa: E402
from site15 import Site  # noqa: E402


def reason_to_skip():
    """Why no browser can be tested here; None: one can. Leaves the machine's network."""
    if not browser.program():
        return "no firefox-esr is installed"
    try:
        loopback.enter()
    except OSError as error:
        return "no network namespace can be made: %s" % error
    return None


def pytest_collection_modifyitems(items):
    reason = reason_to_skip()
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def folder():
    """A made folder of installed.py."""
    with installed.made_folder("weave-firefox-") as made:
        yield made


@pytest.fixture(scope="module")
def site(request, folder):
    """A running server; what the module's SITE has is for Site."""
    made = Site(folder, **getattr(request.module, "SITE", {}))
    yield made
    made.close()


@pytest.fixture(scope="module")
def start(site, tmp_path_factory):
    """A function that starts a browser with a new profile, which uses the site."""
    started = []

    def start_one(**preferences):
        folder = tmp_path_factory.mktemp("browser")
        started.append(browser.Browser(folder, site.token_server, **preferences))
        return started[-1]

    yield start_one
    for one in started:
        one.close()
