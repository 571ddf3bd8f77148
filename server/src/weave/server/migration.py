# SPDX-License-Identifier: Apache-2.0
"""Brings the tables of a database to what this release needs, or says why not.

What is to be done is found in the tables themselves: so a migration that was killed
goes on where it was, and of several at once each step is done by one. The release
before serves meanwhile: nothing that it needs goes away.
"""

import logging

from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError

from weave.server.config import ConfigError
from weave.server.cures import told
from weave.server.engines import MYSQL
from weave.server.mending import (
    count_in_seconds,
    forget_counts,
    has_stale_counts,
    mend_times,
)
from weave.server.retries import is_forbidden
from weave.server.schema import METADATA as RECORDS
from weave.server.schema import users
from weave.server.schema_version import (
    COUNTS_FROM,
    FIRST,
    METADATA as VERSIONS,
    OURS,
    SCHEMA_VERSION,
    read_versions,
    record_version,
)
from weave.server.steps import find_steps, has_more_rows
from weave.server.turn_of_migration import migration_turn
from weave.server.version import VERSION

log = logging.getLogger(__name__)

# A start makes indexes of tables with so many rows, which takes seconds, and leaves
# larger ones to the command.
QUICK_ROWS = 100_000

# How long one waits for others who migrate: a start, and the command, which mod_weave
# ends after an hour.
START_SECONDS = 60
COMMAND_SECONDS = 3000


# The first words of Step.what, and the same of what is still to be done.
_TO_DO = {"made": "make", "removed": "remove", "converted": "convert"}


def _to_do(what):
    verb, rest = what.split(" ", 1)
    return "%s %s" % (_TO_DO[verb], rest)


def _version(recorded, part):
    return recorded.get(part.info["part"], FIRST)


class Migration:
    """The tables of one database.

    `name` is what messages call it; `write` is Database.write(), without the look at
    the tables; `parts` is {MetaData: whether to make what is missing}, where
    MetaData.info["part"] is the name of the part.
    """

    def __init__(self, engine, name, write, parts):
        self._engine = engine
        self._name = name
        self._write = write
        self._parts = parts

    def prepare(self):
        """For a start: makes what is missing, where that is wanted, and quick.

        ConfigError, with what to do, where it is not, and where this release cannot
        serve these tables. Where it can, though a newer one has made them, the log
        says so.
        """
        with self._engine.connect() as connection:
            lacking, notes = self._examine(connection, has_records=False)
            has_counts = RECORDS in self._parts and RECORDS not in lacking
            is_stale = has_counts and has_stale_counts(connection)
        for note in notes:
            log.warning(note)
        if lacking:
            self._make(lacking, START_SECONDS, lambda what: None)
        if is_stale:
            log.warning(
                "database %s: a release that keeps no counts has written to it: records "
                "are counted anew",
                self._name,
            )
            forget_counts(self._write)

    def check(self):
        """Returns what a start would say and do, in sentences. It changes nothing; ConfigError."""
        with self._engine.connect() as connection:
            lacking, notes = self._examine(connection, has_records=True)
            steps = find_steps(connection, lacking)
        to_do = [_to_do(line) for step in steps for line in step.what]
        if to_do:
            what = "the next start, or `weave-server migrate INI`, has to "
            notes.append(self._said(what + ", ".join(to_do)))
        return notes

    def migrate(self, tell):
        """Does all that is to be done; tell(text) is told each thing that was done.

        ConfigError where a newer release has made tables that this one cannot serve.
        """
        with self._engine.connect() as connection:
            recorded = read_versions(connection)
        parts = [
            part
            for part in self._parts
            if not self._is_newer(_version(recorded, part))
        ]
        self._make(parts, COMMAND_SECONDS, tell)

    def _said(self, text):
        return "database %s: %s" % (self._name, text)

    def _examine(self, connection, has_records):
        """(the parts that lack something, what to say of the others); ConfigError.

        has_records says whether all records are looked through for wrong times.
        """
        recorded, there = read_versions(connection), inspect(connection)
        lacking, notes = [], []
        for part, creates in self._parts.items():
            version = _version(recorded, part)
            is_newer = self._is_newer(version)
            if not all(there.has_table(table.name) for table in part.sorted_tables):
                if is_newer:
                    raise self._too_new(version)
                if not creates:
                    raise ConfigError(self._said(missing("a table")))
                lacking.append(part)
            elif version.version < SCHEMA_VERSION:
                if not creates:
                    raise self._older(version)
                lacking.append(part)
            elif is_newer:
                notes.append(self._newer(version))
        for step in find_steps(connection, lacking):
            table = step.reads
            if table is not None and has_more_rows(connection, table, QUICK_ROWS):
                raise self._older(_version(recorded, table.metadata))
        if RECORDS in self._parts and there.has_table(users.name):
            self._check_times(connection, has_records)
        return lacking, sorted(set(notes))

    def _is_newer(self, version):
        """Whether a newer release has made a part; ConfigError if this one cannot serve it."""
        if version.oldest > SCHEMA_VERSION:
            raise self._too_new(version)
        return version.version > SCHEMA_VERSION

    def _too_new(self, version):
        """The ConfigError that asks for another release."""
        return ConfigError(
            self._said(
                "release %s has changed its tables, and only releases from %s on can "
                "serve them, but this is %s: install such a release, for example by "
                "`weavectl install WeaveServer==%s`"
                % (version.release, version.oldest_release, VERSION, version.release)
            )
        )

    def _newer(self, version):
        return self._said(
            "its tables are those of release %s; this older one, %s, serves them all the same"
            % (version.release, VERSION)
        )

    def _older(self, version):
        """The ConfigError that asks for the command."""
        return ConfigError(
            self._said(
                "its tables are those of release %s, and this release, %s, needs others: "
                "run `weave-server migrate INI`" % (version.release, VERSION)
            )
        )

    def _check_times(self, connection, has_records):
        """ConfigError where times are wrong; see mending.py."""
        if self._engine.dialect.name not in MYSQL:
            return
        count = count_in_seconds(connection, has_records)
        if count:
            raise ConfigError(
                self._said(
                    "it has times in seconds (users: %d), which release 0.1.0 has stored in "
                    "place of hundredths: see that no server of that release writes, by `weavectl "
                    "maintenance on --wait 10m` on all nodes, and run `weave-server migrate "
                    "INI`" % count
                )
            )

    def _make(self, parts, seconds, tell):
        try:
            self._make_in_turn(parts, seconds, tell)
        except DBAPIError as error:
            if not is_forbidden(error):
                raise
            raise ConfigError(self._said(told(error))) from None

    def _make_in_turn(self, parts, seconds, tell):
        with migration_turn(self._engine, self._write, seconds) as run:
            new, what = run(lambda connection: _make_new(connection, parts))
            for line in what:
                tell(line)
            parts = [part for part in parts if part not in new]
            self._mend_times(parts, run, tell)
            while True:
                what = run(lambda connection: _take_step(connection, parts))
                if not what:
                    break
                for line in what:
                    tell(line)
            # An older release may have removed records that were counted.
            if RECORDS in parts and OURS.oldest < COUNTS_FROM:
                forget_counts(self._write)
            # Last of all: before, this release must not take the tables for whole.
            for part in parts:
                run(lambda connection: record_version(connection, part.info["part"]))

    def _mend_times(self, parts, run, tell):
        if RECORDS not in parts or self._engine.dialect.name not in MYSQL:
            return
        if run(lambda connection: inspect(connection).has_table(users.name)):
            count = mend_times(self._write)
            if count:
                tell("mended the times of %d users, which were seconds" % count)


def _make_new(connection, parts):
    """Makes the parts of which there is nothing at all; ([part], what was done)."""
    find_steps(connection, parts)  # so that nothing is made where not all can be
    there = inspect(connection)
    new = [
        part
        for part in parts
        if not any(there.has_table(table.name) for table in part.sorted_tables)
    ]
    what = []
    for step in find_steps(connection, [VERSIONS, *new]) if new else ():
        step.act(connection)
        what += step.what
    for part in new:
        record_version(connection, part.info["part"])
    return new, what


def _take_step(connection, parts):
    """Does the next step; what it has done, or nothing where there is none."""
    steps = find_steps(connection, [VERSIONS, *parts]) if parts else ()
    if not steps:
        return ()
    steps[0].act(connection)
    return steps[0].what


def missing(what):
    return (
        "%s is missing: run `weave-server create-tables INI`, or set "
        "`create_tables = true`" % what
    )
