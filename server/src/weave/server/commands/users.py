# SPDX-License-Identifier: Apache-2.0
"""Users: who they are, who may become one, and forgetting them."""

import argparse
import json
import re
import sys
import time

from weave.server.accounts import canonical_name
from weave.server.commands.command import (
    HOST,
    INI,
    Command,
    Failed,
    argument,
    site_of,
    sync15_of,
)
from weave.server.config import printable
from weave.server.people import IN_USE, People
from weave.server.schema15 import MAX_NOTE_CHARS

_FXA_UID = re.compile(r"[0-9a-f]{32}")
_DURATION = re.compile(r"([1-9][0-9]{0,6})(s|m|h|d)", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}

# How long the window is open where --for is not given.
_WINDOW_SECONDS = 600

_HEADINGS = ("WHO", "SYNC", "LAST SYNC", "DEVICES", "SIZE", "STATE", "NOTE")
_RIGHT = ("DEVICES", "SIZE")

_WHO = argument(
    "who",
    metavar="WHO",
    help="an account of Sync 1.1 by its name or e-mail address; of Sync 1.5 by its id at "
    "the account server, or by its note, as `users list` shows them",
)
_WHO_15 = argument(
    "who", metavar="WHO", help="the id or the note of an account, as `users list` shows them"
)
_PROTOCOL = argument(
    "--protocol",
    choices=("1.1", "1.5"),
    help="whose WHO it is, where both have one",
)


def duration(text):
    """Seconds in a text such as 10m, for argparse."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise argparse.ArgumentTypeError(
            "%r is no time: write it as 30s, 10m, 2h or 1d" % text
        )
    return int(match.group(1)) * _UNITS[match.group(2)]


def count(text):
    """A number of people, for argparse."""
    if not re.fullmatch(r"[0-9]{1,6}", text, re.ASCII):
        raise argparse.ArgumentTypeError("%r is no number of accounts" % text)
    return int(text)


def list_users(arguments, sites):
    found, admissions = [], []
    for host, site in _distinct(sites):
        people = People(site)
        found += [(host, person) for person in people.all()]
        if people.has_15:
            admissions.append((host, site.settings["sync15.allow_new_users"], people.window()))
    if arguments.json:
        print(json.dumps(_as_json(found, admissions), indent=2))
        return
    rows = [_row(person, host) for host, person in found]
    for line in _table([_HEADINGS, *rows]) if rows else ["there are no users yet"]:
        print(printable(line))
    for _, _, window in admissions:
        if window:
            print(_told_window(window.left, window.until))


def _told_window(left, until):
    """The sentence about an admission window that is open until a time, in Unix seconds."""
    accounts = "account that comes is" if left == 1 else "%d accounts that come are" % left
    return "the next %s let in, until %s" % (accounts, _local(until))


def _distinct(sites):
    """(host, Site) of each pair of databases, once; host is None for all others."""
    seen = {}
    for host, site in sites.items():
        seen.setdefault((site.storage_database, site.auth_database), (host, site))
    return seen.values()


def _as_json(found, admissions):
    return {
        "users": [
            {
                "who": person.who,
                "note": person.note,
                "protocol": person.protocol,
                "host": host,
                "user_id": person.user_id,
                "state": person.state,
                "since": _seconds(person.since),
                "last_sync": _seconds(person.last_sync),
                "devices": person.devices,
                "records": person.records,
                "bytes": person.bytes,
            }
            for host, person in found
        ],
        "admission": [
            {
                "host": host,
                "allow_new_users": mode,
                "next": window.left if window else 0,
                "until": window.until if window else None,
            }
            for host, mode, window in admissions
        ],
    }


def _seconds(stamp):
    return None if stamp is None else stamp / 100


def _local(seconds):
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _row(person, host):
    state = person.state
    if person.since and state != IN_USE:
        state += " " + _local(person.since / 100)
    return (
        person.who + (" (%s)" % host if host else ""),
        person.protocol,
        _local(person.last_sync / 100) if person.last_sync else "never",
        str(person.devices),
        _size(person.bytes),
        state,
        person.note or "",
    )


def _size(size):
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            break
        size /= 1000
    else:
        unit = "GB"
    return "%d %s" % (size, unit) if unit == "B" else "%.1f %s" % (size, unit)


def _table(rows):
    """Lines with the columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [
            cell.rjust(width) if name in _RIGHT else cell.ljust(width)
            for name, cell, width in zip(_HEADINGS, row, widths)
        ]
        yield "  ".join(cells).rstrip()


def note(arguments, sites):
    text = arguments.text.strip()
    if len(text) > MAX_NOTE_CHARS or not text.isprintable():
        raise Failed("a note is one line of up to %d characters" % MAX_NOTE_CHARS)
    people = _people_15(arguments, sites)
    found = people.members(arguments.who)
    if not found:
        raise Failed(
            "no account of Sync 1.5 has the id or the note %r: `weave-server users list` "
            "shows both; an account of Sync 1.1 has a name, and takes no note" % arguments.who
        )
    people.set_note(_the_one(found, arguments.who), text)
    print("%s: %s" % (found[0], printable(text) or "no note"))


def _the_one(found, who):
    if len(found) > 1:
        raise Failed("%r is the note of %s: take the id" % (who, " and of ".join(found)))
    return found[0]


def delete(arguments, sites):
    people = People(site_of(arguments, sites))
    members, account = _find(people, site_of(arguments, sites), arguments)
    if members and account:
        raise Failed("%r is an account of Sync 1.1 and a note of Sync 1.5: say --protocol "
                     "1.1 or 1.5" % arguments.who)  # fmt: skip
    if not members and not account:
        raise Failed(
            "no user has the name, the e-mail address, the id or the note %r: "
            "`weave-server users list` shows all users" % arguments.who
        )
    if members:
        fxa_uid = _the_one(members, arguments.who)
        _ask(arguments, "%s of Sync 1.5 with all records" % fxa_uid)
        users = people.delete_member(fxa_uid)
        print("%s is deleted, with the records of all its keys (%d)" % (fxa_uid, users))
        if site_of(arguments, sites).settings["sync15.allow_new_users"] == "true":
            print("its browsers begin anew unless they sign out: sync15.allow_new_users is true")
        return
    _ask(arguments, "the account %s of Sync 1.1 with all records" % account.name)
    if not people.delete_account(account):
        raise Failed("the account was changed meanwhile: call this again")
    print("the account %s is deleted, with its records" % account.name)


def _find(people, site, arguments):
    """([ids at the account server], Account or None) that WHO may mean."""
    members = people.members(arguments.who) if arguments.protocol != "1.1" else []
    account = None
    if arguments.protocol != "1.5":
        try:
            account = site.accounts.find(canonical_name(arguments.who))
        except ValueError:
            pass
    return members, account


def _ask(arguments, what):
    if arguments.yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise Failed("this deletes %s: add --yes, as no terminal is here to ask" % what)
    if input("Delete %s? [y/N] " % what).strip().lower() not in ("y", "yes"):
        raise Failed("nothing is deleted")


def admit(arguments, sites):
    people = _people_15(arguments, sites)
    if arguments.fxauid is None:
        if arguments.note:
            raise Failed("a note is for one account: name its id, or use `users note` later")
        left = 1 if arguments.next is None else arguments.next
        until = people.open_window(left, arguments.seconds or _WINDOW_SECONDS)
        print(_told_window(left, until) if left else "no further account is let in")
        return
    if arguments.next is not None or arguments.seconds is not None:
        raise Failed("--next and --for let in whoever comes: leave them out, or the id")
    fxa_uid = arguments.fxauid.lower()
    if not _FXA_UID.fullmatch(fxa_uid):
        raise Failed(
            "%r is no id of an account, which has 32 hexadecimal digits: the log of the "
            "server has it where an account was refused; without an id, the next account "
            "that comes is let in" % arguments.fxauid
        )
    people.admit(fxa_uid, arguments.note)
    print("%s is let in" % fxa_uid)


def _people_15(arguments, sites):
    site = site_of(arguments, sites)
    sync15_of(site)  # or fails
    return People(site)


_ADMIT = (
    INI,
    argument(
        "fxauid",
        metavar="ID",
        nargs="?",
        help="the id of an account, as the log has it where the account was refused; without "
        "it, the next account that comes is let in",
    ),
    argument(
        "--next",
        metavar="N",
        type=count,
        help="how many accounts (1); 0 lets nobody further in",
    ),
    argument(
        "--for",
        dest="seconds",
        metavar="TIME",
        type=duration,
        help="for how long, such as 10m (the default), 2h or 1d",
    ),
    argument("--note", metavar="TEXT", help="who that is, for `users list`"),
    HOST,
)
_ADMIT_HELP = "let an account begin to use Sync 1.5, or whoever comes next"

COMMANDS = (
    Command(
        ("users", "list"),
        "list the users: last sync, devices, size",
        list_users,
        (INI, argument("--json", action="store_true", help="for programs: sizes in bytes, "
                       "times in Unix seconds")),  # fmt: skip
    ),
    Command(
        ("users", "note"),
        "write a note on an account of Sync 1.5, such as a name",
        note,
        (INI, _WHO_15, argument("text", metavar="TEXT", help="the note; '' removes it"), HOST),
    ),
    Command(
        ("users", "delete"),
        "forget somebody with all records; devices are refused at once",
        delete,
        (INI, _WHO, argument("--yes", action="store_true", help="do not ask"), _PROTOCOL, HOST),
    ),
    Command(("users", "admit"), _ADMIT_HELP, admit, _ADMIT),
    Command(("admit",), _ADMIT_HELP + " (the same as users admit)", admit, _ADMIT),
)
GROUPS = {("users",): "list, note, delete or admit users"}
