# SPDX-License-Identifier: Apache-2.0
"""What an administrator can do about an error of a database."""

from weave.server.config import ConfigError
from weave.server.retries import code, reason

_RIGHTS = (
    "give its user that right (GRANT), or run `weave-server migrate` with a sync.ini "
    "whose user has it"
)
_PASSWORD = "mend USER and PASSWORD in the sqluri of sync.ini"
_DATABASE = "make the database (CREATE DATABASE), or mend its name in the sqluri of sync.ini"
_SERVER = (
    "start the database server, or mend its host, port or socket in the sqluri of sync.ini"
)
_ROOM = "make room on the disk of the database; clients come again by themselves"
_FILE = (
    "the file, those beside it (-wal, -shm) and their folder must be writable for the user "
    "that the server runs as, and the file system must not be read-only"
)
_READ_ONLY = "name the server that takes writes in the sqluri of sync.ini"
_DAMAGED = "stop the server, and put the last backup there (`weave-server backup` makes them)"

# By what retries.code() gives; SQLite has texts, and no numbers before Python 3.11.
_REFUSED = {
    "database or disk is full": _ROOM,
    "attempt to write a readonly database": _FILE,
    "unable to open database file": _FILE,
    "disk I/O error": "look for errors of the disk in the log of the system (dmesg)",
    "database disk image is malformed": _DAMAGED,
    "file is not a database": _DAMAGED,
    1021: _ROOM,
    1114: _ROOM,
    "53100": _ROOM,
    1290: _READ_ONLY,
    1836: _READ_ONLY,
    "25006": _READ_ONLY,
    1044: "make the database, and give its user all rights in it (GRANT), or mend sqluri",
    1045: _PASSWORD,
    1698: _PASSWORD,
    "28000": _PASSWORD,
    "28P01": _PASSWORD,
    1046: "name the database at the end of the sqluri of sync.ini: ...HOST/DATABASE",
    1049: _DATABASE,
    "3D000": _DATABASE,
    1142: _RIGHTS,
    1143: _RIGHTS,
    1227: _RIGHTS,
    "3F000": _RIGHTS,
    "42501": _RIGHTS,
}
_AWAY = dict.fromkeys((2002, 2003, 2005), _SERVER)

# A connection that psycopg2 does not get has no number, only the words of libpq, and
# those of the server in its language.
_NO_CONNECTION = {
    "connection to server": (
        "look whether the database server runs, and at user, password, host, "
        "database and the part behind `?` in the sqluri of sync.ini"
    ),
    "could not translate host name": _SERVER,
    "invalid ": "mend the part behind `?` in the sqluri of sync.ini",
}


def told(error, but=""):
    """An error of a database on one line, with the cure where one is known.

    It is an SQLAlchemyError, an error of sqlite3, or the ConfigError of a database.
    `but` stands behind the verb, as " yet". No statement is quoted, no password, and
    nothing that users store.
    """
    # In further lines databases quote a row.
    said = (reason(error).splitlines() or [type(error).__name__])[0]
    if isinstance(error, ConfigError):
        return said
    number = code(error) if getattr(error, "orig", None) is not None else None
    if number in _REFUSED:
        return "the database refuses: %s: %s" % (said, _REFUSED[number])
    cure = _AWAY.get(number)
    for words in _NO_CONNECTION if reason(error) == number else ():
        if said.startswith(words):
            cure = _NO_CONNECTION[words]
            # a line for each address that was tried, and below it a hint with a tab
            lines = reason(error).splitlines()
            said = "; ".join(line for line in lines if line and line[0] != "\t")
    text = "the database does not answer%s: %s" % (but, said)
    return "%s: %s" % (text, cure) if cure else text
