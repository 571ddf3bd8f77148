# SPDX-License-Identifier: Apache-2.0
"""The Sync server forward, back and forward again by weavectl, in httpd, under requests.

Each release brings the tables of the database to a version of its own; the one before
serves them after a rollback. The first is 0.1.0 where git has it.
"""

import re
import shutil
import sqlite3
import sys

import httpds
import pytest
import sync_node
from conftest import TOP

sys.path.append(str(TOP / "server" / "tests"))
import syncing  # noqa: E402

NEWER = "9.9"


def put_release(node, sources, newer=None):
    """Makes an sdist of the server, or of a newer one, in the share; its version."""
    copy = node.folder / ("%s-%s" % (sources.name, newer))
    shutil.copytree(sources, copy, ignore=shutil.ignore_patterns(
        "*.egg-info", "dist", "__pycache__", "tests"))
    package = copy / "src" / "weave" / "server"
    if newer:
        text = (package / "schema_version.py").read_text()
        version = int(re.search(r"^SCHEMA_VERSION = (\d+)", text, re.MULTILINE).group(1))
        syncing.make_newer(package, newer, version + 1, version)
    sync_node.sdist_make(copy, node.share)
    text = (package / "version.py").read_text()
    return re.search('^VERSION = "(.*)"', text, re.MULTILINE).group(1)


@pytest.fixture(scope="module")
def node():
    """A node whose httpd serves the first release, or this one; this one is in the share."""
    made = sync_node.node_make()
    first = syncing.extract_first(made.folder / "first")
    made.first = first and put_release(made, first)
    made.version = put_release(made, TOP / "server")
    made.run("install", "WeaveServer==" + (made.first or made.version))
    made.httpd = httpds.Httpd(made)
    made.httpd.start()
    made.client = syncing.Client(made.httpd.port)
    made.client.sign_up()
    yield made
    made.httpd.close()
    made.close()


def sql(node, statement):
    connection = sqlite3.connect(str(node.folder / "data" / "weave.db"))
    try:
        with connection:
            return connection.execute(statement).fetchall()
    finally:
        connection.close()


def write(node, collection, *names):
    for name in names:
        node.client.put("storage/%s/%s" % (collection, name), {"payload": name})


def check_counts(node):
    """The server counts as many records in each collection as there are rows."""
    rows = sql(node, "select c.name, count(*) from weave_collections c join weave_records r"
                     " on r.user_id = c.user_id and r.collection = c.number group by c.name")
    assert node.client.get("info/collection_counts") == dict(rows)


def serves(node, version):
    return node.current() == "releases/weaveserver-" + version


def test_from_the_first_release_and_back(node):
    """The first release knows neither counts nor versions, and removes what has expired."""
    if not node.first:
        pytest.skip("this clone has not the history with release 0.1.0")
    write(node, "one", "a", "b")
    with syncing.Load(node.client) as load:
        node.run("install", "WeaveServer==" + node.version)
        assert serves(node, node.version)
        write(node, "one", "c")
        write(node, "two", "a", "b")
        node.client.put("storage/two/x", {"payload": "x", "ttl": 0})
        node.run("rollback")
        assert serves(node, node.first)
        write(node, "one", "d")
        # It purges collections that it does not write to, and then their counts are wrong.
        sql(node, "delete from weave_records where id = 'x'")
        node.run("switch", "--again", node.version)
        assert serves(node, node.version)
        write(node, "two", "c")
        load.stop()
    check_counts(node)
    assert load.count > 20 and load.failures == []


def test_a_newer_release_and_back(node):
    put_release(node, TOP / "server", NEWER)
    node.run("install", "WeaveServer==" + node.version)
    write(node, "three", "a", "b")
    with syncing.Load(node.client) as load:
        node.run("install", "WeaveServer==" + NEWER)
        assert serves(node, NEWER)
        color = "select color from weave_collections where name = 'three'"
        assert sql(node, color) == [(None,)]
        write(node, "three", "c")
        node.run("rollback")
        assert serves(node, node.version)
        write(node, "three", "d")
        check_counts(node)
        node.run("switch", "--again", NEWER)
        assert serves(node, NEWER)
        write(node, "three", "e")
        load.stop()
    check_counts(node)
    assert load.count > 20 and load.failures == []
    told = [line for line in node.httpd.log().splitlines()
            if "its tables are those of release 9.9; this older one, " in line]
    assert told, node.httpd.log()
    # of each process once: two workers and the candidate
    pids = [re.search(r"\[pid (\d+)", line).group(1) for line in told]
    assert len(pids) == len(set(pids)), told


def test_a_release_that_cannot_serve_the_tables_does_not(node):
    """A newer one has set itself as the oldest; what runs goes on."""
    sql(node, "update weave_schema set version = 99, oldest = 99, release = '99.0'")
    said = node.run("reload", status=1)
    assert "only releases from" in said + node.httpd.log()
    assert "weavectl install WeaveServer==99.0" in said + node.httpd.log()
    write(node, "one", "e")
    check_counts(node)
