# SPDX-License-Identifier: Apache-2.0
"""weavectl checkout: a release made of a revision in a repository.

The archives that it needs come from a vendor repository and from nowhere else. From
the wheel of the application on, all is as in weavectl install.
"""

import os

from . import install, pins, repository, source, vendor
from .errors import ReleaseError
from .job import Request
from .location import is_local_path, vendor_split
from .plan import python_choose, python_of
from .task import task_open

MAX_REVISION_FILE = 4096
VENDOR_REVISION = "vendor.rev"


def run(context):
    """The states of a checkout. Returns the exit status."""
    options, settings = context.options, context.settings
    where = _place(options.where, options.cwd) or _place(
        settings["repository"], os.path.dirname(settings["ini"]))
    if not where:
        raise ReleaseError("it is not said which repository: give its URL or path, or set "
                           "release.repository in %s" % settings["ini"])
    if settings["keyring"]:
        raise ReleaseError("release.keyring demands releases that are signed, and a checkout is "
                           "signed by nobody: use weavectl install")
    install.virtualenv_check(context)
    command = "checkout %s -r %s" % (where, options.revision)
    with task_open(context, command, options.revision) as task:
        return _Checkout(task, where).run()


def _place(text, folder):
    """TEXT, or the whole path where it is one below a folder."""
    return os.path.normpath(os.path.join(folder, text)) if text and is_local_path(text) else text


class _Checkout:
    """One run; the home is locked."""

    def __init__(self, task, where):
        self.task = task
        self.options = task.context.options
        self.mirrors = os.path.join(task.home.path, "mirror")
        self.where = where
        self.tree = task.folder("tree")
        self.archives = task.folder("vendor")

    def run(self):
        with self.task.step("checkout") as step:
            vcs, version = self._application()
            project = source.project_find(self.tree, self.options.project)
            wanted = pins.pins_read(project, self.tree)
            supplied = self._vendor(vcs, wanted)
            step.detail = "%s %s" % (vcs["kind"], vcs["revision"][:12])
        facts = {"vcs": vcs, "vendor": supplied, "share": (supplied or vcs)["url"]}
        self._say(facts, wanted)
        release = self._ready(facts)
        if release is not None:
            return self._take(release)
        with self.task.step("build the application"):
            wheel = source.wheel_make(self.task, project, self.archives, version)
        settings = dict(self.task.settings, find_links=[self.archives])
        request = Request(file_path=wheel, requires=wanted.requires)
        job_options = {"settings": settings,
                       "vouched": "the revisions of the repositories vouch for these files"}
        if self.options.dry_run:
            return install.plan_only(self.task, request, job_options)
        return install.release_install(self.task, request, facts, job_options)

    # ---- repositories ----

    def _application(self):
        """Unpacks the revision. Returns what ready.json says of it, and its version by its tags."""
        opened = repository.repository_open(self.where, self.mirrors, self.task.log)
        revision = opened.revision(self.options.revision)
        left = opened.export(revision.id, self.tree, with_subrepos=self.options.subrepos)
        for path in left:
            self.task.say.note("  %s is a repository in it, and is left out; --subrepos takes it"
                               % path)
        tags = opened.tags(revision.id)
        tag = revision.tag or (tags[0] if tags else "")
        return _fact(opened, revision, tag), source.version_of(opened, revision, tags)

    def _vendor(self, vcs, wanted):
        """Puts the archives into the flat folder. Returns what ready.json says of them, or None."""
        text = self.options.vendor or self.task.settings["vendor"]
        if not text:
            return None
        where, revision = vendor_split(text)
        if is_local_path(where) and not where.startswith("/"):
            return self._vendor_inside(where, revision, vcs, wanted)
        opened = repository.repository_open(where, self.mirrors, self.task.log)
        found = opened.revision(revision or self._vendor_revision(where))
        folder = self.task.folder("vendor-tree")
        opened.export(found.id, folder, lambda path: vendor.wanted_path(path, wanted))
        vendor.archives_flatten(folder, self.archives, opened.shown, wanted)
        return _fact(opened, found, found.tag)

    def _vendor_revision(self, where):
        path = os.path.join(self.tree, VENDOR_REVISION)
        try:
            with open(source.inside(self.tree, VENDOR_REVISION), encoding="utf-8") as file:
                lines = file.read(MAX_REVISION_FILE).splitlines()
        except FileNotFoundError:
            raise ReleaseError("it is not said which revision of %s: write --vendor %s@REV, or "
                               "have a file %s in the repository of the application"
                               % (where, where, VENDOR_REVISION))
        except (OSError, UnicodeError):
            raise ReleaseError("%s cannot be read" % os.path.basename(path))
        said = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if len(said) != 1:
            raise ReleaseError("%s has to have one line, the revision of the vendor repository"
                               % VENDOR_REVISION)
        return said[0]

    def _vendor_inside(self, where, revision, vcs, wanted):
        if revision:
            raise ReleaseError("%s is a folder of the checkout, so it has no revision of its own"
                               % where)
        folder = source.inside(self.tree, where)
        if not os.path.isdir(folder):
            raise ReleaseError("the checkout has no folder %s: name another one, or give the whole "
                               "path or the URL of a vendor repository" % where)
        vendor.archives_flatten(folder, self.archives, where, wanted)
        return dict(vcs, folder=os.path.relpath(folder, os.path.realpath(self.tree)))

    # ---- what is there already ----

    def _say(self, facts, wanted):
        say = self.task.say
        for name, fact in (("", facts["vcs"]), ("archives: ", facts["vendor"])):
            if fact:
                text = "%s%s %s %s" % (name, fact["kind"], fact["url"], fact["revision"])
                say.line("  %s%s%s" % (text, ", tag %s" % fact["tag"] if fact["tag"] else "",
                                       ", folder %s" % fact["folder"] if "folder" in fact else ""))
        if wanted.files:
            say.line("  versions: %s" % ", ".join(wanted.files))
        if wanted.skipped:
            say.line("  left out: %s" % ", ".join(wanted.skipped))

    def _ready(self, facts):
        """A release of the same two revisions for the same Python that is whole, or None."""
        if self.options.again:
            return None
        python = python_choose(self.task)
        same = [release for release in self.task.home.releases()
                if release.is_ready and _is_same(release, facts)
                and python_of(release.ready) == python]
        good = [release for release in same if not release.is_bad]
        if same and not good:
            raise ReleaseError("%s was left by a rollback" % same[-1].title,
                               "check out another revision, or this one anew with --again")
        current = self.task.home.current()
        names = [release.name for release in good]
        if current and current.name in names:
            return current
        return good[-1] if good else None

    def _take(self, release):
        self.task.release_name = release.name
        self.task.say.note("  %s is ready already" % release.title)
        if self.options.dry_run:
            self.task.say.done("nothing was changed.", "planned", release=release.name)
            return 0
        return install.release_finish(self.task, release)


def _fact(opened, revision, tag):
    return {"kind": opened.kind, "url": opened.shown, "revision": revision.id, "tag": tag}


def _is_same(release, facts):
    """Whether a release was made of the same revisions, from wherever."""
    def identity(fact):
        return fact and (fact.get("kind"), fact.get("revision"), fact.get("folder"))

    ready = release.ready
    if not isinstance(ready.get("vcs"), dict) or ready.get("manifest") is not None:
        return False
    there = ready.get("vendor") if isinstance(ready.get("vendor"), dict) else None
    return (identity(ready["vcs"]), identity(there)) == (
        identity(facts["vcs"]), identity(facts["vendor"]))
