# SPDX-License-Identifier: Apache-2.0
"""weavectl install --in-place, with a real httpd under load, and killed at each step."""

import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

import httpds
import served
import shop
from conftest import TOP
from shop import BAD_IMPORT, BAD_WARMUP, GOOD, Node, kinds, owner
from weave_release import pause


@pytest.fixture
def node_make(libdir, shop_share):
    """Makes nodes: its arguments are those of Node behind the share."""
    made = []

    def make(kind, more="", size_kib=0):
        made.append(Node(libdir, shop_share, kind, more, size_kib))
        return made[-1]

    yield make
    for node in made:
        node.end()


@pytest.fixture(params=("home", "folder"))
def node(request, node_make):
    return node_make(request.param)


@pytest.fixture
def folder_node(node_make):
    return node_make("folder")


@pytest.fixture
def home_node(node_make):
    return node_make("home")


def test_an_upgrade_under_load(node):
    node.httpd.start()
    assert node.version_serves("1.0")
    with served.Load(node.httpd) as load:
        load.goes_on()
        status, said = node.install()
        assert status == 0, said
        assert node.version_serves(GOOD)
        load.goes_on()
    seen = kinds(load.answers)
    assert set(seen) == {"1.0", "pause", GOOD}
    # a new version never before the pause, an old one never after it
    assert seen.index("1.0") < seen.index("pause") < seen.index(GOOD)
    assert "1.0" not in seen[seen.index(GOOD):]
    assert "shop-app 1.1 serves, in place." in said
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
    failed = json.loads((node.home / "history.jsonl").read_text().splitlines()[-1])
    assert (failed["event"], failed["step"]) == ("failed", "workers")
    assert set(kinds(load.answers)) <= {"1.0", "pause"}
    assert node.files() == before
    assert node.is_clean()


def test_a_migration_that_fails(node_make):
    node = node_make("folder", "migrate = echo too bad; exit 3\n")
    node.httpd.start()
    before = node.files()
    status, said = node.install()
    assert status == 1 and "too bad" in said, said
    assert node.version_serves("1.0") and node.files() == before and node.is_clean()
    status, said = node.install(GOOD, "--no-migrate")
    assert status == 0, said


def test_in_httpds_own_processes(node_make):
    node = node_make("folder")
    text = node.httpd.ini.read_text()
    node.httpd.ini.write_text(text.replace("processes = 1", "mode = embedded"))
    node.httpd.start()
    assert node.version_serves("1.0")
    with served.Load(node.httpd) as load:
        status, said = node.install(BAD_IMPORT)
        assert status == 1 and "no_such_module" in said, said
        assert node.version_serves("1.0")
        status, said = node.install()
        assert status == 0, said
        assert node.version_serves(GOOD)
        load.goes_on()
    seen = kinds(load.answers)
    assert set(seen) == {"1.0", "pause", GOOD} and "1.0" not in seen[seen.index(GOOD):]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")
def test_a_full_disk(node_make):
    node = node_make("folder", size_kib=2048)
    if not node.has_mount:
        pytest.skip("may not mount")
    node.httpd.start()
    assert node.version_serves("1.0")
    before = node.files()
    statuses = set()
    for left_kib in (0, 24, 1200):
        disk = os.statvfs(node.home)
        taken = disk.f_bavail * disk.f_frsize - left_kib * 1024
        (node.home / "filler").write_bytes(b"x" * taken)
        status, said = node.install()
        statuses.add(status)
        (node.home / "filler").unlink()
        assert "Traceback" not in said and node.is_clean(), (left_kib, said)
        if status:
            assert "room" in said or "space" in said, (left_kib, said)
            assert node.version_serves("1.0"), (left_kib, said)
            assert node.files() == before, (left_kib, said)
    assert statuses == {0, 1} and node.version_serves(GOOD)


def test_running_syncs_finish_first(node_make):
    node = node_make("folder")
    text = node.httpd.ini.read_text()
    node.httpd.ini.write_text(text.replace("style = sync", "style = sync\ndrain = 1"))
    node.httpd.start()
    assert node.version_serves("1.0")
    status, said = node.install(GOOD, "--drain")
    assert status == 0, said
    assert node.version_serves(GOOD)


def test_what_is_in_python_takes_too_long(folder_node):
    node = folder_node
    node.httpd.start()
    assert node.version_serves("1.0")
    before = node.files()
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(node.httpd.get, "/slow")
        httpds.eventually((node.top / "slow").exists, "a slow request")
        status, said = node.install(GOOD, "--wait", "1s")
        assert status == 1 and "still in Python: 1" in said, said
        assert node.version_serves("1.0")
        (node.top / "slow").unlink()
        assert slow.result()[0] == 200
    assert node.files() == before and node.is_clean()


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
    with served.Load(node.httpd) as load:
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
        with served.Load(node.httpd) as load:
            status, said = node.install(BAD_IMPORT, kill=kill)
            assert status != 0, said
            assert node.answer()[0] == 503, kill
            assert node.httpd.weavectl("prune")[0] == 0
            assert node.version_serves("1.0")
        assert set(kinds(load.answers)) <= {"1.0", "pause"}
        assert node.files() == before and node.is_clean()


def migrating(libdir, node_make):
    """A node that serves, and an install --in-place that has come to its migration."""
    node = node_make("folder", "migrate = touch TOP/flags/migrates; exec sleep 120\n")
    (node.top / "flags").mkdir()
    (node.top / "flags").chmod(0o1777)
    node.httpd.start()
    assert node.version_serves("1.0")
    before = node.files()
    running = subprocess.Popen(
        [libdir / "weavectl", "install", "--in-place", "shop-app==" + GOOD, "-d",
         node.top / "run", "-s", node.top / "state", "-i", node.httpd.ini],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    httpds.eventually((node.top / "flags" / "migrates").exists, "the migration")
    return node, before, running


def test_weavectl_itself_is_killed_and_httpd_too(libdir, node_make):
    node, before, running = migrating(libdir, node_make)
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
    httpds.eventually(lambda: node.httpd.weavectl("prune")[0] == 0, "prune")
    node.httpd.start()
    assert node.version_serves("1.0")
    assert node.files() == before and node.is_clean()


def test_interrupted_by_ctrl_c(libdir, node_make):
    node, before, running = migrating(libdir, node_make)
    running.send_signal(signal.SIGINT)
    assert running.wait(httpds.WAIT_SECONDS) == 1
    assert node.version_serves("1.0")
    assert node.files() == before and node.is_clean()


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


def test_weave_server_in_var_sync(node_make):
    """As the first proposal has it: an sdist from a folder, into the virtualenv that is HOME."""
    if subprocess.call([shop.PYTHON, "-c", "import falcon, sqlalchemy, argon2, setuptools"],
                       stderr=subprocess.DEVNULL):
        pytest.skip("the distribution's packages for weave.server are not installed")
    node = node_make("home", "migrate = weave-server migrate\n")
    archives, data = node.top / "archives", node.top / "data"
    data.mkdir(mode=0o700)
    if os.getuid() == 0:
        os.chown(data, httpds.httpd_user().pw_uid, -1)
    subprocess.check_call(["conf/sdist", archives], cwd=TOP, stdout=subprocess.DEVNULL,
                          env=dict(os.environ, PYTHON=shop.PYTHON))
    subprocess.check_call(["chmod", "-R", "a+rX", archives])
    config = node.home / "pyvenv.cfg"
    config.write_text(config.read_text().replace(
        "include-system-site-packages = false", "include-system-site-packages = true"))
    text = node.httpd.ini.read_text().replace(
        "module = shop.app", "script = share/weave/weave.wsgi")
    node.httpd.ini.write_text(text.replace("/alive", "/__heartbeat__") + (
        "[storage]\nsqluri = sqlite:///%s/weave.db\ncreate_tables = false\n" % data))
    sdist, = archives.glob("*.tar.gz")
    status, out, err = node.httpd.weavectl("install", "--in-place", sdist, "--find-links",
                                           archives)
    assert status == 0, out + err
    node.httpd.start()
    httpds.eventually(
        lambda: node.httpd.get("/__heartbeat__")[::2] == (200, '{"status":"ok"}'),
        "the server's heartbeat")
    assert (data / "weave.db").exists()


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
