# SPDX-License-Identifier: Apache-2.0
"""What PLAN, FETCH and BUILD work on, and what they hand on."""

import errno
import os

from mozupload import names

from . import closure, pypa
from .errors import ReleaseError
from .words import shown

PROGRAM_SECONDS = 600


class Request:
    """What was asked for: NAME, NAME==VERSION, or a FILE, or none of them with a channel.

    name (as typed), version and file (absolute) are None where they were not said.
    requires has texts of what is installed besides; it counts for plain shares only.
    """

    def __init__(self, text=None, channel=None, file_path=None, requires=()):
        self.requires = tuple(_requirement(text) for text in requires)
        self.name = self.version = None
        self.file = file_path
        self.channel = channel or None
        if file_path is None and text:
            self.name, equals, version = (part.strip() for part in text.partition("=="))
            if not names.is_name(self.name):
                raise ReleaseError("%s is no name of a project" % shown(text),
                                   hint="Say NAME, NAME==VERSION, or the path of an archive.")
            if equals and pypa.version_read(version) is None:
                raise ReleaseError("%s is no version" % shown(version or text),
                                   hint="Say NAME==VERSION, such as WeaveServer==1.1.5.")
            self.version = version if equals else None
        if not self.name and not self.file and not self.channel:
            raise ReleaseError("it was not said what to install",
                               hint="Say NAME, NAME==VERSION, a FILE or --channel NAME, or set "
                                    "release.channel.")

    @property
    def canonical(self):
        return names.canonical(self.name) if self.name else None


def _requirement(text):
    """The text as pip gets it: an option of pip's is none."""
    requirement = closure.requirement_read(text)
    if requirement is None or requirement.url:
        raise ReleaseError("%s is no requirement" % shown(text),
                           hint="Say NAME==VERSION.")
    return str(requirement)


def request_read(text, channel, path_of, usual=""):
    """The Request of a command line's word; path_of(text) is a path that was typed there.

    usual is release.channel: it says the version where neither text nor channel does.
    """
    if text and ("/" in text or names.is_archive(text) or text.endswith(names.ENDINGS)):
        path = path_of(text)
        if not os.path.isfile(path) or not os.access(path, os.R_OK):
            raise ReleaseError("there is no file %s that %s can read"
                               % (shown(path), _me()),
                               hint="Put it where the owner of release.home can read it.")
        if not names.is_archive(os.path.basename(path)):
            raise ReleaseError("%s has not the name of an archive" % shown(path),
                               hint="Call it NAME-VERSION.tar.gz, or as a wheel was called.")
        return Request(file_path=path)
    if not channel and "==" not in (text or ""):
        channel = usual
    return Request(text, channel)


def _me():
    import pwd
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "uid %d" % os.geteuid()


class Job:
    """One run of PLAN, FETCH and BUILD.

    settings: those of the broker (keyring, system_site_packages, find_links are used).
    request: a Request. home: Home. folder: HOME/incoming/ID, which is ours and empty.
    python: a pythons.Python. run(argv, seconds=, cwd=) returns (status, or None at the
    deadline; output as text). say(text) shows a line. wait_share_s: how long a file may
    not be there. again: what differs from what was installed under this name is taken.
    vouched: what vouches for the files of a plain share, where something does.
    """

    def __init__(self, settings, request, home, folder, python, run, say=None,
                 wait_share_s=60, again=False, dry=False, vouched=""):
        self.settings = settings
        self.request = request
        self.home = home
        self.folder = folder
        self.python = python
        self.run = run
        self.say = say or (lambda text: None)
        self.wait_share_s = wait_share_s
        self.again = again
        self.dry = dry
        self.vouched = vouched

    @property
    def keyring(self):
        return self.settings.get("keyring") or ""

    @property
    def find_links(self):
        return list(self.settings.get("find_links") or [])

    @property
    def system(self):
        """What the distribution provides: {canonical name: pythons.Installed}; mostly nothing."""
        return self.python.system() if self.settings.get("system_site_packages") else {}

    def program(self, argv, what, seconds=PROGRAM_SECONDS, cwd=None, hint="The log has more."):
        """Runs a program that must succeed; returns its output. what: "X could not be built"."""
        status, output = self.run(argv, seconds=seconds, cwd=cwd)
        if status is None:
            raise ReleaseError("%s: it was not done after %d s" % (what, seconds),
                               hint=hint, lines=output.splitlines()[-10:])
        if status:
            raise ReleaseError(what, hint=hint, lines=output.splitlines()[-10:])
        return output


class PlanFile:
    """A file to fetch: name, sha256 and size (None: nothing says it), share, role, what it is
    of: project (canonical) and version; path where PLAN has copied it already, else None."""

    def __init__(self, name, share, role, project, version, sha256=None, size=None):
        self.name = name
        self.share = share
        self.role = role
        self.project = project
        self.version = version
        self.sha256 = sha256
        self.size = size
        self.path = None


class Plan:
    """What a release consists of.

    name (canonical), project, version; manifest (mozupload's Manifest, or None), share
    (where it is from, for people), signed_by (text or ""), files (PlanFile), system (canonical
    names that the distribution has to provide), notes (lines for people).
    """

    def __init__(self, name, project, version, share, manifest=None, signed_by=""):
        self.name = name
        self.project = project
        self.version = version
        self.share = share
        self.manifest = manifest
        self.signed_by = signed_by
        self.files = []
        self.system = {}
        self.notes = []
        self.channel_seen = None    # (key, release, at) that is remembered when all is well

    @property
    def size(self):
        """Bytes to fetch, as far as they are known."""
        return sum(file.size or 0 for file in self.files)


class Wheel:
    """A wheel that is ready to be installed: path, archive (archives.Archive), sha256,
    source (the archive of the share that it is, or was built from)."""

    def __init__(self, path, archive, sha256, source):
        self.path = path
        self.archive = archive
        self.project = archive.canonical
        self.version = archive.version
        self.sha256 = sha256
        self.source = source


def space_error(home, problem):
    """The ReleaseError for an OSError of writing below release.home; others are raised again."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return ReleaseError("there is no space left in %s" % home.path,
                            hint="`weavectl prune` removes old releases.")
    return problem
