# SPDX-License-Identifier: Apache-2.0
"""The administration of a Sync server: weave-server COMMAND INI, or python -m weave.server."""

import argparse
import contextlib
import os
import signal
import sqlite3
import sys

from sqlalchemy.exc import SQLAlchemyError

from weave.server import check as configuration
from weave.server.app import Databases, Site
from weave.server.commands import (
    backup,
    doctor,
    fetch_keys,
    init,
    purge,
    set_password,
    tables,
    users,
)
from weave.server.commands.command import Failed
from weave.server.config import ERROR, ConfigError, printable
from weave.server.cures import told
from weave.server.database import sqlite_file
from weave.server.owner import OwnerError, become_owner
from weave.server.passwords import Passwords
from weave.server.settings import load, read
from weave.server.version import VERSION

# In the order of --help. A module that is new here brings its COMMANDS.
_MODULES = (init, tables, purge, backup, set_password, users, fetch_keys, doctor)
COMMANDS = tuple(command for module in _MODULES for command in module.COMMANDS)

# {first words: help} of the commands that have subcommands, such as `users list`.
_GROUPS = users.GROUPS


def _parser():
    parser = argparse.ArgumentParser(
        prog="weave-server",
        description=__doc__,
        epilog="`weave-server COMMAND --help` shows what a command takes.",
    )
    parser.add_argument("--version", action="version", version="weave-server " + VERSION)
    groups = {(): _add_commands(parser, "command")}
    for command in COMMANDS:
        above = command.words[:-1]
        if above not in groups:
            help_ = _GROUPS[above]
            group = groups[()].add_parser(above[0], help=help_, description=help_)
            groups[above] = _add_commands(group, "subcommand")
        added = groups[above].add_parser(
            command.words[-1], help=command.help, description=command.help
        )
        for argument in command.arguments:
            added.add_argument(*argument.names, **argument.options)
        added.set_defaults(does=command)
    return parser


def _add_commands(parser, dest):
    return parser.add_subparsers(dest=dest, metavar="COMMAND", required=True)


@contextlib.contextmanager
def _opened(command, ini, words):
    """{host: Site}, with the rights of the owner of the databases; None is all hosts."""
    settings, hosts = load(ini)
    hosts = {None: settings, **hosts}
    become_owner(ini, _files(hosts.values()), words)
    databases, passwords = Databases(), Passwords()
    create = True if command.creates else None
    try:
        sites = {
            host: Site(own, databases, passwords, create) for host, own in hosts.items()
        }
        for database in databases:
            if command.prepares:
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
    parser = _parser()
    if words in ([], ["help"]):
        parser.print_help()
        sys.exit(0 if words else 2)
    arguments = parser.parse_args(words)
    command = arguments.does
    if not command.opens or arguments.ini is None and not command.needs_ini:
        command.run(arguments, None)
    else:
        if arguments.ini is None:
            arguments.ini = os.environ.get("WEAVE_INI")
            if not arguments.ini:
                raise Failed("name the sync.ini: weave-server migrate /etc/sync.ini")
            words = [*words, arguments.ini]
        if command.reports:
            _check_caller(arguments.ini, words)
            if not _report(arguments.ini):
                sys.exit(1)
        with _opened(command, arguments.ini, words) as sites:
            command.run(arguments, sites)


def main(words=None):
    try:
        try:
            _report_failure(sys.argv[1:] if words is None else words)
        finally:
            if sys.stdout:
                sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output, such as `head`, has ended: as a program that SIGPIPE ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def _report_failure(words):
    try:
        _run(words)
    except (ConfigError, Failed, OwnerError) as error:
        failure = error
    except (SQLAlchemyError, sqlite3.Error) as error:
        failure = told(error)
    except BrokenPipeError:
        raise  # of the output: those of connections are handled where they are
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
