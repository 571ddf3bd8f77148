# SPDX-License-Identifier: Apache-2.0
"""Members of Sync 1.5: who may become one, and whose records a device gets."""

import threading
import time

import pytest
from sqlalchemy.exc import IntegrityError

from conftest import LONG_SECONDS, POOL, Site15
from weave.server import admission, members
from weave.server.admission import Admission, Window
from weave.server.claims import Claims, Refused
from weave.server.database import Database
from weave.server.members import Members, is_current
from weave.server.schema import METADATA as RECORDS
from weave.server.schema15 import METADATA

NODE = "https://sync.example.org"
A, B, OLD, NONE = "a" * 32, "b" * 32, "0" * 32, ""
ALICE, BOB = "a11ce" * 6, "b0b" * 10

EMPTY = "empty string"
STALE = "stale value"
NO_GENERATION = "no generation change"
NO_KEYS = "no keys_changed_at change"
KEYS, GENERATION = "invalid-keysChangedAt", "invalid-generation"

# The account is at (client state A, generation 20, keys_changed_at 10), and had the client
# state OLD. (what a device claims, what comes of it): a refusal, or (whether it gets
# another user, generation and keys_changed_at afterwards).
RULES = [
    ((A, 20, 10), (False, 20, 10)),
    ((A, 25, 10), (False, 25, 10)),
    ((A, 25, 15), (False, 25, 15)),
    ((A, 20, 15), (False, 20, 15)),
    ((B, 25, 15), (True, 25, 15)),
    ((B, 21, 21), (True, 21, 21)),
    # Without a generation, the time of the key stands for it.
    ((A, 0, 10), (False, 20, 10)),
    ((A, 0, 15), (False, 20, 15)),
    ((A, 0, 25), (False, 25, 25)),
    ((B, 0, 15), (True, 20, 15)),
    ((B, 0, 25), (True, 25, 25)),
    # A key that is newer than the generation, before everything else.
    ((A, 25, 26), KEYS),
    ((A, 14, 15), KEYS),
    ((B, 14, 15), KEYS),
    ((OLD, 14, 15), KEYS),
    ((NONE, 14, 15), KEYS),
    # No key, where there was one.
    ((NONE, 25, 15), EMPTY),
    ((NONE, 20, 10), EMPTY),
    ((NONE, 15, 5), EMPTY),
    # A key that was replaced.
    ((OLD, 25, 15), STALE),
    ((OLD, 20, 10), STALE),
    ((OLD, 15, 5), STALE),
    ((OLD, 0, 25), STALE),
    # Another key without a change of the generation, or of the time of the key.
    ((B, 20, 15), NO_GENERATION),
    ((B, 20, 10), NO_GENERATION),
    ((B, 19, 9), NO_GENERATION),
    ((B, 25, 10), NO_KEYS),
    ((B, 25, 9), NO_KEYS),
    ((B, 25, 0), NO_KEYS),
    ((B, 0, 10), NO_KEYS),
    # A device that has not noticed a change.
    ((A, 19, 10), GENERATION),
    ((A, 19, 9), GENERATION),
    ((A, 1, 0), GENERATION),
    ((A, 20, 9), KEYS),
    ((A, 25, 9), KEYS),
    ((A, 25, 0), KEYS),
    ((A, 0, 9), KEYS),
]


def claims(fxa_uid, client_state=A, generation=20, keys_changed_at=10):
    return Claims(fxa_uid, client_state, generation, keys_changed_at)


@pytest.fixture
def make_members(make_url, tmp_path, patience):
    """Makes Members with a Database of their own, as each process has one."""
    made = []

    def make(mode="true", public_url=None, clock=time.time):
        url = make_url().replace("%(here)s", str(tmp_path))
        database = Database(url, POOL)
        database.require(RECORDS, True)
        made.append(database)
        return Members(database, True, Admission(mode, clock), public_url)

    yield make
    for database in made:
        database.close()


def database_of(some):
    return some._database


def rows(some, columns, where="1 = 1"):
    """Rows of weave_fxa_users."""
    query = "select %s from weave_fxa_users where %s order by created, user_id"

    def read(connection):
        return connection.exec_driver_sql(query % (columns, where)).fetchall()

    return [tuple(row) for row in database_of(some).read(read)]


def run(some, statement):
    database_of(some).write(lambda connection: connection.exec_driver_sql(statement))


def outcome(some, fxa_uid, first, asked):
    try:
        entered = some.enter(claims(fxa_uid, *asked), NODE)
    except Refused as error:
        assert error.http_status == 401
        is_state = error.status == "invalid-client-state"
        assert (error.location, error.name) == (
            ("header", "X-Client-State") if is_state else ("body", "")
        )
        assert fxa_uid in str(error)
        return error.description.rpartition("value ")[2] if is_state else error.status
    current = rows(some, "user_id, generation, keys_changed_at", "fxa_uid = '%s' and "
                   "replaced is null" % fxa_uid)  # fmt: skip
    ((user_id, *times),) = current
    assert user_id == entered.user_id
    return (user_id != first, *times)


def test_the_rules(make_members):
    some = make_members()
    for number, (asked, wanted) in enumerate(RULES):
        fxa_uid = "%032x" % number
        some.enter(claims(fxa_uid, OLD, 15, 5), NODE)
        first = some.enter(claims(fxa_uid), NODE).user_id
        found = outcome(some, fxa_uid, first, asked)
        if isinstance(wanted, str):
            assert str(found).endswith(wanted), asked
            before = [(OLD, 0, 15, 5), (A, 1, 20, 10)]
            query = "client_state, case when replaced is null then 1 else 0 end, "
            query += "generation, keys_changed_at"
            where = "fxa_uid = '%s'" % fxa_uid
            assert sorted(rows(some, query, where)) == sorted(before), asked
        else:
            assert found == wanted, asked


@pytest.mark.sqlite_only
def test_an_account_without_a_key_may_get_one(make_members):
    some = make_members()
    first = some.enter(claims(ALICE, NONE, 20, 10), NODE)
    assert some.enter(claims(ALICE, NONE, 20, 10), NODE) == first
    assert some.enter(claims(ALICE, A, 25, 15), NODE).user_id != first.user_id


def test_a_new_key_gets_a_new_user(make_members):
    some = make_members()
    first = some.enter(claims(ALICE), NODE).user_id
    run(some, "update weave_fxa_users set note = 'Alice'")
    second = some.enter(claims(ALICE, B, 25, 15), NODE).user_id
    assert [row[:2] for row in rows(some, "note, endpoint", "user_id = %d" % second)] == [
        ("Alice", "%s/1.5/%d" % (NODE, second))
    ]
    current = database_of(some).read(
        lambda connection: [is_current(connection, n) for n in (first, second, 5)]
    )
    assert current == [False, True, False]
    for user_id in (first, second):
        assert 1 <= user_id <= 9_999_999_999
    with pytest.raises(Refused):
        some.enter(claims(ALICE), NODE)


def test_numbers_are_drawn_again(make_members, monkeypatch):
    some = make_members()
    drawn = iter([7, 7, 7, 8])
    monkeypatch.setattr(members.secrets, "randbelow", lambda _: next(drawn))
    assert some.enter(claims(ALICE), NODE).user_id == 8
    assert some.enter(claims(BOB), NODE).user_id == 9
    monkeypatch.setattr(members.secrets, "randbelow", lambda _: 7)
    with pytest.raises(IntegrityError):
        some.enter(claims("c" * 32), NODE)
    assert len(rows(some, "user_id")) == 2


@pytest.mark.sqlite_only
def test_an_endpoint_stays(make_members):
    some = make_members()
    assert some.enter(claims(ALICE), "http://a:8000/x").node == "http://a:8000/x"
    assert some.enter(claims(ALICE), "http://b").node == "http://a:8000/x"
    assert some.enter(claims(ALICE, B, 25, 15), "http://b").node == "http://a:8000/x"
    fixed = make_members(public_url=NODE + "/p/")
    user_id = fixed.enter(claims(ALICE, B, 25, 15), "http://c").user_id
    assert rows(some, "endpoint", "replaced is null") == [("%s/p/1.5/%d" % (NODE, user_id),)]
    assert some.enter(claims(ALICE, B, 25, 15), "http://c").node == NODE + "/p"


def test_seen(make_members, monkeypatch):
    some = make_members()
    some.enter(claims(ALICE), NODE)
    before = int(rows(some, "seen")[0][0])
    some.enter(claims(ALICE), NODE)
    assert rows(some, "seen") == [(before,)], "it is not written each time"
    for seen in (before - 60100, before + 10**9):
        run(some, "update weave_fxa_users set seen = %d" % seen)
        some.enter(claims(ALICE), NODE)
        assert before <= rows(some, "seen")[0][0] < before + 24 * 360000


@pytest.mark.sqlite_only
def test_a_token_where_nobody_can_write(make_members, caplog):
    some = make_members()
    first = some.enter(claims(ALICE), NODE)
    run(some, "update weave_fxa_users set seen = 0")
    run(
        some,
        "create trigger no before update on weave_fxa_users "
        "begin select raise(abort, 'x'); end",
    )
    assert some.enter(claims(ALICE), NODE) == first
    assert "could not be noted" in caplog.text


# ---- admission ----


def refused(some, fxa_uid):
    with pytest.raises(Refused) as found:
        some.enter(claims(fxa_uid), NODE)
    assert (found.value.status, found.value.http_status) == ("new-users-disabled", 403)
    assert "weave-server admit INI " + fxa_uid in str(found.value)
    return True


def test_the_first_one_only(make_members):
    some = make_members("first")
    first = some.enter(claims(ALICE), NODE)
    assert refused(some, BOB)
    assert some.enter(claims(ALICE), NODE) == first
    # Nobody takes the place of who was deleted.
    run(some, "delete from weave_fxa_users")
    assert refused(some, BOB) and refused(some, ALICE)


@pytest.mark.sqlite_only
def test_who_came_by_another_way_was_the_first_one(make_members):
    make_members("true").enter(claims(ALICE), NODE)
    assert refused(make_members("first"), BOB)


@pytest.mark.sqlite_only
def test_all_and_none(make_members):
    make_members("true").enter(claims(ALICE), NODE)
    none = make_members("false")
    assert refused(none, BOB)
    none.enter(claims(ALICE, B, 25, 15), NODE)
    make_members("true").enter(claims(BOB), NODE)
    none.enter(claims(BOB), NODE)


@pytest.mark.sqlite_only
def test_those_who_were_named(make_members):
    some = make_members("false")
    write = database_of(some).write
    write(lambda connection: admission.admit(connection, BOB, "Bob's telephone"))
    some.enter(claims(BOB), NODE)
    assert rows(some, "note") == [("Bob's telephone",)]
    assert refused(some, ALICE)
    write(lambda connection: admission.forget(connection, BOB))
    some.enter(claims(BOB), NODE)


def test_a_window(make_members):
    now = [1000.0]
    some = make_members("false", clock=lambda: now[0])
    assert refused(some, ALICE)
    write = database_of(some).write
    write(lambda connection: admission.write_window(connection, Window(2, 1600)))
    now[0] = 1600
    assert refused(some, ALICE)
    now[0] = 1599.5
    first = some.enter(claims(ALICE), NODE)
    assert some.enter(claims(ALICE), NODE) == first
    some.enter(claims(BOB), NODE)
    assert refused(some, "c" * 32)


@pytest.mark.sqlite_only
def test_a_window_that_cannot_be_read_is_closed(make_members):
    some = make_members("false")
    assert refused(some, ALICE)
    run(some, "insert into weave_settings (name, value) values ('admission_window', '')")
    for text in ("x", "[]", '{"left":1}', '{"left":"x","until":9}', "5"):
        run(some, "update weave_settings set value = '%s'" % text)
        assert refused(some, ALICE)


@pytest.mark.sqlite_only
def test_who_was_half_deleted(make_members):
    some = make_members("true")
    some.enter(claims(ALICE), NODE)
    run(some, "update weave_fxa_users set replaced = 5")
    with pytest.raises(Refused) as found:
        some.enter(claims(ALICE), NODE)
    assert found.value.http_status == 503


# ---- at once ----


def at_once(actions):
    """Runs all actions at the same moment; returns what each of them returned or raised."""
    found, barrier = {}, threading.Barrier(len(actions))

    def act(number):
        barrier.wait(LONG_SECONDS)
        try:
            found[number] = actions[number]()
        except Exception as error:
            found[number] = error

    threads = [threading.Thread(target=act, args=(n,)) for n in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_SECONDS)
    return [found[number] for number in range(len(actions))]


def entering(some, who):
    return lambda: some.enter(who, NODE)


def test_devices_of_a_new_account_at_once(make_members):
    made = [make_members("first") for _ in range(6)]
    rows(made[0], "user_id")  # makes the tables
    found = at_once([entering(some, claims(ALICE)) for some in made])
    assert len(set(found)) == 1, found
    assert len(rows(made[0], "user_id")) == 1
    users = database_of(made[0]).read(
        lambda connection: connection.exec_driver_sql("select user_id from weave_users").fetchall()
    )
    assert [user_id for user_id, in users] == [found[0].user_id]


def test_devices_with_a_new_key_at_once(make_members):
    made = [make_members() for _ in range(6)]
    first = made[0].enter(claims(ALICE), NODE)
    found = at_once([entering(some, claims(ALICE, B, 25, 15)) for some in made])
    assert len(set(found)) == 1 and found[0] != first, found
    assert len(rows(made[0], "user_id", "replaced is null")) == 1


def test_two_keys_at_once(make_members):
    """A new account has one current user then, whichever key came last."""
    made = [make_members() for _ in range(6)]
    rows(made[0], "user_id")
    states = [claims(ALICE, "%x" % n * 32, 20 + n, 10 + n) for n in range(6)]
    found = at_once([entering(*pair) for pair in zip(made, states)])
    for one in found:
        assert isinstance(one, (members.Entered, Refused)), one
    assert len(rows(made[0], "user_id", "replaced is null")) == 1
    # What the latest had to read when it came does not count.
    current = rows(made[0], "client_state, generation", "replaced is null")
    assert current == [("5" * 32, 25)]


@pytest.mark.parametrize("places", [1, 3])
@pytest.mark.parametrize("mode", ["first", "false"])
def test_newcomers_at_once(mode, places, make_members):
    made = [make_members(mode) for _ in range(8)]
    write = database_of(made[0]).write
    if mode == "false" or places > 1:
        # The first one needs no place.
        window = Window(places - (mode == "first"), time.time() + 1000)
        write(lambda connection: admission.write_window(connection, window))
    rows(made[0], "user_id")
    found = at_once([entering(some, claims("%032x" % n)) for n, some in enumerate(made)])
    assert sum(isinstance(one, members.Entered) for one in found) == places, found
    assert {one.http_status for one in found if isinstance(one, Refused)} == {403}
    assert len(rows(made[0], "user_id")) == places
    left = write(admission.read_window)
    assert left is None or left.left == 0


def test_generations_at_once(make_members):
    made = [make_members() for _ in range(6)]
    made[0].enter(claims(ALICE), NODE)
    asked = [claims(ALICE, A, 30 + n, 10) for n in range(6)]
    at_once([entering(*pair) for pair in zip(made, asked)])
    assert rows(made[0], "generation") == [(35,)]


# ---- tables ----


@pytest.mark.sqlite_only
def test_one_look_at_the_primary_key(make_members):
    some = make_members()
    user_id = some.enter(claims(ALICE), NODE).user_id
    seen = []

    def look(connection):
        raw = connection.connection.dbapi_connection
        raw.set_trace_callback(seen.append)
        try:
            return is_current(connection, user_id)
        finally:
            raw.set_trace_callback(None)

    assert database_of(some).read(look)
    (statement,) = seen
    plan = database_of(some).read(
        lambda connection: connection.exec_driver_sql("explain query plan " + statement).fetchall()
    )
    assert len(plan) == 1 and plan[0][3].startswith("SEARCH") and "(user_id=?)" in plan[0][3]


def test_the_tables_are_a_part_of_their_own(make_site):
    """A server without Sync 1.5, or of a release before, serves beside them."""
    site15 = make_site(Site15)
    parts = dict(site15.sql("select part, version from weave_schema"))
    assert "sync15" in parts
    site = make_site()
    alice = site.user()
    alice.put("storage/col/a", {"payload": "x"})
    assert alice.get("storage/col").json == ["a"]
    assert site.app.get("/1.0/sync/1.5", status=404).status_int == 404
    assert METADATA.info["part"] == "sync15"
