# SPDX-License-Identifier: Apache-2.0
"""Removing what has expired."""

from weave.server.batches import purge_batches
from weave.server.commands.command import INI, Command, argument
from weave.server.commands.users import duration
from weave.server.doctor.visitor import forget_stale
from weave.server.people import REPLACED_SECONDS, People

# How many records are removed in one transaction.
BATCH = 1000


def purge(arguments, sites):
    for site in sites.values():
        total = site.storage.purge(BATCH)
        print("%d expired records removed" % total)
        while site.logins.purge():
            pass
        people = People(site)
        if people.has_15:
            total = purge_batches(site.storage_database, BATCH)
            print("%d uploads that were given up removed" % total)
            total = people.purge_replaced(arguments.replaced)
            print("the records of %d replaced keys removed" % total)
            forget_stale(site.sync15.storage)


def _age(text):
    return 0 if text == "now" else duration(text)


COMMANDS = (
    Command(
        ("purge",),
        "remove what has expired, of all users (for cron)",
        purge,
        (
            INI,
            argument(
                "--replaced",
                metavar="TIME",
                type=_age,
                default=REPLACED_SECONDS,
                help="remove the records of a key of Sync 1.5 that a new one has replaced "
                "so long ago: 7d (the default), or now",
            ),
        ),
    ),
)
