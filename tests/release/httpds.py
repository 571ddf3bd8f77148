# SPDX-License-Identifier: Apache-2.0
"""An httpd for a node of nodes.py, and clients that ask it all the time."""

import atexit
import contextlib
import functools
import glob
import http.client
import json
import os
import pathlib
import pwd
import signal
import subprocess
import sys
import time

from conftest import BUILD, TOP

sys.path.insert(0, str(TOP / "mozupload" / "tests"))
from apache import port_held  # noqa: E402

WAIT_SECONDS = 300
USERS = ("www-data", "apache", "http")
LOAD = pathlib.Path(__file__).with_name("load.py")


@functools.lru_cache(None)
def apxs(variable):
    done = subprocess.run([os.environ.get("APXS", "apxs"), "-q", variable], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.decode().strip()


def eventually(condition, what, seconds=WAIT_SECONDS):
    """Waits until condition() is true, and returns what it returned."""
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < until, "not in time: %s" % what
        time.sleep(0.05)


def state(pid):
    """The letter of a process as ps shows it; "": there is none."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


def is_alive(pid):
    return state(pid) not in ("", "Z")


def kill(pid):
    """Sends KILL to a process. False: it has ended already."""
    with contextlib.suppress(ProcessLookupError):
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def httpd_user():
    """The user that httpd serves as where root starts it."""
    for name in USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return pwd.getpwnam("nobody")


class Server:
    """An httpd in a folder of its own, with a port of its own."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.program = "%s/%s" % (apxs("SBINDIR"), apxs("PROGNAME"))
        self.socket = port_held()
        self.port = self.socket.getsockname()[1]
        self.pid = 0
        atexit.register(self.close)

    def configure(self, build, more):
        """Writes httpd.conf, with mod_weave.so of a folder and more lines."""
        built_in = subprocess.run([self.program, "-l"], check=True,
                                  stdout=subprocess.PIPE).stdout.decode()
        lines = ["LoadModule %s_module %s/mod_%s.so" % (name, apxs("LIBEXECDIR"), name)
                 for name in ("mpm_event", "unixd", "authz_core")
                 if "mod_%s.c" % name not in built_in and "%s.c" % name not in built_in]
        if os.getuid() == 0:
            user = httpd_user()
            lines.append("User %s\nGroup #%d" % (user.pw_name, user.pw_gid))
        (self.folder / "httpd.conf").write_text("\n".join(lines) + """
LoadModule weave_module "%s/mod_weave.so"
ServerName localhost
ServerRoot "%s"
DefaultRuntimeDir "%s"
PidFile httpd.pid
Listen 127.0.0.1:%d
ErrorLog error_log
StartServers 1
%s
""" % (build, self.folder, self.folder, self.port, more))

    def run(self, *words):
        done = subprocess.run(
            [self.program, "-d", str(self.folder), "-f", str(self.folder / "httpd.conf"), *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stdout + self.log()

    def start(self):
        self.run("-k", "start")
        pidfile = self.folder / "httpd.pid"
        eventually(lambda: pidfile.exists() and pidfile.read_text().strip(), "httpd's pid")
        self.pid = int(pidfile.read_text())
        eventually(lambda: self.get()[0], "an answer\n" + self.log())

    def stop(self):
        if self.pid and is_alive(self.pid):
            os.kill(self.pid, signal.SIGTERM)
            eventually(lambda: not is_alive(self.pid), "httpd's end")
        self.pid = 0

    def close(self):
        self.stop()
        self.socket.close()

    def graceful(self):
        os.kill(self.pid, signal.SIGUSR1)

    def log(self):
        with contextlib.suppress(OSError):
            return (self.folder / "error_log").read_text(errors="replace")
        return ""

    def get(self, path="/"):
        """(status, headers in lower case, body), or (None, {}, why)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, body
        except (OSError, http.client.HTTPException) as error:
            return None, {}, repr(error)
        finally:
            connection.close()


class Httpd(Server):
    """An httpd with the application of a node at /. `more` is for its configuration."""

    def __init__(self, node, more=""):
        folder = node.folder / "httpd"
        folder.mkdir(mode=0o755)
        super().__init__(folder)
        self.node = node
        self.runtime = node.folder / "run"
        self.configure(more)

    def configure(self, more=""):
        super().configure(BUILD, """LogLevel info weave:debug
ServerLimit 2
WeaveRuntimeDir "%s"
WeaveStateDir "%s/state"
WeaveApp / "%s"
%s""" % (self.runtime, self.node.folder, self.node.ini, more))

    def children(self):
        """The pids of the processes that serve."""
        found = []
        for path in glob.glob("/proc/[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(path, encoding="ascii", errors="replace") as file:
                    text = file.read()
                name, rest = text.rsplit(")", 1)
                if int(rest.split()[1]) == self.pid and "weaved" not in name:
                    found.append(int(text.split()[0]))
        return found

    def answer(self, path="/"):
        """The body of a 200; None: another answer, or none."""
        status, _, body = self.get(path)
        return body if status == 200 else None

    def serves(self, version):
        eventually(lambda: self.answer() == version, "%s serves" % version)

    def status(self):
        done = subprocess.run([str(BUILD / "weavectl"), "-d", str(self.runtime), "status",
                               "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return json.loads(done.stdout.decode() or "{}")

    def app(self):
        return (self.status().get("applications") or [{}])[0]

    def weaved_pid(self):
        return eventually(lambda: self.status().get("pid"), "weaved answers")


class Load:
    """Clients that send so many requests a second, as a context. What they have met, stop()
    returns and keeps: answered, reopened, failures (texts), p99_ms, most_ms."""

    def __init__(self, httpd, rate=20):
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LOAD), str(httpd.port), str(rate)],
            stdout=subprocess.PIPE)
        self._process.stdout.readline()      # they ask
        self.met = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def stop(self):
        if self.met is None:
            self._process.send_signal(signal.SIGTERM)
            self.met = json.loads(self._process.stdout.read().decode())
            self._process.wait()
            self.met["machine"] = os.getloadavg()[0]
            print("load: %(answered)d answered, %(reopened)d reopened, p99 %(p99_ms).1f ms,"
                  " most %(most_ms).1f ms, machine's load %(machine).1f" % self.met)
        return self.met
