# SPDX-License-Identifier: Apache-2.0
"""Forward, back and forward again between releases, on one database, under requests."""

import pytest
import releases
from conftest import KIND
from syncing import Load
from test_migrate import Ini

EXPIRED = {"payload": "expired", "ttl": 0}


@pytest.fixture
def ini(tmp_path, make_url):
    made = Ini(tmp_path, make_url())
    more = "create_tables = true\n[auth]\nstrict_usernames = false\n"
    made.path.write_text(made.path.read_text() + more)
    return made


def write(server, collection, *names):
    for name in names:
        server.put("storage/%s/%s" % (collection, name), {"payload": name, "ttl": 100000})


def check_counts(server, ini):
    """The server's counts, sizes and times are those of the rows."""
    rows = ini.sql(
        "select c.name, count(*), sum(r.payload_size), max(c.modified)"
        " from weave_collections c join weave_records r"
        " on r.user_id = c.user_id and r.collection = c.number"
        " where r.payload <> 'expired' group by c.name"
    )
    assert server.get("info/collection_counts") == {row[0]: row[1] for row in rows}
    usage = server.get("info/collection_usage")
    assert usage == {row[0]: float(row[2]) / 1024 for row in rows}
    times = server.get("info/collections")
    assert times == {row[0]: row[3] / 100 for row in rows}
    return set(times)


def test_a_newer_release_and_back(ini, tmp_path):
    ours, newer = releases.ours(), releases.newer(tmp_path, serves_from=2)
    with ours.serving(ini.path) as server:
        server.sign_up()
        write(server, "one", "a", "b")
        with Load(server) as load:
            status, said = newer.run("migrate", ini.path)
            assert (status, said.split("\n")[:2]) == (
                0, ["made the column weave_collections.color", "made the index weave_colors"])
            load.goes_on()
            with newer.serving(ini.path) as new:
                write(server, "one", "c")
                load.move(new)
                load.goes_on()
                write(new, "one", "d")
                assert server.close() == ""
                with ours.serving(ini.path) as back:
                    load.move(back)
                    load.goes_on()
                    with load.held():
                        check_counts(back, ini)
                    write(back, "two", "a", "b")
                    back.put("storage/two/x", EXPIRED)
                    with load.held():
                        check_counts(back, ini)
                    write(new, "two", "c")
                    load.move(new)
                    load.goes_on()
                    said = back.close()
                    assert said.count("its tables are those of release 9.9") == 1, said
                load.stop()
                assert check_counts(new, ini) == {"one", "two", "load"}
    assert load.failures == []
    status, said = ours.run("migrate", ini.path)
    assert (status, said) == (0, "the tables are as this version needs them\n")


def test_a_newer_release_that_lets_ours_not_serve(ini, tmp_path):
    ours, newer = releases.ours(), releases.newer(tmp_path, serves_from=3)
    with ours.serving(ini.path) as server:
        server.sign_up()
        assert newer.run("migrate", ini.path)[0] == 0
        write(server, "one", "a")  # what runs already goes on
    with pytest.raises(EOFError, match="install such a release.*WeaveServer==9.9"):
        with ours.serving(ini.path):
            pass


def test_the_first_release_and_back(ini, tmp_path):
    """The first release knows neither versions nor counts; on MariaDB its times are wrong."""
    ours, first = releases.ours(), releases.first(tmp_path)
    if first is None:
        pytest.skip("this clone has not the history with release 0.1.0")
    with first.serving(ini.path) as server:
        server.sign_up()
        write(server, "one", "a", "b")
        write(server, "two", "a")
        if KIND == "mariadb":
            server.close()
            assert "mended the times of 1 users" in ours.run("migrate", ini.path)[1]
        else:
            with Load(server) as load:
                assert ours.run("migrate", ini.path)[0] == 0
                with ours.serving(ini.path) as new:
                    write(server, "two", "b")
                    load.move(new)
                    load.goes_on()
                    write(server, "one", "c")
                    write(new, "one", "d")
                    load.move(server)
                    load.goes_on()
            assert load.failures == []
    with ours.serving(ini.path) as server:
        collections = check_counts(server, ini)
        write(server, "three", "a", "b", "c")
        server.put("storage/three/x", EXPIRED)
        server.put("storage/one/x", EXPIRED)
        check_counts(server, ini)
    with first.serving(ini.path) as server:
        # back: it changes what was counted, and removes what has expired
        if KIND != "mariadb":
            assert check_counts(server, ini) == collections | {"three"}
        write(server, "two", "c")
        assert server.ask("DELETE", "storage/three/a")[0] == 200
        first.run("purge", ini.path)
    if KIND == "mariadb":
        with pytest.raises(EOFError, match="times in seconds"):
            with ours.serving(ini.path):
                pass
        assert "mended the times of 1 users" in ours.run("migrate", ini.path)[1]
    with ours.serving(ini.path) as server:
        assert check_counts(server, ini) == collections | {"three"}
        write(server, "one", "e")
        write(server, "three", "d")
        check_counts(server, ini)
