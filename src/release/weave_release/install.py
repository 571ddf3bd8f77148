# SPDX-License-Identifier: Apache-2.0
"""weavectl install: from a share to what serves, in steps that may be killed anywhere.

The table of steps is in docs/design_release.md. Other commands use release_install() and
release_take().
"""

import contextlib
import os
import shutil

from . import fetch, inplace, prune, venv, words
from .errors import ReleaseError
from .files import file_hash
from .plan import files_text, plan_changes, plan_make, plan_say, python_of, request_make
from .task import Task, migrate_run, task_open


def run(context):
    """The states of an install. Returns the exit status."""
    options = context.options
    if options.in_place:
        return inplace.run(context)
    virtualenv_check(context)
    what = options.what or options.channel or context.settings["channel"]
    command = "install %s" % what
    if options.dry_run:
        return dry_run(context, command)
    with task_open(context, command, os.path.basename(what or "")) as task:
        return release_install(task, request_make(context))


def dry_run(context, command):
    """Says what would be installed. Nothing but what it needs meanwhile is written."""
    return plan_only(Task(context, command), request_make(context))


def plan_only(task, request, job_options=None):
    """Says what would be installed. Returns the exit status."""
    job, plan = plan_make(task, request, dict(job_options or {}, dry=True))
    plan_say(task, plan, job.python.version)
    task.say.done("nothing was changed.", "planned", release="%s-%s" % (plan.name, plan.version),
                  changes=plan_changes(task, plan))
    return 0


def release_install(task, request, facts=None, job_options=None):
    """PLAN to RECORD for what is asked for; the lock is held. Returns the exit status.

    facts go into ready.json; job_options are set on fetch's job.Job.
    """
    with task.step("plan"):
        job, plan = plan_make(task, request, job_options or {})
    plan_say(task, plan, job.python.version)
    return release_finish(task, release_make(task, job, plan, facts or {}))


def release_finish(task, release):
    """Has a release that is ready serve, unless it does or is not to. Returns the exit status."""
    if _serves_already(task, release):
        task.say.done("%s serves already." % release.title, "unchanged", release=release.name)
        return 0
    if task.context.options.no_switch:
        task.say.done("%s is ready: weavectl switch %s." % (release.title, release.version),
                      "ready", release=release.name)
        return 0
    release_take(task, release, migrate=not task.context.options.no_migrate)
    prune.releases_prune(task.context)
    return 0


def virtualenv_check(context):
    """Refuses a sync.ini whose workers would not follow the link that releases move."""
    settings = context.settings
    link = context.home.link_path
    named = settings["virtualenv"]
    if named and os.path.basename(named) == "current" and \
            os.path.realpath(os.path.dirname(named)) == os.path.realpath(context.home.path):
        return
    where = settings["virtualenv_where"]
    raise ReleaseError(
        "%s: wsgi.virtualenv is %s, and releases are served through %s"
        % (settings["ini"] if where in ("", "default") else where, named or "not set", link),
        "write `virtualenv = %s` into [wsgi] of %s (docs/operations.md has the steps), or upgrade "
        "that folder itself with --in-place" % (link, settings["ini"]))


# ---- FETCH to SYNC ----

def release_make(task, job, plan, facts):
    """The release of a plan, which is made now or was ready already."""
    release = release_ready(task, job, plan, facts)
    if release is not None:
        return release
    with task.step("fetch", files_text(plan)):
        paths = fetch.fetch(job, plan)
        for file in plan.files:
            file.sha256 = file.sha256 or file_hash(paths[file.name])[0]
    release = release_ready(task, job, plan, facts)
    if release is not None:
        return release
    with task.step("build"):
        prepared = fetch.wheels(job, plan, paths)
    prune.leftovers_remove(task.context)
    name = task.home.name_free(plan.name, plan.version)
    path = os.path.join(task.home.releases_path, name)
    task.release_name = name
    try:
        return _release_fill(task, job, prepared, path, facts)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)     # it may be what fills the disk
        raise


def release_ready(task, job, plan, facts):
    """A release that was made of the same files for the same Python, or None.

    ReleaseError where a rollback has left it, and --again was not said.
    """
    if task.context.options.again or not all(file.sha256 for file in plan.files):
        return None
    wanted = _identity(ready_facts(task, job, plan, facts))
    same = [release for release in task.home.releases()
            if release.is_ready and _identity(release.ready) == wanted]
    good = [release for release in same if not release.is_bad]
    if good:
        task.release_name = good[-1].name
        task.say.note("%s is ready already" % good[-1].title)
        return good[-1]
    if same:
        raise ReleaseError("%s was left by a rollback" % same[-1].title,
                           "install another version, or this one anew with --again")
    return None


def _identity(ready):
    """What two releases have in common that need not both be made."""
    return [python_of(ready)] + [
        ready.get(name) for name in ("name", "version", "files", "vcs", "vendor")]


def ready_facts(task, job, plan, facts):
    """What ready.json says as soon as the plan is known."""
    manifest = plan.manifest
    return dict({
        "name": plan.name, "project": plan.project, "version": plan.version,
        "share": plan.share, "signed_by": plan.signed_by,
        "manifest": None if manifest is None else manifest.members,
        "files": {file.name: file.sha256 for file in plan.files},
        "python": {"version": job.python.version, "executable": job.python.executable,
                   "system_site_packages": task.settings["system_site_packages"]},
        "pip": job.python.pip_version, "by": task.context.by,
        "vcs": None if manifest is None else manifest.vcs, "vendor": None}, **facts)


def _release_fill(task, job, prepared, path, facts):
    """CREATE, INSTALL and SYNC. Returns the Release."""
    python = job.python
    with task.step("create", "Python %s" % python.version):
        venv.create(path, python, task.settings["system_site_packages"], task.log)
    with task.step("install", words.counted(len(prepared.wheels), "project")) as step:
        venv.fill(path, python, prepared.wheels, task.folder("wheels"), task.log, step.progress)
        found = venv.records(path, job.python)
        venv.rights_settle(path)
        problem = venv.labels_restore(path, task.log)
    ready = ready_facts(task, job, prepared.plan, facts)
    if problem:
        task.say.warn(problem)
    ready.update(release=os.path.basename(path), lock=prepared.lock, records=found)
    with task.step("sync"):
        task.home.ready_write(path, ready)
    return task.home.release(os.path.basename(path))


# ---- MIGRATE to RECORD ----

def _serves_already(task, release):
    current = task.home.current()
    if current is None or current.name != release.name:
        return False
    serving = task.context.call("serving")
    if serving["httpd"]:
        return serving["release"] == release.path
    return True


def release_take(task, release, migrate=True, before_link=None):
    """Proves a release, has `current` lead to it and workers serve it.

    before_link() is called when it is proven. Until then nothing has changed.
    """
    previous = task.home.current()
    task.release_name = release.name
    task.home.link_check()
    task.home.lock_note(release=release.name)
    try:
        proof = _prove(task, release, migrate)
    except ReleaseError as error:
        with contextlib.suppress(OSError):
            task.home.mark_set(release, "failed", error=error.message, log=task.log_path)
        raise
    try:
        if before_link is not None:
            before_link()
        task.interrupts_hold()      # what follows is short, and is not left half done
        with task.step("link"):
            task.home.link_move(release)
    except BaseException:
        task.context.call("drop")
        raise
    try:
        with task.step("switch"):
            switched = task.context.call("switch", release=release.path)
    except ReleaseError as error:
        error.hint = error.hint or ("it is proven, and `current` leads to it: the same command "
                                    "again, or `weavectl reload`, has it serve")
        raise
    with task.step("record"):
        task.home.served_set(release, by=task.context.by, command=task.command,
                             previous=previous.name if previous else None,
                             generation=switched.get("generation"))
    _taken_say(task, release, previous, proof, switched)
    if before_link is None and previous and previous.name != release.name:
        task.say.line("back: weavectl rollback")


def _prove(task, release, migrate):
    """MIGRATE and PROVE. Returns what the broker says of the candidate."""
    if migrate and task.settings["migrate"]:
        with task.step("migrate"):
            migrate_run(task, release.path)
    with task.step("prove") as step:
        proof = task.context.call("prove", release=release.path)
        step.detail = _proof_text(proof)
    return proof


def _proof_text(proof):
    text = "" if proof.get("how") != "alone" else "without httpd"
    if proof.get("warmup"):
        text += (", " if text else "") + "warm-up %s" % proof["warmup"]
    return text


def _taken_say(task, release, previous, proof, switched):
    """The last line: what serves now, and the way back."""
    if switched.get("graceful"):
        text = "%s serves in httpd's own processes, which were started anew." % release.title
        if switched.get("notice"):
            task.say.note(switched["notice"])
    elif "generation" in switched:
        text = "%s serves (generation %d)" % (release.title, switched["generation"])
        finishing = switched.get("finishing")
        if finishing:
            text += "; the one before finishes %s" % words.counted(finishing, "request")
        text += "."
    elif switched.get("absent"):
        text = "%s is what httpd serves as soon as it has a WeaveApp for %s." % (
            release.title, task.settings["ini"])
    else:
        text = "%s is what httpd serves when it is started." % release.title
    changes = words.changes((previous.fact("lock") if previous else None) or {},
                            release.fact("lock") or {})
    task.say.done(text, "serves", release=release.name,
                  previous=previous.name if previous else None, changes=changes,
                  generation=switched.get("generation"), proven=proof.get("how"))
