# SPDX-License-Identifier: Apache-2.0
"""What keeps root's side of weavectl apart from the owner of release.home."""

import resource
import shutil
import signal
import subprocess
import sys

import pytest

import nodes
from httpds import eventually

root = pytest.mark.skipif(not nodes.IS_ROOT, reason="needs root: two users are compared")

# Says which inner of this node's weavectl it could look into. argv: the path of the sync.ini.
SPY = """
import os, sys
ini = os.fsencode(sys.argv[1])
done = set()
def text(pid, name):
    with open("/proc/%s/%s" % (pid, name), "rb") as file:
        return file.read()
print("begins", flush=True)
while os.getppid() != 1:
    for pid in set(os.listdir("/proc")) - done:
        try:
            command = text(pid, "cmdline")
            if b"--inner" not in command:
                if not pid.isdigit() or (command and ini not in command):
                    done.add(pid)
                continue
            above = text(pid, "stat").rpartition(b") ")[2].split()[1].decode()
            if ini not in text(above, "cmdline"):
                done.add(pid)
            elif os.stat("/proc/%s" % pid).st_uid in (0, os.getuid()):
                print(pid, os.readlink("/proc/%s/fd/1" % pid), flush=True)
                done.add(pid)
        except (OSError, IndexError):
            continue
"""


@root
def test_the_owner_cannot_look_into_inner(node):
    """It holds the terminal of root and the socket of the broker."""
    spy = subprocess.Popen(
        ["setpriv", "--reuid", nodes.OWNER, "--regid", nodes.OWNER, "--init-groups",
         sys.executable, "-c", SPY, str(node.ini)], stdout=subprocess.PIPE, encoding="utf-8")
    try:
        assert spy.stdout.readline() == "begins\n"
        for _ in range(5):
            node.run("releases")
    finally:
        spy.kill()
    assert spy.stdout.read() == ""
    spy.wait()


# ---- what the caller's process hands on ----

@pytest.mark.parametrize("closed", ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"))
def test_standard_descriptors_that_are_closed(node, closed):
    """Nothing else is taken for them, and what would be printed is lost."""
    node.release_make("1.0")
    node.install(prefix=["sh", "-c", 'exec "$@" ' + closed, "sh"])
    assert node.current() == "releases/tiny-1.0"


def test_descriptors_of_the_caller_stay_with_it(node):
    node.release_make("1.0")
    node.ini_write(["migrate = ls -l /proc/self/fd; false"])
    said = node.install(status=1, prefix=[
        "bash", "-c", 'exec 4900<%s; exec "$@"' % node.ini, "bash"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (5000, 5000)))
    assert "/dev/null" in said and str(node.ini) not in said.partition("log:")[0]


@pytest.mark.parametrize("signal_name", ("SIGCHLD", "SIGHUP"))
def test_signals_that_the_caller_ignores(node, signal_name):
    node.release_make("1.0")
    ignore = "import os, signal, sys\nsignal.signal(signal.%s, signal.SIG_IGN)\n" % signal_name
    node.install(prefix=[sys.executable, "-c", ignore + "os.execv(sys.argv[1], sys.argv[1:])"])
    assert node.current() == "releases/tiny-1.0"


def test_nohup(node):
    """Who leaves the terminal does not end a command that is to go on."""
    go = node.folder / "go"
    node.release_make("1.0")
    node.ini_write(["migrate = echo > %s; while [ ! -e %s ]; do sleep 0.05; done"
                    % (node.folder / "open" / "begins", go)])
    flag = node.folder / "open" / "begins"
    flag.parent.mkdir()
    flag.parent.chmod(0o777)
    running = subprocess.Popen(
        ["nohup", *node.command("install", "Tiny", "--find-links", str(node.share))],
        env=node.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(flag.exists, "the migration begins")
    running.send_signal(signal.SIGHUP)
    go.touch()
    assert running.wait() == 0
    assert node.current() == "releases/tiny-1.0"


def test_a_folder_that_was_removed(node):
    gone = node.folder / "gone"
    said = node.run("releases", status=1, prefix=[
        "sh", "-c", 'mkdir %s; cd %s; rmdir %s; exec "$@"' % (gone, gone, gone), "sh"])
    assert said == "weavectl: the folder that you are in: No such file or directory\n  cd /\n"


@pytest.mark.skipif(not shutil.which("localedef"), reason="needs localedef")
def test_bytes_of_a_name_in_another_locale(node):
    """They reach the file as they are, whatever LC_ALL says of them."""
    subprocess.run(["localedef", "-c", "-i", "POSIX", "-f", "ISO-8859-1",
                    str(node.folder / "latin")], stderr=subprocess.DEVNULL)
    assert (node.folder / "latin").exists()
    node.release_make("1.0")
    share = node.folder / "sh\u00e4re"
    node.share.rename(share)
    node.run("install", "Tiny", "--find-links", str(share), env={
        "LC_ALL": "latin", "LOCPATH": str(node.folder)})
    assert node.current() == "releases/tiny-1.0"


def test_a_command_line_is_quoted_without_control_characters(node):
    said = node.run("install", "Tiny", "--a\x1b[31mb", status=2)
    assert "unrecognized arguments: --a\\x1b[31mb" in said
    node.ini = ""
    assert "the INI is empty" in node.run("releases", status=2)


# ---- what programs leave behind ----

# A program that leaves a process behind, in a session of its own and without its parent.
# argv: a file for its pid, and words.
STRAY = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open(sys.argv[1], "w") as file:
            file.write("%d" % os.getpid())
        while "quiet" in sys.argv:
            os.closerange(0, 10)
            time.sleep(600)
        while True:
            try:
                os.write(1, b"still here\\n")
            except OSError:
                pass
            time.sleep(0.01)
    os._exit(0)
while not os.path.exists(sys.argv[1]) or not os.path.getsize(sys.argv[1]):
    time.sleep(0.01)
if "stay" in sys.argv:
    time.sleep(600)
os._exit(3)
"""


def has_ended(pid):
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            return file.read().rpartition(b") ")[2][:1] == b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Left:
    """A program of a node that leaves something behind: write(), then pid() of it."""

    def __init__(self, node, kind):
        self.node, self.kind = node, kind
        place = node.folder / "open"
        place.mkdir()
        place.chmod(0o777)
        self.stray = place / "stray.py"
        self.stray.write_text(STRAY)
        self.file = place / "pid"

    def write(self, *words):
        command = [sys.executable, str(self.stray), str(self.file), *words]
        if self.kind == "migrate":
            self.node.ini_write(["migrate = " + " ".join(command)])
            self.node.release_make("1.0")
            return
        command.append("quiet")     # pip waits for all that hold its pipe
        nodes.archives.sdist(self.node.share, "Tiny", "1.0", files={
            "setup.py": "import os, sys\nos.execv(%r, %r)\n" % (sys.executable, command)})

    def pid(self):
        eventually(lambda: self.file.exists() and self.file.read_text(), "the stray begins")
        return int(self.file.read_text())


@pytest.fixture(params=("build", "migrate"))
def left(request, node):
    return Left(node, request.param)


def test_nothing_of_a_program_goes_on_after_it(node, left):
    left.write()
    node.install(status=1, timeout=120)
    assert has_ended(left.pid())


def test_nothing_goes_on_after_a_broker_that_was_killed(node, left):
    left.write("stay")
    running = subprocess.Popen(node.command("install", "Tiny", "--find-links", str(node.share)),
                               env=node.environment(), stderr=subprocess.DEVNULL)
    pid = left.pid()
    running.kill()
    running.wait()
    eventually(lambda: has_ended(pid), "the stray ends")
