# SPDX-License-Identifier: Apache-2.0
"""All that a command prints: for people on a terminal, in a log, or for programs.

    weaveserver 1.1.5 (prod), signed by Release Team
      fetch    7 files, 8.1 MiB ............................. 0.4 s
      create   Python 3.11.2 ................................ 0.1 s
    weaveserver 1.1.5 serves (generation 8). 5.2 s

On a terminal the line of a step is there, with its progress, while the step runs.
Elsewhere no control character is printed, and a line only when its step has ended. With
`--json` standard output has an object for each step and one for the whole. Warnings and
failures go to standard error in each case.

What cannot be printed (a closed pipe, a full disk) is lost and never ends a command that
is changing something.
"""

import contextlib
import json
import os
import sys
import time

from . import words
from .words import escape

WIDTH = 68
LAST_LINES = 10
LINE_MOST = 500
REDRAW_SECONDS = 0.1


class Step:
    """A step that runs; `detail` is what is said about it, and may become more."""

    def __init__(self, say, name, detail):
        self.name = name
        self.detail = detail
        self._say = say
        self._began = self._drawn = time.monotonic()

    def progress(self, text):
        """Shows on a terminal how far it is; it is forgotten with the next one."""
        if time.monotonic() - self._drawn >= REDRAW_SECONDS:
            self._drawn = time.monotonic()
            self._say.line_draw("  %s ..." % self.title(text))

    def title(self, text=None):
        return ("%-8s %s" % (self.name, self.detail if text is None else text)).rstrip()

    def seconds(self):
        return time.monotonic() - self._began


class Say:
    """What a command has to say; json: to a program. The commands in it are for ini."""

    def __init__(self, as_json=False, out=None, err=None, ini=words.DEFAULT_INI):
        self._ini = ini
        self.as_json = as_json
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._is_terminal = not as_json and self._out.isatty()
        self._began = time.monotonic()
        self._drawn = False
        self._notes = []
        for stream in (self._out, self._err):
            with contextlib.suppress(AttributeError, ValueError):
                stream.reconfigure(errors="backslashreplace")

    # ---- lines ----

    def line(self, text=""):
        """A line for people. Control characters in it are escaped."""
        if not self.as_json:
            self._write(self._out, escape(words.commands_named(text, self._ini)) + "\n")

    def note(self, text):
        """A line for people; programs get it in "notes" of the last object."""
        self._notes.append(text)
        self.line(text)

    def warn(self, text):
        """What is wrong and fails nothing: on standard error, and in "notes"."""
        text = words.commands_named(text, self._ini)
        self._notes.append(text)
        self._write(self._err, "weavectl: %s\n" % escape(text))

    def object(self, value):
        """An object for programs, in a line of its own."""
        if self.as_json:
            self._write(self._out, json.dumps(value) + "\n")

    def line_draw(self, text):
        """A line on a terminal that the next one replaces."""
        if self._is_terminal:
            self._write(self._out, escape(text)[: self._width() - 1], drawn=True)

    def _width(self):
        try:
            return os.get_terminal_size(self._out.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def _write(self, stream, text, drawn=False):
        if self._drawn:
            text = "\r\x1b[K" + text
            if stream is self._err:
                self._print(self._out, "\r\x1b[K")
                text = text[4:]
        self._drawn = drawn
        self._print(stream, text)

    @staticmethod
    def _print(stream, text):
        try:
            stream.write(text)
            stream.flush()
        except (OSError, ValueError):
            # What the stream still holds must not fail its close at the end.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    # ---- steps ----

    @contextlib.contextmanager
    def step(self, name, detail=""):
        """Says one step, with how long it takes; what it raises goes on."""
        step = Step(self, name, detail)
        self.line_draw("  %s ..." % step.title())
        try:
            yield step
        except BaseException:
            self._step_end(step, "failed")
            raise
        self._step_end(step, "done")

    def step_skipped(self, name, why):
        """Says that a step is not needed, and why."""
        self.line("  %s: %s" % (name, why))
        self.object({"name": name, "state": "skipped", "ms": 0, "detail": why})

    def _step_end(self, step, state):
        took = words.duration(step.seconds())
        if state == "failed":
            took = "failed after " + took
        title = escape("  " + step.title())
        dots = "." * max(3, WIDTH - len(title) - len(took) - 2)
        if not self.as_json:
            self._write(self._out, "%s %s %s\n" % (title, dots, took))
        facts = {"name": step.name, "state": state, "ms": int(step.seconds() * 1000)}
        self.object({**facts, **({"detail": step.detail} if step.detail else {})})

    # ---- the end ----

    def done(self, text, result, **facts):
        """The last line, with how long all has taken, or the last object.

        facts are release, previous, generation, changes and others.
        """
        self.line("%s %s" % (text, words.duration(time.monotonic() - self._began)))
        self.result(result, **facts)

    def failed(self, error, log_path=None, goes_on=None, **facts):
        """What has failed, its last lines, the log, and what goes on (a sentence).

        error is a ReleaseError or a text.
        """
        message, hint = (words.commands_named(text, self._ini)
                         for text in (error, getattr(error, "hint", "")))
        self._write(self._err, words.sentence_lines(message, hint))
        for line in last_lines(getattr(error, "lines", ())):
            self._write(self._err, "  | %s\n" % line)
        if log_path:
            self._write(self._err, "  log: %s\n" % escape(log_path))
        if goes_on:
            self._write(self._err, "  %s\n" % escape(goes_on))
        facts.update({"error": message, "log": log_path})
        if hint:
            facts["hint"] = hint
        self.result("failed", **facts)

    def result(self, result, **facts):
        """The last object alone, where people have been told all there is."""
        facts = {"result": result, **facts}
        if self._notes:
            facts["notes"] = self._notes
        facts["ms"] = int((time.monotonic() - self._began) * 1000)
        self.object(facts)


def last_lines(lines):
    """The last lines of a program for a terminal: escaped, and none longer than 500."""
    shown = [escape(line.expandtabs().rstrip())[:LINE_MOST] for line in lines]
    return [line for line in shown if line][-LAST_LINES:]
