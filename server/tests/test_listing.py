# SPDX-License-Identifier: Apache-2.0
"""Which records a list has, and in which order, against a model in Python."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from conftest import KIND
from weave.server import rows
from weave.server.query import Selection
from weave.server.rows import FIELDS, Listing
from weave.server.schema import NEVER, collections, records, users
from weave.server.stamps import Stamp

NOW = Stamp(1000)

# Other people's and other collections' records must never show.
OWN, OTHERS = (1, 6), [(1, 7), (2, 6)]

IDS = st.text("ab{é€\U0001f600A 0/+=", min_size=1, max_size=3)
# Few different values, so that many are alike.
TIMES = st.sampled_from([0, 1, 2, 3, 500])
INDEXES = st.sampled_from([None, -999999999, -1, 0, 1, 2, 999999999])
REFERENCES = st.sampled_from([None, "", "p", "q"])

RECORDS = st.dictionaries(
    IDS,
    st.fixed_dictionaries(
        {
            "modified": TIMES,
            "expires": st.sampled_from([0, int(NOW), int(NOW) + 1, NEVER]),
            "sortindex": INDEXES,
            "parentid": REFERENCES,
            "predecessorid": REFERENCES,
            "payload": st.sampled_from(["", "x", "é" * 3, "y" * (rows.INLINE_BYTES + 1)]),
        }
    ),
    max_size=30,
)

SELECTIONS = st.builds(
    Selection,
    ids=st.none() | st.none() | st.lists(IDS, max_size=8, unique=True),
    parentid=st.none() | REFERENCES,
    predecessorid=st.none() | st.none() | REFERENCES,
    newer=st.none() | st.sampled_from([-5, 0, 1, 2, 500]).map(Stamp),
    older=st.none() | st.none() | st.sampled_from([0, 1, 3, 501]).map(Stamp),
    index_above=st.none() | st.none() | st.sampled_from([-1e9, -0.5, 0.0, 1.0, 1e300]),
    index_below=st.none() | st.none() | st.sampled_from([-1e300, 0.0, 0.5, 2.0, 1e9]),
    sort=st.sampled_from([None, "oldest", "newest", "index"]),
    limit=st.none() | st.integers(1, 12) | st.just(2**53),
    offset=st.integers(0, 10) | st.just(2**53),
    full=st.booleans(),
).map(lambda chosen: chosen if chosen.limit else replace(chosen, offset=0))


def expected(stored, selection):
    """The ids that a list has, as the protocol has it and README.md adds."""

    def meets(id_, record):
        index = record["sortindex"]
        return (
            record["expires"] > NOW
            and (selection.ids is None or id_ in selection.ids)
            and (selection.newer is None or record["modified"] > selection.newer)
            and (selection.older is None or record["modified"] < selection.older)
            and all(
                getattr(selection, name) in (None, record[name])
                for name in ("parentid", "predecessorid")
            )
            and not (
                selection.index_above is not None
                and (index is None or index <= selection.index_above)
            )
            and not (
                selection.index_below is not None
                and (index is None or index >= selection.index_below)
            )
        )

    def by_time(id_):
        return stored[id_]["modified"], id_

    def by_index(id_):
        index = stored[id_]["sortindex"]
        return index is not None, index or 0, id_

    ids = sorted(id_ for id_, record in stored.items() if meets(id_, record))
    timed = selection.newer is not None or selection.older is not None
    if selection.sort == "oldest" or (selection.sort is None and timed):
        ids.sort(key=by_time)
    elif selection.sort == "newest":
        ids.sort(key=by_time, reverse=True)
    elif selection.sort == "index":
        ids.sort(key=by_index, reverse=True)
    if selection.limit is None:
        return ids
    return ids[selection.offset : selection.offset + selection.limit]


def store(connection, stored):
    for table in (records, collections, users):
        connection.execute(delete(table))
    connection.execute(
        insert(users), [{"user_id": user_id, "modified": 1} for user_id in (1, 2)]
    )
    for user_id, number in [OWN, *OTHERS]:
        key = {"user_id": user_id, "number": number}
        row = dict(key, name="c%d" % number, modified=1)
        connection.execute(insert(collections), row)
    many = [
        dict(record, user_id=user_id, collection=number, id=id_,
             payload_size=len(record["payload"].encode()))
        for user_id, number in [OWN, *OTHERS]
        for id_, record in stored.items()
    ]  # fmt: skip
    for record in many:
        if (record["user_id"], record["collection"]) != OWN:
            record.update(modified=record["modified"] + 1, payload="not this one")
    if many:
        connection.execute(insert(records), many)


@pytest.fixture
def database(site):
    return next(iter(site.databases))


@pytest.mark.parametrize("batch, part, sorted_rows", [
    (256, 2**20, 10_000),
    # Every border is met with few records.
    (1, 20, 2),
    (3, 1, 5),
    (4, 5000, 0),
])  # fmt: skip
def test_lists_are_those_of_the_model(database, monkeypatch, batch, part, sorted_rows):
    monkeypatch.setattr(rows, "BATCH_ROWS", batch)
    monkeypatch.setattr(rows, "PART_BYTES", part)
    monkeypatch.setattr(rows, "SORTED_ROWS", sorted_rows)

    @settings(max_examples=60 if KIND == "sqlite" else 20)
    @given(RECORDS, st.lists(SELECTIONS, min_size=1, max_size=8))
    def check(stored, selections):
        database.write(lambda connection: store(connection, stored))
        with database.reading() as connection:
            for selection in selections:
                agree(connection, stored, selection)

    check()


def agree(connection, stored, selection):
    ids = expected(stored, selection)
    listing = Listing(connection, *OWN, selection, NOW)
    assert [id_ for some in listing.ids() for id_ in some] == ids
    assert listing.count() == len(ids)
    assert all(some for some in listing.ids())
    parts = list(listing.records())
    assert all(len(part) <= rows.BATCH_ROWS for part in parts)
    assert all(
        len(part) == 1 or sum(row[-1] for row in part) <= rows.PART_BYTES
        for part in parts
    )
    shown = [tuple(row) for part in parts for row in part]
    assert shown == [
        (*(id_ if name == "id" else stored[id_][name] for name in FIELDS),
         len(stored[id_]["payload"].encode()))
        for id_ in ids
    ]  # fmt: skip
