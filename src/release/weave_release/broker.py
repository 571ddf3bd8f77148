# SPDX-License-Identifier: Apache-2.0
"""The part of weavectl that keeps the rights of who calls it, mostly root.

It reads the settings, finds the owner of release.home, starts inner as that user, and does
for it what only it may do: a fixed list of calls (OPERATIONS). It opens, imports and
executes nothing below release.home, and believes nothing that inner says but names of
releases, which it checks.
"""

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys

from . import programs, users, words
from .errors import ReleaseError

# Call: the module that has call_NAME(broker, request) for it.
OPERATIONS = {
    "serving": "weaved", "prove": "prove", "switch": "prove", "drop": "prove",
    "migrate": "migrate", "maintenance": "pause", "reload": "pause",
}
REQUEST_BYTES = 1 << 20
FAULT_VARIABLE = "WEAVE_KILL_AT"


class Interrupted(BaseException):
    """A signal came while a call was being done."""


class Broker:
    """What the calls work with.

    weavectl and libdir are paths of ours; options is the command line; keys are the values
    of the sync.ini by name, as `weavectl config` has them; home is release.home, owner and
    workers are users.User (workers None: as whoever starts httpd); engines has the versions
    of Python that workers can have.
    """

    def __init__(self, own, options):
        self.weavectl, self.libdir = own.weavectl, own.libdir
        self.options = options
        self.by = users.caller_name()
        self.keys = {}
        self.home = ""
        self.owner = self.workers = None
        self.inner_pid = 0
        self.is_calling = False
        self.state = {}  # what the calls remember from one to the next, by module

    # ---- the settings ----

    def keys_read(self):
        """Has weavectl read the sync.ini. Its own messages say what is wrong with it."""
        done = subprocess.run(
            [self.weavectl, "config", "--json", "-i", self.options.ini], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, env=programs.environment())
        if done.returncode != 0:
            raise ReleaseError("%s cannot be used as it is" % self.options.ini,
                               "weavectl check -i %s" % self.options.ini)
        rows = json.loads(done.stdout.decode("utf-8", "surrogateescape"))
        self.keys = {row["key"]: "" if row["where"] == "default" and not row["value"]
                     else row["value"] for row in rows}
        self.wheres = {row["key"]: row["where"] for row in rows}
        self.home = os.path.normpath(self.keys["release.home"])

    def key(self, name):
        """The value of a key as text; "" where it is not set and has no default."""
        is_prose = name in ("wsgi.virtualenv", "workers.user", "workers.group", "release.python",
                            "release.keyring", "release.channel")
        if is_prose and self.wheres.get(name, "default") == "default":
            return ""
        return self.keys.get(name, "")

    def users_find(self):
        self.owner = users.home_owner(self.home)
        if self.key("workers.user") and os.getuid() == 0:
            self.workers = users.workers_user(self.key("workers.user"), self.key("workers.group"))
        users.workers_refuse(self.home, self.owner, self.workers)

    def engines(self):
        names = sorted(os.listdir(self.libdir))
        return [name[len("weave-engine-"):-len(".so")] for name in names
                if name.startswith("weave-engine-") and name.endswith(".so")]

    def settings(self):
        """What inner may know: nothing of workers.env. and of the application's sections."""
        return {
            "command": self.options.command, "options": vars(self.options), "by": self.by,
            "home": self.home, "ini": self.options.ini,
            "find_links": [path for path in self.key("release.find_links").split("\n") if path],
            "keep": int(self.key("release.keep") or 5),
            "migrate": self.key("release.migrate"),
            "system_site_packages": self.key("release.system_site_packages") == "true",
            "channel": self.key("release.channel"), "keyring": self.key("release.keyring"),
            "python": self.key("release.python"), "repository": self.key("release.repository"),
            "vendor": self.key("release.vendor"), "virtualenv": self.key("wsgi.virtualenv"),
            "virtualenv_where": self.wheres.get("wsgi.virtualenv", ""),
            "engines": self.engines(), "engine_default": sys.executable,
        }

    def release_path(self, request):
        """The path of the release that a request names; it is right below releases/.

        With "in_place" it is that of the virtualenv itself.
        """
        path = request.get("release")
        if request.get("in_place") and path == self.virtualenv_path():
            return path
        releases = os.path.join(self.home, "releases")
        if not isinstance(path, str) or os.path.dirname(path) != releases \
                or os.path.basename(path) in ("", ".", "..") or "\0" in path:
            raise ReleaseError("%r is no release of %s" % (path, releases))
        return path

    def virtualenv_path(self):
        """The folder of wsgi.virtualenv, which may be a link itself."""
        above, name = os.path.split(os.path.normpath(self.key("wsgi.virtualenv") or "/"))
        return os.path.join(os.path.realpath(above), name)

    # ---- inner ----

    def inner_start(self):
        """Starts inner as the owner of release.home. Returns our end of its socket."""
        programs.descendants_adopt()
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        self.inner_pid = os.fork()
        if self.inner_pid == 0:
            try:
                ours.close()
                self._inner_exec(theirs)
            except BaseException as error:
                print("weavectl: cannot start as %s: %s" % (self.owner.name, error),
                      file=sys.stderr, flush=True)
            finally:
                os._exit(1)
        theirs.close()
        return ours

    def _inner_exec(self, theirs):
        os.setsid()
        os.umask(0o022)
        os.chdir("/")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(theirs.fileno(), 3)
        programs.descriptors_close(4)
        os.set_inheritable(3, True)
        env = programs.environment()
        fault = os.environ.get(FAULT_VARIABLE)
        if fault and os.path.exists(os.path.join(os.path.dirname(__file__), "faults.py")):
            env[FAULT_VARIABLE] = fault
        main = os.path.join(self.libdir, "weave-release")
        # it gives up root itself: after an exec as the owner, other processes of that user
        # could look into it, and take the terminal and our socket, until it has forbidden that
        os.execve(sys.executable, [sys.executable, "-I", "-S", "-B", "-X", "utf8", main,
                                   "--inner", "3", str(self.owner.uid)], env)

    def _signal_pass(self, number, frame):
        if self.inner_pid:
            try:
                os.killpg(self.inner_pid, number)
            except ProcessLookupError:
                pass
        if self.is_calling:
            raise Interrupted()

    def serve(self, channel):
        """Does the calls of inner until it ends. Returns its exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:   # nohup
                signal.signal(number, self._signal_pass)
        with channel, channel.makefile("rb") as lines:
            while True:
                line = lines.readline(REQUEST_BYTES)
                if not line.endswith(b"\n"):
                    break
                try:
                    answer = dict(self._call(line), number=number_of(line))
                except Interrupted:     # a signal came as the call ended
                    answer = {"ok": False, "error": "interrupted", "number": number_of(line)}
                try:
                    channel.sendall(json.dumps(answer).encode() + b"\n")
                except OSError:
                    break
        os.waitid(os.P_PID, self.inner_pid, os.WEXITED | os.WNOWAIT)
        try:
            os.killpg(self.inner_pid, signal.SIGKILL)  # what its programs have left
        except (ProcessLookupError, PermissionError):
            pass
        status = os.waitpid(self.inner_pid, 0)[1]
        with contextlib.suppress(ReleaseError):
            programs.descendants_end()
        self.inner_pid = 0
        if os.WIFSIGNALED(status):
            print("weavectl: ended by signal %d; the same command again finishes what was begun"
                  % os.WTERMSIG(status), file=sys.stderr)
            return 1
        return os.WEXITSTATUS(status)

    def _call(self, line):
        try:
            request = json.loads(line.decode())
            operation = request["op"]
            if operation == "settings":
                return dict(self.settings(), ok=True)
            module = importlib.import_module("weave_release." + OPERATIONS[operation])
            self.is_calling = operation != "switch"     # which is short, and not left half done
            answer = getattr(module, "call_" + operation)(self, request)
            return dict(answer or {}, ok=True)
        except ReleaseError as error:
            return {"ok": False, "error": error.message, "hint": error.hint, "lines": error.lines}
        except Interrupted:
            return {"ok": False, "error": "interrupted"}
        except OSError as error:
            return {"ok": False, "error": str(error)}
        except (ValueError, ArithmeticError, KeyError, TypeError, AttributeError, ImportError,
                RecursionError) as error:
            return {"ok": False, "error": "weavectl cannot do this: %r" % error}
        finally:
            self.is_calling = False


def number_of(line):
    """The number of a request, which its answer has as well."""
    try:
        return json.loads(line.decode()).get("number")
    except (ValueError, AttributeError, RecursionError):
        return None


def main(own, options):
    """Runs a command. Returns the exit status."""
    broker = Broker(own, options)
    try:
        if options.command == "init":
            from . import init      # the one command that needs no inner
            return init.run_as_caller(broker)
        broker.keys_read()
        broker.users_find()
    except ReleaseError as error:
        texts = [words.commands_named(text, options.ini) for text in (error.message, error.hint)]
        sys.stderr.write(words.sentence_lines(*texts))
        return 1
    return broker.serve(broker.inner_start())
