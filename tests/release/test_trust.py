# SPDX-License-Identifier: Apache-2.0
"""Signatures, with real keys of gpg: what counts, and what was put in their place."""

import os
import shutil
import subprocess
import tempfile

import pytest
from fetching import Node, make
from test_fetch import refused
from weave_release import trust


PAST = ("--faked-system-time", "20200101T000000")
# A machine under load takes its time to make the key, which must not be later.
AN_HOUR_LATER = ("--faked-system-time", "20200101T010000")


class Keys:
    """A gpg of its own."""

    def __init__(self):
        # gpg-agent's socket must have a short path
        self.folder = tempfile.mkdtemp(prefix="weave-gpg-", dir="/tmp")
        for name in ("release", "other"):
            self.key(name, "never")
        self.key("old", "1d", *PAST)
        self.ring = self.export("ring", "release")

    def key(self, name, expires, *options):
        self.gpg(*options, "--quick-generate-key", "%s <%s@example.org>" % (name, name),
                 "ed25519", "sign", expires)

    def gpg(self, *arguments):
        return subprocess.run(
            ["gpg", "--homedir", self.folder, "--batch", "--quiet", "--no-tty", "--passphrase", "",
             "--pinentry-mode", "loopback"] + list(arguments),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout

    def close(self):
        subprocess.run(["gpgconf", "--homedir", self.folder, "--kill", "all"])
        shutil.rmtree(self.folder, ignore_errors=True)

    def export(self, name, *keys):
        path = os.path.join(self.folder, name + ".gpg")
        with open(path, "wb") as stream:
            stream.write(self.gpg("--export", *keys))
        return path

    def sign(self, path, key="release", *options):
        if os.path.exists(path + ".asc"):
            os.unlink(path + ".asc")
        self.gpg(*options, "--local-user", key, "--armor", "--detach-sign", path)


@pytest.fixture(scope="session")
def keys():
    made = Keys()
    yield made
    made.close()


@pytest.fixture
def node(tmp_path, python, share, keys):
    return Node(tmp_path / "home", python, [share], keyring=keys.ring)


def release(share, version="1.0"):
    """The path of the manifest of a release that is not signed yet."""
    share.release("App", version, [make.wheel(share.path, "App", version)])
    return os.path.join(share.path, "releases", "app-%s.json" % version)


def test_a_good_signature(node, share, keys):
    keys.sign(release(share))
    found = node.prepare("app")
    assert found.plan.signed_by.startswith("release <release@example.org> ")
    assert len(found.plan.signed_by.split()[-1]) == 16
    keys.sign(release(share, "2.0"), "release", "--no-armor")
    assert node.plan("app").version == "2.0"


def test_what_does_not_count(node, share, keys):
    path = release(share)
    assert "is not signed, and release.keyring demands it" in refused(node.plan, "app")
    keys.sign(path, "other")
    assert "its key is not in" in refused(node.plan, "app")
    keys.sign(path, "old", *AN_HOUR_LATER)
    node.settings["keyring"] = keys.export("both", "release", "old")
    assert "its key has expired" in refused(node.plan, "app")
    node.settings["keyring"] = keys.ring
    assert "its key is not in" in refused(node.plan, "app")
    share.write("releases/app-1.0.json.asc", b"-----BEGIN PGP SIGNATURE-----\n\nnone\n")
    assert "the signature of app 1.0 does not count" in refused(node.plan, "app")
    share.write("releases/app-1.0.json.asc", b"")
    assert "it is no signature" in refused(node.plan, "app")


def test_changes_after_signing(node, share, keys):
    """Each file of the release in turn, and the manifest itself."""
    path = release(share)
    keys.sign(path)
    data = open(path, "rb").read()
    for bad in (data + b" ", data.replace(b"alice", b"mallo"), data.replace(b"1.0", b"1.1")):
        share.write("releases/app-1.0.json", bad)
        assert "it is not the signature of this manifest" in refused(node.plan, "app==1.0")
    share.write("releases/app-1.0.json", data)
    make.wheel(share.path, "App", "1.0", files={"evil.py": ""})
    assert "App-1.0-py3-none-any.whl" in refused(node.prepare, "app")


def test_two_signed_manifests_exchanged(node, share, keys):
    paths = [release(share, version) for version in ("1.0", "1.1")]
    for path in paths:
        keys.sign(path)
    for ending in ("", ".asc"):
        for source, target in ((paths[0], "/away"), (paths[1], paths[0]), ("/away", paths[1])):
            os.rename(*(share.path + "/away" + ending if name == "/away" else name + ending
                        for name in (source, target)))
        if not ending:      # the manifests alone: each has the other's signature
            assert "it is not the signature of this" in refused(node.plan, "app")
    assert "is that of app 1.0" in refused(node.plan, "app==1.1")
    assert "is that of app 1.1" in refused(node.plan, "app==1.0")


def test_a_signed_message_is_no_signature(node, share, keys):
    """A message with a text of its own, signed by the right key, in the place of the signature."""
    path = release(share)
    text = share.write("text", b"x")
    keys.gpg("--local-user", "release", "--output", path + ".asc", "--sign", text)
    assert "does not count" in refused(node.plan, "app")


def test_two_signatures(node, share, keys):
    """All of them must be good: one of a key that is not in the ring may be the only real one."""
    path = release(share)
    keys.sign(path, "other")
    both = open(path + ".asc", "rb").read()
    keys.sign(path)
    both += open(path + ".asc", "rb").read()
    share.write("releases/app-1.0.json.asc", both)
    assert "does not count" in refused(node.plan, "app")


def test_keyrings(node, share, keys, tmp_path):
    keys.sign(release(share))

    def with_ring(path):
        node.settings["keyring"] = str(path)
        return refused(node.plan, "app")

    assert "cannot be read (No such file" in with_ring(tmp_path / "none")
    (tmp_path / "empty").write_bytes(b"")
    assert "has no key" in with_ring(tmp_path / "empty")
    (tmp_path / "text").write_bytes(keys.gpg("--armor", "--export", "release"))
    assert "gpg --dearmor" in with_ring(tmp_path / "text")
    (tmp_path / "junk").write_bytes(b"junk")
    assert "does not count" in with_ring(tmp_path / "junk")
    node.settings["keyring"] = keys.export("all", "release", "other")
    assert node.plan("app").signed_by


def test_no_gpgv(node, share, keys, monkeypatch):
    keys.sign(release(share))
    monkeypatch.setenv("PATH", "/none")
    assert "there is no gpgv" in refused(node.plan, "app")


def test_whose_keys(node, share, keys, monkeypatch, tmp_path):
    """Keys of the user's own do not count, and who could add some is said."""
    keys.sign(release(share), "other")
    monkeypatch.setenv("GNUPGHOME", keys.folder)
    assert "its key is not in" in refused(node.plan, "app")
    monkeypatch.setattr(trust.os, "geteuid", lambda: 1000)
    assert "it should belong to root" in trust.keyring_note(keys.ring)
    monkeypatch.setattr(trust.os, "access", lambda path, mode: False)
    assert trust.keyring_note(keys.ring) is None
