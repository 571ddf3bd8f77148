# SPDX-License-Identifier: Apache-2.0
"""What Git or Mercurial says of the folder that a release is made from.

Both are asked by their programs, which run no hook, ask no question, and read
the folder that is given and not the one that the environment names.
"""

import collections
import importlib
import os
import re
import subprocess
from urllib.parse import urlsplit, urlunsplit

from mozupload import names

# Each fault of the tree has an option --allow-NAME: its name, and the words for it.
ALLOW = (
    ("dirty", "a tree with changes that are not committed"),
    ("untagged", "a commit without a tag"),
    ("other-tag", "a commit whose tag is not the version"),
    ("no-repository", "a folder that is in no Git or Mercurial repository"),
)

# What builds and tests leave behind, wherever it lies below the folder.
_LEFT_BEHIND = re.compile(
    r"(?:\A(?:dist|build)|(?:\A|/)(?:[^/]+\.egg-info|\.eggs|__pycache__|\.pytest_cache))(?:/|\Z)"
)
# How many names a sentence lists.
_LISTED = 5
# How many changesets `hg tag` may have made one after the other.
_TAG_CHANGESETS = 50


class VcsError(Exception):
    """A repository cannot be read; the text is one sentence for people."""


class State(
    collections.namedtuple("State", "kind url revision tag problems folder root tracked")
):
    """A project's folder in its repository.

    kind        "git", "hg", or None where there is no repository
    url         where the repository was cloned from, without a password; or ""
    revision    the full id of the commit that the tree is at
    tag         the tag that says the version; another tag of the commit where
                none does; or ""
    problems    [(name of the allowance, sentence)]
    folder      the project's folder, absolute and without links
    root        that of the repository, or None
    tracked     the tracked files of the folder, and those outside that its links
                lead to: a set of paths from root, with "/"
    """

    @property
    def vcs(self):
        """The member "vcs" of a manifest."""
        if not self.kind:
            return None
        return {
            "kind": self.kind,
            "url": self.url,
            "revision": self.revision,
            "tag": self.tag,
        }


def state_read(folder, name, version):
    """The State of a project's folder; name and version as its metadata say them.

    Raises VcsError where the repository cannot be read.
    """
    folder = os.path.realpath(folder)
    root, tool = _root_find(folder)
    if root is None:
        return _state_without(folder, "%s is in no Git or Mercurial repository." % folder)
    repository = tool(root)
    prefix = os.path.relpath(folder, root).replace(os.sep, "/")
    revision = repository.revision_read()
    tracked = repository.tracked_read([prefix]) if revision else set()
    if not tracked:
        return _state_without(
            folder, "The repository %s tracks no file of %s: add and commit them." % (root, folder)
        )
    outside = _links_outside(root, prefix, tracked)
    tracked |= repository.tracked_read(outside) if outside else set()
    problems = _dirt_find(repository, prefix, outside)
    tag, problem = _tag_find(repository, revision, name, version)
    problems += [problem] if problem else []
    url = _url_without_password(repository.url_read())
    return State(repository.kind, url, revision, tag, problems, folder, root, tracked)


def names_list(paths):
    """The first of some names, in order, for a sentence."""
    paths = sorted(paths)
    text = ", ".join(paths[:_LISTED])
    if len(paths) > _LISTED:
        text += " and %d more" % (len(paths) - _LISTED)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _state_without(folder, sentence):
    return State(None, "", "", "", [("no-repository", sentence)], folder, None, set())


def _root_find(folder):
    """(root, class) of the nearest repository around the folder, or (None, None)."""
    while True:
        # a file in linked worktrees and submodules
        if os.path.exists(os.path.join(folder, ".git")):
            return folder, Git
        if os.path.isdir(os.path.join(folder, ".hg")):
            return folder, Mercurial
        parent = os.path.dirname(folder)
        if parent == folder:
            return None, None
        folder = parent


def _links_outside(root, prefix, tracked):
    """The paths from root, outside of the prefix, that links in it lead to."""
    base = os.path.realpath(os.path.join(root, prefix))
    outside = set()
    for path in tracked:
        path = os.path.join(root, path)
        if os.path.islink(path):
            target = os.path.realpath(path)
            is_below = os.path.commonpath([target, base]) == base
            if not is_below and os.path.commonpath([target, root]) == root:
                outside.add(os.path.relpath(target, root).replace(os.sep, "/"))
    return sorted(outside)


def _dirt_find(repository, prefix, outside):
    """The problem of changes that are not committed, in a list."""
    changed, untracked = repository.dirt_read([prefix] + outside)
    below = {path: _below(path, prefix) for path in changed | untracked}
    dirt = {
        below[path] for path in below if path in changed or not _LEFT_BEHIND.search(below[path])
    }
    if not dirt:
        return []
    sentence = "The tree has changes that are not committed: %s." % names_list(dirt)
    return [("dirty", sentence)]


def _below(path, prefix):
    return path[len(prefix) + 1:] if path.startswith(prefix + "/") else path


# ---- tags ----


def _tag_find(repository, revision, name, version):
    """(tag or "", problem or None) for the commit that the tree is at."""
    here, elsewhere = repository.tags_read(revision)
    for tag in here:
        if is_tag_of(tag, name, version):
            return tag, None
    command = "%s tag v%s" % (repository.program, version)
    if here:
        return here[0], (
            "other-tag",
            "The commit has the tag %s, and none for the version %s: `%s`."
            % (names_list(here), version, command),
        )
    for tag, other in sorted(elsewhere.items()):
        if is_tag_of(tag, name, version):
            return "", (
                "untagged",
                "The tag %s is that of %s, and the tree is at %s:"
                " check the tag out, or raise the version." % (tag, other[:12], revision[:12]),
            )
    sentence = "No tag says that this is version %s: `%s`" % (version, command)
    if repository.is_shallow():
        sentence += ", or in this shallow clone `git fetch --tags`"
    return "", ("untagged", sentence + ".")


def is_tag_of(tag, name, version):
    """Whether a tag is VERSION, vVERSION or NAME-VERSION of this project."""
    if _is_same_version(tag, version):
        return True
    for dash in re.finditer("-", tag):
        left, right = tag[: dash.start()], tag[dash.end():]
        if names.canonical(left) == names.canonical(name) and _is_same_version(right, version):
            return True
    return False


def _is_same_version(text, version):
    text = re.sub(r"\A[vV](?=[0-9])", "", text)
    if text == version:
        return True
    parser = _version_parser()
    if parser is None:
        return False
    try:
        return parser(text) == parser(version)
    except ValueError:
        return False


def _version_parser():
    """packaging's Version, from whoever has it here; or None."""
    for module in (
        "packaging.version",
        "setuptools.extern.packaging.version",
        "setuptools._vendor.packaging.version",
        "pip._vendor.packaging.version",
    ):
        try:
            return importlib.import_module(module).Version
        except ImportError:
            continue
    return None


# ---- the programs ----


def _url_without_password(url):
    """The URL as others may read it; ssh's user is a part of the address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        # what cannot be taken apart may have a password anywhere
        return ""
    if "@" not in parts.netloc:
        return url
    user, _, host = parts.netloc.rpartition("@")
    if parts.scheme == "ssh":
        host = "%s@%s" % (user.partition(":")[0], host)
    return urlunsplit(parts._replace(netloc=host))


class Repository:
    """A repository; paths are from its root. The subclasses know the programs."""

    kind = program = None

    def __init__(self, root):
        self.root = root

    def output_read(self, *arguments, may_fail=False, own_settings=False):
        """What the program prints; "" where it fails and may."""
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX", "GIT_OBJECT",
                                   "GIT_ALTERNATE", "GIT_NAMESPACE", "GIT_PREFIX", "HG"))
        }
        environment.update(self.environment(own_settings), LC_ALL="C")
        command = self.command() + list(arguments)
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError:
            raise VcsError(
                "%s is a repository of %s, which is not installed: install %s."
                % (self.root, self.program, {"hg": "mercurial"}.get(self.program, self.program))
            )
        if done.returncode and not may_fail:
            raise VcsError(self._failure(arguments[0], os.fsdecode(done.stderr)))
        return os.fsdecode(done.stdout) if not done.returncode else ""

    def _failure(self, command, said):
        """What people are told when the program fails."""
        if "dubious ownership" in said:
            return (
                "Git does not trust %s, which belongs to another user: work as that user, or"
                " `git config --global --add safe.directory %s`." % (self.root, self.root)
            )
        lines = said.strip().splitlines() or ["no message"]
        fatal = [line for line in lines if line.startswith(("fatal: ", "abort: "))]
        text = (fatal or lines)[0].rstrip(".")
        return "`%s %s` in %s failed: %s." % (self.program, command, self.root, text)

    def lines_read(self, *arguments, **options):
        """The same, in parts that end with NUL."""
        return [part for part in self.output_read(*arguments, **options).split("\0") if part]

    def is_shallow(self):
        return False


class Git(Repository):
    kind = program = "git"

    def command(self):
        settings = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.quotePath=false")
        return ["git", "--no-pager"] + [
            word for setting in settings for word in ("-c", setting)
        ]

    def environment(self, _own_settings):
        return {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_LITERAL_PATHSPECS": "1",
        }

    def revision_read(self):
        return self.output_read(
            "rev-parse", "--verify", "--quiet", "HEAD^{commit}", may_fail=self._is_readable()
        ).strip()

    def _is_readable(self):
        """True; fails where Git does not trust the repository. A missing HEAD looks the same."""
        self.output_read("rev-parse", "--git-dir")
        return True

    def tracked_read(self, paths):
        return set(self.lines_read("ls-files", "-z", "--recurse-submodules", "--", *paths))

    def dirt_read(self, paths):
        changed, untracked = set(self._hidden_read(paths)), set()
        for line in self.lines_read(
            "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all",
            "--ignore-submodules=none", "--", *paths
        ):
            (untracked if line.startswith("??") else changed).add(line[3:])
        return changed, untracked

    def _hidden_read(self, paths):
        """Changed files that `git status` was told not to look at."""
        for line in self.lines_read("ls-files", "-z", "-v", "--stage", "--", *paths):
            facts, _, path = line.partition("\t")
            flag, mode, blob, _ = facts.split()
            file = os.path.join(self.root, path)
            if (flag == "S" or flag.islower()) and mode[:3] == "100" and os.path.isfile(file):
                if self.output_read("hash-object", "--", path).strip() != blob:
                    yield path

    def tags_read(self, revision):
        commits = {}
        for line in self.output_read("show-ref", "--tags", "-d", may_fail=True).splitlines():
            commit, _, name = line.partition(" ")
            tag = name[len("refs/tags/"):]
            # of an annotated tag the second line has what it leads to in the end
            commits[tag[:-3] if tag.endswith("^{}") else tag] = commit
        here = [tag for tag, commit in commits.items() if commit == revision]
        return here, {tag: commit for tag, commit in commits.items() if commit != revision}

    def url_read(self):
        remotes = self.output_read("remote").split()
        for remote in ["origin"] * ("origin" in remotes) + remotes[:1]:
            key = "remote.%s.url" % remote
            return self.output_read("config", "--get", key, may_fail=True).strip()
        return ""

    def is_shallow(self):
        return self.output_read("rev-parse", "--is-shallow-repository").strip() == "true"


class Mercurial(Repository):
    kind = program = "hg"
    _no_revision = "0" * 40

    def __init__(self, root):
        super().__init__(root)
        # {commit: (its first parent, whether it differs from that in .hgtags alone)}
        self._history = {}
        self._status_paths = self._status = None

    def command(self):
        return ["hg", "--noninteractive", "--pager=no", "--config=subrepos.git:allowed=true"]

    def environment(self, own_settings):
        found = {"HGPLAIN": "1", "HGRCPATH": "", "HGENCODING": "utf-8"}
        # the repository's own settings may have hooks, and little that matters here
        return found if own_settings else dict(found, HGRCSKIPREPO="1")

    def revision_read(self):
        """The first parent: of two, in a merge that is not committed, that was checked out."""
        for line in self.output_read(
            "log", "-r", "reverse(ancestors(.))", "-l", str(_TAG_CHANGESETS),
            "-T", "{node}\t{p1node}\t{p2node}\t{files % '{file}|'}\n"
        ).splitlines():
            node, parent, second, files = line.split("\t", 3)
            self._history[node] = parent, second == self._no_revision and files == ".hgtags|"
        return next(iter(self._history), "")

    def _status_read(self, paths):
        """[(letter, path)] of all files below the paths; it is asked once."""
        if paths != self._status_paths:
            subrepositories = ["--subrepos"] * os.path.exists(os.path.join(self.root, ".hgsub"))
            include = ["--include=path:" + path for path in paths]
            lines = self.lines_read("status", "-mardcu0", *subrepositories + include)
            self._status_paths, self._status = paths, [(line[0], line[2:]) for line in lines]
        return self._status

    def tracked_read(self, paths):
        return {path for letter, path in self._status_read(paths) if letter not in "?R"}

    def dirt_read(self, paths):
        found = self._status_read(paths)
        changed = {path for letter, path in found if letter not in "C?"}
        return changed, {path for letter, path in found if letter == "?"}

    def tags_read(self, revision):
        everywhere = {}
        for line in self.output_read("tags", "-T", "{node} {type} {tag}\n").splitlines():
            node, kind, tag = line.split(" ", 2)
            # a local tag is seen by nobody else
            if tag != "tip" and kind != "local":
                everywhere[tag] = node
        nodes = self._same_nodes(revision)
        here = [tag for tag, node in everywhere.items() if node in nodes]
        return here, {tag: node for tag, node in everywhere.items() if node not in nodes}

    def _same_nodes(self, revision):
        """The commit, and those before it from which it differs in .hgtags alone."""
        nodes = {revision}
        while self._history.get(revision, ("", False))[1]:
            revision = self._history[revision][0]
            nodes.add(revision)
        return nodes

    def url_read(self):
        # the one thing that the repository's own settings must be read for
        if not os.path.exists(os.path.join(self.root, ".hg", "hgrc")):
            return ""
        return self.output_read(
            "paths", "--config=hooks.pre-paths=", "--config=hooks.post-paths=", "default",
            may_fail=True, own_settings=True,
        ).strip()
