# SPDX-License-Identifier: Apache-2.0
"""The folder `release.home`: its releases, which one serves, its lock and its journal.

    HOME/current          a relative link to the release that serves
    HOME/releases/NAME-VERSION[@N]/
        .weave/ready.json     written last: the release is whole
        .weave/served         it has served; .weave/bad: a rollback has left it;
                              .weave/failed: it did not come up; .weave/pinned: it stays
    HOME/incoming, store  archives; logs/ID.log; lock; history.jsonl

The file system is the truth: a release is one when it has ready.json, and it serves when
`current` leads there. history.jsonl is for people. Everything in HOME belongs to its owner,
as whom this runs, and may still be damaged: that is said, and is fatal for nothing else.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import stat
import time

from mozupload.names import canonical, is_name

from . import files
from .errors import ReleaseError
from .files import Damaged
from .release import FORMAT, MARK_MOST, READY_MOST, Release

HISTORY_MOST = 1024 * 1024
LINK = "current"
SCRATCH = "tmp-"  # what folders of commands in incoming/ begin with

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*", re.ASCII)


class Home:
    """A release.home. warn(text) is told what goes wrong and fails no command."""

    def __init__(self, path, warn=None):
        self.path = path
        self.releases_path = os.path.join(path, "releases")
        self.link_path = os.path.join(path, LINK)
        self.incoming_path = os.path.join(path, "incoming")
        self.store_path = os.path.join(path, "store")
        self.logs_path = os.path.join(path, "logs")
        self.history_path = os.path.join(path, "history.jsonl")
        self._warn = warn or (lambda text: None)
        self._history_has_failed = False
        self.interrupted = None
        self._lock_fd = None
        self._held = {}

    # ---- releases ----

    def folders_make(self):
        """Makes the folders that are not there. OSError when it cannot."""
        for path, mode in (
            (self.releases_path, 0o755),
            (self.incoming_path, 0o700),
            (self.store_path, 0o700),
            (self.logs_path, 0o700),
        ):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, mode)

    def releases(self):
        """All that lies in releases/ but hidden files, the oldest first."""
        try:
            names = os.listdir(self.releases_path)
        except FileNotFoundError:
            return []
        found = [self.release(name) for name in names if not name.startswith(".")]
        # one may have been removed meanwhile
        found = [release for release in found if not release.is_gone]
        return sorted(found, key=lambda release: release.order)

    def release(self, name):
        """The release of this folder's name, read anew."""
        return Release(os.path.join(self.releases_path, name))

    def find(self, text):
        """The release that people mean by a version, NAME==VERSION or the name of its folder.

        Of several tries of one version it is the last one that is ready and not bad; of
        several projects, that of the release that serves. ReleaseError when there is none.
        """
        releases = self.releases()
        exact = [release for release in releases if release.name == text]
        name, _, version = text.rpartition("==")
        wanted = canonical(name)
        found = exact or [
            release
            for release in releases
            if version in (release.version, release.tried_version)
            and wanted in ("", release.fact("name"))
        ]
        if not found:
            raise ReleaseError(
                "there is no release %s in %s: `weavectl releases` shows those that there are"
                % (text, self.path)
            )
        current = self.current()
        names = {release.fact("name") for release in found}
        if len(names) > 1 and current and current.fact("name") in names:
            found = [r for r in found if r.fact("name") == current.fact("name")]
        elif len(names) > 1:
            raise ReleaseError(
                "%s is a version of several projects: say which, as in %s"
                % (text, " or ".join(sorted(release.name for release in found)))
            )
        return max(found, key=lambda one: (one.is_ready, not one.is_bad, one.order))

    def name_free(self, name, version):
        """The name for a new folder: NAME-VERSION, or NAME-VERSION@2 where that is taken.

        name is canonical (PEP 503). ReleaseError when they cannot be part of a path.
        """
        if not is_name(name) or canonical(name) != name or not _VERSION.fullmatch(version):
            raise ReleaseError("%r %r is no name and version of a release" % (name, version))
        first = "%s-%s" % (name, version)
        fresh, number = first, 1
        while os.path.lexists(os.path.join(self.releases_path, fresh)):
            number += 1
            fresh = "%s@%d" % (first, number)
        return fresh

    def ready_write(self, release_path, facts):
        """Says that the release is whole: all of it is on the disk, then ready.json is.

        facts gets "format" and, where it is missing, "at". OSError when the disk is full;
        then there is no ready.json.
        """
        facts = {"at": files.now(), **facts, "format": FORMAT}
        data = json.dumps(facts, indent=1, sort_keys=True).encode() + b"\n"
        if len(data) > READY_MOST:
            raise ReleaseError("what ready.json is to say is larger than %d bytes" % READY_MOST)
        with files.folder(release_path) as fd:
            with contextlib.suppress(FileExistsError):
                os.mkdir(".weave", 0o755, dir_fd=fd)
            files.syncfs(fd)
            with files.folder(".weave", fd) as inner:
                files.file_replace("ready.json", data, inner)
            os.fsync(fd)
        with files.folder(os.path.dirname(release_path)) as fd:
            os.fsync(fd)

    def ready_remove(self, release_path):
        """Makes a release a leftover, which may be removed piece by piece."""
        with files.folder(release_path) as fd, files.folder(".weave", fd) as inner:
            files.unlink_if_there("ready.json", inner)
            os.fsync(inner)

    def mark_set(self, release, mark, **facts):
        """Makes .weave/MARK; what it had said is replaced.

        On a full disk it is made without its content, or over the former one.
        """
        facts["at"] = files.now()
        data = json.dumps(facts).encode() + b"\n"
        with files.folder(release.path) as fd, files.folder(".weave", fd) as inner:
            try:
                files.file_replace(mark, data, inner)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                files.file_overwrite(mark, data, inner)

    def mark_clear(self, release, mark):
        with files.folder(release.path) as fd, files.folder(".weave", fd) as inner:
            files.unlink_if_there(mark, inner)
            os.fsync(inner)

    # ---- which one serves ----

    def current(self):
        """The release that `current` leads to, in whatever state; None when to none."""
        try:
            target = os.readlink(self.link_path)
        except OSError:
            return None
        path = os.path.normpath(os.path.join(self.path, target))
        if os.path.dirname(path) != os.path.normpath(self.releases_path):
            path = os.path.realpath(path)
            if os.path.dirname(path) != os.path.realpath(self.releases_path):
                return None
        return self.release(os.path.basename(path))

    def link_check(self):
        """ReleaseError when `current` is something that link_move() would not replace."""
        try:
            info = os.lstat(self.link_path)
        except FileNotFoundError:
            return
        if not stat.S_ISLNK(info.st_mode):
            raise ReleaseError(
                "%s is no link, so no release can take its place: move it away"
                % self.link_path
            )

    def link_move(self, release):
        """Has `current` lead to a release, from one moment to the next and for good."""
        if not release.is_ready:
            raise ReleaseError("%s cannot serve: %s" % (release.name, release.problem))
        self.link_check()
        fresh = ".%s.new" % LINK
        with files.folder(self.path + "/.") as fd:
            files.unlink_if_there(fresh, fd)
            os.symlink("releases/" + release.name, fresh, dir_fd=fd)
            os.replace(fresh, LINK, src_dir_fd=fd, dst_dir_fd=fd)
            os.fsync(fd)

    def served_set(self, release, **facts):
        """Notes that the release has begun to serve: the mark, and a line of history.

        It is neither bad nor failed any more. facts are for the history, such as by and
        generation. On a full disk it warns, and the next command makes up for it.
        """
        number = 1 + max([0] + [other.served_number[0] for other in self.releases()])
        try:
            self.mark_set(release, "served", number=number, by=facts.get("by"))
            for mark in {"bad", "failed"} & set(self.release(release.name).marks):
                self.mark_clear(release, mark)
        except OSError as error:
            self._warn(
                "cannot note in %s that it serves: %s" % (release.path, error.strerror)
            )
        self.history_add("serves", release=release.name, **facts)

    def served_catch_up(self):
        """Notes what a killed command could not: that the release of `current` serves."""
        current = self.current()
        if current is None or not current.is_ready:
            return
        newest = max(self.releases(), key=lambda release: release.served_number)
        if newest.name != current.name or not current.is_served:
            self.served_set(current, note="found by the next command")

    def previous(self, releases=None):
        """The release that a rollback goes to, of all or of these; None when there is none.

        Of those that have served and are whole and not bad, it is the one that began to
        serve last, but for the present one. Neither versions nor times of files count.
        """
        current = self.current()
        good = [
            release
            for release in (self.releases() if releases is None else releases)
            if release.is_ready
            and release.is_served
            and not release.is_bad
            and not (current and release.name == current.name)
        ]
        return max(good, key=lambda release: release.served_number, default=None)

    # ---- lock, journal, logs ----

    @contextlib.contextmanager
    def lock(self, command, by=None):
        """Lets one command at a time change the home.

        command and by (a user) are for people; ReleaseError says who holds it. The lock
        ends with the process, so nothing has to be unlocked after a kill. Then interrupted
        is what the command that did not get to its end had noted, otherwise None.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(os.path.join(self.path, "lock"), flags, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ReleaseError(_lock_said(self.lock_read())) from None
            self.interrupted = self.lock_read()
            self._held = {"user": by, "pid": os.getpid(), "command": command}
            self._held["since"] = files.now()
            self._lock_fd = fd
            self.lock_note()
            self.served_catch_up()
            yield
            self._held = {}
            self.lock_note()
        finally:
            self._lock_fd = None
            os.close(fd)

    def lock_read(self):
        """What a command that holds the lock, or was killed, has noted; otherwise None."""
        try:
            with files.folder(self.path + "/.") as fd:
                return files.json_read("lock", fd, MARK_MOST)
        except (OSError, Damaged):
            return None

    def lock_note(self, **facts):
        """Adds to what a killed command leaves behind: release is the one it moves to."""
        self._held.update(facts)
        data = json.dumps(self._held).encode() + b"\n" if self._held else b""
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.pwrite(self._lock_fd, data, 0)
            os.ftruncate(self._lock_fd, len(data))

    def history_add(self, event, **facts):
        """Adds a line to the journal. When it cannot, it warns once and goes on."""
        facts = {"at": files.now(), "event": event, **facts}
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        data = json.dumps({k: v for k, v in facts.items() if v is not None}).encode() + b"\n"
        try:
            fd = os.open(self.history_path, flags | os.O_NONBLOCK, 0o644)
            try:
                size = os.fstat(fd).st_size
                if size and os.pread(fd, 1, size - 1) != b"\n":
                    data = b"\n" + data  # the last line was cut off
                files.write_all(fd, data)
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            if not self._history_has_failed:
                self._warn("cannot write %s: %s" % (self.history_path, error.strerror))
            self._history_has_failed = True

    def history(self):
        """The events of the journal as dicts, the oldest first; the newest MiB of it.

        What is damaged is left out.
        """
        try:
            with open(os.open(self.history_path, files.READ), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - HISTORY_MOST))
                lines = file.read(HISTORY_MOST).split(b"\n")
        except OSError:
            return []
        events = [files.json_of(line) for line in lines if line.startswith(b"{")]
        return [event for event in events if isinstance(event, dict)]

    def log_open(self, log_id):
        """A new file logs/ID.log for what programs say, to be written in bytes.

        Its name is .name. Where the disk is full or the folder closed, OSError.
        """
        number, suffix = 1, ""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        while True:
            path = os.path.join(self.logs_path, "%s%s.log" % (log_id, suffix))
            try:
                fd = os.open(path, flags, 0o600)
            except FileExistsError:
                number += 1
                suffix = "-%d" % number
                continue
            os.close(fd)
            return open(path, "ab", buffering=0)


def log_id(command, what):
    """The name of a log: the time, the command, and what it is about."""
    what = re.sub(r"[^A-Za-z0-9.@+-]+", "_", what)[:80]
    return "%s-%s-%s" % (time.strftime("%Y%m%d-%H%M%S"), command, what)


def _lock_said(who):
    """The sentence that refuses a second command."""
    if who is None:
        return "another weavectl is changing this home: wait until it has finished"
    since = files.seconds_of(who.get("since"))
    when = "" if since is None else time.strftime(" since %H:%M:%S", time.localtime(since))
    return "%s runs `weavectl %s`%s (pid %s): wait until it has finished" % (
        who.get("user") or "somebody",
        who.get("command"),
        when,
        who.get("pid"),
    )
