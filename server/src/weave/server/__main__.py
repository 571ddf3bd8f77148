# SPDX-License-Identifier: Apache-2.0
"""Administration: weave-server COMMAND INI, or python -m weave.server."""

import argparse
import getpass
import sys

from sqlalchemy.exc import SQLAlchemyError

from weave.server.accounts import canonical_name
from weave.server import check as configuration
from weave.server.app import Databases, Site
from weave.server.config import ERROR, ConfigError
from weave.server.passwords import MIN_CHARS, Passwords
from weave.server.settings import load

PURGE_BATCH = 1000


class Failed(Exception):
    """str() is what to tell the administrator."""


def check(_arguments, sites):
    for site in sites:
        site.storage.ping()
        site.accounts.ping()
    print("ok")


def create_tables(_arguments, _sites):
    print("the tables are there")


def purge(_arguments, sites):
    for site in sites:
        total, count = 0, PURGE_BATCH
        while count == PURGE_BATCH:
            count = site.storage.purge(PURGE_BATCH)
            total += count
        print("%d expired records removed" % total)
        while site.logins.purge():
            pass


def backup(arguments, sites):
    database = sites[0].storage_database
    if database.dialect != "sqlite":
        raise Failed("use the backup program of %s" % database.dialect)
    database.backup(arguments.target)
    print("the records are in %s" % arguments.target)
    if sites[0].auth_database is not database:
        sites[0].auth_database.backup(arguments.target + ".auth")
        print("the accounts are in %s.auth" % arguments.target)


def set_password(arguments, sites):
    name = canonical_name(arguments.name)
    accounts = sites[0].accounts
    no_account = Failed("there is no account %s" % name)
    if accounts.find(name) is None:
        raise no_account
    if sys.stdin.isatty():
        password = getpass.getpass("New password: ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    if len(password) < MIN_CHARS:
        raise Failed("a password has at least %d characters" % MIN_CHARS)
    if not accounts.reset_password_hash(name, sites[0].passwords.hash(password)):
        raise no_account
    print("the password of %s is set" % name)


def _parser():
    parser = argparse.ArgumentParser(prog="weave-server", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(function, help_, *arguments):
        name = function.__name__.replace("_", "-")
        command = commands.add_parser(name, help=help_)
        command.add_argument("ini", help="the sync.ini")
        for argument in arguments:
            command.add_argument(argument)
        command.set_defaults(function=function)

    add(check, "read the configuration and ask the databases")
    add(create_tables, "create the tables that are missing")
    add(purge, "remove expired records of all users")
    add(backup, "copy SQLite databases while they are in use", "target")
    add(
        set_password,
        "set the password of an account (from the terminal or stdin)",
        "name",
    )
    return parser


def _open(arguments):
    settings, hosts = load(arguments.ini)
    databases, passwords = Databases(), Passwords()
    create = True if arguments.function is create_tables else None
    sites = [
        Site(own, databases, passwords, create) for own in (settings, *hosts.values())
    ]
    for site in sites:
        site.storage_database.prepare()
        site.auth_database.prepare()
    return sites


def _report(path):
    """Says all that is to be said about a sync.ini; whether it can be used."""
    found = configuration.problems(path)
    for problem in found:
        print("weave-server: %s: %s" % (problem.severity, problem), file=sys.stderr)
    return all(problem.severity != ERROR for problem in found)


def main(arguments=None):
    arguments = _parser().parse_args(arguments)
    if arguments.function is check and not _report(arguments.ini):
        sys.exit(1)
    try:
        arguments.function(arguments, _open(arguments))
    except (ConfigError, Failed, SQLAlchemyError, ValueError) as error:
        sys.exit("weave-server: %s" % error)


if __name__ == "__main__":
    main()
