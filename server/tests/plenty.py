# SPDX-License-Identifier: Apache-2.0
"""Very many records of one user, made by the database itself, on each database.

Records look as if a client had posted them in hundreds: a hundred share a stamp,
ids are scattered, nine in ten have a sortindex, one in a hundred has a time to
live that ends in some days.
"""

import time

from sqlalchemy import create_engine, inspect, text

NEVER = 2**53
DAY = 24 * 3600 * 100

# The numbers 1 to :count as n.i, and eleven digits that are scattered over them.
SOURCES = {
    "sqlite": (
        "(with recursive n(i) as (select 1 union all select i + 1 from n"
        " where i < :count) select i from n) n",
        "printf('%011d', n.i * 48271 % 99999989)",
    ),
    "postgresql": (
        "generate_series(cast(1 as bigint), cast(:count as bigint)) n(i)",
        "lpad(cast(n.i * 48271 % 99999989 as text), 11, '0')",
    ),
    "mysql": (
        "(select seq as i from seq_1_to_{count}) n",
        "lpad(n.i * 48271 % 99999989, 11, '0')",
    ),
}

INSERT = """
insert into weave_records (user_id, collection, id, modified, expires, sortindex,
    parentid, predecessorid, payload_size, payload)
select c.user_id, c.number, {id}, {first} + (n.i - 1 - (n.i - 1) % 100) / 100,
    case when n.i % 100 = 7 then {expires} + n.i else {never} end,
    case when n.i % 10 = 0 then null else (n.i * 7919) % 100000 end,
    null, null, {size}, '{payload}'
from {source}, weave_collections c where c.name = :name
"""

# Other people, with what everybody has; the first and only user is there.
CROWD = """
insert into weave_users (user_id, modified) select n.i, {now} from {source};
insert into weave_accounts (name, user_id, email, password_hash)
    select {id}, n.i, 'somebody@example.org', 'no hash' from {source};
insert into weave_logins (subject, ends) select {id}, {now} - 2000 + n.i * 1000 from {source};
insert into weave_collections (user_id, number, name, modified)
    select n.i, c.number, c.name, {now} from {source}, weave_collections c
    where c.user_id > {people};
insert into weave_records (user_id, collection, id, modified, expires, sortindex,
    payload_size, payload)
select c.user_id, c.number, {id}, {now} - n.i, {never}, n.i, 1, 'x'
from {source_of_each}, weave_collections c where c.user_id <= {people}
"""

COUNTERS = """
update weave_collections set counted = modified,
    records = (select count(*) from weave_records r
        where r.user_id = weave_collections.user_id
        and r.collection = weave_collections.number),
    bytes = (select coalesce(sum(payload_size), 0) from weave_records r
        where r.user_id = weave_collections.user_id
        and r.collection = weave_collections.number)
"""


def fill(url, name, count, size=200):
    """Adds count (in hundreds) records of size bytes to the collection name.

    It is there, and the user is the only one. Returns the ids of some of them,
    and the stamp after which the last hundred were modified, as an integer. The
    collection counts as changed at the time of the last.
    """
    engine = create_engine(url)
    source, id_ = SOURCES[engine.dialect.name]
    now = time.time_ns() // 10_000_000
    first = now - count // 100 + 1
    statement = INSERT.format(
        id=id_,
        first=first,
        expires=now + 30 * DAY,
        never=NEVER,
        size=size,
        payload="x" * size,
        source=source.format(count=count),
    )
    columns = {column["name"] for column in inspect(engine).get_columns("weave_collections")}
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # or the indexes do not fit into memory
            connection.execute(text("pragma cache_size = -500000"))
        parameters = {"name": name, "count": count}
        if ":count" not in statement:
            del parameters["count"]
        connection.execute(text(statement), parameters)
        at = {"at": now, "name": name}
        connection.execute(
            text("update weave_collections set modified = :at where name = :name"), at
        )
        connection.execute(text("update weave_users set modified = :at"), {"at": now})
        if "counted" in columns:
            connection.execute(text(COUNTERS))
    engine.dispose()
    ids = ["%011d" % (i * 48271 % 99999989) for i in range(1, count, count // 100)]
    return ids, now - 1


def add_people(url, people, each):
    """Adds so many other users, with so many records in each collection of the first.

    Their ids are the smallest numbers.
    """
    engine = create_engine(url)
    source, id_ = SOURCES[engine.dialect.name]

    def numbers(count):
        return source.replace(":count", str(count)).format(count=count)

    script = CROWD.format(
        id=id_,
        now=time.time_ns() // 10_000_000,
        never=NEVER,
        people=people,
        source=numbers(people),
        source_of_each=numbers(each),
    )
    with engine.begin() as connection:
        for statement in script.split(";"):
            connection.execute(text(statement))
    engine.dispose()


def analyze(url):
    """Gives the database statistics, as its own housekeeping does in life.

    SQLite has none in life.
    """
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if engine.dialect.name == "mysql":
            for name in inspect(engine).get_table_names():
                connection.execute(text("analyze table " + name)).all()
        elif engine.dialect.name == "postgresql":
            connection.execute(text("vacuum analyze"))
    engine.dispose()
