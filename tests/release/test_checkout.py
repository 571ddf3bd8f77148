# SPDX-License-Identifier: Apache-2.0
"""weavectl checkout, from repositories to a release that serves when httpd is started."""

import json
import os
import subprocess
import sys
import tempfile

import pytest

import repositories
from conftest import BUILD, TOP
from repositories import Work

sys.path.insert(0, str(TOP / "mozupload" / "tests"))

import archives as make  # noqa: E402

APP = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b""]
"""
SETUP = """
import os
from setuptools import setup
open("who.py", "w").write("UID, HIDDEN = %d, %r" % (os.getuid(), "SECRET" in os.environ))
setup(name="Tiny-App", py_modules=["tiny_app", "who"], install_requires=["dep>=1"],
      version=os.environ.get("SETUPTOOLS_SCM_PRETEND_VERSION_FOR_TINY_APP", "1.0"))
"""


class Node:
    """release.home and a sync.ini, and the repositories of engineers beside them."""

    def __init__(self, folder, more=""):
        self.folder = folder
        self.home = folder + "/home dir"
        os.mkdir(self.home)
        self.owner = os.getuid()
        if self.owner == 0:
            self.owner = repositories.NOBODY
            os.chown(self.home, self.owner, self.owner)
        self.ini = folder + "/sync.ini"
        with open(self.ini, "w", encoding="utf-8") as file:
            file.write('[wsgi]\nmodule = tiny_app\nvirtualenv = "%s/current"\n[workers]\n%s'
                       'processes = 1\n[release]\nhome = "%s"\n%s' % (
                           self.home, "user = daemon\n" if os.getuid() == 0 else "", self.home,
                           more))

    def checkout(self, *words, status=0, cwd=None, kill_at=""):
        """Runs weavectl; returns what it has said. kill_at: STEP:before or STEP:after."""
        done = subprocess.run(
            [str(BUILD / "weavectl"), "-d", self.folder + "/run", "checkout", "-i", self.ini,
             *map(str, words)], cwd=cwd,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=600,
            env=dict(os.environ, SECRET="x", WEAVE_KILL_AT=kill_at, PIP_NO_INDEX="0",
                     PIP_INDEX_URL="http://127.0.0.1:9/", PYTHONPATH="/nonexistent",
                     GIT_DIR="/nonexistent", HGRCPATH="/nonexistent"))
        assert done.returncode == status, done.stdout
        assert "Traceback" not in done.stdout
        return done.stdout

    def releases(self):
        folder = self.home + "/releases"
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def current(self):
        return os.path.basename(os.readlink(self.home + "/current"))

    def ready(self, name):
        with open("%s/releases/%s/.weave/ready.json" % (self.home, name), encoding="utf-8") as file:
            return json.load(file)

    def python(self, text):
        return repositories.run(self.home + "/current/bin/python", "-I", "-c", text, cwd="/")


@pytest.fixture(scope="module")
def folder():
    """For all users; those of pytest are closed."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield path


@pytest.fixture(scope="module")
def node(folder):
    os.mkdir(folder + "/node")
    return Node(folder + "/node")


def vendor_make(folder, *rows):
    os.makedirs(folder + "/any/where")
    for name, version in rows:
        make.wheel(folder + "/any/where", name, version)


@pytest.fixture(scope="module")
def vendor(folder):
    work = Work("hg", folder + "/vendor")
    vendor_make(work.path, ("dep", "1.0"), ("dep", "1.1"), ("dep", "1.2"), ("extra", "2"))
    work.id = work.commit(tag="stock-1")
    return work


@pytest.fixture(scope="module")
def app(folder, vendor):
    """An application in a folder of its repository, with pins and vendor.rev."""
    work = Work("git", folder + "/app")
    work.write("server/setup.py", SETUP)
    work.write("server/setup.cfg", "[metadata]\nname = Tiny-App\n")
    work.write("server/tiny_app.py", APP)
    work.commit(tag="v1.0")
    work.write("server/requirements.txt", "dep==1.1\nextra==2\n")
    work.write("vendor.rev", "# what we have tried\n%s\n" % vendor.id)
    work.id = work.commit(tag="v1.1")
    return work


def test_from_two_repositories(node, app, vendor):
    node.checkout(app.path, "-r", "v1.1", "--project", "server", "--vendor", vendor.path)
    assert node.current() == "tiny-app-1.1"
    ready = node.ready("tiny-app-1.1")
    assert ready["vcs"] == {"kind": "git", "url": app.path, "revision": app.id, "tag": "v1.1"}
    assert ready["vendor"] == {"kind": "hg", "url": vendor.path, "revision": vendor.id, "tag": ""}
    assert {name: entry["version"] for name, entry in ready["lock"].items()} == {
        "tiny-app": "1.1", "dep": "1.1", "extra": "2"}
    # code of the repository has run as the owner of release.home, who has got nothing of ours
    assert node.python("import who; print(who.UID, who.HIDDEN)") == "%d False" % node.owner


def test_the_same_revisions_again(node, app, vendor):
    said = node.checkout(app.path, "-r", app.id[:12], "--project", "server",
                         "--vendor", "%s@stock-1" % vendor.path)
    assert "tiny-app 1.1 serves already." in said
    assert node.releases() == ["tiny-app-1.1"]


def test_another_revision_of_the_same_version(node, app, vendor):
    app.write("server/tiny_app.py", APP + "NEW = True\n")
    second = app.commit()
    app.do("tag", "1.1", second)
    said = node.checkout("git+file://%s" % app.path, "-r", "main", "--vendor", vendor.path,
                         "--project", "server")
    assert node.releases() == ["tiny-app-1.1", "tiny-app-1.1@2"]
    assert node.current() == "tiny-app-1.1@2" and second in said
    assert node.ready("tiny-app-1.1@2")["vcs"]["revision"] == second
    # one that is ready is taken as it is
    said = node.checkout(app.path, "-r", "v1.1", "--vendor", vendor.path, "--project", "server")
    assert "tiny-app 1.1 is ready already" in said and node.current() == "tiny-app-1.1"


def test_killed(node, app, vendor):
    before = node.releases(), node.current()
    words = [app.path, "-r", "v1.1", "--project", "server", "--vendor", vendor.path]
    node.checkout(*words, status=1, kill_at="checkout:after")
    assert (node.releases(), node.current()) == before
    assert "tiny-app 1.1 serves already." in node.checkout(*words)


def test_archives_in_the_checkout(folder):
    """Zamboni's way; without pins the metadata say what is needed."""
    os.mkdir(folder + "/second")
    work = Work("hg", folder + "/second/app")
    work.write("setup.py", SETUP)
    work.write("pyproject.toml", "[project]\nname = 'Tiny-App'\ndynamic = ['version']\n"
               "dependencies = ['dep>=1']\n[build-system]\nrequires = ['setuptools']\n")
    work.write("tiny_app.py", APP)
    work.write("requirements-dev.txt", "dep==1.0\n")
    vendor_make(work.path + "/vendor", ("dep", "1.0"), ("dep", "1.2"), ("extra", "2"))
    work.commit(tag="Tiny-App-2.0")
    revision = work.commit(late="1")
    node = Node(folder + "/second", more="vendor = vendor/\nrepository = %s\n" % work.path)
    dry = node.checkout("-r", "default", "--dry-run")
    assert "+ dep 1.2" in dry and node.releases() == []
    node.checkout("-r", "default", "--no-switch")
    name, = node.releases()
    # one commit of hg's for the tag, and one more
    version = "2.0.post2+g%s" % revision[:12]
    assert name == "tiny-app-" + version
    assert not os.path.lexists(node.home + "/current")
    ready = node.ready(name)
    assert ready["lock"]["dep"]["version"] == "1.2" and "extra" not in ready["lock"]
    assert ready["vendor"]["folder"] == "vendor" and ready["vendor"]["revision"] == revision


@pytest.mark.parametrize("words,why", [
    (["APP", "-r", "nothing", "--vendor", "VENDOR"], "has no revision nothing"),
    (["APP", "--revision=-x", "--vendor", "VENDOR"], "'-x' is no revision"),
    (["ext::sh -c id", "-r", "v1.1"], "is no address of a repository"),
    (["https://ada:pw@example.com/app", "-r", "v1.1"], "may not have a password"),
    (["APP", "-r", "v1.1", "--vendor", "VENDOR@nothing"], "has no revision nothing"),
    (["APP", "-r", "v1.1", "--vendor", "no/folder"], "has no folder no/folder"),
    (["APP", "-r", "v1.1", "--vendor", "../.."], "leads out of the checkout"),
    (["APP", "-r", "v1.1", "--project", "."], "--project server"),
    (["APP", "-r", "v1.1", "--project", "../x"], "leads out of the checkout"),
    (["APP", "-r", "v1.0", "--vendor", "VENDOR"], "it is not said which revision of"),
    (["-r", "v1.1"], "it is not said which repository"),
])
def test_refused(node, app, vendor, words, why):
    before = node.releases(), node.current()
    words = [word.replace("APP", app.path).replace("VENDOR", vendor.path) for word in words]
    if "--project" not in words:
        words += ["--project", "server"]
    assert why in node.checkout(*words, status=1)
    assert (node.releases(), node.current()) == before


def test_a_keyring_wants_signatures(folder, app):
    os.mkdir(folder + "/third")
    keyring = folder + "/third/keys.gpg"
    open(keyring, "w", encoding="utf-8").close()
    node = Node(folder + "/third", more="keyring = %s\n" % keyring)
    assert "signed by nobody" in node.checkout(app.path, "-r", "v1.1", status=1)


def test_what_the_vendor_repository_lacks(node, app, vendor):
    app.write("server/requirements.txt", "dep==1.1\nextra==3\n")
    app.commit(tag="v1.3")
    said = node.checkout(app.path, "-r", "v1.3", "--project", "server", "--vendor", vendor.path,
                         status=1)
    assert "extra" in said and node.current() == "tiny-app-1.1"


def test_the_same_revisions_for_another_python(node, app, vendor):
    """From Python 3.11 to 3.12 is a release like others. The other one here is this one's link."""
    exact = node.ready(node.current())["python"]["executable"]
    other = "%s/%s" % (node.folder, os.path.basename(exact))
    os.symlink(exact, other)
    before = node.releases()
    with open(node.ini, "a", encoding="utf-8") as file:
        file.write("python = %s\n" % other)
    words = [app.path, "-r", "v1.1", "--vendor", vendor.path, "--project", "server", "--no-switch"]
    node.checkout(*words)
    assert node.releases() == before + ["tiny-app-1.1@3"]
    assert node.ready("tiny-app-1.1@3")["python"]["executable"] == other
    assert "tiny-app 1.1@3 is ready already" in node.checkout(*words)
