# SPDX-License-Identifier: Apache-2.0
"""Removing what has expired."""

from weave.server.commands.command import Command

# How many records are removed in one transaction.
BATCH = 1000


def purge(_arguments, sites):
    for site in sites.values():
        total = site.storage.purge(BATCH)
        print("%d expired records removed" % total)
        while site.logins.purge():
            pass


COMMANDS = (Command(("purge",), "remove expired records of all users", purge),)
