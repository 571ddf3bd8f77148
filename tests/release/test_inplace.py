# SPDX-License-Identifier: Apache-2.0
"""weavectl install --in-place, with a real httpd under load, and killed at each step."""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile

import pytest

import served
from conftest import TOP
from weave_release import aside, pause

sys.path.insert(0, str(TOP / "mozupload" / "tests"))
import archives  # noqa: E402

PYTHON = "/usr/bin/python3"
APP = '''
import os
VERSION = %(version)r
%(more)s

def application(environ, start_response):
    status = "200 OK"
    if environ["PATH_INFO"] == "/alive":
        status = %(alive)r
    start_response(status, [("Content-Type", "text/plain")])
    return [VERSION.encode()]
'''
GOOD, BAD_IMPORT, BAD_WARMUP = "1.1", "1.2", "1.3"


def shop_make(folder, version, more="", alive="200 OK"):
    files = {"shop/__init__.py": "", "shop/app.py": APP % {
        "version": version, "more": more, "alive": alive}}
    if version == "1.0":
        files["shop/gone.py"] = ""
    archives.wheel(folder, "shop-app", version, ["part>=1"], files=files)


def owner():
    """Whose the releases are: another user than root, where root runs the tests."""
    return pwd.getpwnam("daemon") if os.getuid() == 0 else pwd.getpwuid(os.getuid())


@pytest.fixture(scope="module")
def share(tmp_path_factory):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weave-share-", dir="/tmp"))
    folder.chmod(0o755)
    shop_make(folder, "1.0")
    shop_make(folder, GOOD)
    shop_make(folder, BAD_IMPORT, more="import no_such_module")
    shop_make(folder, BAD_WARMUP, alive="500 Oh")
    archives.wheel(folder, "part", "1.0")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def libdir():
    top = pathlib.Path(tempfile.mkdtemp(prefix="weave-lib-", dir="/tmp"))
    top.chmod(0o755)
    yield served.build_copy(top / "lib")
    shutil.rmtree(top)


class Node:
    """An httpd that serves shop 1.0 from the one virtualenv."""

    def __init__(self, libdir, share, kind, more=""):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="weave-inplace-", dir="/tmp"))
        self.top.chmod(0o755)
        self.share = share
        self.home = self.top / "sync"
        self.virtualenv = self.home if kind == "home" else self.home / "venv"
        self.home.mkdir()
        subprocess.check_call([PYTHON, "-m", "venv", "--without-pip", self.virtualenv])
        site, = self.virtualenv.glob("lib/python3*/site-packages")
        self.app = site / "shop" / "app.py"
        for name in ("shop_app-1.0", "part-1.0"):
            with zipfile.ZipFile(share / (name + "-py3-none-any.whl")) as archive:
                archive.extractall(site)
        (site / "stranger.py").write_text("of somebody else")
        if os.getuid() == 0:
            subprocess.check_call(["chown", "-R", owner().pw_name, self.home])
        self.httpd = served.Httpd(self.top, libdir)
        self.httpd.ini.write_text(
            "[wsgi]\nmodule = shop.app\nvirtualenv = %s\n[workers]\nprocesses = 1\n"
            "[maintenance]\nstyle = sync\n[release]\nhome = %s\nfind_links = %s\n"
            "warmup = /alive\n%s" % (self.virtualenv, self.home, share, more))

    def install(self, version=GOOD, *words, kill="", command="install"):
        """(exit status, all that is said)"""
        words = ("--in-place", "shop-app==" + version, *words)
        status, out, err = self.httpd.weavectl(
            command, *words, env={"WEAVE_KILL_AT": kill} if kill else None)
        return status, out + err

    def files(self):
        """What the virtualenv consists of; compiled files do not count."""
        found = {}
        for path in sorted(self.virtualenv.rglob("*")):
            name = str(path.relative_to(self.virtualenv))
            if name.split("/")[0] in aside.OWN and self.virtualenv == self.home:
                continue
            if path.is_symlink():
                found[name] = os.readlink(path)
            elif path.is_file() and path.suffix != ".pyc":
                found[name] = path.read_bytes()
        return found

    def is_clean(self):
        return not [name for name in os.listdir(self.home) if "in-place" in name]

    def answer(self):
        status, _, body = self.httpd.get()
        return status, body

    def version_serves(self, version):
        return served.eventually(lambda: self.answer() == (200, version), 30)

    def end(self):
        self.httpd.stop()
        shutil.rmtree(self.top, ignore_errors=True)


@pytest.fixture(params=("home", "folder"))
def node(request, libdir, share):
    node = Node(libdir, share, request.param)
    yield node
    node.end()


@pytest.fixture
def folder_node(libdir, share):
    node = Node(libdir, share, "folder")
    yield node
    node.end()


@pytest.fixture
def home_node(libdir, share):
    node = Node(libdir, share, "home")
    yield node
    node.end()


def kinds(answers):
    """What clients got, in the order in which it came: versions, and "pause".

    Anything that is neither an answer nor a 503 with the headers of maintenance fails.
    """
    found = []
    for _, status, headers, body in answers:
        if status == 200:
            kind = body
        else:
            assert status == 503, (status, headers, body)
            assert int(headers["retry-after"]) >= 60
            assert headers["x-weave-backoff"] == headers["retry-after"]
            assert body == '"server issue: maintenance"'
            kind = "pause"
        if kind not in found[-1:]:
            found.append(kind)
    return found


def test_an_upgrade_under_load(node):
    node.httpd.start()
    assert node.version_serves("1.0")
    with served.Load(node.httpd) as load:
        time.sleep(0.2)
        status, said = node.install()
        assert status == 0, said
        assert node.version_serves(GOOD)
        time.sleep(0.2)
    seen = kinds(load.answers)
    assert set(seen) == {"1.0", "pause", GOOD}
    # a new version never before the pause, an old one never after it
    assert seen.index("1.0") < seen.index("pause") < seen.index(GOOD)
    assert "1.0" not in seen[seen.index(GOOD):]
    assert "shop-app-1.1 serves, in place." in said
    assert node.is_clean()
    site = node.app.parent.parent
    assert (site / "stranger.py").exists() and not (site / "shop" / "gone.py").exists()
    if os.getuid() == 0:
        assert {path.lstat().st_uid for path in node.home.rglob("*")} == {owner().pw_uid}


@pytest.mark.parametrize("version, reason, kind", (
    (BAD_IMPORT, "no_such_module", "home_node"), (BAD_WARMUP, "500", "folder_node")))
def test_one_that_does_not_come_up(request, version, reason, kind):
    node = request.getfixturevalue(kind)
    node.httpd.start()
    assert node.version_serves("1.0")
    before = node.files()
    with served.Load(node.httpd) as load:
        status, said = node.install(version)
        assert node.version_serves("1.0")
    assert status == 1 and reason in said, said
    assert "what was there before is back" in said
    assert set(kinds(load.answers)) <= {"1.0", "pause"}
    assert node.files() == before
    assert node.is_clean()


def test_a_migration_that_fails(libdir, share):
    node = Node(libdir, share, "folder", "migrate = echo too bad; exit 3\n")
    try:
        node.httpd.start()
        before = node.files()
        status, said = node.install()
        assert status == 1 and "too bad" in said, said
        assert node.version_serves("1.0") and node.files() == before and node.is_clean()
        status, said = node.install(GOOD, "--no-migrate")
        assert status == 0, said
    finally:
        node.end()


def test_in_httpds_own_processes(libdir, share):
    node = Node(libdir, share, "folder")
    text = node.httpd.ini.read_text()
    node.httpd.ini.write_text(text.replace("processes = 1", "mode = embedded"))
    try:
        node.httpd.start()
        assert node.version_serves("1.0")
        with served.Load(node.httpd, clients=2) as load:
            status, said = node.install(BAD_IMPORT)
            assert status == 1 and "no_such_module" in said, said
            assert node.version_serves("1.0")
            status, said = node.install()
            assert status == 0, said
            assert node.version_serves(GOOD)
        seen = kinds(load.answers)
        assert set(seen) == {"1.0", "pause", GOOD} and "1.0" not in seen[seen.index(GOOD):]
    finally:
        node.end()


# What is killed when; whether clients are refused then, and what serves after the next command.
KILLS = (
    ("copy:after", False, "1.0"), ("mark:after", False, "1.0"),
    ("maintenance:after", True, "1.0"), ("upgrade:after", True, "1.0"),
    ("workers:after", True, "1.0"), ("keep:after", True, GOOD), ("open:after", False, GOOD))


@pytest.mark.parametrize("kind, kills", (("folder_node", KILLS), ("home_node", KILLS[3:6:2])))
def test_killed_at_each_step(request, kind, kills):
    node = request.getfixturevalue(kind)
    node.httpd.start()
    assert node.version_serves("1.0")
    before = node.files()
    with served.Load(node.httpd, clients=2, pause=0.02) as load:
        for kill, is_paused, version in kills:
            status, said = node.install(kill=kill)
            assert status != 0 and "signal 9" in said, (kill, said)
            assert node.answer()[0] == (503 if is_paused else 200), kill
            status, out, err = node.httpd.weavectl("prune")
            assert status == 0, (kill, out, err)
            assert node.version_serves(version), kill
            assert node.is_clean(), kill
            if version == "1.0":
                assert node.files() == before, kill
            elif kill != kills[-1][0]:
                assert node.install("1.0")[0] == 0
                assert node.version_serves("1.0")
    kinds(load.answers)


def test_killed_while_it_is_put_back(folder_node):
    node = folder_node
    node.httpd.start()
    assert node.version_serves("1.0")
    before = node.files()
    for kill in ("back:before", "back:after"):
        with served.Load(node.httpd, clients=2, pause=0.02) as load:
            status, said = node.install(BAD_IMPORT, kill=kill)
            assert status != 0, said
            assert node.answer()[0] == 503, kill
            assert node.httpd.weavectl("prune")[0] == 0
            assert node.version_serves("1.0")
        assert set(kinds(load.answers)) <= {"1.0", "pause"}
        assert node.files() == before and node.is_clean()


def migrating(libdir, share, kind="folder"):
    """A node whose migration lasts, and an install that is there."""
    node = Node(libdir, share, kind, "migrate = touch %s; sleep 120\n" % "/tmp/x")
    flag = node.top / "migrates"
    node.httpd.ini.write_text(node.httpd.ini.read_text().replace("/tmp/x", str(flag)))
    node.top.chmod(0o777)
    return node, flag


def test_weavectl_itself_is_killed_and_httpd_too(libdir, share):
    node, flag = migrating(libdir, share)
    try:
        node.top.chmod(0o1777)
        node.httpd.start()
        assert node.version_serves("1.0")
        before = node.files()
        running = subprocess.Popen(
            [libdir / "weavectl", "install", "--in-place", "shop-app==" + GOOD, "-d",
             node.top / "run", "-s", node.top / "state", "-i", node.httpd.ini],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert served.eventually(flag.exists)
        # a second one is refused, and says whose the first is
        status, said = node.install()
        assert status == 1 and "install --in-place shop-app==1.1" in said, said
        assert "wait until it has finished" in said
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert node.answer()[0] == 503
        node.httpd.stop()
        node.httpd.start()
        assert node.answer()[0] == 503
        node.httpd.stop()
        # the next command finds it without httpd, and httpd serves the former one
        assert served.eventually(lambda: node.httpd.weavectl("prune")[0] == 0)
        node.httpd.start()
        assert node.version_serves("1.0")
        assert node.files() == before and node.is_clean()
    finally:
        node.end()


def test_interrupted_by_ctrl_c(libdir, share):
    node, flag = migrating(libdir, share)
    try:
        node.top.chmod(0o1777)
        node.httpd.start()
        assert node.version_serves("1.0")
        before = node.files()
        running = subprocess.Popen(
            [libdir / "weavectl", "install", "--in-place", "shop-app==" + GOOD, "-d",
             node.top / "run", "-s", node.top / "state", "-i", node.httpd.ini],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert served.eventually(flag.exists)
        running.send_signal(signal.SIGINT)
        assert running.wait(120) == 1
        assert node.version_serves("1.0")
        assert node.files() == before and node.is_clean()
    finally:
        node.end()


@pytest.mark.parametrize("words, versions", (((), (BAD_IMPORT, GOOD)), (("for all",), (GOOD,))))
def test_a_maintenance_of_somebody_else_stays(folder_node, words, versions):
    node = folder_node
    node.httpd.start()
    assert node.version_serves("1.0")
    command = ["maintenance", "on", "--message", "Mine."]
    if words:
        subprocess.check_call(
            [node.httpd.libdir / "weavectl", *command, "-d", node.top / "run"],
            stdout=subprocess.DEVNULL)
    else:
        assert node.httpd.weavectl(*command)[0] == 0
    for version in versions:
        with served.Load(node.httpd, clients=1) as load:
            status, said = node.install(version)
            assert status == (version != GOOD), said
        assert kinds(load.answers) == ["pause"]
        assert "stays" in said or version != GOOD
    state = (node.top / "state" / "maintenance.json").read_text()
    assert "Mine." in state and pause.MESSAGE not in state
    subprocess.call([node.httpd.libdir / "weavectl", "maintenance", "off", "-d", node.top / "run"],
                    stdout=subprocess.DEVNULL)
    assert node.version_serves(GOOD)


def test_backoff_of_somebody_else_comes_back(folder_node):
    node = folder_node
    node.httpd.start()
    assert node.httpd.weavectl("maintenance", "backoff", "--for", "1h")[0] == 0
    status, said = node.install()
    assert status == 0, said
    assert "maintenance backoff is in force again" in said
    assert node.version_serves(GOOD)
    assert '"mode": "backoff"' in (node.top / "state" / "maintenance.json").read_text()


def test_without_httpd(home_node):
    node = home_node
    status, said = node.install()
    assert status == 0, said
    assert "is what httpd serves when it is started" in said
    node.httpd.start()
    assert node.version_serves(GOOD)


def test_killed_without_httpd(folder_node):
    node = folder_node
    node.httpd.start()
    node.httpd.stop()
    before = node.files()
    for kill in ("upgrade:after", "keep:before"):
        assert node.install(kill=kill)[0] != 0
        # httpd that is started meanwhile shows nothing of it
        node.httpd.start()
        assert node.answer()[0] == 503
        node.httpd.stop()
        status, out, err = node.httpd.weavectl("prune")
        assert status == 0, out + err
        assert node.files() == before and node.is_clean()
    node.httpd.start()
    assert node.version_serves("1.0")


# ---- what is refused, with nothing changed ----

def refuses(node, *words):
    before = node.files()
    status, said = node.install(GOOD, *words)
    assert status == 1 and "Traceback" not in said, said
    assert node.files() == before and node.is_clean()
    return said


def test_a_link_is_no_virtualenv_of_its_own(folder_node):
    node = folder_node
    (node.home / "current").symlink_to("venv")
    text = node.httpd.ini.read_text()
    node.httpd.ini.write_text(text.replace("%s/venv" % node.home, "%s/current" % node.home))
    said = refuses(node)
    assert "current is a link" in said and "leave --in-place out" in said


@pytest.mark.skipif(os.getuid() != 0, reason="only for root")
def test_what_belongs_to_somebody_else(folder_node):
    node = folder_node
    os.chown(node.app, 0, 0)
    said = refuses(node)
    assert "app.py does not belong to daemon" in said and "chown -R -h daemon" in said
    os.chown(node.app, owner().pw_uid, -1)
    os.chown(node.virtualenv, 0, 0)
    assert "chown -R -h daemon %s" % node.virtualenv in refuses(node)
    os.chown(node.virtualenv, owner().pw_uid, -1)
    (node.home / "releases").mkdir(exist_ok=True)
    os.chown(node.home / "releases", 1234, -1)
    assert "%s/releases" % node.home in refuses(node)


def test_a_version_that_is_not_there(folder_node):
    status, said = folder_node.install("9.9")
    assert status == 1 and "9.9" in said
    assert folder_node.is_clean()


def test_dry_run(folder_node):
    node = folder_node
    before = node.files()
    status, said = node.install(GOOD, "--dry-run")
    assert status == 0, said
    assert "nothing was changed" in said
    assert node.files() == before and node.is_clean()
