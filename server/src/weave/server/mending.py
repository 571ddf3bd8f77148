# SPDX-License-Identifier: Apache-2.0
"""Mends what older releases have left in the rows, in many short transactions.

Times: on MySQL and MariaDB, release 0.1.0 has stored most of them as seconds where
hundredths of a second belong. In the year 2026 the one has ten digits, the other twelve.

Counts: release 0.1.0 does not know the counts of collections. Where it has removed
expired records, they are wrong afterwards.

Whatever is done here can be done twice, be ended at any point, and be done by several
at once. `write` is Database.write, but for the look at the tables.
"""

from sqlalchemy import and_, distinct, exists, select, update

from weave.server.schema import collections, records, users

# Hundredths of a second in August 1976, and seconds in the year 2603.
LOWEST_STAMP = 2 * 10**10

# The database has rounded times to seconds. The latest hundredth that was rounded to the
# same second is taken: with an earlier one, a client could miss the record.
ROUNDED = 49

RECORDS_AT_ONCE = 1000
USERS_AT_ONCE = 200

# A start looks for stale counts in so many collections at most.
COLLECTIONS_SEEN = 100_000


def _in_seconds(table):
    return and_(table.c.modified > 0, table.c.modified < LOWEST_STAMP)


def _users_in_seconds(table):
    return select(distinct(table.c.user_id)).where(_in_seconds(table))


def count_in_seconds(connection, has_records=True):
    """How many users have times that are seconds.

    has_records=False is quick: it looks at users and collections alone, which the
    release that stores seconds changes with each record.
    """
    return len(_find_in_seconds(connection, has_records))


def _find_in_seconds(connection, has_records=True):
    tables = (users, collections, records) if has_records else (users, collections)
    found = set()
    for table in tables:
        found.update(connection.execute(_users_in_seconds(table)).scalars())
    return sorted(found)


def mend_times(write):
    """Makes hundredths of all times that are seconds; how many users had some."""
    found = write(_find_in_seconds)
    for user_id in found:
        _mend_user(write, user_id)
    return len(found)


def _mend_user(write, user_id):
    numbers = select(collections.c.number).where(collections.c.user_id == user_id)
    for number in write(lambda connection: connection.execute(numbers).scalars().all()):
        last = ""
        while last is not None:
            last = write(
                lambda connection: _mend_records(connection, user_id, number, last)
            )
    # The user's own time is mended last: it says that there is something to mend.
    for table in (collections, users):
        query = _mend(table, user_id)
        write(lambda connection: connection.execute(query))


def _mend_records(connection, user_id, number, last):
    """Mends the next records behind an id; the last of them, None where there is none."""
    key = (records.c.user_id == user_id, records.c.collection == number)
    query = select(records.c.id).where(*key, records.c.id > last)
    query = query.order_by(records.c.id).limit(RECORDS_AT_ONCE)
    found = connection.execute(query).scalars().all()
    if not found:
        return None
    query = _mend(records, user_id).where(*key)
    connection.execute(query.where(records.c.id.between(found[0], found[-1])))
    return found[-1]


def _mend(table, user_id):
    query = update(table).where(table.c.user_id == user_id, _in_seconds(table))
    return query.values(modified=table.c.modified * 100 + ROUNDED)


def has_stale_counts(connection):
    """Whether a release that keeps no counts has written since one that keeps them.

    It shows in any collection that it has written to. Where there are very many, some
    are looked at.
    """
    some = (
        select(collections.c.counted, collections.c.modified)
        .limit(COLLECTIONS_SEEN)
        .subquery()
    )
    query = select(exists().where(some.c.counted != some.c.modified))
    return bool(connection.execute(query).scalar())


def forget_counts(write):
    """Has each collection counted again when it is next written to."""
    last = None
    while True:
        last = write(lambda connection: _forget_some(connection, last))
        if last is None:
            return


def _forget_some(connection, last):
    """Forgets the counts of the next users; the last of them, None where there is none."""
    query = select(users.c.user_id).order_by(users.c.user_id).limit(USERS_AT_ONCE)
    if last is not None:
        query = query.where(users.c.user_id > last)
    # As all writers do: one that has read the counts must not write them afterwards.
    found = connection.execute(query.with_for_update()).scalars().all()
    if not found:
        return None
    forget = update(collections).values(counted=None)
    forget = forget.where(
        collections.c.user_id.between(found[0], found[-1]),
        collections.c.counted.is_not(None),
    )
    connection.execute(forget)
    return found[-1]
