# SPDX-License-Identifier: Apache-2.0
"""PLAN and FETCH: which release is meant, who vouches for it, and its files, copied and checked."""

import contextlib
import os

from mozupload import manifest as manifests
from mozupload import names
from mozupload.share import ShareMissing, share_open

from . import archives, build, closure, plain, pypa, seen, store, trust
from .errors import ReleaseError
from .files import file_hash
from .job import Plan, PlanFile, Wheel, space_error
from .shares import download, share_errors, tags_error, wait_for


class Prepared:
    """All that CREATE and INSTALL need: plan, wheels (job.Wheel), lock (for ready.json)."""

    def __init__(self, plan, wheels, lock):
        self.plan = plan
        self.wheels = wheels
        self.lock = lock


# ---- PLAN ----

def shares_open(job):
    """The shares of the command line and of release.find_links, as mozupload.share has them."""
    with share_errors():
        return [share_open(where) for where in dict.fromkeys(job.find_links)]


def plan(job):
    """The Plan for what was asked. It fetches manifests only, but all of a plain share."""
    shares = shares_open(job)
    name, version, from_file = wanted(job, shares)
    with share_errors():
        there = [(share, one) for share in shares for one in share.manifests(name)]
        if version and not there:           # an index or a folder may be older than the file
            there = [(share, version) for share in shares if has_manifest(share, name, version)]
    if there:
        found = manifest_plan(job, name, version, there)
        if from_file:
            file_in_manifest(found, from_file, job.request.file)
        if found.channel_seen and not job.dry:
            seen.remember(job.home, found.channel_seen)
        return found
    if job.keyring:
        raise ReleaseError("nobody has signed %s: the shares have no manifest of it, and "
                           "release.keyring demands one" % name,
                           hint="Upload it with mozupload, or look at release.find_links.")
    if job.request.channel:
        raise ReleaseError("the channel %s names %s, which no share has a manifest of"
                           % (job.request.channel, name), hint="Look at release.find_links.")
    return plain.plan(job, name, version, shares)


def has_manifest(share, name, version):
    try:
        return bool(share.manifest(name, version))
    except ShareMissing:
        return False


def wanted(job, shares):
    """(canonical name, version or None, Archive or None) of what was asked for."""
    request = job.request
    if request.file:
        archive = archives.archive_check(request.file)
        return archive.canonical, archive.version, archive
    if not request.channel:
        return request.canonical, request.version, None
    for share in shares:
        with share_errors():
            release = share.channel(request.channel)
        if release:
            break
    else:
        raise ReleaseError("no share has a channel %s" % request.channel,
                           hint="Look at release.find_links, or name a release: NAME==VERSION.")
    name, version = names.release_split(release)
    if request.name and request.canonical != name or (
            request.version and not pypa.version_same(request.version, version)):
        raise ReleaseError("the channel %s names %s %s and not %s" % (
            request.channel, name, version,
            " ".join(part for part in (request.name, request.version) if part)),
            hint="Leave out the one or the other.")
    return name, version, None


def manifest_plan(job, name, version, there):
    """The Plan of a release that a share has a manifest of; there: (share, version) pairs."""
    share, version = version_choose(job, name, version, there)
    title = "%s %s" % (name, version)
    what = "the manifest of %s" % title
    with share_errors():
        data = wait_for(job, what, lambda: share.manifest(name, version))
    signed_by = ""
    if job.keyring:
        with share_errors():
            signature = share.signature(name, version)
        signed_by = trust.signature_check(title, data, signature, job.keyring, job.run, job.folder)
    try:
        manifest = manifests.manifest_read(data)
    except manifests.ManifestError as problem:
        raise ReleaseError("%s in %s cannot be used: %s"
                           % (what, share.where, str(problem).rstrip(".")),
                           hint="Have the release uploaded under a new version.") from problem
    if (manifest.name, manifest.version) != (name, version):
        raise ReleaseError("%s in %s is that of %s %s" % (what, share.where, manifest.name,
                                                          manifest.version),
                           hint="Somebody has exchanged files of the share: have it uploaded anew.")
    seen.installed_check(job, manifest)
    found = Plan(name, manifest.project, version, share.where, manifest, signed_by)
    found.channel_seen = seen.channel_check(job, manifest)
    files_choose(job, found, share)
    note = job.keyring and trust.keyring_note(job.keyring)
    found.notes.extend([note] if note else [])
    return found


def version_choose(job, name, version, there):
    """(share, version) of the version that was asked for, else of the newest."""
    known = [(pypa.version_read(one), share, one) for share, one in there]
    known = [row for row in known if row[0] is not None]
    if version:
        wanted_version = pypa.version_read(version)
        for number, share, one in known:
            if number == wanted_version:
                return share, one
        # what was listed may be older than a channel (NFS); a typed version may be a slip
        share, wait_s = there[0][0], job.wait_share_s if job.request.channel else 0
        with contextlib.suppress(ShareMissing), share_errors(ShareMissing):
            wait_for(job, "%s %s" % (name, version), lambda: share.manifest(name, version), wait_s)
            return share, version
        newest = sorted({row[0] for row in known})[-5:]
        raise ReleaseError("there is no %s %s in %s" % (name, version, share.where),
                           hint="There is %s." % ", ".join(map(str, reversed(newest))))
    finals = [row for row in known if not row[0].is_prerelease] or known
    if not finals:
        raise ReleaseError("no share has a version of %s" % name,
                           hint="Look at release.find_links.")
    best = max(row[0] for row in finals)
    return next((share, one) for number, share, one in finals if number == best)


def files_choose(job, found, share):
    """Puts those files of the manifest into the plan that this node's Python needs."""
    manifest = found.manifest
    by_project = {}
    for file in manifest.files_of("application", "dependency"):
        by_project.setdefault((file.project, file.version), []).append(file)
    wanted_projects = dict(manifest.requires)
    wanted_projects[manifest.name] = manifest.version
    for project, version in sorted(wanted_projects.items()):
        file = file_choose(job, project, version, by_project[(project, version)])
        if file is None:
            found.system[project] = version
        else:
            found.files.append(plan_file(share, file))
    if not all(names.is_wheel(file.name) for file in found.files):
        found.files.extend(plan_file(share, file) for file in manifest.files_of("build")
                           if job.python.rank(file.name) is not None)
    for project, version in sorted(manifest.system.items()):
        system_check(job, found, project, version)


def plan_file(share, file):
    return PlanFile(file.name, share, file.role, file.project, file.version, file.sha256, file.size)


def file_choose(job, project, version, files):
    """The best file for this Python: a wheel, else an sdist. None: the distribution has it."""
    ranked = [(job.python.rank(file.name), file.name, file) for file in files
              if names.is_wheel(file.name)]
    fitting = sorted(row for row in ranked if row[0] is not None)
    if fitting:
        return fitting[0][2]
    system = job.system.get(project)
    if system and pypa.version_same(system.version, version):
        return None
    sdists = [file for file in files if not names.is_wheel(file.name)]
    if sdists:
        return min(sdists, key=lambda file: file.name)
    raise tags_error(job, project, version, [row[1] for row in ranked])


def system_check(job, found, project, version):
    """A project that was left out of the share, because the distribution has it."""
    if not job.settings.get("system_site_packages"):
        raise ReleaseError(
            "%s was left out of %s when it was uploaded, for the distribution to provide it"
            % (project, manifests.path_of(found.name, found.version)),
            hint="Set release.system_site_packages = true, or upload the release without "
                 "--system %s." % project)
    system = job.system.get(project)
    if system is None:
        raise ReleaseError("%s is to come from the distribution, and it is not installed" % project,
                           hint="Install the distribution's package of it for %s."
                                % job.python.executable)
    found.system[project] = system.version
    if system.version != version:
        found.notes.append("%s %s of the distribution, and %s where the release was made"
                           % (project, system.version, version))


def file_in_manifest(found, archive, path):
    """A FILE whose project has manifests must be the one that its manifest names."""
    digest = file_hash(path)[0]
    files = [file for file in found.manifest.files_of("application") if file.sha256 == digest]
    if not files:
        raise ReleaseError("%s is not the file that the manifest of %s %s names"
                           % (archive.name, found.name, found.version),
                           hint="Install %s==%s from the share." % (found.name, found.version))


# ---- FETCH ----

def fetch(job, found):
    """Copies the files of a plan to the job's folder; returns {file name: path}.

    Each copy is checked: size and hash where the manifest says them, then what is in it.
    """
    try:
        space_check(job, found)
        paths = {file.name: file_fetch(job, file) for file in found.files}
    except OSError as problem:
        raise space_error(job.home, problem) from problem
    for file in found.files:
        archive = archives.archive_check(paths[file.name], file.project, file.version)
        if file.role != "build":
            job.python.requires_check(archive)
    return paths


def space_check(job, found):
    """Refuses what would fill the disk: twice the present release and the archives must fit."""
    current = job.home.current()
    needed = 2 * ((tree_bytes(current.path) if current else 0) + found.size)
    disk = os.statvfs(job.home.path)
    free = disk.f_bavail * disk.f_frsize
    if free < needed:
        raise ReleaseError("%s has %d MiB free, and %d MiB are needed"
                           % (job.home.path, free >> 20, (needed >> 20) + 1),
                           hint="`weavectl prune` removes old releases.")


def tree_bytes(path):
    """What a folder takes on the disk."""
    total, folders = 0, [path]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except OSError:
            continue
    return total


def file_fetch(job, file):
    """One file, from the store or from its share; its path."""
    if file.path:               # a plain share's, which PLAN has copied
        return file.path
    path = os.path.join(job.folder, file.name)
    if file.sha256 and store.take(job.home, file.sha256, path):
        return path
    digest, size = download(job, file.share, file.name, path, file.size)
    if file.size is not None and size != file.size:
        problem = "has %d bytes instead of %d" % (size, file.size)
    elif file.sha256 is not None and digest != file.sha256:
        problem = "is not the file that the manifest names (SHA-256 %s)" % digest
    else:
        store.keep(job.home, digest, path)
        return path
    os.unlink(path)
    raise ReleaseError("%s in %s %s" % (file.name, file.share.where, problem),
                       hint="It was changed after the upload, or the upload is cut off: "
                            "upload it again.")


# ---- what is installed ----

def wheels(job, found, paths):
    """BUILD, and the check of the release's closure: returns Prepared."""
    tools = tools_read(job, found, paths)
    wanted = [file for file in found.files if file.role != "build"]
    built = {file.name: build.wheel_make(job, paths[file.name], file.project, file.version, tools)
             for file in wanted if not names.is_wheel(file.name)}
    # only now: what a build runs could change what was checked before
    made = [wheel_read(job, file, built.get(file.name) or paths[file.name]) for file in wanted]
    lock, notes = closure.closure_check(found.name, closure.members_of_wheels(made), job.system,
                                        job.python.environment)
    for note in notes:
        job.say(note)
    return Prepared(found, made, lock)


def tools_read(job, found, paths):
    """The wheels to build with: what is needed at run time may be needed for a build, too."""
    read = [archives.archive_check(paths[file.name]) for file in found.files]
    sdists = [archive for archive in read if archive.kind == "sdist"]
    return build.tools_choose(job, sdists, {archive.canonical: archive for archive in read
                                            if archive.kind == "wheel"}) if sdists else []


def wheel_read(job, file, path):
    """A wheel that was fetched or built, checked as it is to be installed."""
    archive = archives.archive_check(path, file.project, file.version)
    job.python.requires_check(archive)
    digest = file_hash(path)[0]
    if names.is_wheel(file.name) and file.sha256 not in (None, digest):
        raise ReleaseError("%s was changed by the build of another archive" % file.name,
                           hint="Put the wheel of each sdist into the share (mozupload does).")
    return Wheel(path, archive, digest, file.name)
