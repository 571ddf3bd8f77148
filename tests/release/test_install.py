# SPDX-License-Identifier: Apache-2.0
"""weavectl install on a node without httpd, step by step and killed at each of them."""

import json
import os
import pwd
import signal
import stat
import subprocess
import time

import pytest

import nodes
from conftest import BUILD

WAIT_S = 300
STEPS = ("lock", "plan", "fetch", "build", "create", "install", "sync", "migrate", "prove", "link",
         "switch", "record")


@pytest.fixture(scope="module")
def installed():
    """A node that has Tiny 1.0, installed with all that a caller can have against it."""
    made = nodes.Node("a home %s" % ("x" * 90))
    made.release_make("1.0", files={"Tiny-1.0.dist-info/entry_points.txt":
                                    "[console_scripts]\ntiny = tiny:main\n",
                                    "tiny.py": "def main():\n    print('runs')\n"})
    evil = made.folder / "evil"
    evil.mkdir()
    (evil / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:9/\nno-such = 1\n")
    (evil / "sitecustomize.py").write_text("raise SystemExit('sitecustomize of the caller')\n")
    (evil / "pip").mkdir()
    (evil / "pip" / "__init__.py").write_text("raise SystemExit('pip of the caller')\n")
    env = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_TARGET": str(evil), "PIP_USER": "1",
           "PIP_NO_INDEX": "0", "PIP_CONFIG_FILE": str(evil / "pip.conf"), "PIP_PREFIX": "/evil",
           "PYTHONPATH": str(evil), "PYTHONHOME": str(evil), "PYTHONSTARTUP": "/evil",
           "PYTHONPYCACHEPREFIX": str(evil), "PYTHONWARNINGS": "error", "VIRTUAL_ENV": str(evil),
           "XDG_CONFIG_HOME": str(evil), "XDG_CACHE_HOME": str(evil), "HOME": str(evil),
           "TMPDIR": "/no/such/folder", "http_proxy": "http://127.0.0.1:9", "LC_ALL": "C",
           "https_proxy": "http://127.0.0.1:9", "SSL_CERT_FILE": "/evil", "CDPATH": "/",
           "IFS": "/", "BASH_ENV": "/evil", "LD_LIBRARY_PATH": "/evil", "SUDO_USER": "alice"}
    made.said = made.install(env=env, umask=0o077)
    made.evil = evil
    yield made
    made.close()


# ---- what an install makes ----

def test_it_serves(installed):
    assert installed.current() == "releases/tiny-1.0"
    assert "tiny 1.0 is what httpd serves when it is started" in installed.said
    for step in STEPS[1:7] + STEPS[8:]:
        assert "\n  %s " % step in "\n" + installed.said


def test_nothing_of_the_caller_counts(installed):
    assert sorted(path.name for path in installed.evil.iterdir()) == [
        "pip", "pip.conf", "sitecustomize.py"]


def test_what_is_installed_runs(installed):
    release = installed.home / "current"
    said = subprocess.check_output(
        [release / "bin" / "python", "-I", "-c",
         "import sys, tiny, dep; print(sys.prefix, tiny.__file__, dep.VERSION)"], encoding="utf-8")
    real = str(installed.home / "releases" / "tiny-1.0")
    assert said.startswith("%s %s/" % (real, real)) or str(release) in said
    assert said.endswith(" 1.1\n")
    assert subprocess.check_output([release / "bin" / "tiny"], encoding="utf-8") == "runs\n"


def test_pip_is_there_for_people_and_no_part_of_it(installed):
    release = installed.home / "current"
    said = subprocess.check_output([release / "bin" / "pip", "list", "--format=freeze"],
                                   encoding="utf-8", stderr=subprocess.DEVNULL)
    assert {"Tiny==1.0", "dep==1.1"} <= set(said.split())
    assert not list((installed.home / "releases" / "tiny-1.0").glob("lib/*/site-packages/pip"))


def test_everybody_may_read_and_only_the_owner_write(installed):
    release = installed.home / "releases" / "tiny-1.0"
    owner = pwd.getpwnam(nodes.OWNER).pw_uid if nodes.IS_ROOT else os.getuid()
    count = 0
    for folder, folders, files in os.walk(release):
        for name in folders + files:
            info = os.lstat(os.path.join(folder, name))
            assert info.st_uid == owner
            if not stat.S_ISLNK(info.st_mode):
                assert info.st_mode & 0o022 == 0 and info.st_mode & 0o444 == 0o444
                assert info.st_mode & 0o111 in (0, 0o111)
                count += 1
    assert count > 10
    assert list(release.glob("lib/*/site-packages/__pycache__/tiny.*.pyc"))


def test_ready_json_says_what_it_is(installed):
    ready = installed.ready("tiny-1.0")
    assert (ready["name"], ready["project"], ready["version"]) == ("tiny", "Tiny", "1.0")
    assert ready["lock"]["dep"]["version"] == "1.1" and len(ready["lock"]["dep"]["sha256"]) == 64
    assert set(ready["records"]) == {"Tiny", "dep"}
    assert ready["python"]["executable"].startswith("/") and ready["pip"].split(".")[0].isdigit()
    if nodes.IS_ROOT:
        assert ready["by"] == "root (alice via sudo)"


def test_again_is_done_at_once(installed):
    before = installed.snapshot()
    said = installed.install(umask=0)
    assert "tiny 1.0 serves already" in said and "install" not in said
    assert installed.snapshot() == before


def test_a_dry_run_changes_nothing(installed):
    installed.release_make("1.1", requires=("dep>=1", "more"), name="Tiny")
    share = installed.share
    more = nodes.archives.wheel(share, "more", "3")
    installed.manifest_write("Tiny", "1.1", [
        nodes.file_of(share / "Tiny-1.1-py3-none-any.whl", "tiny", "1.1", "application"),
        nodes.file_of(share / "dep-1.1-py3-none-any.whl", "dep", "1.1", "dependency"),
        nodes.file_of(more, "more", "3", "dependency")])
    before = installed.snapshot()
    said = installed.install("--dry-run", "Tiny==1.1")
    assert "+ more 3" in said and "tiny 1.0 → 1.1" in said
    assert installed.snapshot() == before
    assert installed.current() == "releases/tiny-1.0"


def test_another_python_is_a_release_of_its_own(node):
    """From Python 3.11 to 3.12 is a release like others. The other one here is this one's link."""
    node.release_make("1.0")
    node.install()
    exact = node.ready("tiny-1.0")["python"]["executable"]
    other = node.folder / os.path.basename(exact)
    other.symlink_to(exact)
    node.ini_write(("python = %s" % other,))
    facts = node.ready("tiny-1.0")
    facts["python"]["version"] = "3.7.1"        # as if it were another version
    path = node.home / "releases" / "tiny-1.0" / ".weave" / "ready.json"
    path.write_text(json.dumps(facts))
    said = node.install("Tiny", "--no-switch")
    assert "\n  Python 3.7.1 → %s\n" % node.ready("tiny-1.0@2")["python"]["version"] in said
    assert node.ready("tiny-1.0@2")["python"]["executable"] == str(other)
    assert "tiny 1.0@2 is ready already" in node.install("Tiny", "--no-switch")
    node.ini_write(("python = %s" % exact,))
    assert "tiny 1.0 serves already" in node.install()


def test_a_plain_folder_does(node):
    node.release_make("1.0", plain=True)
    said = node.install(str(node.share / "Tiny-1.0-py3-none-any.whl"))
    assert "nothing vouches for these files" in said
    assert node.current() == "releases/tiny-1.0"


def test_a_dry_run_before_the_first_install(node):
    node.release_make("1.0")
    assert "+ tiny 1.0" in node.install("--dry-run", "Tiny")
    assert os.listdir(node.home) == []


def test_no_switch_waits_for_switch(installed):
    installed.release_make("1.2")
    said = installed.install("Tiny==1.2", "--no-switch", umask=0)
    assert installed.current() == "releases/tiny-1.0" and \
        "weavectl switch -i %s 1.2" % installed.ini in said
    for folder, folders, files in os.walk(installed.home / "releases" / "tiny-1.2"):
        for name in folders + files:
            info = os.lstat(os.path.join(folder, name))
            assert stat.S_ISLNK(info.st_mode) or info.st_mode & 0o022 == 0
    installed.run("switch", "1.2")
    assert installed.current() == "releases/tiny-1.2"
    installed.run("rollback")
    assert installed.current() == "releases/tiny-1.0"
    said = installed.install("Tiny==1.2", status=1)
    assert "tiny 1.2 was left by a rollback" in said and "--again" in said
    installed.install("Tiny==1.2", "--again")
    assert installed.current() == "releases/tiny-1.2@2"


# ---- killed anywhere ----

def killed(node, step, version):
    """Runs an install that is killed after a step, which is before the next one."""
    said = node.install("Tiny==" + version, env={"WEAVE_KILL_AT": step + ":after"}, status=1)
    assert "ended by signal 9" in said


def test_killed_without_httpd_and_run_again(node):
    """With one that serves it is killed behind each step: test_whole.py."""
    node.ini_write(["migrate = true"])
    for version in ("1.0", "2.0"):
        node.release_make(version)
    node.install("Tiny==1.0")
    for step in STEPS[STEPS.index("sync"):]:
        killed(node, step, "2.0")
        is_moved = STEPS.index(step) >= STEPS.index("link")
        assert node.current() == "releases/tiny-%s" % ("2.0" if is_moved else "1.0"), step
        if step in ("link", "switch", "record"):
            # the next one finds it serving, as httpd is stopped
            (node.home / "current").unlink()
            (node.home / "current").symlink_to("releases/tiny-1.0")
    said = node.install("Tiny==2.0")
    assert node.current() == "releases/tiny-2.0"
    assert "ready already" in said
    assert node.unmarked() == [] and node.releases() == ["tiny-1.0", "tiny-2.0"]
    assert os.listdir(node.home / "incoming") == []
    assert (node.home / "lock").read_text() == ""


@pytest.fixture
def slow(node):
    """A node whose share has an sdist that is built for ever; builder() waits for that."""
    place = node.folder / "open"
    place.mkdir()
    place.chmod(0o777)
    pid_file = place / "pid"
    nodes.archives.sdist(node.share, "Slow", "1.0", files={
        "setup.py": "import os, time\nopen(%r, 'w').write(str(os.getpid()) + ' ')\n"
                    "time.sleep(600)\n" % str(pid_file)})

    def start():
        if pid_file.exists():
            pid_file.unlink()
        command = [BUILD / "weavectl", "install", "Slow", "--find-links", node.share, "-i",
                   node.ini]
        broker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  encoding="utf-8")
        wait_until(lambda: pid_file.exists() and pid_file.read_text().endswith(" "))
        inner = int(subprocess.check_output(["pgrep", "-P", str(broker.pid)]))
        return broker, inner, int(pid_file.read_text())

    node.start = start
    return node


@pytest.mark.parametrize("victim", ("broker", "inner"))
def test_killed_halves(slow, victim):
    """kill -9 of either half of weavectl ends the other, and the code of an archive."""
    broker, inner, builder = slow.start()
    with open("/proc/%d/stat" % builder) as file:
        assert file.read().rsplit(")", 1)[1].split()[16] == "19"    # nice
    if nodes.IS_ROOT:
        assert "idle" in subprocess.check_output(["ionice", "-p", str(builder)], encoding="utf-8")
    os.kill(broker.pid if victim == "broker" else inner, signal.SIGKILL)
    broker.communicate(timeout=WAIT_S)
    wait_until(lambda: is_gone(inner) and is_gone(builder))


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
def test_interrupted(slow, number):
    broker, inner, builder = slow.start()
    broker.send_signal(number)
    said = broker.communicate(timeout=WAIT_S)[0]
    assert broker.returncode == 1 and "Traceback" not in said
    if number != signal.SIGHUP:
        assert "weavectl: interrupted\n" in said
        assert slow.history()[-1]["error"] == "interrupted"
    wait_until(lambda: is_gone(inner) and is_gone(builder))
    assert [name for name in os.listdir(slow.home / "incoming")] == [] or number == signal.SIGHUP


def test_two_at_once(slow):
    broker, inner, builder = slow.start()
    said = slow.install("Slow", status=1)
    assert "runs `weavectl install Slow`" in said and "(pid %d)" % inner in said
    assert said.count("\n") == 1, said
    broker.send_signal(signal.SIGTERM)
    broker.communicate(timeout=WAIT_S)


def is_gone(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(is_so):
    until = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_what_a_build_leaves_behind_ends(node):
    """A daemon in a session of its own."""
    place = node.folder / "open"
    place.mkdir()
    place.chmod(0o777)
    nodes.archives.sdist(node.share, "Daemon", "1.0", files={
        "setup.py": "import subprocess\nleft = subprocess.Popen(['sleep', '600'], "
                    "start_new_session=True, stdout=-3, stderr=-3)\n"
                    "open(%r, 'w').write(str(left.pid))\n"
                    "raise SystemExit('that is all')\n" % str(place / "pid")})
    node.install("Daemon", status=1)
    assert is_gone(int((place / "pid").read_text()))
