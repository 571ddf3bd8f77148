# SPDX-License-Identifier: Apache-2.0
"""Copies of SQLite databases that are in use."""

import contextlib
import sys

from weave.server.commands.command import INI, Command, Failed, argument
from weave.server.config import printable
from weave.server.newfile import NewFile

_PROGRAMS = {
    "mysql": "MariaDB or MySQL, such as `mariadb-dump --single-transaction`",
    "mariadb": "MariaDB, such as `mariadb-dump --single-transaction`",
    "postgresql": "PostgreSQL, such as `pg_dump`",
}


def backup(arguments, sites):
    found = _copies(arguments.target, sites)
    copies = {database: to for database, to in found.items() if database.is_sqlite}
    others = sorted({database.dialect for database in found if not database.is_sqlite})
    programs = [_PROGRAMS.get(dialect, dialect) for dialect in others]
    advice = "use the backup program of " + " and of ".join(programs)
    if not copies:
        raise Failed("this command copies SQLite databases only: " + advice)
    with contextlib.ExitStack() as stack:
        files = {
            database: stack.enter_context(NewFile(target))
            for database, (target, _) in copies.items()
        }
        for database, file in files.items():
            database.backup(file.path)
        for database, file in files.items():
            file.publish()
            print("%s in %s" % (copies[database][1], printable(file.target)))
    for database in found:
        if database not in copies:
            print("%s in no file: %s" % (found[database][1], advice), file=sys.stderr)


def _copies(target, sites):
    """{database: (file for its copy, what it has)}"""
    copies = {}
    for host, site in sites.items():
        end, of_host = ("." + host, " of " + host) if host else ("", "")
        copies.setdefault(
            site.storage_database, (target + end, "the records%s are" % of_host)
        )
        copies.setdefault(
            site.auth_database, (target + end + ".auth", "the accounts%s are" % of_host)
        )
    return copies


COMMANDS = (
    Command(
        ("backup",),
        "copy SQLite databases while they are in use",
        backup,
        (
            INI,
            argument(
                "target", metavar="FILE", help="the file that the copy gets; it must not exist"
            ),
        ),
        prepares=False,
    ),
)
