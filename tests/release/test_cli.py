# SPDX-License-Identifier: Apache-2.0
"""weavectl hands the commands for releases on, and its help has them."""

import subprocess

import pytest

from conftest import BUILD
from weave_release import cli

WEAVECTL = str(BUILD / "weavectl")


def weavectl(*words):
    return subprocess.run([WEAVECTL, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          encoding="utf-8")


def test_help_has_each_command_with_the_same_words():
    lines = weavectl("help").stdout.splitlines()
    for name, _, text in cli.COMMANDS:
        assert "  %-12s %s" % (name, text) in lines


@pytest.mark.parametrize("words", (["install", "--help"], ["help", "install"],
                                   ["-i", "/x", "install", "-h"]))
def test_help_of_a_command(words):
    done = weavectl(*words)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: weavectl install ")


def test_a_wrong_command_line_has_status_2():
    done = weavectl("install", "--no-such-option")
    assert done.returncode == 2
    assert "weavectl install: error: " in done.stdout or "unrecognized" in done.stdout


def test_other_commands_are_not_handed_on():
    assert weavectl("maintenance", "--message", "install", "x").returncode == 2
    assert weavectl("no-such").returncode == 2


def test_an_ini_that_is_not_there(tmp_path):
    done = weavectl("install", "x", "-i", str(tmp_path / "no.ini"))
    assert done.returncode == 1
    assert "cannot be used as it is" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("words", (
    ["-i", "INI", "--json", "install", "x"], ["install", "x", "--json", "-i", "INI"],
    ["--json", "install", "-i", "INI", "x"], ["-d", "install", "install", "x", "-i", "INI"]))
def test_options_may_stand_anywhere(tmp_path, words):
    ini = str(tmp_path / "no.ini")
    done = weavectl(*[ini if word == "INI" else word for word in words])
    assert done.returncode == 1 and "%s cannot be used" % ini in done.stdout


IMPORTS = """
import importlib, pathlib, sys
sys.path.insert(0, sys.argv[1])
for path in sorted(pathlib.Path(sys.argv[1], "weave_release").glob("*.py")):
    importlib.import_module("weave_release." + path.stem)
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None)
    if file and not file.startswith((sys.argv[1], pathlib.__file__.rsplit("/", 1)[0])):
        print(module.__name__, file)
    if module.__name__.split(".")[0] in ("pip", "packaging", "setuptools", "site"):
        print(module.__name__)
"""


def test_nothing_but_the_standard_library_is_imported():
    """Root imports these modules, to know their options."""
    said = subprocess.check_output(
        ["/usr/bin/python3", "-I", "-S", "-B", "-c", IMPORTS, str(BUILD / "weave-release")],
        encoding="utf-8")
    assert [line for line in said.splitlines() if line != "site"] == []
