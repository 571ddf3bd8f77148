# SPDX-License-Identifier: Apache-2.0
"""The databases: whether they can be used, and their tables."""

from weave.server.commands.command import INI_OR_ENVIRONMENT, Command, databases_of
from weave.server.config import printable


def check(_arguments, sites):
    notes = [note for database in databases_of(sites) for note in database.check()]
    for note in notes:
        print(printable(note))
    if not notes:
        for site in sites.values():
            site.storage.ping()
            site.accounts.ping()
    for site in sites.values():
        if site.sync15:
            site.sync15.check()  # as the owner of the databases, who serves
    print("ok")


def create_tables(_arguments, _sites):
    print("the tables are there")


def migrate(_arguments, sites):
    done = []

    def tell(what):
        done.append(what)
        print(what, flush=True)

    for database in databases_of(sites):
        database.migrate(tell)
    if not done:
        print("the tables are as this version needs them")


COMMANDS = (
    Command(
        ("check",),
        "read the configuration and ask the databases",
        check,
        reports=True,
        prepares=False,
    ),
    Command(
        ("create-tables",), "create the tables that are missing", create_tables, creates=True
    ),
    Command(
        ("migrate",),
        "make whatever the tables lack for this version (release.migrate)",
        migrate,
        (INI_OR_ENVIRONMENT,),
        creates=True,
        prepares=False,
    ),
)
