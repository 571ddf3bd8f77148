# SPDX-License-Identifier: Apache-2.0
"""weavectl hands the commands for releases on, and its help has them."""

import re
import subprocess

import pytest

from conftest import BUILD, TOP
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
    assert done.stdout.startswith("usage: weavectl install ")
    assert "weavectl install: error: unrecognized arguments: --no-such-option\n" in done.stdout


@pytest.mark.parametrize("words", (
    ["releases", "/etc/app.ini"], ["rollback", "/etc/app.ini"], ["install", "/etc/app.ini"]))
def test_the_ini_takes_an_option(words):
    """As a VERSION or a FILE it would be about /etc/sync.ini, another application."""
    done = weavectl(*words)
    assert done.returncode == 2
    assert done.stdout.startswith("usage: weavectl %s " % words[0])
    assert "error: the sync.ini is named with -i: -i /etc/app.ini\n" in done.stdout


@pytest.mark.parametrize("words", (["--drain"], ["--wait", "5m"]))
def test_options_of_in_place_go_with_it(words):
    done = weavectl("install", "x", *words)
    assert done.returncode == 2
    assert "error: %s goes with --in-place alone\n" % words[0] in done.stdout


def test_other_commands_are_not_handed_on(tmp_path):
    done = weavectl("-d", str(tmp_path), "maintenance", "--message", "install", "x")
    assert done.returncode == 2
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
from weave_release import cli, programs, users      # as __main__.py does
for words in (["install"], ["checkout", "-r", "x"], ["releases"]):
    cli.options_parse(words)
from weave_release import broker
for name in sorted(set(broker.OPERATIONS.values())) + ["init"]:
    importlib.import_module("weave_release." + name)
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None) or pathlib.__file__
    if not file.startswith(pathlib.__file__.rsplit("/", 1)[0]):
        print(module.__name__)
"""


def test_root_imports_the_standard_library_and_these_modules_of_ours():
    """They are listed in the documentation: all that has to be read to trust the broker."""
    said = subprocess.check_output(
        ["/usr/bin/python3", "-I", "-S", "-B", "-c", IMPORTS, str(BUILD / "weave-release")],
        encoding="utf-8")
    text = (TOP / "docs" / "design_release.md").read_text(encoding="utf-8")
    listed = re.findall("`([\\w.]+)`", text.split("**What root imports.**")[1].split("\n\n")[0])
    modules = {name if "." in name else "weave_release." + name for name in listed}
    assert set(said.split()) == {"weave_release", "weave_server"} | modules


def test_the_documentation_has_each_module():
    text = (TOP / "docs" / "design_release.md").read_text(encoding="utf-8")
    modules = {path.stem for path in (BUILD / "weave-release" / "weave_release").glob("*.py")}
    assert sorted(modules - {"__init__"} - set(re.findall("`(\\w+)`", text))) == []
