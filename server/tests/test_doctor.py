# SPDX-License-Identifier: Apache-2.0
"""weave-server doctor: a server is right, or wrong in one way, which it says."""

import pytest
from client15 import RsaKey

import proxies
from conftest import Site15
from weave.server import __main__ as admin


@pytest.fixture
def front():
    with proxies.Front() as made:
        yield made


class Served:
    """A Site15 whose clients come by the URL of a Front."""

    def __init__(self, front, site):
        self.front, self.site = front, site
        self.app = proxies.drained(site.application)
        front.application = self.app

    def doctor(self, capsys, *words, url=None, ini=True):
        """(exit status, all lines)"""
        return doctor(capsys, url or self.front.url, *words,
                      *(["--ini", str(self.site.ini)] if ini else []))  # fmt: skip


def doctor(capsys, *words):
    status = 0
    try:
        admin.main(["doctor", *words])
    except SystemExit as error:
        status = error.code
    return status, capsys.readouterr().out


@pytest.fixture
def served(front, make_site):
    kind = type("Here", (Site15,), {"node": front.url})
    keys = proxies.answer(200, RsaKey.of_tests().jwks(), "application/json")
    with proxies.Front() as account_server:
        account_server.application = keys
        site = make_site(kind, sync15="jwks_url = %s/jwks" % account_server.url)
        made = Served(front, site)
        made.account_server = account_server
        yield made


def test_all_is_well(served, capsys):
    status, said = served.doctor(capsys)
    assert status == 0, said
