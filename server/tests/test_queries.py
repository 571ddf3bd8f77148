# SPDX-License-Identifier: Apache-2.0
"""What reaches the driver of a database."""

import importlib
import pkgutil
import re

import pytest
from sqlalchemy import bindparam, create_engine, event, select
from sqlalchemy.exc import IntegrityError

import weave.server
from conftest import POOL
from weave.server import queries
from weave.server.app import Databases
from weave.server.queries import Query
from weave.server.schema import METADATA, users
from weave.server.stamps import Stamp


@pytest.fixture
def database():
    database = Databases().open("sqlite://", POOL)
    database.require(METADATA, True)
    return database


def test_stamps_are_plain_integers_for_drivers():
    """Drivers of MySQL write a subclass of int by str(): it was 100 times too small."""
    values = queries._plain(
        {"a": Stamp(5), "b": [Stamp(6)], "c": "x"}, ["a", "b", "c"], {"b": 2}
    )
    assert values == (5, 6, 6, "x")
    assert [type(value) for value in values] == [int, int, int, str]
    assert str(Stamp(123456)) == "123456"
    assert "%s" % Stamp(123456) == "123456"
    assert Stamp(123456).text == "1234.56"


def test_lists(database):
    found = Query(
        select(users.c.user_id)
        .where(
            users.c.user_id.in_(bindparam("ids", expanding=True)),
            users.c.modified + 0 > bindparam("now"),
        )
        .order_by(users.c.user_id)
    )

    def act(connection):
        rows = [{"user_id": i, "modified": Stamp(i)} for i in range(450)]
        connection.execute(users.insert(), rows)
        for count in (1, 2, 10, 11, 100, 101, 400):
            ids = list(range(50, 50 + count))
            rows = found.rows(connection, ids=ids, now=Stamp(50))
            assert [id_ for (id_,) in rows] == ids[1:]

    database.write(act)


def test_errors_are_those_of_sqlalchemy(database):
    stores = Query(
        users.insert().values(user_id=bindparam("its_id"), modified=Stamp(1))
    )

    def act(connection):
        assert stores.change(connection, its_id=1) == 1
        stores.change_many(connection, [{"its_id": 2}, {"its_id": 1}])

    with pytest.raises(IntegrityError):
        database.write(act)


def all_queries():
    """{name: Query} of all modules."""
    found = {}
    for module in pkgutil.walk_packages(weave.server.__path__, "weave.server."):
        if module.name != "weave.server.__main__":
            names = vars(importlib.import_module(module.name))
            found.update(
                (module.name + "." + name, value)
                for name, value in names.items()
                if isinstance(value, Query)
            )
    return found


def test_stamps_in_each_statement(site):
    """Whatever parameter is a Stamp, the driver is given an integer."""
    lists = {"ids": 10, "numbers": 10, "subjects": 10}
    (database,) = site.databases
    queries_ = all_queries()
    assert len(queries_) > 30
    for name, query in queries_.items():
        _, names, constants = query._sql(database.engine.dialect, lists)
        values = {n: [Stamp(5)] * 10 if n in lists else Stamp(5) for n in names}
        given = queries._plain(dict(constants, **values), names, lists)
        assert Stamp not in set(map(type, given)), name


# CockroachDB, YugabyteDB, Vitess and Galera lack these, or cannot do them across shards.
LACKING = re.compile(
    r"\b(RETURNING|GET_LOCK|advisory|SKIP LOCKED|FOR SHARE|LOCK IN SHARE MODE|REPLACE INTO"
    r"|INSERT IGNORE|STRAIGHT_JOIN|OVER|LATERAL|MERGE)\b|^UPDATE .* SET .* FROM |^DELETE .* USING ",
    re.IGNORECASE | re.DOTALL,
)


@pytest.mark.parametrize("url", ["mysql+pymysql://h/x", "postgresql+psycopg2://h/x"])
def test_statements_that_other_engines_know(url):
    """An installation that outgrows one machine moves by its URL: see the README."""
    pytest.importorskip(url.partition("+")[2].partition(":")[0])
    dialect, lists = create_engine(url).dialect, {"ids": 1, "numbers": 1, "subjects": 1}
    for name, query in all_queries().items():
        text, _, _ = query._sql(dialect, lists)
        assert not LACKING.search(text), name


READS = {
    "info/collections": 200, "info/collection_counts": 200, "info/collection_usage": 200,
    "info/quota": 200, "storage/col": 200, "storage/col?full=1&newer=5&sort=index": 200,
    "storage/col?full=1&ids=a,b": 200, "storage/none": 200, "storage/col/a": 200,
    "storage/col/b": 404,
}  # fmt: skip


def sync(user):
    """The requests of a sync."""
    for path, status in READS.items():
        user.get(path, status)
    user.post("storage/col", [{"id": "a", "payload": "x"}, {"id": "b", "sortindex": 1}])
    user.put("storage/col/a", {"payload": "x"}, X_If_Unmodified_Since="9999999999")
    user.delete("storage/col/b")
    user.delete("storage/col?ids=b,c")


def test_whoever_reads_takes_one_transaction(site, user):
    """The account is found in that of the records."""
    user.put("storage/col/a", {"payload": "x"})
    begun, (database,) = [], site.databases
    event.listen(database.engine, "checkout", lambda *_: begun.append(1))
    for path, status in READS.items():
        begun.clear()
        user.get(path, status)
        assert len(begun) == 1, path


def test_nothing_is_compiled_twice(site, user, monkeypatch):
    """Neither by a Query nor by SQLAlchemy."""
    user.put("storage/col/a", {"payload": "x"})
    sync(user)

    def fail(*_arguments, **_options):
        raise AssertionError("a statement is compiled again")

    (database,) = site.databases
    monkeypatch.setattr(Query, "_compile", fail)
    monkeypatch.setattr(database.engine.dialect.statement_compiler, "__init__", fail)
    sync(user)
