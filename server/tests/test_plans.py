# SPDX-License-Identifier: Apache-2.0
"""Every statement of a sync finds its rows by a range of an index.

The statements are those that the driver is given while the requests of a sync are
served, and their plans those of the database, among many other users.
"""

import itertools
import sys

import pytest
from sqlalchemy import create_engine, text

import plans
import plenty
from conftest import KIND, User, basic, sites
from weave.server.queries import Query

RECORDS = 50_000
PEOPLE, RECORDS_OF_EACH = 2000, 3

COLLECTIONS = ("history", "bookmarks", "clients", "meta", "crypto", "tabs")

NOT_OF_A_SYNC = {
    "weave.server.accounts._RESET_HASH": "an administrator's",
    "weave.server.storage._WITH_EXPIRED": "of the command purge",
    "weave.server.usage._LESS": "of the command purge",
    "weave.server.storage._TIMES_OF_ALL": "of Sync 1.5",
    "weave.server.writer._RECORD_MODIFIED": "of Sync 1.5",
    "weave.server.writer._DELETE_COLLECTION": "of Sync 1.5",
}


def lists(newer):
    """The arguments of lists."""
    times = ("", "&newer=%s" % newer, "&older=%s" % newer, "&newer=5&older=%s" % newer)
    for sort, limit, time in itertools.product(
        ("", "&sort=newest", "&sort=oldest", "&sort=index"),
        ("&limit=50", "&limit=50&offset=3"),
        times,
    ):
        yield limit + sort + time
    yield "&newer=%s" % newer
    yield "&sort=newest&newer=%s" % newer
    yield "&sort=index&newer=%s" % newer
    yield "&sort=index&index_above=99990"
    yield "&sort=index&index_below=10"
    yield "&sort=index&index_above=5&limit=10"


def play(user, ids, newer):
    """The requests of a sync."""
    for what in ("collections", "collection_counts", "collection_usage", "quota"):
        user.get("info/" + what)
    user.get("storage/meta/global", status=404)
    user.post("storage/tabs", [{"id": "gone", "payload": "x", "ttl": 0}])
    for what in ("collections", "collection_usage", "quota"):
        user.get("info/" + what)
    user.post("storage/tabs", [{"id": "here", "payload": "x"}])
    user.post("storage/own", [{"id": "a", "payload": "x"}])
    user.post("storage/more", [{"id": "a", "payload": "x"}])
    user.get("storage/history/" + ids[0])
    for arguments in lists(newer):
        user.get("storage/history?" + arguments[1:])
        user.get("storage/history?full=1" + arguments)
    named = ",".join(ids)
    user.get("storage/history?ids=" + named)
    user.get("storage/history?full=1&sort=index&ids=" + named)
    body = [{"id": id_, "payload": "x", "sortindex": 1} for id_ in ids]
    user.post("storage/history", body)
    user.post("storage/history", [{"id": "new%d" % i, "payload": "x"} for i in range(100)])
    user.post("storage/history", [{"id": id_, "ttl": 1000} for id_ in ids])
    user.put("storage/history/one", {"payload": "x"})
    user.put("storage/meta/global", {"payload": "x"}, X_If_Unmodified_Since="9999999999")
    user.put("storage/history/one", {"sortindex": 5})
    user.delete("storage/history/one")
    user.delete("storage/history?ids=" + named)
    user.delete("storage/history?ids=new1,new2", X_If_Unmodified_Since="9999999999")


def play_all(user):
    """Requests that are for all records of a collection, or of the user."""
    for name in COLLECTIONS:
        user.post("storage/" + name, [{"id": "a", "payload": "x"}])
    for arguments in ("", "&sort=index", "&sort=newest", "&parentid=a"):
        user.get("storage/bookmarks?full=1" + arguments)
        user.get("storage/bookmarks?" + arguments[1:])
    user.delete("storage/bookmarks")
    user.delete("storage", X_Confirm_Delete="1")


def live(user):
    """The requests about an account, from its beginning to its end."""
    user.sign_up()
    play_all(user)
    url = "/user/1.0/" + user.name
    user.app.post(url + "/email", "else@example.org", headers=authorization(user))
    user.get("info/collections", Authorization=basic(user.name, "wrong"), status=401)
    user.app.post(url + "/password", "another one", headers=authorization(user))
    user.password = "another one"
    user.app.delete(url, headers=authorization(user))
    user.app.get("/__heartbeat__")


def authorization(user):
    return {"Authorization": basic(user.name, user.password)}


class Life:
    """A user with many records among many other users; what a sync of theirs runs."""

    def __init__(self, site):
        self.url = site.databases_url
        user = site.user()
        for name in COLLECTIONS:
            user.post("storage/" + name, [{"id": "a", "payload": "x"}])
        ids, newer = plenty.fill(self.url, "history", RECORDS, size=20)
        plenty.add_people(self.url, PEOPLE, RECORDS_OF_EACH)
        plenty.analyze(self.url)
        self.statements, self.of_all, self.queries = {}, {}, set()
        with plans.recorded(self.statements), plans.used(self.queries):
            play(user, ids, "%d.%02d" % divmod(newer, 100))
        site.sql("update weave_collections set counted = null where name = 'tabs'")
        with plans.recorded(self.of_all), plans.used(self.queries):
            # They are counted once.
            user.get("info/collection_usage")
            user.post("storage/tabs", [{"id": "b", "payload": "x"}])
            user.get("storage/history?full=1")
            user.get("storage/history?full=1&sort=newest&limit=40000")
            # It has no meaning any more: a wrong password removes it.
            site.sql("insert into weave_logins (subject, ends) values ('name old', 1)")
            live(User(user.app, "bob"))

    def faults(self):
        """{statement: what is wrong with its plan}"""
        found = {}
        engine = create_engine(self.url, future=True)
        with engine.connect() as connection:
            for statement, parameters in {**self.of_all, **self.statements}.items():
                if not is_of_rows(statement):
                    continue
                try:
                    plan = plans.explain(connection, statement, parameters)
                except engine.dialect.dbapi.Error as error:
                    found[statement] = [repr(error)]
                    connection.rollback()
                    continue
                wrong = plans.faults(statement, plan, statement not in self.statements)
                if wrong:
                    found[statement] = wrong + [plan.text]
        engine.dispose()
        return found


def is_of_rows(statement):
    """Whether the statement looks for rows."""
    word = statement.split(None, 1)[0].upper()
    return word in ("SELECT", "UPDATE", "DELETE", "WITH") and "weave_" in statement


@pytest.fixture(scope="module")
def life(database_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    with sites(database_server, folder) as make:
        site = make(storage="use_quota = true\nquota_size = 1000000")
        site.databases_url = site.url.replace("%(here)s", str(folder))
        yield Life(site)


def shown(found):
    return "\n\n".join(
        "%s\n    %s" % (statement, "\n    ".join(wrong)) for statement, wrong in found.items()
    )


def test_rows_are_found_by_ranges_of_indexes(life):
    assert len(life.statements) > 20
    found = life.faults()
    assert not found, shown(found)


def test_every_statement_was_run(life):
    """A new statement needs a request in play(), or a reason in NOT_OF_A_SYNC."""
    queries = {
        "%s.%s" % (module.__name__, name): value
        for module in list(sys.modules.values())
        if module.__name__.startswith("weave.server.")
        for name, value in vars(module).items()
        if isinstance(value, Query)
    }
    unseen = {name for name, query in queries.items() if query not in life.queries}
    assert sorted(unseen - NOT_OF_A_SYNC.keys()) == []
    assert sorted(NOT_OF_A_SYNC.keys() - queries.keys()) == []


@pytest.mark.parametrize("index", ["weave_records_newest", "weave_records_sortindex"])
def test_a_missing_index_is_noticed(life, index):
    """The last tests: they spoil the database."""
    engine = create_engine(life.url)
    drop = "drop index %s" % index + (" on weave_records" if KIND == "mariadb" else "")
    with engine.begin() as connection:
        connection.execute(text(drop))
    engine.dispose()
    assert life.faults()
