# SPDX-License-Identifier: Apache-2.0
"""Who may do what: root, the owner of release.home, the workers' user, somebody else."""

import json
import os

import pytest

import nodes
from weave_release import broker, users
from weave_release.errors import ReleaseError

root = pytest.mark.skipif(not nodes.IS_ROOT, reason="needs root: two users are compared")


def refused(node, *sentences, **more):
    """An install is refused with these words, and changes nothing."""
    before = node.snapshot()
    said = node.install(status=1, **more)
    for sentence in sentences:
        assert sentence in said, said
    assert node.snapshot() == before
    assert len(said.splitlines()) <= 2, said
    return said


def test_no_home(node):
    node.home.rmdir()
    refused(node, "is not there", "weavectl init -i ", "--owner USER", "useradd", "install -d -o")


@root
def test_a_home_of_root(node):
    os.chown(node.home, 0, 0)
    refused(node, "belongs to root", "weavectl init -i ", "--owner USER")


@root
def test_a_home_of_the_workers(node):
    node.own(node.home, nodes.WORKERS)
    refused(node, "belongs to nobody, which is workers.user", "weavectl init -i ", "--owner USER")


@root
@pytest.mark.parametrize("folder", ("", "releases"))
def test_what_the_workers_may_write_in(node, folder):
    path = node.home / folder
    path.mkdir(exist_ok=True)
    node.own(path)
    os.chown(path, -1, nodes.user_ids(nodes.WORKERS)[1])
    path.chmod(0o775)
    refused(node, "%s can be written by %s" % (path, "nobody" if folder else "others"),
            "chmod go-w %s" % path)


@root
def test_a_home_that_the_workers_cannot_enter(node):
    node.home.chmod(0o700)
    refused(node, "cannot be entered by nobody", "chmod a+x %s" % node.home)


@root
@pytest.mark.parametrize("kind", ("folder", "link"))
def test_releases_of_somebody_else(node, kind):
    releases = node.home / "releases"
    if kind == "folder":
        releases.mkdir()
        node.own(releases, nodes.STRANGER)
    else:
        releases.symlink_to("/usr")
    refused(node, "%s is no folder of daemon" % releases)


@root
def test_a_folder_on_the_way(node):
    node.folder.chmod(0o777)
    refused(node, "%s can be written by others" % node.folder, "chmod go-w %s" % node.folder)
    node.folder.chmod(0o755)
    node.own(node.folder, nodes.STRANGER)
    refused(node, "%s belongs to games" % node.folder, "chown root")


@root
def test_a_link_of_somebody_else_on_the_way(node):
    real = node.folder / "real"
    node.home.rename(real)
    node.home.symlink_to(real)
    os.lchown(node.home, *nodes.user_ids(nodes.STRANGER))
    refused(node, "the link %s belongs to games" % node.home)
    os.lchown(node.home, 0, 0)
    node.release_make("1.0")
    node.install()
    assert node.current() == "releases/tiny-1.0"


@root
def test_somebody_else_calls(node):
    node.ini.chmod(0o644)
    refused(node, "belongs to daemon: call weavectl as that user, or as root",
            prefix=["setpriv", "--reuid", nodes.STRANGER, "--clear-groups"])


@root
def test_the_owner_calls(node):
    """Where no httpd runs, of which only root may know more."""
    node.release_make("1.0")
    node.install(prefix=["setpriv", "--reuid", nodes.OWNER, "--clear-groups"])
    assert node.current() == "releases/tiny-1.0"
    assert node.ready("tiny-1.0")["by"] == nodes.OWNER


DUMP = """
import json, os
with open({path!r}, "w") as file:
    json.dump([os.getuid(), os.getgid(), os.getgroups(), dict(os.environ), os.getcwd(),
               os.readlink("/proc/self/fd/0"), os.access({ini!r}, os.R_OK), os.getsid(0)], file)
raise SystemExit("that is all")
"""


@root
@pytest.mark.parametrize("words", ((), ("--dry-run",)))
def test_code_of_an_archive_is_not_run_as_root(node, words):
    node.ini_write(workers=["user = nobody", "env.PASSWORD = secret"])
    node.ini.chmod(0o600)
    place = node.folder / "open"
    place.mkdir()
    place.chmod(0o777)
    nodes.archives.sdist(node.share, "Code", "1.0", files={
        "setup.py": DUMP.format(path=str(place / "dump"), ini=str(node.ini))})
    (node.home / "incoming").mkdir()
    node.own(node.home / "incoming")
    node.install("Code", *words, status=1, env={"MINE": "of the caller"})
    uid, gid, groups, environ, folder, stdin, may_read, session = json.loads(
        (place / "dump").read_text())
    assert (uid, gid) == nodes.user_ids(nodes.OWNER) and 0 not in groups
    assert stdin.startswith(("/dev/null", "pipe:")) and not may_read and session != os.getsid(0)
    assert "MINE" not in environ and "secret" not in str(environ)
    assert not [name for name in environ if name.startswith(("SUDO", "SSH", "WEAVE"))]
    assert environ["TMPDIR"] == environ["HOME"] and "/tmp-" in environ["HOME"]


def test_a_virtualenv_that_is_not_the_link(node):
    node.ini_write(virtualenv="/srv/app")
    refused(node, "%s:3: wsgi.virtualenv is /srv/app" % node.ini,
            "virtualenv = %s/current" % node.home)


def test_the_broker_believes_no_path():
    made = broker.Broker.__new__(broker.Broker)
    made.home = "/srv/sync"
    assert made.release_path({"release": "/srv/sync/releases/a-1"}) == "/srv/sync/releases/a-1"
    for path in (None, 1, "", "/srv/sync/releases/", "/srv/sync/releases/..", "/etc",
                 "/srv/sync/releases/a/../../../etc", "/srv/sync/releases/a/b", "releases/a-1",
                 "/srv/sync/releases/a\0b"):
        with pytest.raises(ReleaseError, match="is no release of"):
            made.release_path({"release": path})


@pytest.mark.parametrize("line", (b"", b"{}", b"[]", b"{\"op\": 1}", b"{\"op\": \"no\"}", b"\xff",
                                  b"{\"op\": [\"x\"]}", b"{\"op\": \"os\"}",
                                  b"[" * 100000))
def test_the_broker_answers_what_is_no_call(line):
    made = broker.Broker.__new__(broker.Broker)
    answer = made._call(line)
    assert answer["ok"] is False and answer["error"]
    assert broker.number_of(line) is None


def test_sudo_name():
    assert users.sudo_name("root", "alice") == "root (alice via sudo)"
    assert users.sudo_name("root", "al\nice") == "root"
    assert users.sudo_name("bob", "alice") == "bob"
