# SPDX-License-Identifier: Apache-2.0
"""One release of release.home, as its folder has it."""

import errno
import os

from . import files
from .files import Damaged

FORMAT = 1
READY_MOST = 4 * 1024 * 1024
MARK_MOST = 4096
# Members of ready.json that commands compare and sort by.
TEXTS = ("name", "project", "version", "at")
MARKS = ("served", "bad", "failed", "pinned")

# States of what lies in releases/.
READY, LEFTOVER, DAMAGED, FOREIGN = "ready", "leftover", "damaged", "foreign"
GONE = "not there"


class Release:
    """What lies in releases/, as it was when it was looked at.

    state is READY; LEFTOVER: a folder without ready.json, of an install that has ended
    early; DAMAGED: its ready.json cannot be used; or FOREIGN: no folder. problem says why
    for all but READY. ready is the content of ready.json, or None. marks has the content of
    each mark; at (seconds since 1970) is when it was made, order what they are sorted by.
    """

    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)
        self.state = FOREIGN
        self.problem = ""
        self.ready = None
        self.marks = {}
        self.at = 0.0
        self.order = (0.0, 0, self.name)
        try:
            fd = os.open(path, files.FOLDER)
        except OSError as error:
            self._problem_set(error)
            return
        try:
            self.at = os.fstat(fd).st_mtime
            self.order = (self.at, 0, self.name)
            self.state = LEFTOVER
            self.problem = "not finished"
            self._read(fd)
        finally:
            os.close(fd)

    is_gone = property(lambda self: self.problem == GONE)
    is_ready = property(lambda self: self.state == READY)
    is_served = property(lambda self: "served" in self.marks)
    is_bad = property(lambda self: "bad" in self.marks)
    is_failed = property(lambda self: "failed" in self.marks)
    is_pinned = property(lambda self: "pinned" in self.marks)

    @property
    def served_number(self):
        """Releases that began to serve later have a greater one; (0, 0.0): never served."""
        mark = self.marks.get("served")
        if mark is None:
            return (0, 0.0)
        number = mark.get("number")
        return (number if isinstance(number, int) else 0, mark["seconds"])

    def fact(self, *path):
        """A member of ready.json, such as fact("vcs", "revision"); None where it is none."""
        value = self.ready
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    @property
    def version(self):
        """The version, or the name of the folder where that is not known."""
        version = self.fact("version")
        return version if isinstance(version, str) else self.name

    @property
    def tried_version(self):
        """The version with the number of the try: "1.1.5@2"."""
        name = self.fact("name")
        if isinstance(name, str) and self.name.startswith(name + "-"):
            return self.name[len(name) + 1 :]
        return self.name

    @property
    def title(self):
        """What people call it: "weaveserver 1.1.5", "weaveserver 1.1.5@2"."""
        tried = self.tried_version
        return self.name if tried == self.name else "%s %s" % (self.fact("name"), tried)

    def _problem_set(self, error):
        if error.errno == errno.ENOENT:
            self.problem = GONE
        elif error.errno in (errno.ELOOP, errno.ENOTDIR):
            self.problem = "a link" if os.path.islink(self.path) else "no folder"
        else:
            self.problem = "cannot be read (%s)" % error.strerror

    def _read(self, fd):
        try:
            inner = os.open(".weave", files.FOLDER, dir_fd=fd)
        except FileNotFoundError:
            return
        except OSError as error:
            self.state, self.problem = DAMAGED, ".weave: %s" % error.strerror
            return
        try:
            for mark in MARKS:
                self._mark_read(mark, inner)
            self._ready_read(inner)
        finally:
            os.close(inner)

    def _mark_read(self, mark, inner):
        try:
            info = os.stat(mark, dir_fd=inner, follow_symlinks=False)
        except OSError:
            return
        try:
            facts = files.json_read(mark, inner, MARK_MOST)
        except (Damaged, OSError):
            facts = {}  # that it is there is what counts
        facts["seconds"] = files.seconds_of(facts.get("at")) or info.st_mtime
        self.marks[mark] = facts

    def _ready_read(self, inner):
        try:
            ready = files.json_read("ready.json", inner, READY_MOST)
            info = os.stat("ready.json", dir_fd=inner, follow_symlinks=False)
        except FileNotFoundError:
            return
        except (Damaged, OSError) as error:
            self.state, self.problem = DAMAGED, str(error)
            return
        if ready.get("format") != FORMAT:
            self.state = DAMAGED
            self.problem = "ready.json is of another format than %d" % FORMAT
            return
        wrong = [name for name in TEXTS if not isinstance(ready.get(name), (str, type(None)))]
        if wrong:
            self.state, self.problem = DAMAGED, "ready.json has a wrong %s" % ", ".join(wrong)
            return
        self.state, self.problem, self.ready = READY, "", ready
        self.at = files.seconds_of(ready.get("at")) or self.at
        self.order = (self.at, info.st_mtime_ns, self.name)
