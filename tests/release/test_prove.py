# SPDX-License-Identifier: Apache-2.0
"""weavectl prove: a release comes up without an httpd, as whom, and nothing of it stays."""

import glob
import json
import os
import signal
import socket
import subprocess

import pytest

import nodes
from conftest import BUILD
from httpds import eventually, is_alive

APP = """
import os, signal, sys
%s
def application(environ, start_response):
    start_response(WARM if environ["PATH_INFO"] == "/warm" else "200 OK", [])
    return [b"x"]
"""


@pytest.fixture(scope="module")
def place():
    """A node with a release that is no more than a virtualenv with bin/app.wsgi."""
    made = nodes.Node()
    made.ini_write(("warmup = /warm", "[limits]", "startup_timeout = 10"),
                   ("mode = embedded", "env.DATA = %s/current/data" % made.home))
    made.release = made.home / "releases" / "tiny-1"
    made.release.parent.mkdir()
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(made.release)],
                   check=True)
    yield made
    made.close()


def app_write(node, code):
    (node.release / "bin" / "app.wsgi").write_text(APP % ("WARM = '200 OK'\n" + code))


def command(node, user=nodes.WORKERS):
    as_user = ["--user", user] if os.getuid() == 0 and user else []
    return [str(BUILD / "weavectl"), "prove", "-i", str(node.ini), "--release",
            str(node.release)] + as_user


def prove(node, **more):
    """The exit status, the answer, and the log."""
    done = subprocess.run(command(node, **more), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr.decode()


def processes_of(node):
    """The pids of all that has to do with the node."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                text = file.read()
        except OSError:
            continue
        if os.fsencode(str(node.ini)) in text and b"pytest" not in text:
            found.append(int(path.split("/")[2]))
    return found


def folders():
    return set(glob.glob("/tmp/weave-prove-*"))


def test_it_comes_up_as_its_user(place):
    app_write(place, "print(os.getuid(), sys.prefix, os.environ['DATA'], flush=True)")
    status, answer, log = prove(place)
    assert (status, answer["state"], answer["warmup_status"]) == (0, "serving", 200), log
    assert answer["release"] == "tiny-1"
    user = nodes.user_ids(nodes.WORKERS)[0] if os.getuid() == 0 else os.getuid()
    assert "%d %s %s/data" % (user, place.release, place.release) in log
    assert not processes_of(place)
    assert not os.path.exists(os.path.dirname(answer["workers"][0]["socket"]))


@pytest.mark.parametrize("code, why", [
    ("raise ValueError('no good')", "ValueError: no good"),
    ("WARM = '404 No'", "was answered 404"),
    ("os._exit(5)", "ended before it was ready"),
    ("os.kill(os.getpid(), 9)", "ended before it was ready"),
    ("sys.exit('bye')", "bye"),
])
def test_it_says_why_not(place, code, why):
    app_write(place, code)
    status, answer, _ = prove(place)
    assert status == 1 and why in answer["error"]
    assert not processes_of(place)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_of_it_stays(place, number):
    app_write(place, "import time; time.sleep(600)")
    process = subprocess.Popen(command(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    eventually(lambda: len(processes_of(place)) >= 2, "a worker")
    found = processes_of(place)
    process.send_signal(number)
    process.communicate()
    for pid in found:
        eventually(lambda pid=pid: not is_alive(pid), "process %d ends" % pid)


@pytest.mark.skipif(os.getuid() != 0, reason="only root has a choice")
def test_never_as_root(place):
    app_write(place, "")
    for user in (None, "root", "no-such-user"):
        status, answer, log = prove(place, user=user)
        assert status == 1 and "--user must name an ordinary user" in answer["error"]


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_another_user_has_no_way_to_weaved(place):
    """The socket is there while a worker starts: only root and its own user may ask."""
    app_write(place, "import time; time.sleep(600)")
    before = folders()
    process = subprocess.Popen(command(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    eventually(lambda: len(processes_of(place)) >= 2, "a worker")
    path = eventually(lambda: [one for new in folders() - before
                               for one in glob.glob(new + "/weaved.sock")], "a socket")[0]
    pid = os.fork()
    if pid == 0:
        os.setgid(nodes.user_ids(nodes.STRANGER)[1])
        os.setuid(nodes.user_ids(nodes.STRANGER)[0])
        try:
            socket.socket(socket.AF_UNIX).connect(path)
        except PermissionError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    process.terminate()
    process.communicate()
