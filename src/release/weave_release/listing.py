# SPDX-License-Identifier: Apache-2.0
"""weavectl releases: which ones there are, which one serves, how they differ."""

import time

from . import files, words
from .errors import ReleaseError
from .release import DAMAGED, FOREIGN, LEFTOVER


def run(context):
    """Prints what was asked for. Returns the exit status."""
    options = context.options
    if options.diff:
        return _diff(context, *options.diff)
    if options.history:
        return _history(context)
    if options.names:
        found = [release.name for release in context.home.releases() if release.is_ready]
        for name in found:
            context.say.line(name)
        context.say.result("listed", releases=found)
        return 0
    return _list(context)


def running_release(context):
    """The path of the release whose workers serve now; None when that is not known."""
    try:
        return context.call("serving").get("release")
    except ReleaseError:
        return None


# ---- the list ----


def _list(context):
    home, say = context.home, context.say
    releases, current = home.releases(), home.current()
    previous = home.previous(releases)
    running = running_release(context)
    rows, objects = [], []
    for release in reversed(releases):
        facts = _facts(release, current, previous, running)
        objects.append(facts)
        rows.append((release.title, _state_text(release, facts), _origin_text(release)))
    if not rows:
        say.line("no release in %s: `weavectl install NAME` makes the first one" % home.path)
    widths = [max([len(words.escape(row[i])) for row in rows] or [0]) for i in range(2)]
    for row in rows:
        cells = [words.escape(cell).ljust(width) for cell, width in zip(row, widths)]
        say.line("  ".join(cells + [row[2]]).rstrip())
    say.result(
        "listed",
        home=home.path,
        serves=current.name if current else None,
        previous=previous.name if previous else None,
        releases=objects,
    )
    return 0


def _facts(release, current, previous, running):
    """What programs are told of a release."""
    return {
        "release": release.name,
        "path": release.path,
        "name": release.fact("name"),
        "version": release.fact("version"),
        "state": release.state,
        "problem": release.problem or None,
        "serves": bool(current and current.name == release.name),
        "previous": bool(previous and previous.name == release.name),
        "running": running == release.path if running else None,
        "since": release.marks["served"]["seconds"] if release.is_served else None,
        "made": release.at,
        "bad": release.is_bad,
        "failed": release.marks["failed"].get("error", "") if release.is_failed else None,
        "pinned": release.is_pinned,
        "vcs": release.fact("vcs"),
        "vendor": release.fact("vendor"),
        "signed_by": release.fact("signed_by"),
        "python": release.fact("python", "version"),
        "by": release.fact("by"),
    }


def _state_text(release, facts):
    """What a release is to this node, in a few words."""
    since = "" if facts["since"] is None else _when(facts["since"])
    said = []
    if facts["serves"]:
        said.append("serves since %s" % since if since else "serves")
    if facts["serves"] and facts["running"] is False:
        said.append("from the next start of the workers on")
    if not facts["serves"] and facts["running"]:
        said.append("its workers still run")
    if release.state in (LEFTOVER, DAMAGED, FOREIGN):
        said.append(release.problem)
    elif release.is_bad:
        said.append("bad: left by a rollback %s" % _when(release.marks["bad"]["seconds"]))
    elif facts["previous"]:
        said.append("the one before, from %s" % since)
    elif since and not facts["serves"]:
        said.append("served from %s" % since)
    elif not facts["serves"] and not release.is_failed:
        said.append("ready, has never served")
    if release.is_failed:
        said.append("did not come up %s" % _when(release.marks["failed"]["seconds"]))
    if release.is_pinned:
        said.append("pinned")
    return ", ".join(said)


def _origin_text(release):
    """Where a release comes from: revision, tag, who made it here."""
    said = []
    kind, revision = release.fact("vcs", "kind"), release.fact("vcs", "revision")
    if isinstance(revision, str):
        said.append("%s %s" % (kind, revision[:12]))
    tag = release.fact("vcs", "tag")
    if isinstance(tag, str) and tag:
        said.append("tag %s" % tag)
    if isinstance(release.fact("by"), str):
        said.append("by %s" % release.fact("by"))
    return ", ".join(said)


def _when(seconds):
    """ "2026-11-30 09:00:05" in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


# ---- the others ----


def lock_of(release):
    """What a release consists of; ReleaseError when that is not known."""
    lock = release.fact("lock")
    if not isinstance(lock, dict):
        raise ReleaseError("nobody knows what %s consists of: it is %s" % (
            release.name, release.problem or "without a list"))
    return lock


def _diff(context, one, other):
    before, after = context.home.find(one), context.home.find(other)
    found = words.changes(lock_of(before), lock_of(after))
    context.say.line("%s -> %s" % (before.title, after.title))
    for change in found:
        context.say.line("  " + words.changes_text([change]))
    if not found:
        context.say.line("  the same")
    context.say.result("compared", before=before.name, release=after.name, changes=found)
    return 0


def _history(context):
    for event in context.home.history():
        at = files.seconds_of(event.get("at"))
        facts = [
            "%s %s" % (key, _plain(value))
            for key, value in event.items()
            if key not in ("at", "event", "release") and value not in ("", None)
        ]
        line = "%-19s  %-7s %s" % (
            "" if at is None else _when(at), event.get("event"), event.get("release", ""))
        context.say.line("%s  %s" % (line, ", ".join(facts)) if facts else line)
        context.say.object(event)
    return 0


def _plain(value):
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return str(value)
