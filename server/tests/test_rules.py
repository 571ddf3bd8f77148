# SPDX-License-Identifier: Apache-2.0
"""The storage under other rules than those of Sync 1.1: what differs is data."""

import pytest

from weave.server import records
from weave.server.query import Selection
from weave.server.rules import V11, V15
from weave.server.stamps import Stamp
from weave.server.storage import Storage
from weave.server.writer import Condition, Modified

USER = 5


class Store:
    """A Storage with rules; what is written and read is of one user."""

    def __init__(self, database, rules):
        self.storage = Storage(database, create_tables=False).under(rules)

    def put(self, condition=None, **changes):
        def write(writer):
            return writer.put("col", changes), writer.stamp

        return self.storage.write(USER, write, condition)

    def delete(self, selection=None):
        def write(writer):
            writer.delete("col", selection)
            return writer.stamp

        return self.storage.write(USER, write)

    def get(self, id_):
        record, _ = self.read(self.storage.get, "col", id_)
        return record

    def times(self):
        times, _ = self.read(self.storage.timestamps)
        return times

    def read(self, method, *arguments):
        return self.storage.database.read(
            lambda connection: method(connection, USER, *arguments)
        )


@pytest.fixture
def store(site):
    def make(rules):
        (database,) = site.databases
        return Store(database, rules)

    return make


def test_time_to_live_that_is_not_given(store, monkeypatch):
    now = Stamp.now()
    monkeypatch.setattr(Stamp, "now", classmethod(lambda cls: cls(now)))
    for rules, lives in ((V11, True), (V15, False)):
        its = store(rules)
        its.put(a={"payload": "x", "ttl": 10})
        its.put(a={"payload": "y"})
        with monkeypatch.context() as patch:
            patch.setattr(Stamp, "now", classmethod(lambda cls: cls(now + 1001)))
            assert (its.get("a") is not None) == lives


@pytest.mark.parametrize("rules", [V11, V15])
def test_what_modifies(store, rules):
    its = store(rules)
    _, first = its.put(a={"payload": "x", "sortindex": 1})
    times, second = its.put(a={"sortindex": 2})
    assert times["a"] == (first if rules is V11 else second)
    assert its.get("a")["modified"] == times["a"]
    times, third = its.put(a={"ttl": 1000})
    assert its.times() == {"col": first if rules is V11 else third}
    assert its.get("a")["sortindex"] == 2
    times, fourth = its.put(b={"ttl": 1000})
    assert times == {"b": None if rules is V11 else fourth}
    assert its.get("b")["payload"] == ""


@pytest.mark.parametrize("rules", [V11, V15])
def test_what_is_left_of_a_collection(store, rules):
    its = store(rules)
    its.put(a={"payload": "x"})
    stamp = its.delete(Selection(ids=["a"]))
    assert its.times() == ({} if rules is V11 else {"col": stamp})
    its.put(a={"payload": "x"})
    its.delete()
    assert its.times() == {}
    new = Condition(Stamp(0), "col")
    if rules is V11:
        with pytest.raises(Modified):
            its.put(new, a={"payload": "x"})
    else:
        its.put(new, a={"payload": "x"})


@pytest.mark.parametrize("rules", [V11, V15])
def test_what_a_condition_is_about(store, rules):
    its = store(rules)
    _, stamp = its.put(a={"payload": "x"})
    its.put(b={"payload": "x"})
    condition = Condition(stamp, "col", "a")
    if rules is V11:
        with pytest.raises(Modified):
            its.put(condition, a={"payload": "y"})
    else:
        its.put(condition, a={"payload": "y"})
        with pytest.raises(Modified):
            its.put(condition, a={"payload": "y"})
    with pytest.raises(Modified):
        its.put(Condition(stamp), a={"payload": "y"})


def test_bounds_and_fields():
    raw = {"id": "a", "ttl": 94608000, "payload": "x", "modified": 1}
    with pytest.raises(records.InvalidRecord):
        records.parse(raw)
    known = {"id": "a", "ttl": 94608000, "payload": "x"}
    assert records.parse(raw, V15) == known
    for wrong in (
        {"parentid": "p"},
        {"ttl": "1"},
        {"ttl": 10**9},
        {"sortindex": 1.0},
        {"sortindex": True},
        {"id": "ä"},
        {"id": 5},
        {"id": ""},
    ):
        with pytest.raises(records.InvalidRecord):
            records.parse(dict(known, **wrong), V15)
