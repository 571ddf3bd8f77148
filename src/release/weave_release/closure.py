# SPDX-License-Identifier: Apache-2.0
"""Whether all that a release needs is there, in the release or in the distribution.

`pip check` does not do for it: where a virtualenv sees the distribution's packages, it also
fails over those that have nothing to do with the release.
"""

import collections

from mozupload import names

from . import pypa
from .errors import ReleaseError
from .words import shown

# What is looked at: version, requires (texts), sha256 (of the file it is from, or None).
Member = collections.namedtuple("Member", "project version requires sha256")


def members_of_wheels(wheels):
    """{canonical name: Member} of job.Wheel objects."""
    return {wheel.project: Member(wheel.archive.project, wheel.version, wheel.archive.requires,
                                  wheel.sha256) for wheel in wheels}


def closure_check(name, members, system, environment):
    """Walks from `name` through all that it needs; returns (lock, notes).

    members: {canonical name: Member} of the release; system: the same of the distribution
    (attributes project, version, requires), {} where it does not count; environment: values of
    markers. The lock is {canonical name: {"version", "sha256", "system"}}. notes are lines
    about the distribution's own packages, which we do not judge. ReleaseError names what
    is missing.
    """
    walk = _Walk(members, system, environment)
    walk.visit(name, ())
    while walk.queue:
        walk.visit(*walk.queue.popleft())
    if walk.missing:
        more = len(walk.missing) - 1
        raise ReleaseError(
            "%s%s" % (walk.missing[0], " (and %d more are not satisfied)" % more if more else ""),
            hint="Upload the release again with all that it needs (mozupload does).",
            lines=walk.missing if more else ())
    lock = {one: {"version": member.version, "sha256": member.sha256, "system": False}
            for one, member in members.items()}
    for one in walk.from_system:
        lock[one] = {"version": system[one].version, "sha256": None, "system": True}
    return dict(sorted(lock.items())), walk.notes


def system_changed(lock, system):
    """[(name, version in the lock, version now or None)] of what the distribution has changed."""
    changed = []
    for name, entry in sorted(lock.items()):
        if entry.get("system"):
            now = system[name].version if name in system else None
            if now != entry.get("version"):
                changed.append((name, entry.get("version"), now))
    return changed


def requirement_read(text):
    """A Requires-Dist as packaging's Requirement, or None when it is none."""
    packaging = pypa.packaging()
    try:
        return packaging.requirements.Requirement(text)
    except packaging.requirements.InvalidRequirement:
        return None


def is_wanted(requirement, extras, environment):
    """Whether a requirement's marker holds, with any of the extras or without."""
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate(dict(environment, extra=extra))
               for extra in extras or ("",))


class _Walk:
    def __init__(self, members, system, environment):
        self.members = members
        self.system = system
        self.environment = environment
        self.queue = collections.deque()
        self.seen = {}              # canonical name: extras that were walked
        self.from_system = set()
        self.missing = []
        self.notes = []

    def visit(self, name, extras):
        """Looks at what a project needs, with these extras of its own."""
        wanted = {""} | {names.canonical(extra) for extra in extras} | set(extras)
        if wanted <= self.seen.get(name, set()):
            return
        before = self.seen.setdefault(name, set())
        fresh, own = wanted - before, name in self.members
        before |= wanted
        member = self.members.get(name) or self.system.get(name)
        for text in member.requires:
            requirement = requirement_read(text)
            if requirement is None:
                self.add("%s says that it needs %s, which is no requirement"
                         % (member.project, shown(text)), own)
            elif is_wanted(requirement, fresh, self.environment):
                self.need(member, requirement, own)

    def need(self, member, requirement, own):
        """Takes up a requirement: own is whether it is one of the release's."""
        name = names.canonical(requirement.name)
        found = self.members.get(name) or self.system.get(name)
        said = str(requirement.specifier)
        needs = "%s %s needs %s%s" % (member.project, member.version, requirement.name, said)
        if found is None:
            self.add("%s, which is not there" % needs, own)
            return
        if name not in self.members:
            self.from_system.add(name)
        if pypa.version_read(found.version) is None or (
                said and not requirement.specifier.contains(found.version, prereleases=True)):
            where = "the release" if name in self.members else "the distribution"
            self.add("%s, and %s has %s" % (needs, where, found.version), own)
        self.queue.append((name, tuple(sorted(requirement.extras))))

    def add(self, text, own):
        into = self.missing if own else self.notes
        if text not in into:
            into.append(text)
