# SPDX-License-Identifier: Apache-2.0
"""Administration: weave-server COMMAND INI, or python -m weave.server."""

import argparse
import contextlib
import getpass
import os
import sqlite3
import sys

from sqlalchemy.exc import SQLAlchemyError

from weave.server.accounts import canonical_name
from weave.server import check as configuration
from weave.server.app import Databases, Site
from weave.server.config import ERROR, ConfigError, printable
from weave.server.cures import told
from weave.server.database import sqlite_file
from weave.server.newfile import NewFile
from weave.server.owner import OwnerError, become_owner
from weave.server.passwords import MIN_CHARS, Passwords
from weave.server.records import is_text
from weave.server.settings import load, read

PURGE_BATCH = 1000

_BACKUP_PROGRAMS = {
    "mysql": "MariaDB or MySQL, such as `mariadb-dump --single-transaction`",
    "mariadb": "MariaDB, such as `mariadb-dump --single-transaction`",
    "postgresql": "PostgreSQL, such as `pg_dump`",
}


class Failed(Exception):
    """str() is what to tell the administrator."""


def check(_arguments, sites):
    notes = [note for database in _databases(sites) for note in database.check()]
    for note in notes:
        print(printable(note))
    if not notes:
        for site in sites.values():
            site.storage.ping()
            site.accounts.ping()
    print("ok")


def create_tables(_arguments, _sites):
    print("the tables are there")


def migrate(_arguments, sites):
    done = []

    def tell(what):
        done.append(what)
        print(what, flush=True)

    for database in _databases(sites):
        database.migrate(tell)
    if not done:
        print("the tables are as this version needs them")


def _databases(sites):
    """Those of all sites, each once."""
    return dict.fromkeys(
        database
        for site in sites.values()
        for database in (site.storage_database, site.auth_database)
    )


def purge(_arguments, sites):
    for site in sites.values():
        total = site.storage.purge(PURGE_BATCH)
        print("%d expired records removed" % total)
        while site.logins.purge():
            pass


def backup(arguments, sites):
    found = _copies(arguments.target, sites)
    copies = {database: to for database, to in found.items() if database.is_sqlite}
    others = sorted({database.dialect for database in found if not database.is_sqlite})
    programs = [_BACKUP_PROGRAMS.get(dialect, dialect) for dialect in others]
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


def set_password(arguments, sites):
    try:
        name = canonical_name(arguments.name)
    except ValueError:
        raise Failed("%r is no name of a user" % arguments.name) from None
    accounts = sites[None].accounts
    no_account = Failed("there is no account %s" % _told(arguments.name, name))
    if accounts.find(name) is None:
        raise no_account
    password = _ask_password()
    if len(password) < MIN_CHARS:
        raise Failed("a password has at least %d characters" % MIN_CHARS)
    if not is_text(password):
        raise Failed("the password is not UTF-8, or holds a zero byte")
    if not accounts.reset_password_hash(name, sites[None].passwords.hash(password)):
        raise no_account
    print("the password of %s is set" % _told(arguments.name, name))


def _told(given, name):
    """The name as it was given, and the one that it stands for."""
    return given if given == name else "%s (%s)" % (given, name)


def _ask_password():
    if sys.stdin is None:
        raise Failed("there is no input to read the password from")
    try:
        if sys.stdin.isatty():
            return getpass.getpass("New password: ")
        return sys.stdin.readline().rstrip("\n")
    except UnicodeDecodeError:
        raise Failed("the password is not UTF-8") from None


def _parser():
    parser = argparse.ArgumentParser(prog="weave-server", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(function, help_, *arguments):
        name = function.__name__.replace("_", "-")
        command = commands.add_parser(name, help=help_)
        if function is migrate:
            command.add_argument(
                "ini", nargs="?", help="the sync.ini; without it $WEAVE_INI"
            )
        else:
            command.add_argument("ini", help="the sync.ini")
        for argument in arguments:
            command.add_argument(argument)
        command.set_defaults(function=function)

    add(check, "read the configuration and ask the databases")
    add(create_tables, "create the tables that are missing")
    add(migrate, "make whatever the tables lack for this version (release.migrate)")
    add(purge, "remove expired records of all users")
    add(backup, "copy SQLite databases while they are in use", "target")
    add(
        set_password,
        "set the password of an account (from the terminal or stdin)",
        "name",
    )
    return parser


@contextlib.contextmanager
def _opened(arguments, words):
    """{host: Site}, with the rights of the owner of the databases; None is all hosts."""
    settings, hosts = load(arguments.ini)
    hosts = {None: settings, **hosts}
    become_owner(arguments.ini, _files(hosts.values()), words)
    databases, passwords = Databases(), Passwords()
    create = True if arguments.function in (create_tables, migrate) else None
    try:
        sites = {
            host: Site(own, databases, passwords, create) for host, own in hosts.items()
        }
        for database in databases:
            if arguments.function not in (check, migrate, backup):
                database.prepare()
        yield sites
    finally:
        databases.end()


def _files(all_settings):
    """The SQLite files that are named, each once."""
    names = ("storage.sqluri", "auth.sqluri")
    urls = [own[name] for own in all_settings for name in names if own[name]]
    return list(dict.fromkeys(filter(None, map(sqlite_file, urls))))


def _check_caller(path, words):
    """OwnerError for who is neither root nor the owner, before that looks like a fault."""
    if os.geteuid() != 0:
        with contextlib.suppress(ConfigError):
            settings, hosts, _ = read(path)
            become_owner(path, _files([settings, *hosts.values()]), words)


def _report(path):
    """Says all that is to be said about a sync.ini; whether it can be used."""
    found = configuration.problems(path)
    for problem in found:
        print("weave-server: %s: %s" % (problem.severity, problem), file=sys.stderr)
    return all(problem.severity != ERROR for problem in found)


def _run(words):
    arguments = _parser().parse_args(words)
    if arguments.ini is None:
        arguments.ini = os.environ.get("WEAVE_INI")
        if not arguments.ini:
            raise Failed("name the sync.ini: weave-server migrate /etc/sync.ini")
        words = [*words, arguments.ini]
    if arguments.function is check:
        _check_caller(arguments.ini, words)
        if not _report(arguments.ini):
            sys.exit(1)
    with _opened(arguments, words) as sites:
        arguments.function(arguments, sites)
    if sys.stdout:
        sys.stdout.flush()


def main(words=None):
    try:
        _run(sys.argv[1:] if words is None else words)
    except (ConfigError, Failed, OwnerError) as error:
        failure = error
    except (SQLAlchemyError, sqlite3.Error) as error:
        failure = told(error)
    except OSError as error:
        name = "%s: " % error.filename if error.filename else ""
        failure = name + (error.strerror or str(error))
    except (EOFError, KeyboardInterrupt):
        failure = "given up"
    else:
        return
    lines = str(failure).split("\n")
    sys.exit("weave-server: " + "\n".join(map(printable, lines)))


if __name__ == "__main__":
    main()
