# SPDX-License-Identifier: Apache-2.0
"""Which stamps clients are told, and what they belong to."""

import re

import pytest

from weave.server import writer
from weave.server.stamps import Stamp
from weave.server.writer import Writer

STAMP = re.compile(r"[0-9]+\.[0-9]{2}")


def test_put_without_payload_creates_an_empty_record(user):
    """Mozilla's server did; the answer is null all the same."""
    response = user.put("storage/col/a", {"sortindex": 7})
    assert response.body == b"null"
    assert user.put("storage/col/a", {"parentid": "p"}).body == b"null"
    assert user.get("storage/col/a").body == (
        b'{"id":"a","modified":0.00,"payload":"","sortindex":7,"parentid":"p"}'
    )
    # No `newer` shows it, and no other device has to look.
    assert user.get("storage/col?newer=0").json == []
    assert user.get("storage/col").json == ["a"]
    assert user.get("info/collections").body == b'{"col":0.00}'
    assert user.get("info/collection_counts").json == {"col": 1}
    assert user.get("info/collection_usage").json == {"col": 0}
    stamp = user.put("storage/col/b", {"payload": "x"}).text
    user.post("storage/col", [{"id": "c", "sortindex": 1}, {"id": "b", "sortindex": 1}])
    assert user.get("info/collections").body.decode() == '{"col":%s}' % stamp
    assert user.get("storage/col/b").json["modified"] == float(stamp)
    assert user.get("info/collection_counts").json == {"col": 3}


def test_delete_of_the_unknown_records_its_stamp_alone(site, user):
    """Or a client that takes it as its next `newer` could miss what comes after it."""
    user.put("storage/col/a", {"payload": ""})
    tables = ("weave_collections", "weave_records")
    before = [site.sql("select * from " + table) for table in tables]
    for path in ("storage/col/zzz", "storage/nothing/a", "storage/nothing", "storage/col?ids=",
                 "storage/col?ids=x,y", "storage/col?older=5"):  # fmt: skip
        stamp = user.delete(path).text
        assert STAMP.fullmatch(stamp)
        assert user.get("info/collections").headers["X-Weave-Timestamp"] == stamp
    assert [site.sql("select * from " + table) for table in tables] == before


def test_stamp_of_what_is_read(user, monkeypatch):
    """It is that of the last write, or a client would not ask for what comes in between."""
    paths = ("info/collections", "info/collection_counts", "info/collection_usage",
             "info/quota", "storage/col/a")  # fmt: skip
    for path in paths:
        status = 404 if path == paths[-1] else 200
        assert user.get(path, status).headers["X-Weave-Timestamp"] == "0.00"
    stamp = user.put("storage/col/a", {"payload": "x"}).text
    now = Stamp.now()
    for later in (1000, -1000):
        monkeypatch.setattr(Stamp, "now", classmethod(lambda cls: cls(now + later)))
        for path in paths:
            assert user.get(path).headers["X-Weave-Timestamp"] == stamp
        assert user.get("storage/col/b", 404).headers["X-Weave-Timestamp"] == stamp


@pytest.mark.in_process
def test_what_is_read_while_a_write_is_under_way(user, monkeypatch):
    """Its stamp is older than that of the write, which a later `newer` shows."""
    user.put("storage/col/a", {"payload": "x"})
    paths = {"info/collections": 200, "info/collection_counts": 200, "info/quota": 200,
             "storage/col": 200, "storage/col?full=1": 200, "storage/col?ids=a,b": 200,
             "storage/col/a": 200, "storage/col/b": 404}  # fmt: skip
    put, seen = Writer.put, {}

    def put_and_read(writer, *arguments):
        result = put(writer, *arguments)
        for path, status in paths.items():
            seen[path] = user.get(path, status)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "put", put_and_read)
        stamp = float(user.put("storage/col/b", {"payload": "y"}).text)
    for path, response in seen.items():
        told = response.headers["X-Weave-Timestamp"]
        assert float(told) < stamp, path
        assert user.get("storage/col?newer=" + told).json == ["b"]
    assert seen["info/collection_counts"].json == {"col": 1}
    assert seen["storage/col"].json == ["a"]


@pytest.mark.in_process
@pytest.mark.parametrize("since", [{}, {"X_If_Unmodified_Since": "5"}])
def test_stamp_of_a_user_who_is_forgotten_meanwhile(site, user, monkeypatch, since):
    """A write that makes the user anew has the lock, and a stamp of its own, all the same."""
    make_user, made = writer.make_user, []

    def make(connection, user_id):
        made.append(user_id)
        make_user(connection, user_id)
        if len(made) == 1:
            # as a deletion of the account does, on PostgreSQL between two statements
            connection.exec_driver_sql("delete from weave_users")

    monkeypatch.setattr(writer, "make_user", make)
    before = Stamp.now()
    stamp = user.put("storage/col/a", {"payload": "x"}, **since).text
    assert float(stamp) * 100 >= before
    assert site.sql("select modified from weave_users") == [(round(float(stamp) * 100),)]
    assert len(made) == 2
