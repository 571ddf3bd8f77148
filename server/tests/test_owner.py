# SPDX-License-Identifier: Apache-2.0
"""As whom weave-server works: as the owner of the databases, and never as root.

These are for root, who alone can become somebody else.
"""

import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile

import pytest

from conftest import SOURCES

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only for root")

ALL = [("create-tables",), ("check",), ("purge",), ("set-password", "alice"), ("backup", "copy.db"),
       ("users list",)]  # fmt: skip


def uid(name):
    return pwd.getpwnam(name).pw_uid


NOBODY, OTHER, NAMELESS = "nobody", "daemon", 54321


class Place:
    """Folders below /tmp that others can enter, and sync.ini of root's."""

    def __init__(self, top):
        self.top = top
        self.data = top / "data"
        self.data.mkdir()
        self.file = self.data / "weave.db"
        self.ini = top / "sync.ini"
        self.set_url(self.file)
        shutil.copytree(SOURCES, top / "src", ignore=shutil.ignore_patterns("*.pyc"))

    def set_url(self, file):
        self.ini.write_text("[storage]\nsqluri = sqlite:///%s\n" % file)

    def run(self, command, *words, user=None):
        """(exit status, all that is said)"""

        def become():
            if user:
                os.setgroups([])
                os.setgid(pwd.getpwnam(user).pw_gid)
                os.setuid(uid(user))

        done = subprocess.run(
            [sys.executable, "-m", "weave.server", *command.split(), str(self.ini), *words],
            env=dict(os.environ, PYTHONPATH=str(self.top / "src")),
            input="a new password\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.data,
            preexec_fn=become,
        )
        assert len(done.stdout.splitlines()) == 1, done.stdout
        return done.returncode, done.stdout

    def refuses(self, *words, user=None):
        """The sentence; nothing has changed."""
        before = self.state()
        status, said = self.run(*words, user=user)
        assert status == 1 and said.startswith("weave-server: ")
        assert self.state() == before
        return said

    def state(self):
        return {
            path: (path.read_bytes(), path.lstat().st_uid, path.lstat().st_mtime_ns)
            for path in self.top.rglob("*")
            if path.is_file() and self.top / "src" not in path.parents
        }

    def owners(self):
        return {path.stat().st_uid for path in self.data.iterdir()}


@pytest.fixture
def place():
    with tempfile.TemporaryDirectory(prefix="weave-owner-", dir="/tmp") as name:
        top = pathlib.Path(name)
        top.chmod(0o755)
        yield Place(top)


def test_root_becomes_the_owner(place):
    os.chown(place.data, uid(NOBODY), -1)
    for words in ALL[:3]:
        assert place.run(*words)[0] == 0
        assert place.owners() == {uid(NOBODY)}
    status, said = place.run(*ALL[3])
    assert "no account alice" in said
    assert "no account a@b.c (" in place.run("set-password", "a@b.c")[1]
    assert place.run(*ALL[4])[0] == 0
    assert place.owners() == {uid(NOBODY)}
    # the folder may be root's, once there is a file
    os.chown(place.data, 0, -1)
    place.data.chmod(0o777)
    assert place.run("check")[0] == 0
    assert place.owners() == {uid(NOBODY)}


def test_secrets_that_the_server_cannot_read(place):
    """Root could read them. They are nobody's business where a database is copied."""
    os.chown(place.data, uid(NOBODY), -1)
    secret = place.top / "secret"
    secret.write_text("a" * 64)
    secret.chmod(0o600)
    place.ini.write_text(place.ini.read_text() + "[sync15]\nsecret_file = %s\n" % secret)
    assert place.run("create-tables")[0] == 0
    status, said = place.run("check")
    assert status == 1 and "%s: the file of sync15.secret_file cannot" % secret in said
    assert "run `chown %s %s`" % (NOBODY, secret) in said
    assert place.run("backup", "copy.db")[0] == 0
    os.chown(secret, uid(NOBODY), -1)
    assert place.run("check")[0] == 0


def test_files_of_root_in_a_folder_of_the_server(place):
    """What an older release left behind."""
    assert place.run("create-tables", user=None)[0] == 1
    place.file.write_bytes(b"")
    os.chown(place.data, uid(NOBODY), -1)
    said = place.refuses("create-tables")
    assert "%s: its file cannot be written" % place.file in said
    assert "the server runs as (%s): change the owner" % NOBODY in said
    os.chown(place.file, uid(NOBODY), -1)
    for end in ("-wal", "-shm"):
        beside = place.data / ("weave.db" + end)
        beside.write_bytes(b"")
        beside.chmod(0o644)
        assert "its file%s cannot be written" % end in place.refuses("create-tables")
        beside.unlink()
    assert place.run("create-tables")[0] == 0


def test_root_has_no_owner_to_become(place):
    said = place.refuses("create-tables")
    assert "does not exist, and its folder belongs to root" in said
    assert "-m weave.server create-tables %s`" % place.ini in said
    assert "sudo -u USER " in said


def test_root_alone(place):
    """As in a container, where the server is root."""
    place.file.write_bytes(b"")
    assert place.run("create-tables")[0] == 0
    assert place.run("check")[0] == 0
    assert place.owners() == {0}
    place.data.chmod(0o775)
    for words in ALL:
        assert "others can write it" in place.refuses(*words)
    place.data.chmod(0o1777)
    assert place.run("check")[0] == 0
    link = place.top / "link.db"  # whose mode says nothing
    link.symlink_to(place.file)
    place.set_url(link)
    assert place.run("check")[0] == 0


@pytest.mark.parametrize("words", ALL, ids=lambda words: words[0])
def test_different_owners(place, words):
    place.file.write_bytes(b"")
    os.chown(place.file, uid(OTHER), -1)
    os.chown(place.data, uid(NOBODY), -1)
    said = place.refuses(*words)
    assert "(%s, %s)" % (OTHER, NOBODY) in said and "sudo -u USER " in said


def test_sync_ini_of_somebody_else(place):
    os.chown(place.ini, uid(OTHER), -1)
    os.chown(place.data, uid(NOBODY), -1)
    assert "different users" in place.refuses("create-tables")


def test_link_to_a_file_of_another(place):
    """The owner of a folder decides nothing about what is not his."""
    for owner in (0, uid(OTHER)):
        secret = place.top / "secret.db"
        secret.write_bytes(b"")
        secret.chmod(0o600)
        os.chown(secret, owner, -1)
        os.chown(place.data, uid(NOBODY), -1)
        place.file.symlink_to(secret)
        os.chown(place.file, uid(NOBODY), -1, follow_symlinks=False)
        for words in ALL:
            place.refuses(*words)
        place.file.unlink()
    # whatever the link is in the middle
    place.set_url(place.data / "link" / "weave.db")
    (place.top / "root").mkdir()
    (place.data / "link").symlink_to("../root/.")
    os.chown(place.data / "link", uid(NOBODY), -1, follow_symlinks=False)
    (place.top / "root" / "weave.db").write_bytes(b"")
    place.refuses("create-tables")


def test_link_of_another(place):
    """Who has a link decides which file it is."""
    os.chown(place.data, uid(NOBODY), -1)
    assert place.run("create-tables")[0] == 0
    link = place.top / "link.db"
    link.symlink_to("../%s/data/weave.db" % place.top.name)
    place.set_url(link)
    assert place.run("check")[0] == 0
    os.chown(link, uid(OTHER), -1, follow_symlinks=False)
    assert "(%s, %s)" % (OTHER, NOBODY) in place.refuses("check")


def test_link_to_itself(place):
    place.file.symlink_to("weave.db")
    assert "leads over too many links" in place.refuses("create-tables")


def test_another_user(place):
    os.chown(place.data, uid(NOBODY), -1)
    assert place.run("create-tables")[0] == 0
    for folder_mode, file_mode in ((0o755, 0o644), (0o777, 0o666)):
        place.data.chmod(folder_mode)
        place.file.chmod(file_mode)
        for words in ALL:
            said = place.refuses(*words, user=OTHER)
            assert "belongs to %s: run `sudo -u %s " % (NOBODY, NOBODY) in said
    assert place.run("check", user=NOBODY) == (0, "ok\n")


PROGRAM = """
import os, sys
from weave.server import owner
os.setgroups([0, 1, 2])
os.getgrouplist = lambda name, gid: [gid, 12345]
owner.become_owner(sys.argv[1], [sys.argv[2]], [])
print(*os.getresuid(), *os.getresgid(), *sorted(os.getgroups()))
"""


def test_whose_rights(place):
    """The folder's group counts where the owner is in it."""
    uids, gid = [uid(NOBODY)] * 3, pwd.getpwnam(NOBODY).pw_gid
    for group, gids in ((54321, [gid] * 3), (12345, [12345] * 3)):
        os.chown(place.data, uid(NOBODY), group)
        said = subprocess.run(
            [sys.executable, "-c", PROGRAM, place.ini, place.file],
            env=dict(os.environ, PYTHONPATH=SOURCES),
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        assert list(map(int, said.split())) == uids + gids + [12345, gid]


def test_names_for_a_terminal(place):
    folder = place.top / "\x1b[2J"
    folder.mkdir()
    place.set_url(folder / "weave.db")
    said = place.refuses("create-tables")
    assert "?[2J/weave.db does not exist" in said and "\x1b" not in said


def test_another_user_and_a_closed_folder(place):
    """As README has it, 0700: who cannot see the file is not its server."""
    os.chown(place.data, uid(NOBODY), -1)
    assert place.run("create-tables")[0] == 0
    place.data.chmod(0o700)
    for words in ALL:
        said = place.refuses(*words, user=OTHER)
        assert "belongs to %s: run `sudo -u %s " % (NOBODY, NOBODY) in said


def test_file_of_root_in_a_folder_of_the_caller(place):
    """As a copy that root has put back."""
    place.file.write_bytes(b"")
    os.chown(place.data, uid(NOBODY), -1)
    for words in ALL:
        said = place.refuses(*words, user=NOBODY)
        assert "belongs to root: run `sudo chown %s %s`" % (NOBODY, place.file) in said


def test_owner_without_a_name(place):
    os.chown(place.data, NAMELESS, -1)
    assert "number %d, who has no name" % NAMELESS in place.refuses("create-tables")


def test_backup_into_a_folder_of_root(place):
    os.chown(place.data, uid(NOBODY), -1)
    assert place.run("create-tables")[0] == 0
    said = place.refuses("backup", str(place.top / "copy.db"))
    assert "user nobody can make no file there: Permission denied" in said
    assert os.listdir(place.top).count("copy.db") == 0
