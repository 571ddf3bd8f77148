# SPDX-License-Identifier: Apache-2.0
"""weave-server itself: its help, and an output whose reader has ended."""

import os
import subprocess
import sys

import pytest

from weave.server import __main__ as admin
from weave.server.version import VERSION

pytestmark = pytest.mark.sqlite_only
SOURCES = os.path.abspath(os.path.join(os.path.dirname(admin.__file__), "../.."))


def started(*words, **options):
    """weave-server as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "weave.server", *map(str, words)],
        # argparse of Python 3.12 passes over errors of an output that is not buffered
        env=dict(os.environ, PYTHONPATH=SOURCES, PYTHONUNBUFFERED=""),
        stderr=subprocess.PIPE,
        **options,
    )


@pytest.mark.parametrize("words", [("--help",), ("users", "list"), ("doctor",)])
def test_the_reader_has_ended(site, words):
    """As with `weave-server ... | head`: no complaint, and the status of other programs."""
    if words == ("doctor",):
        words += ("http://127.0.0.1:9/",)
    elif words != ("--help",):
        words += (site.ini,)
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as output:
        process = started(*words, stdout=output)
    assert process.communicate()[1] == b""
    assert process.returncode == 128 + 13


def test_without_an_output(site):
    process = started("check", site.ini, preexec_fn=lambda: os.close(1))
    assert process.communicate()[1] == b"" and process.returncode == 0


@pytest.mark.parametrize("words, status", [((), 2), (("help",), 0), (("--help",), 0)])
def test_help(words, status, capsys):
    with pytest.raises(SystemExit) as found:
        admin.main(list(words))
    assert found.value.code == status
    said = capsys.readouterr()
    assert "doctor" in said.out and "--help` shows what a command takes" in said.out
    assert said.err == ""


def test_version(capsys):
    with pytest.raises(SystemExit) as found:
        admin.main(["--version"])
    assert found.value.code == 0
    assert capsys.readouterr().out == "weave-server %s\n" % VERSION
