# SPDX-License-Identifier: Apache-2.0
"""What commands print: on a terminal, in a pipe, for programs."""

import io
import json
import os
import pty
import types

import pytest

from weave_release import say as say_module
from weave_release import words
from weave_release.errors import ReleaseError
from weave_release.say import Say


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """All takes 0 ms, whatever the machine has to do."""
    monkeypatch.setattr(say_module, "time", types.SimpleNamespace(monotonic=lambda: 0.0))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(as_json=False, out=None, fail=False):
    """The two streams after an install that works, or one whose second step fails."""
    out, err = out or io.StringIO(), io.StringIO()
    say = Say(as_json, out, err)
    say.line("weaveserver 1.1.5 (prod)")
    with say.step("fetch", "7 files") as step:
        step.progress("3 of 7 files")
        step.detail = "7 files, 8.1 MiB"
    say.step_skipped("migrate", "release.migrate is not set")
    try:
        with say.step("start 2 workers"):
            if fail:
                lines = ["line %d" % number for number in range(40)] + ["\x1b[31mBoom\t!", ""]
                raise ReleaseError("ImportError: No module named 'falcon'", "a cure", lines)
    except ReleaseError as error:
        say.failed(error, "/home/logs/x.log", "weaveserver 1.1.4 goes on")
    else:
        say.warn("cannot write /home/history.jsonl")
        say.done("weaveserver 1.1.5 serves (generation 8).", "serves", generation=8)
    return out.getvalue(), err.getvalue()


def test_a_pipe_gets_a_plain_line_for_each_step():
    out, err = run()
    lines = out.splitlines()
    assert lines[0] == "weaveserver 1.1.5 (prod)"
    assert lines[1].startswith("  fetch    7 files, 8.1 MiB ....") and lines[1].endswith(". 0 ms")
    assert len(lines[1]) == say_module.WIDTH
    assert lines[2] == "  migrate: release.migrate is not set"
    assert lines[3].startswith("  start 2 workers ...")
    assert lines[4] == "weaveserver 1.1.5 serves (generation 8). 0 ms"
    assert err == "weavectl: cannot write /home/history.jsonl\n"
    assert "\r" not in out and "\x1b" not in out


def test_a_terminal_shows_a_step_while_it_runs(monkeypatch):
    monkeypatch.setattr(say_module, "REDRAW_SECONDS", 0)
    out, _ = run(out=Terminal())
    drawn = ("7 files ...", "3 of 7 files ...", "7 files, 8.1 MiB ...")
    drawn = ["  fetch    " + text for text in drawn]
    assert "\r\x1b[K".join(drawn) in out
    shown = [line.split("\r\x1b[K")[-1] for line in out.split("\n")]
    assert shown == run()[0].split("\n")


def test_progress_is_never_longer_than_the_terminal_is_wide(monkeypatch):
    out = Terminal()
    Say(False, out, io.StringIO()).line_draw("x" * 200)
    assert out.getvalue() == "x" * 79
    monkeypatch.setattr(say_module.os, "get_terminal_size", lambda fd: os.terminal_size((40, 9)))
    monkeypatch.setattr(out, "fileno", lambda: 1)
    Say(False, out, io.StringIO()).line_draw("y" * 200)
    assert out.getvalue() == "x" * 79 + "y" * 39


def test_a_failure_says_what_the_last_lines_the_log_and_what_goes_on():
    out, err = run(fail=True)
    assert "  start 2 workers ." in out and ". failed after 0 ms\n" in out
    assert err.splitlines() == [
        "weavectl: ImportError: No module named 'falcon'",
        "  a cure",
        *("  | line %d" % number for number in range(31, 40)),
        "  | \\x1b[31mBoom       !",
        "  log: /home/logs/x.log",
        "  weaveserver 1.1.4 goes on",
    ]


def test_programs_get_an_object_for_each_step_and_one_for_the_whole():
    out, err = run(as_json=True)
    objects = [json.loads(line) for line in out.splitlines()]
    assert [(o["name"], o["state"]) for o in objects[:-1]] == [
        ("fetch", "done"),
        ("migrate", "skipped"),
        ("start 2 workers", "done"),
    ]
    assert all(isinstance(o["ms"], int) for o in objects)
    assert objects[0]["detail"] == "7 files, 8.1 MiB"
    assert objects[-1]["result"] == "serves" and objects[-1]["generation"] == 8
    assert objects[-1]["notes"] == ["cannot write /home/history.jsonl"]
    assert err
    objects = [json.loads(line) for line in run(as_json=True, fail=True)[0].splitlines()]
    assert objects[2]["state"] == "failed"
    assert objects[-1]["result"] == "failed" and objects[-1]["log"] == "/home/logs/x.log"
    assert objects[-1]["error"] == "ImportError: No module named 'falcon'"


def test_a_reader_that_has_gone_ends_no_command():
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "w") as out:  # it is closed without an error, too
        say = Say(False, out, io.StringIO())
        with say.step("fetch"):
            pass
        say.done("done", "serves")


def test_on_a_real_terminal_nothing_of_a_foreign_text_reaches_it():
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="ascii") as out:
        say = Say(False, out, out)
        say.line("evil \x1b]0;title\x07 name\r\nweavectl: all is well \x9b\udcff → \u202e")
        said = os.read(ours, 4096)
    os.close(ours)
    assert said.startswith(rb"evil \x1b]0;title\x07 name\x0d\x0aweavectl: all ")
    assert rb"is well \xc2\x9b\xff \u2192" in said
    assert said.count(b"\n") == 1


@pytest.mark.parametrize(
    "function, value, text",
    [
        (words.duration, 0.0414, "41 ms"),
        (words.duration, 0.44, "0.4 s"),
        (words.duration, 185, "3 min 5 s"),
        (words.age, 99, "99 s"),
        (words.age, 300, "5 min"),
        (words.age, 86400, "24 h"),
        (words.age, 12 * 86400 + 5, "12 days"),
        (words.age, -5, "0 s"),
        (words.size, 812, "812 bytes"),
        (words.size, 8.1 * 1024 * 1024, "8.1 MiB"),
        (words.size, 5 * 1024**4, "5120.0 GiB"),
    ],
)
def test_times_and_sizes_are_those_of_weavectl(function, value, text):
    assert function(value) == text


def test_the_difference_of_two_locks():
    before = {"falcon": {"version": "3.1.1"}, "cgi2": {"version": "1"}, "same": {"version": "2"}}
    after = {"falcon": {"version": "3.1.3"}, "argon2-cffi": {"version": "21.1"}}
    after["same"] = before["same"]
    found = words.changes(before, after)
    assert words.changes_text(found) == "+ argon2-cffi 21.1   - cgi2 1   falcon 3.1.1 → 3.1.3"
    assert found[2] == {"name": "falcon", "from": "3.1.1", "to": "3.1.3"}
    assert words.changes({"x": 7, "y": {"version": []}}, {"x": None}) == []


def test_commands_name_the_sync_ini():
    """Without it, who copies the line has it done to another application."""
    out, err = io.StringIO(), io.StringIO()
    say = Say(False, out, err, ini="/etc/my app.ini")
    say.line("back: weavectl rollback")
    say.failed(ReleaseError("bad: weavectl switch --again 1.1", "`weavectl prune -i x` or so"))
    assert out.getvalue() == "back: weavectl rollback -i '/etc/my app.ini'\n"
    assert err.getvalue() == ("weavectl: bad: weavectl switch -i '/etc/my app.ini' --again 1.1\n"
                              "  `weavectl prune -i x` or so\n")
    Say(False, out, err, ini="/etc/sync.ini").line("weavectl prune")
    assert out.getvalue().endswith("weavectl prune\n")
