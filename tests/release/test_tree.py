# SPDX-License-Identifier: Apache-2.0
"""The files of a revision: nothing of them gets out of its folder."""

import io
import os
import tarfile

import pytest

from weave_release import tree
from weave_release.errors import ReleaseError


def packed(*members):
    """A tar as git archive makes one. A member is (name, content or "->target" or tarfile type)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo("tree/" + name)
            if content.startswith(b"->"):
                member.type, member.linkname = tarfile.SYMTYPE, content[2:].decode()
                content = b""
            elif content.startswith(b"type:"):
                member.type, content = content[5:], b""
            member.size, member.mode = len(content), 0o6777
            archive.addfile(member, io.BytesIO(content))
    stream.seek(0)
    return stream


def unpack(folder, *members, **more):
    tree.Tree("app", str(folder), **more).unpack(packed(*members))


def test_files_links_and_modes(tmp_path):
    unpack(tmp_path, ("d/a", b"A"), ("l", b"->d/a"), ("d/up", b"->../d/a"))
    assert (tmp_path / "l").read_bytes() == (tmp_path / "d/up").read_bytes() == b"A"
    assert os.stat(tmp_path / "d/a").st_mode & 0o7777 == 0o755


def test_only_what_is_wanted(tmp_path):
    unpack(tmp_path, ("d/a.whl", b"A"), ("b", b"B"),
           want=lambda name: os.path.basename(name) if name.endswith(".whl") else None)
    assert os.listdir(tmp_path) == ["a.whl"]


@pytest.mark.parametrize("members", [
    [("../a", b"A")], [("d/../../a", b"A")], [("/a", b"A")], [(".git/config", b"A")],
    [("d/.HG/hgrc", b"A")], [("l", b"->/etc/passwd")], [("l", b"->../x")],
    [("d", b"->."), ("d/a", b"A")], [("a", b"A"), ("a", b"B")], [("a", b"A"), ("a/b", b"B")],
    [("a", b"type:3")], [("a", b"type:1")], [("a", b"type:6")],
    # each alone stays in, both together lead out
    [("l", b"->a/c/../../x"), ("a/c", b"->../b"), ("b/x", b"")],
], ids=lambda members: " ".join(name for name, _ in members))
def test_what_leads_out_is_refused(tmp_path, members):
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(ReleaseError, match="^app"):
        unpack(inside, *members)
    assert os.listdir(tmp_path) == ["inside"]


def test_files_of_lfs_are_refused(tmp_path):
    with pytest.raises(ReleaseError, match="big.bin is kept by Git LFS"):
        unpack(tmp_path, ("big.bin", tree.LFS + b"v1\noid sha256:00\nsize 9\n"))


def test_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "MAX_FILES", 2)
    with pytest.raises(ReleaseError, match="more than 2 files"):
        unpack(tmp_path, *((str(number), b"") for number in range(3)))


def test_a_stream_that_is_cut_off(tmp_path):
    whole = packed(("a", b"A" * 5000)).read()
    with pytest.raises(ReleaseError, match="cannot be unpacked"):
        tree.Tree("app", str(tmp_path)).unpack(io.BytesIO(whole[:2000]))
