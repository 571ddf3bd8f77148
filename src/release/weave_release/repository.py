# SPDX-License-Identifier: Apache-2.0
"""Repositories of Git and Mercurial, read by their own programs into a mirror of ours.

A foreign repository is only ever the source of a fetch or pull. What is asked
afterwards is asked of the mirror, whose configuration is ours; so no hook,
extension, alias or filter of the foreign one runs, whoever owns it.
"""

import collections
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile

from . import programs, tree
from .errors import ReleaseError
from .location import location_beside, location_parse, revision_check

SSH = "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=30"
STALL_SECONDS = 60
LAST_LINES = 10
MAX_DEPTH = 8               # of repositories within each other
MAX_WITHIN = 100            # of them in one
MAX_TEXT = 1 << 20          # of .gitmodules and its like
ARCHIVES = (".whl", ".tar.gz", ".tgz", ".zip", ".tar.bz2")

# id: the full one. tag: the tag that it was asked for by, or "".
Revision = collections.namedtuple("Revision", "id tag")


class ProgramError(ReleaseError):
    """git or hg has ended with an exit status that is not 0; `reason` is what it said."""

    def __init__(self, program, reason, lines):
        super().__init__("%s has failed: %s" % (program, reason), lines=lines)
        self.reason = reason


def environment(more):
    """What git and hg get as environment: nothing of ours but the path and the home."""
    names = ("PATH", "HOME", "TMPDIR")
    base = {name: os.environ[name] for name in names if name in os.environ}
    return dict(base, LANG="C.UTF-8", LC_ALL="C.UTF-8", SSH_ASKPASS="/bin/false", **more)


@contextlib.contextmanager
def program_stream(argv, env, log=None):
    """The output of a program as a stream of bytes; ProgramError when it fails.

    A reader that stops in the middle, or raises, ends the program.
    """
    def prepare():
        programs.end_with_parent(signal.SIGKILL)
        programs.priority_lower()

    if log is not None:
        log.write(("$ %s\n" % " ".join(argv)).encode("utf-8", "surrogateescape"))
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=said, env=env, cwd="/", preexec_fn=prepare)
        except FileNotFoundError:
            raise ReleaseError("%s is not installed on this node" % argv[0])
        with process:
            try:
                yield process.stdout
                process.stdout.read()
            except BaseException:
                process.kill()
                raise
        said.seek(0)
        text = said.read(MAX_TEXT)
    if log is not None:
        log.write(text)
    if process.returncode:
        lines = text.decode("utf-8", "replace").strip().splitlines()[-LAST_LINES:]
        raise ProgramError(argv[0], _reason(lines, process.returncode), lines)


def _reason(lines, status):
    """The line of git or hg that says why, without what it begins with."""
    for line in lines:
        match = re.match(r"(?:remote: )?(ssh: .*)|(?:fatal|error|abort): (.*)", line)
        if match:
            return (match.group(1) or match.group(2)).rstrip("!. ")
    return lines[-1] if lines else "exit status %d" % status


class Repository:
    """One repository and its mirror, in a folder below `mirrors`.

    location, shown (for people and records), mirror (a path). log: a file of
    bytes for what the programs say, or None.
    """

    kind = ""

    def __init__(self, location, mirrors, log=None):
        self.location = location
        self.shown = location.shown
        self.mirrors = mirrors
        self.log = log
        self.mirror = mirror_path(location, self.kind, mirrors)

    # ---- programs ----

    def _env(self):
        raise NotImplementedError

    def _command(self, *words):
        raise NotImplementedError

    def _ask(self, *words):
        """Runs a command over the mirror and returns what it prints, as text."""
        with program_stream(self._command(*words), self._env(), self.log) as stream:
            return stream.read(MAX_TEXT).decode("utf-8", "surrogateescape")

    def _try(self, *words):
        try:
            return self._ask(*words)
        except ProgramError:
            return ""

    # ---- the mirror ----

    @property
    def _busy(self):
        return self.mirror + ".busy"

    def update(self):
        """Brings the mirror up to date. One that was cut off in the middle is made anew."""
        os.makedirs(self.mirrors, exist_ok=True)
        if os.path.exists(self._busy):
            shutil.rmtree(self.mirror, ignore_errors=True)
        with open(self._busy, "wb"):
            pass
        try:
            if not self.is_mirrored:
                self._create()
            self._fetch()
        except ProgramError as e:
            raise ReleaseError("%s cannot be read: %s" % (self.shown, e.reason), lines=e.lines,
                               hint="If another repository has taken its place, remove %s."
                               % self.mirror if self.is_mirrored else "")
        finally:
            # it stays only where this process is killed
            os.unlink(self._busy)

    @property
    def is_mirrored(self):
        return os.path.isdir(self.mirror) and bool(os.listdir(self.mirror))

    def revision(self, text):
        """Returns the Revision that TEXT names, after an update where it takes one.

        A full id that the mirror has needs none. ReleaseError where there is none.
        """
        text = revision_check(text)
        if self._is_full(text) and self.is_mirrored and not os.path.exists(self._busy):
            found = self._resolve(text)
            if found:
                return found
        self.update()
        found = self._resolve(text)
        if not found:
            raise ReleaseError("%s has no revision %s that a branch or tag leads to"
                               % (self.shown, text))
        return found

    @staticmethod
    def _is_full(text):
        return bool(re.match(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z", text))

    # ---- files ----

    def export(self, revision, folder, want=None, with_subrepos=False, depth=0):
        """Writes the files of the revision, a full id, into the folder. See tree.Tree for WANT.

        Returns the paths of the repositories in it that were left out.
        """
        self._export_check(revision)
        tree_of = tree.Tree(self.shown, folder, want)
        with program_stream(self._archive(revision), self._env(), self.log) as stream:
            tree_of.unpack(stream)
        within = self._within(revision)
        if not with_subrepos:
            return [path for path, _, _ in within]
        if depth == MAX_DEPTH or len(within) > MAX_WITHIN:
            raise ReleaseError("%s has too many repositories in it, or too deep" % self.shown)
        for path, location, inner in within:
            self._export_within(path, location, inner, folder, depth)
        return []

    def _export_within(self, path, location, revision, folder, depth):
        below = repository_open(location, self.mirrors, self.log)
        found = below.revision(revision)
        target = os.path.join(folder, *path.split("/"))
        if os.path.realpath(target) != os.path.join(os.path.realpath(folder), *path.split("/")):
            raise ReleaseError("%s: the repository %s in it is behind a link" % (self.shown, path))
        os.makedirs(target, exist_ok=True)
        below.export(found.id, target, with_subrepos=True, depth=depth + 1)

    def _within_add(self, found, path, source, revision, plain_is_below):
        parts = path.split("/")
        if any(part in ("", ".", "..") or part.lower() in (".git", ".hg") for part in parts):
            raise ReleaseError("%s has a repository in it at %r, which could lead out of it"
                               % (self.shown, path))
        kind = self.kind
        match = re.match(r"\[(\w+)\](.*)\Z", source)
        if match and plain_is_below:
            kind, source = match.groups()
            if kind not in ("git", "hg"):
                raise ReleaseError("%s: %s is a repository of %s, which checkout does not read"
                                   % (self.shown, path, kind))
        location = location_beside(self.location, source, kind, plain_is_below)
        found.append((path, location, revision))


class Git(Repository):
    """A repository of Git; the mirror is bare."""

    kind = "git"
    _FULL = ("refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")

    def _command(self, *words):
        return ["git", "--git-dir=" + self.mirror] + list(words)

    def _env(self):
        allowed = {"http": "http:https"}.get(self.location.scheme, self.location.scheme)
        return environment({
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": self._config(),
            "GIT_ATTR_NOSYSTEM": "1", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_NO_LAZY_FETCH": "1",
            "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "/bin/false",
            "GIT_ALLOW_PROTOCOL": allowed, "GIT_SSH_COMMAND": SSH, "GIT_SSH_VARIANT": "ssh"})

    def _config(self):
        """Writes the only configuration that git reads beside the mirror's. Returns its path.

        It says that the very repository may be read whoever owns it. A foreign
        repository's own configuration is read by git upload-pack alone, which is
        made to be safe in it (git help git, SECURITY).
        """
        path = self.mirror + ".config"
        lines = ["[core]", "hooksPath = /dev/null", "fsmonitor = false",
                 "[gc]", "autoDetach = false", "[maintenance]", "auto = false",
                 "[gpg]", "program = /bin/false", "[gpg \"ssh\"]", "program = /bin/false",
                 "[gpg \"x509\"]", "program = /bin/false",
                 "[http]", "lowSpeedLimit = 1000", "lowSpeedTime = %d" % STALL_SECONDS,
                 "[tar]", "umask = 022"]
        for folder in self._own_folders():
            quoted = folder.replace("\\", "\\\\").replace('"', '\\"')
            lines += ["[safe]", 'directory = "%s"' % quoted]
        text = "\n".join(lines) + "\n"
        os.makedirs(self.mirrors, exist_ok=True)
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        return path

    def _own_folders(self):
        if not self.location.path:
            return [self.mirror]
        paths = (self.location.path, os.path.realpath(self.location.path))
        return [self.mirror] + sorted({path + end for path in paths for end in ("", "/.git")})

    def answers(self):
        """Whether there is a repository of Git at the address; "" or why not."""
        try:
            with program_stream(["git", "ls-remote", "-q", "--", self.location.url, "HEAD"],
                                self._env(), self.log) as stream:
                stream.read(MAX_TEXT)
        except ProgramError as e:
            return e.message
        return ""

    def _create(self):
        # the length of ids is fixed when a repository is made
        with program_stream(["git", "ls-remote", "-q", "--", self.location.url],
                            self._env(), self.log) as stream:
            first = stream.readline(4096).split(b"\t")[0]
        name = "sha256" if len(first) == 64 else "sha1"
        command = ["git", "init", "-q", "--bare", "--template=", "--object-format=" + name,
                   "--initial-branch=weave-none", self.mirror]
        with program_stream(command, self._env(), self.log) as stream:
            stream.read()
        os.makedirs(os.path.join(self.mirror, "info"), exist_ok=True)
        # these go before what revisions have as .gitattributes
        with open(os.path.join(self.mirror, "info", "attributes"), "w", encoding="utf-8") as file:
            file.write("* -export-ignore -filter\n")
            for ending in ARCHIVES:
                file.write("*%s -text -ident -export-subst !eol !working-tree-encoding\n" % ending)

    def _fetch(self):
        self._ask("fetch", "-q", "--prune", "--no-recurse-submodules", "--no-write-fetch-head",
                  "--no-auto-maintenance", "--", self.location.url,
                  *("+" + spec for spec in self._FULL))

    def _resolve(self, text):
        if not self._is_full(text):
            for ref in ("refs/tags/", "refs/heads/"):
                found = self._try("rev-parse", "--verify", "-q", ref + text + "^{commit}").strip()
                if found:
                    return Revision(found, text if ref == "refs/tags/" else "")
            text = self._unabbreviate(text)
        # what nobody's branch or tag leads to may be somebody else's, or was taken back
        if text and self._try("for-each-ref", "--count=1", "--contains", text):
            return Revision(text, "")
        return None

    def _unabbreviate(self, text):
        if not re.match("[0-9a-f]{7,}\\Z", text):
            return None
        found = [name for name in self._try("rev-parse", "--disambiguate=" + text).split()
                 if self._try("cat-file", "-t", name).strip() == "commit"]
        if len(found) > 1:
            raise ReleaseError("%s has %d revisions whose ids begin with %s: give more of it"
                               % (self.shown, len(found), text))
        return found[0] if found else None

    def tags(self, revision):
        """The tags that lead to the revision."""
        return self._ask("for-each-ref", "--points-at", revision, "--format=%(refname:lstrip=2)",
                         "refs/tags/").split()

    def tag_before(self, revision):
        """The nearest tag before the revision, and how many commits are between; or None."""
        said = self._try("describe", "--tags", "--long", "--abbrev=40", revision).strip()
        match = re.match(r"(.*)-([0-9]+)-g[0-9a-f]+\Z", said)
        return (match.group(1), int(match.group(2))) if match else None

    def _archive(self, revision):
        return self._command("archive", "--format=tar", "--prefix=%s/" % tree.TOP, revision)

    def _export_check(self, revision):
        """Bounds the files before git archive, which has all their names in memory."""
        command = self._command("ls-tree", "-r", "--name-only", "-z", revision)
        count = 0
        with program_stream(command, self._env(), self.log) as stream:
            for chunk in iter(lambda: stream.read(tree.CHUNK), b""):
                count += chunk.count(b"\0")
                if count > tree.MAX_FILES:
                    raise ReleaseError("%s has more than %d files: this is more than a release "
                                       "may have" % (self.shown, tree.MAX_FILES))

    def _within(self, revision):
        links = {}
        command = self._command("ls-tree", "-r", "-z", revision)
        with program_stream(command, self._env(), self.log) as stream:
            for row in stream.read().split(b"\0"):
                if row.startswith(b"160000 "):
                    head, path = row.decode("utf-8", "surrogateescape").split("\t", 1)
                    links[path] = head.split()[2]
        found = []
        if links:
            sources = self._modules(revision)
            for path, revision_in in sorted(links.items()):
                if path not in sources:
                    raise ReleaseError("%s: .gitmodules does not say where %s comes from"
                                       % (self.shown, path))
                self._within_add(found, path, sources[path], revision_in, False)
        return found

    def _modules(self, revision):
        """What .gitmodules says: path -> URL."""
        text = self._try("config", "-z", "--blob", revision + ":.gitmodules", "--list")
        by_name = {}
        for entry in text.split("\0"):
            match = re.match(r"submodule\.(.*)\.(path|url)\n(.*)\Z", entry, re.DOTALL)
            if match:
                by_name.setdefault(match.group(1), {})[match.group(2)] = match.group(3)
        return {one["path"]: one["url"] for one in by_name.values() if len(one) == 2}


class Mercurial(Repository):
    """A repository of Mercurial; the mirror has no working folder."""

    kind = "hg"

    def _command(self, *words):
        return ["hg", "-R", self.mirror, "--noninteractive", "--config", "ui.ssh=" + SSH,
                "--config", "ui.clonebundles=false", "--config", "ui.archivemeta=false",
                "--config", "http.timeout=%d" % STALL_SECONDS] + list(words)

    def _env(self):
        # no configuration but ours: HGRCSKIPREPO leaves out .hg/hgrc, of whatever repository
        return environment({"HGPLAIN": "1", "HGRCPATH": "", "HGRCSKIPREPO": "1",
                            "HGENCODING": "UTF-8"})

    def answers(self):
        command = ["hg"] + self._command()[3:] + ["identify", "-r", "null", "--", self.location.url]
        try:
            with program_stream(command, self._env(), self.log) as stream:
                stream.read(MAX_TEXT)
        except ProgramError as e:
            return e.message
        return ""

    def _create(self):
        command = ["hg", "init", "--", self.mirror]
        with program_stream(command, self._env(), self.log) as stream:
            stream.read()

    def _fetch(self):
        self._ask("pull", "-q", "--", self.location.url)

    def _resolve(self, text):
        # never TEXT alone, which hg would take for a number or an expression;
        # null and the working folder have ids, too
        sets = ["all() and id('%s')" % text] if re.match("[0-9a-f]{7,}\\Z", text) else []
        if not self._is_full(text):
            sets = [form % text for form in (
                "present(tag('literal:%s'))", "present(bookmark('literal:%s'))",
                "max(present(branch('literal:%s')) and not closed())")] + sets
        words = [word for one in sets for word in ("-r", one)]
        said = self._try("log", "-T", "{node}\t{tags % '{tag}\t'}\n", *words)
        if not said:
            return None
        found, *tags = said.split("\n")[0].split("\t")
        return Revision(found, text if text in tags and text != "tip" else "")

    def tags(self, revision):
        said = self._ask("log", "-r", "id(%s)" % revision, "-T", "{join(tags, '\\n')}")
        return [tag for tag in said.split("\n") if tag and tag != "tip"]

    def tag_before(self, revision):
        said = self._ask("log", "-r", "id(%s)" % revision, "-T",
                         "{latesttag % '{tag}\\t{distance}\\n'}").split("\n")[0]
        tag, _, distance = said.partition("\t")
        return (tag, int(distance)) if tag and tag != "null" else None

    def _archive(self, revision):
        return self._command("archive", "-t", "tar", "-r", revision, "--prefix", tree.TOP, "-")

    def _export_check(self, revision):
        pass

    def _cat(self, revision, path):
        return self._try("cat", "-r", revision, "--", "path:" + path)

    def _within(self, revision):
        states = {}
        for line in self._cat(revision, ".hgsubstate").splitlines():
            match = re.match(r"([0-9a-f]{40}) (.+)\Z", line)
            if match:
                states[match.group(2)] = match.group(1)
        found = []
        for line in self._cat(revision, ".hgsub").splitlines():
            match = re.match(r"([^#;=\[\s][^=]*?)\s*=\s*(.+?)\s*\Z", line)
            if match and match.group(1) in states:
                self._within_add(found, match.group(1), match.group(2), states[match.group(1)],
                                 True)
        return found


CLASSES = {"git": Git, "hg": Mercurial}


def mirror_path(location, kind, mirrors):
    """Where the mirror of an address is; the name ends with something for people."""
    digest = hashlib.sha256(location.url.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    last = re.sub("[^A-Za-z0-9._-]", "_", location.url.rstrip("/").rpartition("/")[2])[-40:]
    return os.path.join(mirrors, "%s-%s-%s" % (kind, digest, last.lstrip(".-") or "repository"))


def repository_open(where, mirrors, log=None):
    """Returns the Repository at WHERE, a text or a Location; see Repository for the rest.

    Where the address does not say which kind it is, both programs ask it.
    """
    location = where if not isinstance(where, str) else location_parse(where)
    if location.kind:
        return CLASSES[location.kind](location, mirrors, log)
    both = [CLASSES[kind](location._replace(kind=kind), mirrors, log) for kind in ("git", "hg")]
    for one in both:
        if one.is_mirrored:
            return one
    reasons = []
    for one in both:
        reason = one.answers()
        if not reason:
            return one
        reasons.append(reason)
    raise ReleaseError("%s is no repository that can be read: %s" % (location.shown,
                                                                     "; ".join(reasons)))
