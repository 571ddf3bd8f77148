# SPDX-License-Identifier: Apache-2.0
"""Names of distributions and archives, and what archives say they are."""

import tarfile
import zipfile

import archives
import pytest

from mozupload import identity, names


def test_canonical():
    assert names.canonical("WeaveServer") == "weaveserver"
    assert names.canonical("zope.interface") == names.canonical("zope__Interface")


@pytest.mark.parametrize("text", ["", "-r", "a b", "../a", ".a", "a-", "a;rm", "ä", "a\n"])
def test_names_refused(text):
    assert not names.is_name(text)


@pytest.mark.parametrize("text", ["", "v1", "1-2", "../1", "1 ", "1;rm", "-1", "1\n"])
def test_versions_refused(text):
    assert not names.is_version(text)


@pytest.mark.parametrize(
    "text",
    ["", ".whl", ".x.tar.gz", "-r.tar.gz", "a/b.whl", "..whl/..", "a b.whl", "a.exe", "a.whl\n"],
)
def test_file_names_refused(text):
    assert not names.is_archive(text)


def test_release_names():
    assert names.release_name("Weave_Server", "1.1.5") == "weave-server-1.1.5"
    assert names.release_split("weave-server-1.1.5") == ("weave-server", "1.1.5")
    # the releases of "weave" are not those of "weave-2"
    assert names.release_split("weave-2-1.0") == ("weave-2", "1.0")
    for text in ("weave", "Weave-1.0", "weave-", "-1.0", "weave-1.0\n", "../weave-1.0"):
        assert names.release_split(text) is None


def test_wheel_tags():
    found = names.wheel_split("A.b-1.0-2-cp311.cp312-abi3-linux_x86_64.whl")
    assert found[:2] == ("a-b", "1.0")
    assert found[2] == {
        ("cp311", "abi3", "linux_x86_64"),
        ("cp312", "abi3", "linux_x86_64"),
    }
    for name in ("a-1.0.whl", "a.tar.gz", "a-1.0-py3-none-.whl"):
        assert names.wheel_split(name) is None


def test_guesses():
    assert names.archive_guess("WeaveServer-1.1.5.tar.gz") == ("weaveserver", "1.1.5")
    assert names.archive_guess("argon2-cffi-21.1.0.tar.gz") == ("argon2-cffi", "21.1.0")
    assert names.archive_guess("WeaveServer1.1.4.tgz") is None


def test_archive_says_what_it_is(tmp_path):
    path = archives.sdist(tmp_path, "WeaveServer", "1.1.4", filename="WeaveServer1.1.4.tgz")
    found = identity.archive_identity(path)
    assert found[:3] == ("WeaveServer", "1.1.4", "sdist")
    path = archives.wheel(tmp_path, "Falcon", "3.1", ["x>1"])
    found = identity.archive_identity(path)
    assert found[:3] == ("Falcon", "3.1", "wheel")
    assert found.metadata.get_all("Requires-Dist") == ["x>1"]
    path = tmp_path / "old.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("old-1/PKG-INFO", archives.metadata("old", "1"))
        archive.writestr("old-1/src/old.egg-info/PKG-INFO", archives.metadata("other", "2"))
    assert identity.archive_identity(path)[:3] == ("old", "1", "sdist")


def _link(name):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    "members",
    [
        {"a/setup.py": ""},
        {"a/PKG-INFO": "Name: -r\nVersion: 1\n"},
        {"a/PKG-INFO": "Name: a\nVersion: ../1\n"},
        {"a/PKG-INFO": "Name: a\nVersion: 1\n" + "X" * (1 << 20)},
        {"a/PKG-INFO": _link("a/PKG-INFO")},
    ],
)
def test_archive_that_says_nothing_usable(tmp_path, members):
    path = archives.tar(tmp_path / "a-1.tar.gz", members)
    with pytest.raises(identity.ArchiveError, match="a-1.tar.gz"):
        identity.archive_identity(path)


def test_damaged_archives(tmp_path):
    whole = archives.sdist(tmp_path, "a", "1").read_bytes()
    wheel = archives.wheel(tmp_path, "b", "1").read_bytes()
    cases = {"a-1.tar.gz": whole[:60], "b-1-py3-none-any.whl": wheel[:-30]}
    cases.update({"c-1.tar.gz": b"", "d-1.tgz": b"x" * 2000, "e-1.zip": b"PK"})
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(identity.ArchiveError, match=name):
            identity.archive_identity(tmp_path / name)
