# SPDX-License-Identifier: Apache-2.0
"""weavectl init, as root: release.home for its owner, and a first sync.ini.

Root's files are made below /tmp; the users are those that every system has.
"""

import errno
import grp
import json
import os
import pathlib
import pwd
import re
import stat
import subprocess
import tempfile

import pytest

from conftest import BUILD, TOP
from weave_release import newfile
from weave_release.errors import ReleaseError

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only for root")

OWNER, OTHER = "daemon", "nobody"


def uid(name):
    return pwd.getpwnam(name).pw_uid


def workers_user():
    for name in ("www-data", "apache", "http"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    return pytest.skip("this system has no user of httpd")


class Place:
    def __init__(self, top):
        self.top = top
        self.home = top / "sync"
        self.ini = top / "etc" / "sync.ini"
        self.secret = top / "etc" / "sync.secret"
        self.ini.parent.mkdir()

    def init(self, *words, umask=0o022):
        """(exit status, all that is said)"""
        done = subprocess.run(
            [BUILD / "weavectl", "init", "-i", self.ini, *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
            preexec_fn=lambda: os.umask(umask))
        return done.returncode, done.stdout

    def refuses(self, *words):
        """The sentence; nothing has changed."""
        before = self.state()
        status, said = self.init(*words)
        assert status == 1, said
        assert "weavectl: " in said and "Traceback" not in said
        assert self.state() == before
        return said

    def makes(self, *words, **more):
        status, said = self.init("--home", self.home, *words, **more)
        assert status == 0, said
        return said

    def config(self):
        said = subprocess.check_output([BUILD / "weavectl", "config", "--json", "-i", self.ini])
        return {row["key"]: row["value"] for row in json.loads(said)}

    def server_key(self, name):
        """The value of a key of [sync15], as the server reads it."""
        from weave_server.config import Config
        return Config(str(self.ini)).find("sync15", name).value(typed=False)

    def state(self):
        return {
            path: (path.lstat().st_uid, path.lstat().st_gid, path.lstat().st_mode,
                   path.lstat().st_ino, path.read_bytes() if path.is_file() else b"")
            for path in self.top.rglob("*")}


@pytest.fixture
def place():
    with tempfile.TemporaryDirectory(prefix="weave-init-", dir="/tmp") as name:
        os.chmod(name, 0o755)
        yield Place(pathlib.Path(name))


def test_without_an_owner(place):
    said = place.refuses("--home", place.home)
    assert "%s is not there" % place.home in said
    assert "useradd --system --home-dir %s" % place.home in said
    assert "weave-release && weavectl init -i %s --owner weave-release --home %s\n" % (
        place.ini, place.home) in said
    place.home.mkdir()
    said = place.refuses("--home", place.home)
    assert "%s belongs to root" % place.home in said
    assert "chown weave-release %s" % place.home in said


def test_from_nothing_and_once_more(place):
    said = place.makes("--owner", OWNER)
    info = place.home.lstat()
    assert (info.st_uid, info.st_gid) == (uid(OWNER), pwd.getpwnam(OWNER).pw_gid)
    assert stat.S_IMODE(info.st_mode) == 0o755
    info = place.ini.lstat()
    assert (info.st_uid, info.st_gid) == (0, grp.getgrgid(workers_user().pw_gid).gr_gid)
    assert stat.S_IMODE(info.st_mode) == 0o640
    config = place.config()
    assert config["wsgi.virtualenv"] == "%s/current" % place.home
    assert config["release.home"] == str(place.home)
    assert config["release.migrate"] == "weave-server migrate"
    assert said.split("then, in each browser:\n")[0].splitlines()[-3:] == [
        "next:", "    weavectl install -i %s NAME --find-links SHARE" % place.ini,
        "    apachectl configtest && apachectl restart"]
    before = place.state()
    assert "are there" in place.makes()
    assert "are there" in place.makes("--owner", OWNER)
    assert place.state() == before


def test_comments_of_the_example_stay(place):
    place.makes("--owner", OWNER)
    ours = (TOP / "conf" / "sync.ini").read_text().splitlines()
    theirs = place.ini.read_text().splitlines()
    assert len(ours) == len(theirs)
    assert sum(one != other for one, other in zip(ours, theirs)) == 2


@pytest.mark.parametrize("umask", (0o077, 0))
def test_whatever_the_umask_is(place, umask):
    place.makes("--owner", OWNER, umask=umask)
    assert stat.S_IMODE(place.home.lstat().st_mode) == 0o755
    assert stat.S_IMODE(place.ini.lstat().st_mode) == 0o640


def test_a_home_with_a_space(place):
    place.home = place.top / "a b;c"
    place.makes("--owner", OWNER)
    assert place.config()["wsgi.virtualenv"] == "%s/current" % place.home


def test_dry_run(place):
    before = place.state()
    assert "would make %s" % place.home in place.makes("--owner", OWNER, "--dry-run")
    assert place.state() == before


def test_json(place):
    said = json.loads(place.makes("--owner", OWNER, "--json"))
    assert (said["result"], said["home"], said["owner"]) == ("done", str(place.home), OWNER)
    paths = [str(path) for path in (place.home, place.secret, place.ini)]
    assert [one["path"] for one in said["made"]] == paths
    assert (said["add"], said["token_url"]) == ([], None)
    assert json.loads(place.makes("--json"))["made"] == []


def test_an_ini_that_is_there(place):
    place.ini.write_text("[wsgi]\nvirtualenv = %s/venv\nscript = x\n[release]\nhome = %s\n"
                         % (place.home, place.home))
    place.ini.chmod(0o644)
    before = place.ini.read_bytes()
    status, said = place.init("--owner", OWNER)
    assert status == 0 and place.ini.read_bytes() == before
    assert "note: %s has virtualenv = %s/venv" % (place.ini, place.home) in said
    assert "it wants: virtualenv = %s/current" % place.home in said
    group = grp.getgrgid(workers_user().pw_gid).gr_name
    assert "chgrp %s %s && chmod o-r %s" % (group, place.ini, place.ini) in said
    assert place.home.lstat().st_uid == uid(OWNER)
    # it is no Sync server
    assert not place.secret.exists() and "Firefox" not in said
    assert "is of another application" in place.refuses("--public-url", "a.example.org")
    assert "has release.home = %s" % place.home in place.refuses("--home", place.top / "other")


def test_an_ini_that_is_a_link_to_nothing(place):
    place.ini.symlink_to(place.top / "nothing")
    place.refuses("--owner", OWNER, "--home", place.home)


def test_an_empty_home_of_root_is_given_away_and_another_is_not(place):
    place.home.mkdir(mode=0o777)
    (place.home / "mine").mkdir()
    said = place.refuses("--home", place.home, "--owner", OWNER)
    assert "is not empty" in said and "chown %s %s" % (OWNER, place.home) in said
    (place.home / "mine").rmdir()
    place.makes("--owner", OWNER)
    assert place.home.lstat().st_uid == uid(OWNER)


def test_a_home_that_its_group_may_write(place):
    place.home.mkdir()
    os.chown(place.home, uid(OWNER), -1)
    place.home.chmod(0o775)
    assert "can be written by others" in place.refuses("--home", place.home)
    place.home.chmod(0o700)
    place.makes()
    assert stat.S_IMODE(place.home.lstat().st_mode) == 0o755


def test_what_is_in_the_home(place):
    place.home.mkdir()
    os.chown(place.home, uid(OWNER), -1)
    releases = place.home / "releases"
    releases.mkdir()
    said = place.refuses("--home", place.home)
    assert "chown -R -h %s %s" % (OWNER, releases) in said
    os.chown(releases, uid(OWNER), -1)
    releases.chmod(0o775)
    assert "chmod -R go-w %s" % releases in place.refuses("--home", place.home)
    releases.chmod(0o755)
    place.makes()


def test_who_cannot_be_the_owner(place):
    words = ("--home", place.home, "--owner")
    assert "root cannot be the owner" in place.refuses(*words, "root")
    said = place.refuses(*words, "no-such-user")
    assert "useradd" in said and "no-such-user" in said
    assert "is the user of the workers" in place.refuses(*words, workers_user().pw_name)
    place.ini.write_text("[wsgi]\nscript = x\n[workers]\nuser = %s\n[release]\nhome = %s\n"
                         % (OWNER, place.home))
    assert "is the user of the workers" in place.refuses(*words, OWNER)
    place.home.mkdir()
    os.chown(place.home, uid(OTHER), -1)
    assert "belongs to %s, and not to %s" % (OTHER, OWNER) in place.refuses(*words, OWNER)


def test_who_could_read_the_passwords(place):
    group = grp.getgrgid(pwd.getpwnam(OWNER).pw_gid).gr_name
    place.ini.write_text(
        "[wsgi]\nscript = x\n[workers]\nuser = %s\ngroup = %s\n[release]\nhome = %s\n"
        % (OTHER, group, place.home))
    said = place.refuses("--owner", OWNER)
    assert "gpasswd -d %s %s" % (OWNER, group) in said


def test_a_way_that_others_can_change(place):
    words = ("--home", place.home, "--owner", OWNER)
    place.top.chmod(0o777)
    assert "chmod go-w %s" % place.top in place.refuses(*words)
    place.top.chmod(0o755)
    os.chown(place.top, uid(OTHER), -1)
    assert "chown root %s" % place.top in place.refuses(*words)
    os.chown(place.top, 0, -1)
    place.home = place.top / "link" / "sync"
    (place.top / "real").mkdir()
    (place.top / "link").symlink_to("real")
    os.lchown(place.top / "link", uid(OTHER), -1)
    assert "chown -h root %s/link" % place.top in place.refuses(
        "--home", place.home, "--owner", OWNER)
    os.lchown(place.top / "link", 0, -1)
    place.makes("--owner", OWNER)
    assert (place.top / "real" / "sync").lstat().st_uid == uid(OWNER)


def test_links_and_files_in_the_place_of_the_home(place):
    place.home.symlink_to(place.top / "nothing")
    assert "rm %s" % place.home in place.refuses("--home", place.home, "--owner", OWNER)
    place.home.unlink()
    place.home.write_text("")
    assert "is no folder" in place.refuses("--home", place.home, "--owner", OWNER)
    above = place.top / "a" / "b"
    assert "mkdir -p %s" % (place.top / "a") in place.refuses("--home", above, "--owner", OWNER)


def test_the_folder_of_the_ini(place):
    """Where others could exchange the file, it is not written; the home is there then."""
    place.ini.parent.chmod(0o777)
    status, said = place.init("--owner", OWNER, "--home", place.home)
    assert status == 1 and "chmod go-w %s" % place.ini.parent in said
    assert not place.ini.exists()


def test_what_a_killed_one_has_left(place):
    (place.ini.parent / ".sync.ini.weavectl-init").write_text("half")
    place.makes("--owner", OWNER)
    assert sorted(os.listdir(place.ini.parent)) == ["sync.ini", "sync.secret"]
    secret = place.secret.read_bytes()
    place.ini.unlink()
    (place.ini.parent / ".sync.secret.weavectl-init").write_text("half")
    place.makes()   # as if the first had been killed between the two files
    assert place.secret.read_bytes() == secret


SYNC = """[wsgi]
virtualenv = HOME/current
script = share/weave/weave.wsgi
[release]
home = HOME
"""


def test_secret(place):
    said = place.makes("--owner", OWNER, umask=0)
    info = place.secret.lstat()
    workers = workers_user()
    assert (info.st_uid, info.st_gid) == (workers.pw_uid, workers.pw_gid)
    assert stat.S_IMODE(info.st_mode) == 0o600
    assert re.fullmatch("[0-9a-f]{64}\n", place.secret.read_text())
    assert place.server_key("secret_file") == str(place.secret)
    assert "made %s  (%s, 0600)" % (place.secret, workers.pw_name) in said
    assert "copy %s to the others" % place.secret in said
    assert place.secret.read_text().strip() not in said + place.ini.read_text()
    before = place.state()
    assert "copy" not in place.makes()
    assert place.state() == before


def test_secret_of_workers_of_their_own_and_of_another_ini(place):
    place.ini = place.ini.parent / "two.ini"
    place.makes("--owner", OWNER)
    assert place.server_key("secret_file") == str(place.ini.with_suffix(".secret"))
    place.ini.write_text(SYNC.replace("HOME", str(place.home)) + "[workers]\nuser = " + OTHER
                         + "\n[sync15]\nsecret_file = %(here)s/other\n")
    place.makes()
    assert (place.ini.parent / "other").lstat().st_uid == uid(OTHER)


def test_names_that_an_ini_would_read_differently(place):
    place.ini = place.ini.parent / "a%(here)s b.ini"
    place.makes("--owner", OWNER)
    path = place.server_key("secret_file")
    assert path == str(place.ini)[:-4] + ".secret" and os.path.exists(path)


def test_lines_that_an_ini_lacks(place):
    place.ini.write_text(SYNC.replace("HOME", str(place.home)))
    place.ini.chmod(0o640)
    before = place.ini.read_bytes()
    status, said = place.init("--owner", OWNER, "--public-url", "https://a.example.org")
    assert status == 0 and place.ini.read_bytes() == before
    lines = ["[sync15]", "secret_file = %(here)s/sync.secret",
             "public_url = https://a.example.org/"]
    assert "add to %s, which stays as it is:\n    %s\nnote: without the lines above" % (
        place.ini, "\n    ".join(lines)) in said
    with place.ini.open("a") as ini:
        ini.write("\n".join(lines) + "\n")
    before = place.state()
    status, said = place.init()
    assert "add to" not in said and "are there" in said and place.state() == before
    assert "identity.sync.tokenserver.uri to https://a.example.org/1.0/sync/1.5\n" in said
    said = place.refuses("--public-url", "https://b.example.org")
    assert "has sync15.public_url = https://a.example.org/" in said
    # a section that is there gets its line
    place.ini.write_text(before[place.ini][4].decode().replace("secret_file", "#"))
    status, said = place.init()
    line = "    secret_file = %(here)s/sync.secret\nnote:"
    assert "add to [sync15] of %s, which stays as it is:\n%s" % (place.ini, line) in said


def test_what_browsers_get(place):
    said = place.makes("--owner", OWNER)
    assert "identity.sync.tokenserver.uri to https://HOST/1.0/sync/1.5\n" in said
    assert "HOST stands" in " ".join(said.split())
    place.ini.unlink()
    url = "https://a.example.org:444/p"
    said = place.makes("--public-url", url)
    assert place.server_key("public_url") == url + "/"
    assert "HOST" not in said
    assert "identity.sync.tokenserver.uri to %s/1.0/sync/1.5\n" % url in said
    assert "Custom Sync server to %s/1.0/sync/1.5\n" % url in said
    assert "token server: %s\n" % url in said
    assert json.loads(place.makes("--json"))["token_url"] == url + "/1.0/sync/1.5"
    place.ini.unlink()
    for wrong in ("ftp://x", "https://x:port", "https://a b/", url + "/1.0/sync/1.5"):
        assert "--public-url must be" in place.refuses("--home", place.home, "--public-url", wrong)


def test_a_secret_that_is_no_secret(place):
    place.makes("--owner", OWNER)
    text = place.ini.read_text()
    place.secret.chmod(0o644)
    os.chown(place.secret, 0, 0)
    before = place.state()
    said = place.makes()
    assert "chown %s %s && chmod 600 %s" % (
        workers_user().pw_name, place.secret, place.secret) in said
    assert place.state() == before
    place.secret.unlink()
    place.secret.mkdir()
    assert "is no file" in place.refuses()
    for path in ("%s/sync.secret" % place.home, "sync.secret"):
        place.ini.write_text(text.replace("%(here)s/sync.secret", path))
        said = place.refuses()
        assert "is no place for a secret" in said
        assert "secret_file = %(here)s/sync.secret" in said
    place.ini.write_text(text.replace("%(here)s", str(place.top / "gone")))
    assert "mkdir -p %s/gone" % place.top in place.refuses()


def test_the_secret_of_a_dry_run(place):
    place.makes("--owner", OWNER)
    place.secret.unlink()
    before = place.state()
    assert "would make %s  (" % place.secret in place.makes("--dry-run")
    assert place.state() == before


def test_as_an_ordinary_user(place, libdir):
    """Whoever starts httpd is the user of the workers then."""
    for folder in (place.top, place.ini.parent):
        os.chown(folder, uid(OTHER), -1)

    def become():
        os.setgroups([])
        os.setgid(pwd.getpwnam(OTHER).pw_gid)
        os.setuid(uid(OTHER))

    done = subprocess.run(
        [libdir / "weavectl", "init", "-i", place.ini, "--home", place.home],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", preexec_fn=become)
    assert done.returncode == 0, done.stdout
    assert "made %s  (%s, 0600)" % (place.secret, OTHER) in done.stdout
    for path in (place.home, place.ini, place.secret):
        assert path.lstat().st_uid == uid(OTHER)
    assert stat.S_IMODE(place.secret.lstat().st_mode) == 0o600


def test_what_fails_leaves_no_secret(tmp_path, monkeypatch):
    def fail(*_names, **_folders):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(ReleaseError, match="cannot write .*sync.secret: Input/output error"):
        newfile.file_make(str(tmp_path / "sync.secret"), b"x", 0o600)
    assert os.listdir(tmp_path) == []
