# SPDX-License-Identifier: Apache-2.0
"""The part of weavectl that works in release.home, as the owner of that folder.

What it may not do itself it asks of the broker, over a socket.
"""

import argparse
import importlib
import contextlib
import json
import os
import signal
import socket
import sys
import traceback

from . import home, programs, say
from .cli import COMMANDS
from .errors import ReleaseError

# Modules that not every command needs are imported where they are: `weavectl releases` is
# to answer in less than 100 ms, and each of them takes 5 to 10.
READING = ("releases", "verify")
ANSWER_BYTES = 8 << 20


class Channel:
    """The calls to the broker."""

    def __init__(self, fd):
        self._socket = socket.socket(fileno=fd)
        self._lines = self._socket.makefile("rb")
        self._number = 0

    def call(self, operation, **facts):
        """Has the broker do something and returns its answer. ReleaseError says why not.

        The answer to a call that a signal has ended here comes later, and is dropped.
        """
        self._number += 1
        request = dict(facts, op=operation, number=self._number)
        answer = {}
        while answer.get("number") != self._number:
            try:
                if request:
                    self._socket.sendall(json.dumps(request).encode() + b"\n")
                    request = None
                line = self._lines.readline(ANSWER_BYTES)
            except OSError:
                line = b""
            if not line.endswith(b"\n"):
                raise ReleaseError("the other half of weavectl has ended")
            answer = json.loads(line.decode())
        if not answer.pop("ok"):
            raise ReleaseError(answer["error"], answer.get("hint", ""), answer.get("lines", ()))
        return answer


class Context:
    """What a command has: options (argparse.Namespace), settings (dict), call(), say, home."""

    def __init__(self, channel):
        self.call = channel.call
        self.settings = channel.call("settings")
        self.options = argparse.Namespace(**self.settings["options"])
        self.by = self.settings["by"]
        self.say = say.Say(self.options.json, ini=self.options.ini)
        self._scratch = None
        self.home = home.Home(self.settings["home"], warn=self.say.warn)

    def scratch(self):
        """A folder for this command, below incoming/. It is also HOME and TMPDIR of programs.

        What killed commands have left there goes. Where there is no incoming/, as at a dry
        run before the first install, it is in /tmp.
        """
        import shutil
        import tempfile
        if self._scratch is None:
            incoming = self.home.incoming_path
            for name in os.listdir(incoming) if os.path.isdir(incoming) else ():
                if name.startswith(home.SCRATCH) and not _is_alive(name[len(home.SCRATCH):]):
                    shutil.rmtree(os.path.join(incoming, name), ignore_errors=True)
            if os.path.isdir(incoming):
                path = os.path.join(incoming, home.SCRATCH + str(os.getpid()))
                os.mkdir(path, 0o700)
            else:
                path = tempfile.mkdtemp(prefix="weavectl-", dir="/tmp")
            self._scratch = os.environ["HOME"] = os.environ["TMPDIR"] = path
        return self._scratch

    def close(self):
        if self._scratch is not None:
            import shutil
            shutil.rmtree(self._scratch, ignore_errors=True)

    def path(self, name):
        """A path of the command line, which was typed in another folder than this process has."""
        return os.path.normpath(os.path.join(self.options.cwd, name))


def _is_alive(pid):
    return pid.isdigit() and os.path.exists("/proc/" + pid)


def _group_end(number, frame):
    """The broker has gone, and all that belongs to this command goes too."""
    with contextlib.suppress(ReleaseError):
        programs.descendants_end()
    os.killpg(0, signal.SIGKILL)


def _interrupt(number, frame):
    raise KeyboardInterrupt


def main(fd):
    """Runs the command that the broker names. Returns the exit status."""
    signal.signal(signal.SIGHUP, _group_end)
    signal.signal(signal.SIGTERM, _interrupt)
    programs.end_with_parent(signal.SIGHUP)
    programs.descendants_adopt()
    os.set_inheritable(fd, False)
    channel = Channel(fd)
    context = None
    try:
        context = Context(channel)
        os.chdir(context.home.path)
        if context.settings["command"] not in READING:
            from . import inplace
            inplace.recover(context)
        names = {row[0]: row[1] for row in COMMANDS}
        module = importlib.import_module("weave_release." + names[context.settings["command"]])
        return module.run(context)
    except ReleaseError as error:
        if context is None:
            print("weavectl: %s" % error.message, file=sys.stderr)
        else:
            context.say.failed(error)
    except KeyboardInterrupt:
        print("weavectl: interrupted", file=sys.stderr)
    except OSError as error:
        print("weavectl: %s" % error, file=sys.stderr)
    except Exception as error:
        if context is None:
            raise
        context.say.failed(ReleaseError("weavectl itself is at fault: %r" % error,
                                        "please report it", traceback.format_exc().splitlines()))
    finally:
        if context is not None:
            context.close()
    return 1
