# SPDX-License-Identifier: Apache-2.0
"""Homes with tiny releases, and what a command is given, for the tests."""

import argparse
import io
import os
import pathlib
import subprocess
import sys
from unittest import mock

import pytest

from weave_release.errors import ReleaseError
from weave_release.home import Home
from weave_release.say import Say

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = TOP / os.environ.get("BUILD", "build")


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
    module.arguments(parser)
    return vars(parser.parse_args(words))


def killed(script, home_path, number):
    """Runs a script that dies at its step of this number; returns its exit status.

    It gets the home and what sys.path is to have, and sets WEAVE_TEST_KILL for
    kill_shim.so, from $KILL_AT, when its work begins.
    """
    shim = BUILD / "tests" / "kill_shim.so"
    if not shim.exists():
        pytest.skip("make build/tests/kill_shim.so")
    done = subprocess.run(
        [sys.executable, "-c", script, home_path, *filter(None, sys.path)],
        env={**os.environ, "LD_PRELOAD": str(shim), "KILL_AT": str(number)},
        stderr=subprocess.PIPE,
    )
    assert done.returncode in (0, -9), done.stderr.decode()
    return done.returncode
