# SPDX-License-Identifier: Apache-2.0
"""weavectl install --in-place: the one virtualenv is upgraded, with maintenance on meanwhile.

    copy          the virtualenv is copied beside it (aside.py); nothing else has changed
    mark          the marker says that all may be half from now on
    maintenance   on, and nothing is in Python any more
    upgrade       pip install --upgrade, of archives that are checked and here
    sync, migrate
    workers       new ones, which have answered release.warmup
    keep          the marker says that it is done
    open          maintenance off

When a step fails, the copy takes its place again, and workers of it serve, before
maintenance ends. When something is killed, maintenance stays on, and the next command that
changes release.home does that first (recover). A maintenance of somebody else's stays.
"""

import os

from . import aside, files, words
from .arguments import DEFAULT_WAIT
from .aside import BACK, BEGUN, DONE
from .errors import ReleaseError

# The commands that end what was cut off, before they begin.
CHANGING = ("install", "checkout", "rollback", "switch", "prune")
WAITING = "waiting"     # the phase before BEGUN: the virtualenv is as it was


def run(context):
    """Runs the command. Returns the exit status."""
    from . import plan as plans, task as tasks
    virtualenv = virtualenv_find(context)
    options = context.options
    if options.no_switch:
        raise ReleaseError("--in-place changes what serves, so --no-switch cannot be said with it",
                           "leave one of the two out")
    settings_take(context, virtualenv)
    what = options.what or options.channel or context.settings["channel"]
    command = "install --in-place %s" % what
    if options.dry_run:
        context.home.folders_make()
        task = tasks.Task(context, command)
        plan = plans.plan_make(task, plans.request_make(context), {"dry": True})[1]
        plan_say(task, plan, virtualenv)
        aside.aside_plan(context.home.path, virtualenv)
        context.say.done("nothing was changed.", "planned",
                         release="%s-%s" % (plan.name, plan.version))
        return 0
    with tasks.task_open(context, command, os.path.basename(what or "")) as task:
        Upgrade(task, virtualenv).run()
    return 0


def virtualenv_find(context):
    """The folder of wsgi.virtualenv. ReleaseError where it is the link that releases move."""
    settings = context.settings
    named = settings["virtualenv"]
    if not named:
        raise ReleaseError("%s has no wsgi.virtualenv, which --in-place upgrades"
                           % settings["ini"], "write virtualenv = FOLDER into its [wsgi]")
    above, name = os.path.split(os.path.normpath(named))
    path = os.path.join(os.path.realpath(above), name)
    if os.path.islink(path):
        raise ReleaseError(
            "%s is a link, and releases are made beside each other" % path,
            "leave --in-place out, or name the folder itself as virtualenv in %s"
            % settings["ini"])
    if not os.path.isfile(os.path.join(path, "pyvenv.cfg")):
        raise ReleaseError("%s is no virtualenv" % path,
                           "make it first, as %s: python3 -m venv %s"
                           % (aside.programs_user(), path))
    return path


def settings_take(context, virtualenv):
    """Has the settings of a new release be those of the virtualenv that is there."""
    context.settings["python"] = os.path.join(virtualenv, "bin", "python")
    context.settings["system_site_packages"] = False
    with open(os.path.join(virtualenv, "pyvenv.cfg"), encoding="utf-8",
              errors="replace") as file:
        for line in file:
            name, _, value = line.partition("=")
            if name.strip().lower() == "include-system-site-packages":
                context.settings["system_site_packages"] = value.strip().lower() == "true"


def plan_say(task, plan, virtualenv):
    """The head of what people see."""
    title = "%s %s" % (plan.name, plan.version)
    if plan.signed_by:
        title += ", signed by %s" % plan.signed_by
    task.say.line("%s, in place in %s" % (title, virtualenv))
    for note in plan.notes:
        task.say.note("  " + note)


class Upgrade:
    """One run of it."""

    def __init__(self, task, virtualenv):
        self.task = task
        self.call = task.context.call
        self.virtualenv = virtualenv
        self.copy = None
        self.title = ""

    def run(self):
        from . import fetch, plan as plans
        task = self.task
        with task.step("plan"):
            look = self.call("maintenance", mode="look")
            look_check(task, look)
            plans.seconds_read(task.context.options.wait or DEFAULT_WAIT, "--wait")
            self.copy = aside.aside_plan(task.home.path, self.virtualenv)
            job, plan = plans.plan_make(task, plans.request_make(task.context), {})
        plan_say(task, plan, self.virtualenv)
        task.release_name = "%s-%s" % (plan.name, plan.version)
        self.title = "%s %s" % (plan.name, plan.version)
        with task.step("fetch", plans.files_text(plan)):
            paths = fetch.fetch(job, plan)
        with task.step("build"):
            prepared = fetch.wheels(job, plan, paths)
        self.copy.facts.update(
            release=task.release_name, by=task.context.by, at=files.now(),
            before=look["before"], other=look["other"], has_served=look["has_served"])
        with task.step("copy"):
            self.copy.copy(task.log)
        self._replace(job, prepared.wheels)
        self._finish(look)

    def _replace(self, job, wheels):
        """From the marker to workers that serve; whatever fails, the former ones do again."""
        task = self.task
        try:
            with task.step("mark"):
                self.copy.mark(WAITING)
            with task.step("maintenance"):
                maintenance_begin(task, self.copy, task.context.options)
                self.copy.mark(BEGUN)
            with task.step("upgrade", words.counted(len(wheels), "project")) as step:
                self._pip(job, wheels, step)
            with task.step("sync"), files.folder(self.virtualenv) as fd:
                files.syncfs(fd)
            self._migrate()
            with task.step("workers") as step:
                step.detail = workers_renew(task, self.copy)
            with task.step("keep"):
                self.copy.mark(DONE)
        except BaseException as problem:
            undo_after(task, self.copy, problem)
            raise

    def _pip(self, job, wheels, step):
        from . import venv
        venv.fill(self.virtualenv, job.python, wheels, self.task.folder("wheels"),
                  self.task.log, step.progress, upgrade=True)

    def _migrate(self):
        from . import task as tasks
        task = self.task
        if task.settings["migrate"] and not task.context.options.no_migrate:
            with task.step("migrate"):
                tasks.migrate_run(task, self.virtualenv, in_place=True)

    def _finish(self, look):
        task = self.task
        try:
            with task.step("open"):
                left = maintenance_end(task, self.copy)
        except ReleaseError as error:
            raise ReleaseError(
                "the new version runs, but maintenance could not be ended: %s" % error.message,
                error.hint or "weavectl prune, or the like, tries it again", error.lines) from error
        self.copy.end()
        task.home.history_add("in-place", release=task.release_name, by=task.context.by,
                              command=task.command, virtualenv=self.virtualenv)
        if left:
            task.say.note(left)
        serves = "serves" if look["httpd"] else "is what httpd serves when it is started"
        task.say.done("%s %s, in place." % (self.title, serves), "serves",
                      release=task.release_name)


# ---- steps ----

def look_check(task, look):
    """Refuses what could not be brought to an end, before anything has changed."""
    if look["httpd"] and look["outdated"]:
        raise ReleaseError("%s: httpd does not run what it says: %s"
                           % (task.settings["ini"], look["outdated"]),
                           "apachectl configtest && apachectl graceful")


def maintenance_begin(task, copy, options=None):
    """Maintenance on, and nothing in Python any more. Without httpd it is for its next start."""
    from . import plan as plans
    call = task.context.call
    look = call("maintenance", mode="look")
    drain = bool(options is not None and options.drain)
    wait_s = plans.seconds_read(options and options.wait or DEFAULT_WAIT, "--wait")
    if copy.facts.get("other") or look["other"]:
        if look["httpd"]:
            call("maintenance", mode="wait", wait_s=wait_s)
        return
    mode = "drain" if drain else "on"
    if look["httpd"]:
        call("maintenance", mode=mode, wait_s=wait_s)
        return
    try:
        call("maintenance", mode=mode)
    except ReleaseError as error:
        task.say.note("httpd must not be started with this application meanwhile: %s" % error)


def maintenance_end(task, copy):
    """Ends it, unless it is somebody else's. Returns a sentence about what is left, or ""."""
    return task.context.call("maintenance", mode="off",
                             restore=copy.facts.get("before")).get("left", "")


def workers_renew(task, copy):
    """New workers, which serve when it returns. Returns what is to be said of them."""
    call = task.context.call
    look = call("maintenance", mode="look")
    if not look["httpd"] or look["embedded"]:
        call("prove", release=copy.virtualenv, in_place=True)
    if not look["httpd"]:
        return "httpd does not run; one came up without it"
    answer = call("reload")
    if answer.get("graceful"):
        return "httpd's own processes were started anew"
    return "generation %s" % answer["generation"] if answer.get("generation") else ""


# ---- back ----

def undo_after(task, copy, problem):
    """Puts the former one back after a failure; what fails there is said as well."""
    step = task.step_name
    task.log_line("failed at %s: %s" % (step, problem))
    try:
        undo(task, copy)
        task.say.note("what was there before is back")
    except (ReleaseError, OSError) as error:
        task.say.warn("what was there before could not be put back, and maintenance stays on "
                      "until the next weavectl install has done it: %s" % error)
    task.step_name = step


def undo(task, copy):
    """Has the former virtualenv serve again, and then ends maintenance."""
    if copy.phase == BEGUN:
        with task.step("back", copy.virtualenv):
            copy.put_back()
            copy.failed_remove()
            workers_back(task, copy)
            copy.mark(BACK)
    if copy.phase:      # else there is no marker yet
        maintenance_end(task, copy)
    copy.end()


def workers_back(task, copy):
    """Workers of what was there before; where none have served, none need to."""
    look = task.context.call("maintenance", mode="look")
    if not look["httpd"]:
        return
    try:
        task.context.call("reload")
    except ReleaseError:
        if copy.facts.get("has_served", True):
            raise


def recover(context):
    """Ends what an install in place has left that was killed, before a command begins.

    Cheap where there is nothing. ReleaseError or SystemExit when it cannot.
    """
    from . import task as tasks
    if context.settings["command"] not in CHANGING or not any(
            os.path.lexists(os.path.join(context.home.path, name))
            for name in (aside.MARKER, aside.PLACE)):
        return
    if getattr(context.options, "dry_run", False):
        return
    with tasks.task_open(context, "%s (in place)" % context.settings["command"]) as task:
        copy = aside.aside_read(context.home.path)
        if copy is None:    # it had not begun to change anything
            aside.leftover_remove(context.home.path)
            return
        task.say.note("the install in place of %s by %s was cut off (%s)" % (
            copy.facts.get("release"), copy.facts.get("by"), copy.facts.get("at")))
        was_done = copy.phase == DONE
        if copy.phase == BEGUN:
            with task.step("maintenance"):
                maintenance_begin(task, copy)
        undo(task, copy)
        task.home.history_add("recovered", release=copy.facts.get("release"), done=was_done,
                              by=context.by)
        task.say.note("it was done, and is what serves" if was_done
                      else "what was there before is back")
