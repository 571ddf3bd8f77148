# SPDX-License-Identifier: Apache-2.0
"""The commands for releases that are there, through weavectl itself."""

import fcntl
import json
import os
import resource

import pytest

from homes import Home, release_make, release_serve
from nodes import IS_ROOT, OWNER, Node, user_ids

SHA = "%064x"


def all_own(node):
    """What the test has made in the home belongs to the home's owner."""
    if not IS_ROOT:
        return
    for folder, folders, files in os.walk(node.home):
        for name in folders + files:
            os.lchown(os.path.join(folder, name), *user_ids(OWNER))


@pytest.fixture
def node():
    node = Node()
    yield node
    node.close()


def releases_put(node, count):
    """Releases 1 to COUNT without a Python, as large in their ready.json as real ones."""
    home = Home(str(node.home))
    home.folders_make()
    files = [{"name": "p%d-1.%d-py3-none-any.whl" % (i, i), "sha256": SHA % i, "size": 10000,
              "project": "p%d" % i, "version": "1.%d" % i, "role": "dependency"}
             for i in range(40)]
    lock = {"p%d" % i: {"version": "1.%d" % i, "sha256": SHA % i, "system": False}
            for i in range(40)}
    for number in range(1, count + 1):
        release = release_make(
            home, str(number), at="2026-10-%02dT%02d:00:00Z" % (number // 24 + 1, number % 24),
            name="tiny", manifest={"files": files}, lock=lock, by="alice")
        release_serve(home, release)
    all_own(node)
    return home


def test_fifty_releases_are_listed_in_no_time(node):
    releases_put(node, 50)
    node.run("releases")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = node.run("releases")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert len(said.splitlines()) == 50 and said.startswith("tiny 50  serves since 20")
    # It takes 0.07 s; a processor that others share counts more than that.
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert took < 0.4, took


def test_the_list_is_there_while_another_command_works(node):
    home = releases_put(node, 3)
    with open(home.path + "/lock", "w+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write('{"user": "bob", "pid": 4711, "command": "install tiny==4"}')
        lock.flush()
        all_own(node)
        for words in (("releases",), ("verify", "1"), ("rollback", "--dry-run"),
                      ("prune", "--dry-run"), ("releases", "--history")):
            assert "bob" not in node.run(*words, status=None)
        for words in (("rollback",), ("switch", "2"), ("prune",), ("prune", "--pin", "1")):
            said = node.run(*words, status=1)
            assert "bob runs `weavectl install tiny==4` (pid 4711): wait until" in said
    assert [release.version for release in home.releases()] == ["1", "2", "3"]
    assert home.current().version == "3" and not any(r.is_bad for r in home.releases())


def test_an_empty_home(node):
    assert "no release in" in node.run("releases")
    assert json.loads(node.run("releases", "--json"))["serves"] is None
    assert "no other release has served" in node.run("rollback", status=1)
    assert "there is no release 1" in node.run("switch", "1", status=1)
    assert "no release serves" in node.run("verify", status=1)
    node.run("prune")
    assert node.run("releases", "--history") == ""


def test_hostile_things_in_the_home_harm_nothing_else(node):
    home = releases_put(node, 2)
    os.symlink("/etc", home.releases_path + "/tiny-3")
    os.mkfifo(home.releases_path + "/pipe")
    for number in (4, 5, 6):
        os.makedirs(home.releases_path + "/tiny-%d/.weave" % number)
    os.symlink("/etc/shadow", home.releases_path + "/tiny-4/.weave/ready.json")
    os.mkfifo(home.releases_path + "/tiny-5/.weave/ready.json")
    with open(home.releases_path + "/tiny-6/.weave/ready.json", "w") as file:
        file.truncate(1 << 40)
    os.mkdir(home.releases_path + "/a\nweavectl: all is well\x1b[2J")
    all_own(node)
    said = node.run("releases")
    assert len(said.splitlines()) == 8 and "\x1b" not in said
    for text in ("tiny-3 ", "a link", "no folder", "ready.json is a link", "is no regular file",
                 "is larger than", "a\\x0aweavectl: all is well\\x1b[2J"):
        assert text in said
    node.run("prune")
    for text in ("tiny-3", "tiny-4", "tiny-5", "tiny-6"):
        assert "cannot serve" in node.run("switch", text, status=1)
    assert "root:" not in said and os.path.exists("/etc/passwd")


def test_verify_says_each_finding_and_has_status_1(node):
    releases_put(node, 1)
    said = node.run("verify", status=1)
    assert "p0: is not installed any more\n" in said
    objects = [json.loads(line) for line in node.run("verify", "--json", status=1).splitlines()
               if line.startswith("{")]
    assert objects[-1]["result"] == "changed" and len(objects[-1]["findings"]) == 41


@pytest.mark.parametrize("words", [
    ("rollback", "1", "2"), ("rollback", "--again"), ("switch",), ("switch", "1", "2"),
    ("releases", "x"), ("releases", "--diff", "1"), ("releases", "--names", "--history"),
    ("prune", "--keep", "0"), ("prune", "1"), ("verify", "1", "2"), ("verify", "--no-such"),
])
def test_a_wrong_command_line_has_status_2(node, words):
    assert "usage: weavectl " in node.run(*words, status=2)
