# SPDX-License-Identifier: Apache-2.0
"""A command that changes release.home: its lock, its steps, its log and how it ends."""

import contextlib
import errno
import os
import signal
import time
import traceback

from . import home as homes, programs
from .errors import ReleaseError

try:
    from . import faults
except ImportError:  # as installed
    faults = None


class Task:
    """context and what is in it, log (a file of bytes), log_path, step(), run(), folder().

    release_name is the folder of the release that it is about, once that is known.
    """

    def __init__(self, context, command):
        self.context = context
        self.command = command
        self.home = context.home
        self.say = context.say
        self.settings = context.settings
        self.log = None
        self.log_path = None
        self.step_name = ""
        self.release_name = None

    @contextlib.contextmanager
    def step(self, name, detail=""):
        """A step (docs/design_release.md): it is said, timed and logged; tests kill beside it."""
        self.step_name = name
        _fault(name, "before")
        self.log_line("== %s %s" % (name, detail))
        with self.say.step(name, detail) as step:
            yield step
        self.log_line("== %s is done after %.2f s" % (name, step.seconds()))
        _fault(name, "after")

    def run(self, argv, seconds=None, cwd=None, env=None):
        """Runs a program. Returns its status, None after so many seconds, and all it has said.

        What it says is in the log, but for answers of `python -c` to our own questions.
        """
        said = []
        log = None if "-c" in argv else self.log
        ended = programs.program_run(argv, log=log, env=env, cwd=cwd, output=said.append,
                                     seconds=seconds)
        return ended.status, "\n".join(said)

    def folder(self, name):
        """A new folder below incoming/ that goes when the command ends."""
        path = os.path.join(self.context.scratch(), name)
        os.mkdir(path, 0o755)
        return path

    @staticmethod
    def interrupts_hold():
        """From here on SIGINT and SIGTERM wait until the command has ended."""
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))

    def log_line(self, text):
        """A line of ours in the log, with the time; a full disk loses it."""
        if self.log is not None:
            line = "%s %s\n" % (time.strftime("%H:%M:%S"), text)
            with contextlib.suppress(OSError):
                self.log.write(line.encode("utf-8", "backslashreplace"))


def _fault(step, when):
    if faults is not None:
        faults.step_reached(step, when)


@contextlib.contextmanager
def task_open(context, command, what=""):
    """Locks the home for a command (its words, for people) and opens its log.

    What fails inside is said, with the log and what goes on, and noted in the history; the
    exception goes on as SystemExit(1).
    """
    task = Task(context, command)
    with _failures_said(task):
        _fault("lock", "before")
        context.home.folders_make()
        with context.home.lock(command, by=context.by):
            _fault("lock", "after")
            task.log = context.home.log_open(homes.log_id(command.split()[0], what))
            task.log_path = task.log.name
            with task.log, _failures_said(task):
                yield task


@contextlib.contextmanager
def _failures_said(task):
    try:
        yield
    except (Exception, KeyboardInterrupt) as problem:
        error = problem
        if isinstance(problem, KeyboardInterrupt):
            error = ReleaseError("interrupted")
        elif isinstance(problem, OSError):
            error = ReleaseError(_os_sentence(task, problem))
        elif not isinstance(problem, ReleaseError):
            text = traceback.format_exc()
            task.log_line(text)
            error = ReleaseError("weavectl itself is at fault: %r" % problem,
                                 "please report it, with the log", text.splitlines())
        _task_failed(task, error)
        raise SystemExit(1) from problem


def _task_failed(task, error):
    task.log_line("failed at %s: %s" % (task.step_name or "lock", error.message))
    current = task.home.current()
    goes_on = "%s goes on" % current.title if current else None
    if task.log is not None:     # otherwise somebody else has the lock
        task.home.history_add("failed", command=task.command, by=task.context.by,
                              step=task.step_name, release=task.release_name,
                              error=error.message, log=task.log_path)
    task.say.failed(error, log_path=task.log_path, goes_on=goes_on, step=task.step_name)


def _os_sentence(task, problem):
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return ("no room is left on the file system of %s: remove old releases (weavectl prune) "
                "or other files" % task.home.path)
    where = " %s:" % problem.filename if problem.filename else ""
    return "%s%s" % (where.lstrip(), " " * bool(where) + (problem.strerror or str(problem)))


def migrate_run(task, path, **facts):
    """release.migrate of the release at a path; ReleaseError when it fails."""
    answer = task.context.call("migrate", release=path, **facts)
    lines = answer.get("output", "").splitlines()
    for line in lines:
        task.log_line(line)
    if answer["status"] != 0:
        raise ReleaseError("release.migrate has failed with exit status %s, and nothing was "
                           "switched" % answer["status"], lines=lines[-programs.LAST_LINES:])
