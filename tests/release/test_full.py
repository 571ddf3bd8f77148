# SPDX-License-Identifier: Apache-2.0
"""A full disk, at whatever step of an install: one sentence, and nothing is changed."""

import json
import os
import subprocess

import pytest

import nodes

SIZE_KIB = 1024


@pytest.fixture(scope="module")
def small():
    """A node whose home is a file system of 1 MiB, with Tiny 1.0 installed."""
    made = nodes.Node()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dk,mode=755" % SIZE_KIB, "tmpfs",
                           str(made.home)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        made.close()
        pytest.skip("may not mount: %s" % done.stdout.decode().strip())
    made.own(made.home)
    made.release_make("1.0")
    made.release_make("2.0", files={"big.py": "DATA = %r\n" % os.urandom(40000).hex()})
    made.install("Tiny==1.0")
    yield made
    subprocess.run(["umount", str(made.home)], check=True)
    made.close()


def fill(node, left_kib):
    """Fills the disk, so that so many KiB are left."""
    disk = os.statvfs(node.home)
    taken = disk.f_bavail * disk.f_frsize - left_kib * 1024
    with open(node.home / "filler", "wb") as file:
        if taken > 0:
            file.write(b"x" * taken)
    node.own(node.home / "filler")


def test_what_does_not_fit_is_not_begun(small):
    fill(small, 300)
    said = small.install("Tiny==2.0", status=1)
    assert "weavectl prune" in said and "tiny 1.0 goes on" in said
    assert small.releases() == ["tiny-1.0"] and small.current() == "releases/tiny-1.0"


@pytest.mark.parametrize("left", (0, 40, 160, 240))
def test_whatever_is_left(small, left):
    """The first install has no release before it to compare with, so it may begin."""
    for name in ("current", "releases", "store", "incoming", "history.jsonl", "logs", "filler"):
        subprocess.run(["rm", "-rf", str(small.home / name)], check=True)
    fill(small, left)
    said = small.install("Tiny==1.0", status=None)
    if small.current() is None:
        sentences = [line for line in said.splitlines() if line.startswith("weavectl: ")
                     and "history.jsonl" not in line]
        assert len(sentences) == 1, said
        assert "weavectl prune" in said, said
        assert small.current() is None
        if (small.home / "releases").exists():
            assert small.unmarked() == [], said
    else:
        assert small.current() == "releases/tiny-1.0" and "tiny 1.0 is what httpd serves" in said
    (small.home / "filler").unlink()
    small.install("Tiny==1.0")
    assert small.current() == "releases/tiny-1.0" and small.unmarked() == []


def test_a_history_that_cannot_be_written(small):
    """The disk is full to the last byte only when the release has been made."""
    small.run("install", "Tiny==2.0", "--find-links", str(small.share), "--no-switch")
    history = (small.home / "history.jsonl").read_text()
    os.truncate(small.home / "history.jsonl", 4096 * (len(history) // 4096))
    fill(small, 0)
    said = small.run("switch", "2.0")
    assert small.current() == "releases/tiny-2.0", said


def test_back_with_nothing_left(small):
    """It works, and notes all that the next one has to know."""
    small.run("switch", "1.0")
    small.run("switch", "2.0")
    fill(small, 0)
    said = small.run("rollback")
    assert small.current() == "releases/tiny-1.0", said
    rows = {row["release"]: row for row in json.loads(small.run("releases", "--json"))["releases"]}
    assert rows["tiny-2.0"]["bad"] and rows["tiny-1.0"]["serves"]
    small.run("switch", "--again", "2.0")
    assert small.current() == "releases/tiny-2.0"
