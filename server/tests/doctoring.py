# SPDX-License-Identifier: Apache-2.0
"""weave-server doctor at a site, with something between them (proxies.py)."""

import contextlib

from client15 import KEY

import proxies
from weave.server import __main__ as admin


def doctor(capsys, *words):
    """(exit status, what is said)"""
    status = 0
    try:
        admin.main(["doctor", *words])
    except SystemExit as error:
        status = error.code
    return status, capsys.readouterr().out


def wrongs(said):
    """The sentences that begin with WRONG."""
    return [line[6:] for line in said.splitlines() if line.startswith("WRONG ")]


def notes(said):
    return [line[6:] for line in said.splitlines() if line.startswith("note ")]


class Served:
    """A site whose clients come by the URL of a Front."""

    def __init__(self, front, site, account_server):
        self.front, self.site, self.account_server = front, site, account_server
        self.url = front.url
        self.app = proxies.drained(site.application)
        front.application = self.app

    def doctor(self, capsys, ini=True):
        """(exit status, what is said); nothing is left of it in the database."""
        words = ["--ini", str(self.site.ini)] if ini else []
        before = self.site.digest(but=())
        try:
            return doctor(capsys, self.url, *words)
        finally:
            assert self.site.digest(but=()) == before


@contextlib.contextmanager
def serving(make_site, site_class):
    """A function that makes a Served; node is its public_url."""
    with proxies.Front() as front, proxies.Front() as account_server:
        account_server.application = proxies.answer(200, KEY.jwks(), "application/json")

        def make(node=front.url):
            kind = type("Here", (site_class,), {"node": node})
            lines = "jwks_url = %s/jwks" % account_server.url
            return Served(front, make_site(kind, sync15=lines), account_server)

        yield make
