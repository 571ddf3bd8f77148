# SPDX-License-Identifier: Apache-2.0
"""weavectl install says no: one sentence, exit status 1, and the release before goes on."""

import os
import shutil

import nodes
import pytest
from fetching import make
from test_trust import Keys


@pytest.fixture(scope="module")
def node():
    """A node where Tiny 1.0 is installed."""
    made = nodes.Node()
    made.release_make("1.0")
    made.install()
    yield made
    made.close()


def tampered(node):
    node.release_make("1.1")
    wheel = node.share / "Tiny-1.1-py3-none-any.whl"
    data = bytearray(wheel.read_bytes())
    data[60] ^= 1
    wheel.write_bytes(data)


def half_written(node):
    node.release_make("1.1")
    wheel = node.share / "Tiny-1.1-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes()[:200])


def missing(node):
    node.release_make("1.1")
    (node.share / "Tiny-1.1-py3-none-any.whl").unlink()


def dependency_missing(node):
    node.release_make("1.1", requires=("dep>=1", "other>=2"))


def other_python(node):
    wheel = make.wheel(node.share, "Tiny", "1.1", tag="cp27-cp27mu-linux_x86_64")
    node.manifest_write("Tiny", "1.1", [nodes.file_of(wheel, "tiny", "1.1", "application")])


def entry_point(node):
    node.release_make("1.1", files={"Tiny-1.1.dist-info/entry_points.txt":
                                    "[console_scripts]\n../../evil = tiny:main\n"})


def traversal(node):
    node.release_make("1.1", files={"../../evil.py": ""})


def sdist_with_a_link(node):
    path = make.sdist(node.share, "Tiny", "1.1", files={"setup.py": "open('/tmp/evil', 'w')\n"})
    link = make.tarfile.TarInfo("Tiny-1.1/l")
    link.type, link.linkname = make.tarfile.SYMTYPE, "/etc/passwd"
    members = {"Tiny-1.1/PKG-INFO": make.metadata("Tiny", "1.1"), "Tiny-1.1/setup.py": "",
               "Tiny-1.1/l": link}
    make.tar(path, members)
    node.manifest_write("Tiny", "1.1", [nodes.file_of(path, "tiny", "1.1", "application")])


def swapped(node):
    node.release_make("1.1")
    shutil.copy(str(node.share / "releases/tiny-1.0.json"),
                str(node.share / "releases/tiny-1.1.json"))


def no_manifest_for_a_file(node):
    node.release_make("1.1", plain=True)


FAULTS = [
    (tampered, [], "is not the file that the manifest names"),
    (half_written, [], "has 200 bytes instead of"),
    (missing, ["--wait-share", "0"], "has no Tiny-1.1-py3-none-any.whl"),
    (dependency_missing, [], "Tiny 1.1 needs other>=2, which is not there"),
    (other_python, [], "the wheel of tiny 1.1 is for cp27, this node has cp3"),
    (entry_point, [], "has a script whose name leaves bin/ or is none (../../evil)"),
    (traversal, [], "has a member outside of its folder (../../evil.py)"),
    (sdist_with_a_link, [], "has a link that leads out of it (Tiny-1.1/l -> /etc/passwd)"),
    (swapped, [], "is that of tiny 1.0"),
    (no_manifest_for_a_file, [], "there is no tiny 1.1 in "),
]


@pytest.mark.parametrize("spoil,words,text", FAULTS, ids=[row[0].__name__ for row in FAULTS])
def test_a_share_with(node, spoil, words, text):
    spoil(node)
    try:
        said = node.install("Tiny==1.1", *words, status=1)
    finally:
        for path in list(node.share.glob("Tiny-1.1*")) + list(node.share.glob("releases/*-1.1.*")):
            path.unlink()
    assert text in said and "tiny 1.0 goes on" in said
    assert node.current() == "releases/tiny-1.0" and node.releases() == ["tiny-1.0"]
    assert os.listdir(node.home / "incoming") == []
    assert not os.path.lexists(node.home / "evil") and not os.path.lexists(node.folder / "evil.py")


@pytest.mark.parametrize("what,text", [
    ("Tiny==9", "there is no tiny 9"), (";rm -rf x", "no name of a project"),
    ("Tiny==;rm", "is no version"), ("../../etc/x.tar.gz", "there is no file"),
    ("a/;rm", "there is no file"), ("Other", "the shares have no other"),
])
def test_a_request(node, what, text):
    said = node.install(what, status=1)
    assert text in said and node.current() == "releases/tiny-1.0"


def test_a_keyring(node):
    """A signed release is taken; without a signature nothing is, and no plain archive."""
    keyring = node.folder / "keys.gpg"
    keys = Keys()
    try:
        shutil.copy(keys.ring, str(keyring))
        node.release_make("1.2")
        keys.sign(str(node.share / "releases/tiny-1.2.json"))
    finally:
        keys.close()
    keyring.chmod(0o600)
    if nodes.IS_ROOT:
        assert "chmod a+r" in node.install("Tiny==1.2", "--keyring", str(keyring), status=1)
    keyring.chmod(0o644)
    said = node.install("Tiny==1.2", "--keyring", str(keyring), "--dry-run")
    assert "signed by release <release@example.org> " in said
    (node.share / "releases/tiny-1.2.json").unlink()
    said = node.install("Tiny", "--keyring", str(keyring), "--again", status=1)
    assert "tiny 1.0 is not signed, and release.keyring demands it" in said
    node.release_make("2.0", name="Plain", plain=True)
    said = node.install("Plain", "--keyring", str(keyring), status=1)
    assert "nobody has signed plain" in said
