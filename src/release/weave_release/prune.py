# SPDX-License-Identifier: Apache-2.0
"""weavectl prune: removes releases that nobody goes back to, and what they were made of.

What stays, and why, is a table (_reasons). Before the files of a release go, its ready.json
does: a prune that is killed leaves a leftover, which the next one removes.
"""

import contextlib
import os
import re
import shutil
import stat

from . import store, words
from .errors import ReleaseError
from .home import SCRATCH
from .release import DAMAGED, FOREIGN, LEFTOVER, READY

LOGS = 10

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def run(context):
    """Removes, and says what. Returns the exit status."""
    options = context.options
    if options.dry_run and not (options.pin or options.unpin):
        return _said(context, Pruning(context, options.keep), True)
    with context.home.lock("prune", by=context.by):
        if options.pin or options.unpin:
            return _pin(context, options.pin or options.unpin, bool(options.pin))
        pruning = Pruning(context, options.keep)
        pruning.remove()
        return _said(context, pruning, False)


def releases_prune(context):
    """The same behind an install, which holds the lock: it warns and fails nothing."""
    try:
        pruning = Pruning(context)
        pruning.remove()
    except (ReleaseError, OSError) as error:
        context.say.warn("cannot remove old releases: %s" % error)
        return
    if pruning.removed:
        context.say.line("removed: %s" % ", ".join(release.title for release in pruning.removed))


def leftovers_remove(context):
    """Removes what installs have left that ended early; for a command that holds the lock."""
    current = context.home.current()
    for release in context.home.releases():
        if release.state == LEFTOVER and not (current and current.name == release.name):
            release_remove(context, release)


def _pin(context, text, is_pinned):
    release = context.home.find(text)
    if release.state != READY:
        raise ReleaseError("%s cannot be pinned: %s" % (release.name, release.problem))
    if is_pinned:
        context.home.mark_set(release, "pinned", by=context.by)
    elif release.is_pinned:
        context.home.mark_clear(release, "pinned")
    context.say.line("%s %s" % (release.title, "stays" if is_pinned else "may go"))
    context.say.result("pinned" if is_pinned else "unpinned", release=release.name)
    return 0


# ---- what stays ----


class Pruning:
    """What a prune removes: going and kept, lists of (release, why). All is only looked at."""

    def __init__(self, context, keep=None):
        self.context = context
        self.home = context.home
        self.removed = []
        keep = keep or context.settings["keep"]
        releases = self.home.releases()
        reasons = _reasons(self.home, releases, keep, _used_paths(context))
        self.kept = [(release, reasons[release.name]) for release in releases
                     if release.name in reasons]
        self.going = [release for release in releases if release.name not in reasons]

    def remove(self):
        """Removes, release by release. What cannot be removed is warned of."""
        for release in self.going:
            if release_remove(self.context, release):
                self.removed.append(release)
        if self.removed:
            self.home.history_add(
                "pruned", releases=[release.name for release in self.removed], by=self.context.by
            )
        self._archives_remove()
        self._logs_remove()

    def _archives_remove(self):
        """The archives of releases that have gone, and all that fetching has left."""
        if any(release.state == DAMAGED for release, _ in self.kept):
            return  # which archives those need is not known
        needed = set()
        for release, _ in self.kept:
            needed.update(_hashes(release.ready))
        store.store_prune(self.home, needed)
        for name in _names(self.home.incoming_path):
            if name.startswith(SCRATCH):
                continue  # of a command that works without the lock, or that the next one removes
            _tree_remove(self.context, os.path.join(self.home.incoming_path, name))

    def _logs_remove(self):
        """All but the newest logs, and the newest logs of failures."""
        failures = {
            os.path.basename(event["log"])
            for event in self.home.history()
            if event.get("event") == "failed" and isinstance(event.get("log"), str)
        }
        names = [name for name in _names(self.home.logs_path) if name.endswith(".log")]
        names.sort(key=lambda name: _mtime(os.path.join(self.home.logs_path, name)))
        for some in (
            [name for name in names if name in failures],
            [name for name in names if name not in failures],
        ):
            for name in some[:-LOGS]:
                _tree_remove(self.context, os.path.join(self.home.logs_path, name))


def _reasons(home, releases, keep, used):
    """Why each release stays, by name; those that go are not in it."""
    served = [r for r in releases if r.is_ready and r.is_served and not r.is_bad]
    served.sort(key=lambda release: release.served_number, reverse=True)
    waiting = [r for r in releases if r.is_ready and not r.is_served and not r.is_failed]
    current, previous = home.current(), home.previous(releases)
    rows = [(release, "one of the last %d that have served" % keep) for release in served[:keep]]
    rows += [(release, "ready, has never served") for release in waiting[-keep:]]
    rows += [(release, "pinned") for release in releases if release.is_pinned]
    rows += [(release, release.problem) for release in releases
             if release.state in (DAMAGED, FOREIGN)]
    rows += [(release, "the one before") for release in releases
             if previous and release.name == previous.name]
    rows += [(release, "workers run from it") for release in releases if _is_used(release, used)]
    rows += [(release, "serves") for release in releases
             if current and release.name == current.name]
    return {release.name: why for release, why in rows}


def _used_paths(context):
    """The paths that workers run from, links followed. ReleaseError when that is not known."""
    return [os.path.realpath(path) for path in context.call("serving").get("in_use", ())]


def _is_used(release, used):
    path = os.path.realpath(release.path)
    return any(one == path or one.startswith(path + os.sep) for one in used)


def _hashes(value):
    """All SHA-256 in ready.json, wherever they stand."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _hashes(one)
    elif isinstance(value, str) and _SHA256.fullmatch(value):
        yield value


# ---- removing ----


def release_remove(context, release):
    """Removes a release. Returns False, with a warning, when something of it remains."""
    try:
        if release.state == READY:
            context.home.ready_remove(release.path)
    except OSError as error:
        context.say.warn("cannot remove %s: %s" % (release.path, error.strerror))
        return False
    return _tree_remove(context, release.path)


def _tree_remove(context, path):
    failures = []
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path, onerror=lambda *facts: _open_and_again(failures, *facts))
        else:
            os.unlink(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        failures.append(error)
    if failures:
        context.say.warn("cannot remove %s: %s" % (path, failures[0].strerror))
    return not failures


def _open_and_again(failures, function, path, info):
    """A folder of a package may be closed even to its owner: it is opened, once."""
    error = info[1]
    if isinstance(error, FileNotFoundError):
        return
    folder = path if function in (os.open, os.scandir, os.listdir) else os.path.dirname(path)
    try:
        mode = os.lstat(folder).st_mode
        if not stat.S_ISDIR(mode) or mode & 0o700 == 0o700:
            raise error
        os.chmod(folder, 0o700)
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path, onerror=lambda *facts: _open_and_again(failures, *facts))
        else:
            os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as again:
        failures.append(again)


def _names(folder):
    with contextlib.suppress(OSError):
        return sorted(os.listdir(folder))
    return []


def _mtime(path):
    with contextlib.suppress(OSError):
        return os.lstat(path).st_mtime
    return 0


def _said(context, pruning, is_dry):
    say = context.say
    gone = pruning.going if is_dry else pruning.removed
    for release in gone:
        why = release.problem or ("a rollback has left it" if release.is_bad else "failed"
                                  if release.is_failed else "")
        say.line("%s%s%s" % (release.title, " would go" if is_dry else " removed",
                             " (%s)" % why if why else ""))
    width = max([len(words.escape(release.title)) for release, _ in pruning.kept] or [0])
    for release, why in pruning.kept:
        say.line("%s stays: %s" % (words.escape(release.title).ljust(width), why))
    say.result(
        "pruned" if not is_dry else "would prune",
        removed=[release.name for release in gone],
        kept={release.name: why for release, why in pruning.kept},
    )
    return 0 if is_dry or len(gone) == len(pruning.going) else 1
