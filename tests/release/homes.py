# SPDX-License-Identifier: Apache-2.0
"""Homes with tiny releases, and what a command is given, for the tests."""

import argparse
import io
import itertools
import os
import signal
from unittest import mock

from weave_release.arguments import ADD
from weave_release.cli import COMMANDS
from weave_release.errors import ReleaseError
from weave_release.home import Home
from weave_release.say import Say


def release_make(home, version, name="weaveserver", at=None, **facts):
    """A whole release without a Python; facts go into ready.json. Nothing is synced."""
    folder = home.name_free(name, version)
    path = os.path.join(home.releases_path, folder)
    os.mkdir(path)
    facts = {"name": name, "version": version, "release": folder, "lock": {}, **facts}
    with mock.patch("os.fsync"), mock.patch("weave_release.files.syncfs"):
        home.ready_write(path, {**facts, **({"at": at} if at else {})})
    return home.release(folder)


def release_serve(home, release):
    with mock.patch("os.fsync"):
        home.link_move(release)
        home.served_set(release)


class Context:
    """What inner gives a command; serving is what the broker answers, or an error."""

    def __init__(self, home_path, as_json=False, serving=None, **options):
        self.out, self.err = io.StringIO(), io.StringIO()
        self.say = Say(as_json, self.out, self.err)
        self.home = Home(str(home_path), warn=self.say.warn)
        self.by = "alice"
        self.settings = {"keep": 5, "home": str(home_path)}
        self.options = argparse.Namespace(json=as_json, **options)
        self.serving = serving or {"httpd": False, "release": None, "in_use": []}
        self.calls = []

    def call(self, operation, **facts):
        self.calls.append(operation)
        if operation == "serving" and isinstance(self.serving, dict):
            return self.serving
        raise ReleaseError("weaved does not answer")

    @property
    def said(self):
        return self.out.getvalue()


def options_parse(module, *words):
    """What the module's command makes of its words, as a dict."""
    parser = argparse.ArgumentParser(prog="weavectl")
    command = next(row[0] for row in COMMANDS if module.__name__.endswith("." + row[1]))
    ADD[command](parser)
    return vars(parser.parse_args(words))


# What a command does to the file system is done by these calls.
STEPS = ("write", "pwrite", "ftruncate", "fsync", "replace", "symlink", "unlink", "rmdir", "mkdir",
         "close", "fchmod")


def killed(function, number):
    """Runs a function in a process that kill -9 ends before its step of this number.

    Returns whether it was killed. AssertionError when the function fails.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            count = itertools.count(1)
            for name in STEPS:
                setattr(os, name, _step(getattr(os, name), count, number))
            status = 0 if function() in (0, None) else 1
        finally:
            os._exit(status)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _step(call, count, number):
    def step(*args, **facts):
        if next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **facts)

    return step
