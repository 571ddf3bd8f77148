# SPDX-License-Identifier: Apache-2.0
"""A new password for an account of Sync 1.1."""

import getpass
import sys

from weave.server.accounts import canonical_name
from weave.server.commands.command import INI, Command, Failed, argument
from weave.server.passwords import MIN_CHARS
from weave.server.records import is_text


def set_password(arguments, sites):
    try:
        name = canonical_name(arguments.name)
    except ValueError:
        raise Failed("%r is no name of a user" % arguments.name) from None
    accounts = sites[None].accounts
    no_account = Failed("there is no account %s" % told_name(arguments.name, name))
    if accounts.find(name) is None:
        raise no_account
    password = _ask_password()
    if len(password) < MIN_CHARS:
        raise Failed("a password has at least %d characters" % MIN_CHARS)
    if not is_text(password):
        raise Failed("the password is not UTF-8, or holds a zero byte")
    if not accounts.reset_password_hash(name, sites[None].passwords.hash(password)):
        raise no_account
    print("the password of %s is set" % told_name(arguments.name, name))


def told_name(given, name):
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


COMMANDS = (
    Command(
        ("set-password",),
        "set the password of an account (from the terminal or stdin)",
        set_password,
        (INI, argument("name", metavar="NAME", help="the name or e-mail address of the account")),
    ),
)
