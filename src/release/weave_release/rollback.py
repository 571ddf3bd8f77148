# SPDX-License-Identifier: Apache-2.0
"""weavectl rollback and switch: to a release that is there already."""

import contextlib
import os
import time

from . import words
from .errors import ReleaseError
from .listing import lock_of, running_release


def run(context):
    """Goes back and marks the release that it leaves bad. Returns the exit status."""
    return target_take(context, "rollback", rollback_target, leaves_bad=True)


def rollback_target(context):
    """The release to go back to. ReleaseError when there is none, or it is not meant to serve."""
    home, text = context.home, context.options.version
    if not text:
        begun = _begun(context)
        if begun is not None:
            return begun
        release = home.previous()
        if release is None:
            raise ReleaseError(
                "no other release has served and is good: `weavectl releases` shows those "
                "that there are, `weavectl switch VERSION` takes one"
            )
        return release
    release = home.find(text)
    ready_check(release)
    if not release.is_served:
        raise ReleaseError(
            "%s has never served, so it is nothing to go back to: weavectl switch %s"
            % (release.title, text)
        )
    bad_check(release, text)
    return release


def _begun(context):
    """The release that a rollback has moved `current` to and was killed; None otherwise.

    To go to the one before would be to go back twice. It shows in the lock, or in workers
    that still run from a release that is bad.
    """
    home = context.home
    current, interrupted = home.current(), home.interrupted or {}
    if current is None or not current.is_ready:
        return None
    is_same = interrupted.get("release") == current.name
    if is_same and str(interrupted.get("command")).startswith("rollback"):
        return current
    running = running_release(context)
    if not running or running == current.path:
        return None
    return current if home.release(os.path.basename(running)).is_bad else None


def ready_check(release):
    if not release.is_ready:
        raise ReleaseError(
            "%s cannot serve: %s; install its version again" % (release.name, release.problem)
        )


def bad_check(release, text):
    if release.is_bad:
        raise ReleaseError(
            "%s is bad: a rollback has left it at %s. To take it all the same: "
            "weavectl switch --again %s"
            % (release.title, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(
                release.marks["bad"]["seconds"])), text)
        )


def target_take(context, command, choose, leaves_bad):
    """Takes the release that choose(context) names, but for a --dry-run."""
    context.home.interrupted = context.home.lock_read()
    release = choose(context)  # so what is refused leaves neither log nor history
    if context.options.dry_run:
        return _dry_run(context, release, leaves_bad)
    from .task import task_open  # loads what a dry run does not need

    with task_open(context, "%s %s" % (command, release.version), release.name) as task:
        _take(context, task, choose(context), leaves_bad)
    return 0


def _take(context, task, release, leaves_bad):
    from .install import release_take

    home, current = context.home, context.home.current()
    is_same = current is not None and current.name == release.name
    is_begun = (home.interrupted or {}).get("release") == release.name
    if is_same and not is_begun and _runs(context, release):
        context.say.line("%s serves already" % release.title)
        context.say.result("serves", release=release.name, changes=[])
        return
    home.lock_note(release=release.name)
    marked = current if leaves_bad and not is_same else None
    _changes_say(context, current, release)
    try:
        release_take(
            task,
            release,
            migrate=_is_to_migrate(context, release),
            before_link=lambda: _mark_bad(context, marked),
        )
    except BaseException:
        now = home.current()
        if marked and now and now.name == marked.name and not marked.is_bad:
            with contextlib.suppress(OSError):
                home.mark_clear(marked, "bad")
        raise


def _is_to_migrate(context, release):
    """Whether release.migrate runs: the database of one that has served is ready for it."""
    return not release.is_served and not getattr(context.options, "no_migrate", False)


def _mark_bad(context, release):
    if release is None or not release.is_ready:
        return
    try:
        context.home.mark_set(release, "bad", by=context.by)
    except OSError as error:
        context.say.warn("cannot mark %s as bad: %s" % (release.path, error.strerror))


def _runs(context, release):
    """Whether the workers run from it, where there are any."""
    try:
        serving = context.call("serving")
    except ReleaseError:
        return False  # then taking it says why not
    return not serving.get("httpd") or serving.get("embedded") or (
        serving.get("release") in (None, release.path))


def _changes(current, release):
    try:
        return words.changes(lock_of(current), lock_of(release)) if current else []
    except ReleaseError:
        return []


def _changes_say(context, current, release):
    context.say.line("%s -> %s" % (current.title if current else "none", release.title))
    name = release.fact("name")  # of which the line above speaks
    found = [change for change in _changes(current, release) if change["name"] != name]
    if found:
        context.say.line("  " + words.changes_text(found))


def _dry_run(context, release, leaves_bad):
    current = context.home.current()
    _changes_say(context, current, release)
    if current and current.name == release.name:
        context.say.line("it serves already")
    elif leaves_bad and current:
        context.say.line("%s would be marked as bad" % current.title)
    context.say.result(
        "would serve",
        release=release.name,
        previous=current.name if current else None,
        changes=_changes(current, release),
    )
    return 0
