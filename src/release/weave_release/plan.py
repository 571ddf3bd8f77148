# SPDX-License-Identifier: Apache-2.0
"""PLAN: what a command line asks for, which release that is, and what people see of it."""

import os
import re

from . import fetch, files, job as jobs, pythons, venv, words
from .errors import ReleaseError


def request_make(context):
    """What the command line asks for, as fetch has it."""
    options = context.options
    return jobs.request_read(options.what, options.channel, context.path,
                             context.settings["channel"])


def plan_make(task, request, job_options):
    """fetch's Job and Plan. ReleaseError where the share, a signature or the Python object."""
    context, settings = task.context, task.settings
    options = context.options
    python = pythons.Python(python_choose(task)["executable"], task.run)
    typed = [link if "://" in link else context.path(link) for link in options.find_links]
    settings = dict(settings, find_links=typed + settings["find_links"])
    if options.keyring:
        settings["keyring"] = context.path(options.keyring)
    job = jobs.Job(settings, request, context.home, task.folder("archives"), python, task.run,
                   say=context.say.note, again=options.again,
                   wait_share_s=seconds_read(options.wait_share, "--wait-share"))
    for name, value in job_options.items():
        setattr(job, name, value)
    return job, fetch.plan(job)


def python_choose(task):
    """What ready.json of a new release says of its Python, but for the exact version."""
    current = task.home.current()
    return {"executable": venv.base_choose(task.settings, current.ready if current else None),
            "system_site_packages": task.settings["system_site_packages"]}


def python_of(ready):
    """The same of a release that is there, by its ready.json."""
    python = ready.get("python")
    if isinstance(python, dict):
        return {name: value for name, value in python.items() if name != "version"}
    return python


def seconds_read(text, option):
    """Seconds of "60", "60s", "2m", "1h"."""
    found = re.fullmatch(r"([0-9]+)(s|m|h|)", text)
    if not found:
        raise ReleaseError("%s %s is no time: write 90s or 2m" % (option, text))
    return int(found.group(1)) * {"": 1, "s": 1, "m": 60, "h": 3600}[found.group(2)]


def files_text(plan):
    """ "7 files, 8.1 MiB"."""
    return "%s, %s" % (words.counted(len(plan.files), "file"), words.size(plan.size))


def plan_changes(task, plan):
    """What differs from the release that serves, as words.changes() has it."""
    current = task.home.current()
    lock = current.fact("lock") if current else None
    entries = {file.project: {"version": file.version} for file in plan.files
               if file.role != "build"}
    entries.update({name: {"version": version} for name, version in plan.system.items()})
    return words.changes(lock if isinstance(lock, dict) else {}, entries)


def plan_say(task, plan, python):
    """The head of what people see: which release, whose, and what is different.

    python: the version that the release is for.
    """
    task.release_name = "%s-%s" % (plan.name, plan.version)
    title = ["%s %s" % (plan.name, plan.version)]
    manifest = plan.manifest
    if manifest is not None and manifest.vcs:
        title.append("%s %s" % (manifest.vcs.get("kind"), str(manifest.vcs.get("revision"))[:12]))
        if manifest.vcs.get("tag"):
            title.append("tag %s" % manifest.vcs["tag"])
    if plan.signed_by:
        title.append("signed by %s" % plan.signed_by)
    if manifest is not None and files.seconds_of(manifest.at):
        title.append("%s old" % words.ago(files.seconds_of(manifest.at)))
    task.say.line(", ".join(title))
    kind = network_kind(task.home.path)
    for note in plan.notes + ["release.home is on %s: a local disk is faster, and files that "
                              "workers have open are no trouble there" % kind] * bool(kind):
        task.say.note(note)
    current = task.home.current()
    task.say.line("  serves now: %s" % (current.title if current else "nothing"))
    before = current.fact("python", "version") if current else None
    if isinstance(before, str) and before != python:
        task.say.line("  Python %s → %s" % (before, python))
    changes = plan_changes(task, plan)
    if changes:
        task.say.line("  " + words.changes_text(changes))


def network_kind(path, mounts="/proc/self/mountinfo"):
    """"nfs4" or the like where a folder is on a file system of another machine, else ""."""
    best, kind = -1, ""
    path = os.path.realpath(path) + "/"
    with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)),
                           left.split(" ")[4]).rstrip("/") + "/"
            if path.startswith(point) and len(point) >= best:
                best, kind = len(point), right.split(" ")[0]
    return kind if kind.startswith(("nfs", "cifs", "smb", "fuse.sshfs", "9p", "ceph")) else ""
