# SPDX-License-Identifier: Apache-2.0
"""Every statement of a sync finds its rows by a range of an index.

The statements are those that the driver is given while the requests of a sync are
served, and their plans those of the database, among many other users.
"""

import functools
import itertools
import sys

import pytest
from sqlalchemy import create_engine, text

import client15
import plans
import plenty
from conftest import KIND, Site15, User, basic, sites
from weave.server.jwks import Jwks
from weave.server.queries import Query

RECORDS = 50_000
PEOPLE, RECORDS_OF_EACH = 2000, 3
USER = 9999999999

COLLECTIONS = ("history", "bookmarks", "clients", "meta", "crypto", "tabs")

NOT_OF_A_SYNC = {
    "weave.server.accounts._ALL": "an administrator's",
    "weave.server.accounts._RESET_HASH": "an administrator's",
    "weave.server.batches._EXPIRED": "of the command purge",
    "weave.server.storage._WITH_EXPIRED": "of the command purge",
    "weave.server.usage._LESS": "of the command purge",
    "weave.server.admission._ALL": "an administrator's",
    "weave.server.admission._ADMIT": "an administrator's",
    "weave.server.admission._FORGET": "an administrator's",
}

# Modules of an administrator's commands, which another test may have imported.
OF_COMMANDS = ("weave.server.people", "weave.server.doctor.")


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


# Other members, who are those of plenty.add_people(); and rows in small tables, which
# databases would read as a whole.
MEMBERS = """
insert into weave_fxa_users (user_id, fxa_uid, client_state, generation, keys_changed_at,
    created, endpoint, seen)
select n.i, {id}, 'state', 1, 1, 1, 'http://localhost', 1 from {source};
insert into weave_fxa_allowed (fxa_uid) select {id} from {source};
insert into weave_settings (name, value) select {id}, 'x' from {source};
insert into weave_batches (user_id, batch, collection, expires, records, bytes)
    select n.i, n.i, 'history', {never}, 1, 1 from {source};
insert into weave_batch_records (user_id, batch, id, payload_size, payload)
    select n.i, n.i, {id}, 1, 'x' from {source}
"""


def play15(device, ids, newer):
    """The requests of a sync of today's Firefox."""
    for what in ("collections", "collection_counts", "collection_usage", "quota",
                 "configuration"):  # fmt: skip
        device.get("info/" + what)
    device.get("storage/meta/none", status=404)
    device.get("storage/history/" + ids[0])
    device.get("storage/nothing?full=1")
    for sort, times in itertools.product(
        ("", "&sort=newest", "&sort=oldest", "&sort=index"),
        ("", "&newer=%s" % newer, "&older=%s" % newer, "&newer=5&older=%s" % newer),
    ):
        for full in ("?full=1", "?ids-only"):
            path = "storage/history" + full + "&limit=20" + sort + times
            token = device.get(path).headers["X-Weave-Next-Offset"]
            device.get(path + "&offset=" + token)
    named = ",".join(ids)
    path = "storage/history?full=1&limit=5&sort=index&ids=" + named
    token = device.get(path).headers["X-Weave-Next-Offset"]
    device.get(path + "&offset=" + token)
    late = "4102405200000"
    device.post("storage/history", [{"id": id_, "payload": "x", "sortindex": 1} for id_ in ids],
                X_If_Unmodified_Since=late)  # fmt: skip
    device.post("storage/history", [{"id": id_, "ttl": 1000} for id_ in ids])
    device.put("storage/history/one", {"payload": "x"}, X_If_Unmodified_Since="0")
    device.delete("storage/history/one", X_If_Unmodified_Since=late)
    device.delete("storage/history?ids=" + named)
    device.upload("history", [{"id": id_, "payload": "y"} for id_ in ids], size=20)
    part = [{"id": "a", "payload": "x"}]
    batch = device.post("storage/new?batch=true", part, 202).json["batch"]
    device.post("storage/new?commit=true&batch=" + batch, part)
    for _ in range(33):
        device.post("storage/new?batch=true", part, 202)
    device.delete("storage/nothing")
    device.delete("storage/nothing?ids=a")


def play15_all(device):
    """Requests that are for all records of a collection, or of the user."""
    device.post("storage/few", [{"id": "a", "payload": "x"}])
    for arguments in ("", "&sort=index", "&sort=newest"):
        device.get("storage/few?full=1" + arguments)
    device.delete("storage/few")
    device.delete("storage")


def enter(site):
    """The requests of the token server: a first account, with two keys, and another one."""
    ask = functools.partial(client15.ask_for_token, site.transport, "/1.0/sync/1.5")
    key = client15.KEY
    Jwks(next(iter(site.databases)), "http://localhost:1/").load(key.jwks())
    site.sql("insert into weave_fxa_allowed (fxa_uid) values (?)", ["ab" * 16])
    for later in (0, 0, 1, 2):
        changed = client15.KEYS_CHANGED_AT + later
        site.sql("update weave_fxa_users set seen = 1 where fxa_uid = ?", ["ab" * 16])
        kid = client15.key_id(changed, "%032x" % min(later, 1))
        assert ask(key.jwt(fxa_generation=changed), kid).status == 200
    assert ask(key.jwt(sub="cd" * 16)).status == 403


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
        # An id that a device of Sync 1.5 can have, too.
        site.sql("update weave_accounts set user_id = ?", [USER])
        for name in COLLECTIONS:
            user.post("storage/" + name, [{"id": "a", "payload": "x"}])
        ids, newer = plenty.fill(self.url, "history", RECORDS, size=20)
        plenty.add_people(self.url, PEOPLE, RECORDS_OF_EACH)
        source, id_ = plenty.SOURCES["mysql" if KIND == "mariadb" else KIND]
        source = source.replace(":count", str(PEOPLE)).format(count=PEOPLE)
        script = MEMBERS.format(id=id_, source=source, never=plenty.NEVER)
        for statement in script.split(";"):
            site.sql(statement)
        device = site.device(USER)
        plenty.analyze(self.url)
        self.statements, self.of_all, self.queries = {}, {}, set()
        with plans.recorded(self.statements), plans.used(self.queries):
            newer = "%d.%02d" % divmod(newer, 100)
            play15(device, ids[::2], newer)
            play(user, ids[1::2], newer)
            enter(site)
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
            device.get("storage/history?full=1")
            play15_all(site.device(PEOPLE + 1))

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
        site = make(Site15, storage="use_quota = true\nquota_size = 1000000")
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
        and not module.__name__.startswith(OF_COMMANDS)
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
