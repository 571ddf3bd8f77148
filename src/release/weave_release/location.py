# SPDX-License-Identifier: Apache-2.0
"""Where a repository is, and which revision is meant: what is let through to git and hg.

Both programs give meaning to more than addresses (ext::, options, bundles,
revsets), so only addresses and names of a plain form get to them.
"""

import collections
import os
import posixpath
import re
import urllib.parse

from .errors import ReleaseError

# What may stand in a URL: no white space, no character that a shell would act on.
_URL = re.compile(r"[A-Za-z0-9._~:/@%+,=\[\]-]+\Z")
_USER = r"(?:[A-Za-z0-9_][A-Za-z0-9._+-]*@)?"
_HOST = re.compile(_USER + r"(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?\Z")
# git's own short form of ssh, USER@HOST:PATH
_SCP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*@[A-Za-z0-9][A-Za-z0-9.-]*:(?!:)[^:]*\Z")
# git's transports by name, ext::COMMAND and others
_TRANSPORT = re.compile(r"[^/]*::")
_KIND = re.compile(r"(git|hg)\+(?=(?:file|https?|ssh)://)")
_REVISION = re.compile(r"[\w.+][\w.+/@= -]*\Z")
SCHEMES = ("file", "http", "https", "ssh")

# kind: "git", "hg", or "" where it has to be asked. scheme: one of SCHEMES.
# url: what git or hg get. path: the folder of a file repository, else "".
# shown: for people and for the record.
Location = collections.namedtuple("Location", "kind scheme url path shown")


def is_local_path(text):
    """Whether TEXT is a path, not a URL or git's USER@HOST:PATH."""
    return "://" not in text and not _SCP.match(text) and not _TRANSPORT.match(text)


def location_parse(text):
    """Returns the Location that TEXT means; a path has to be absolute.

    Raises ReleaseError for anything that could mean more to git or hg.
    """
    match = _KIND.match(text)
    kind = match.group(1) if match else ""
    rest = text[match.end():] if match else text
    if rest.startswith("/"):
        return _path_parse(kind, rest)
    if rest.startswith("-") or _TRANSPORT.match(rest) or not _URL.match(rest):
        raise ReleaseError(
            "%r is no address of a repository: give the whole path of a folder, or a URL with "
            "file, http, https or ssh, without a character that a shell would act on" % text)
    if "://" not in rest:
        if not _SCP.match(rest):
            raise ReleaseError("%r is neither the whole path of a folder nor a URL" % text)
        return Location(kind or "git", "ssh", rest, "", rest)
    return _url_parse(kind, rest)


def _url_parse(kind, text):
    scheme, _, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    if scheme not in SCHEMES:
        raise ReleaseError("%s: repositories are read by file, http, https or ssh, not by %r"
                           % (text, scheme))
    if scheme == "file":
        if host not in ("", "localhost") or not slash:
            raise ReleaseError("%s: a file URL has three slashes, file:///PATH" % text)
        return _path_parse(kind, "/" + urllib.parse.unquote(path))
    if ":" in host.rpartition("@")[0]:
        # it would be in the list of processes, in logs and in records
        raise ReleaseError("%s://%s/...: a URL may not have a password; use ssh with a key, or "
                           "a server that nodes may read" % (scheme, host.rpartition("@")[2]))
    if not _HOST.match(host) or re.search("%(?![2-9A-Fa-f][0-9A-Fa-f])", path):
        raise ReleaseError("%s: this is no URL that names a host" % text)
    if not kind and path.rstrip("/").endswith(".git"):
        kind = "git"
    return Location(kind, scheme, text, "", text)


def _path_parse(kind, path):
    if any(ord(char) < 32 or ord(char) == 127 for char in path):
        raise ReleaseError("%r: the path of a repository may not have control characters" % path)
    path = os.path.normpath(path)
    path = "/" + path.lstrip("/")
    return Location(kind or _kind_of_folder(path), "file", "file://" + urllib.parse.quote(path),
                    path, path)


def _kind_of_folder(path):
    try:
        names = set(os.listdir(path))
    except OSError as e:
        raise ReleaseError("%s: the repository cannot be read by the owner of release.home (%s)"
                           % (path, e.strerror))
    kinds = [kind for kind, marks in (("git", {".git"}), ("hg", {".hg"}),
                                      ("git", {"HEAD", "objects", "refs"})) if marks <= names]
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        raise ReleaseError("%s is a repository of both Git and Mercurial: write "
                           "git+file://... or hg+file://..." % path)
    raise ReleaseError("%s is no repository of Git or Mercurial" % path)


def location_beside(parent, text, kind, plain_is_below):
    """Where a repository within PARENT is that its files call TEXT, as git or hg take it.

    PLAIN_IS_BELOW: hg takes a plain relative path as one below its parent. A
    repository from elsewhere may not lead to files of this machine.
    """
    if "://" in text or _SCP.match(text) or text.startswith("/"):
        location = location_parse(text if text.startswith("/") else "%s+%s" % (kind, text)
                                  if "://" in text else text)
    elif plain_is_below or text.startswith(("./", "../")):
        if not re.match(r"[\w./+ ~-]+\Z", text):
            raise ReleaseError("%s: %r is no address of a repository in it" % (parent.shown, text))
        if parent.path:
            location = _path_parse(kind, os.path.join(parent.path, text))
        else:
            head, path = re.match(r"((?:[a-z]+://)?[^/:]*(?::[0-9]+)?[:/]?)(.*)\Z",
                                  parent.url).groups()
            joined = posixpath.normpath(posixpath.join("/" + path, text))
            location = location_parse(head + joined.lstrip("/"))
    else:
        raise ReleaseError("%s: %r is no address of a repository in it" % (parent.shown, text))
    if location.scheme == "file" and parent.scheme != "file":
        raise ReleaseError("%s wants %s of this machine for a repository in it, and is from "
                           "elsewhere" % (parent.shown, location.path))
    return location._replace(kind=kind)


def revision_check(text):
    """Returns TEXT, stripped, where it can be the name or id of a revision."""
    text = text.strip()
    if not _REVISION.match(text) or ".." in text or "@{" in text or len(text) > 255:
        raise ReleaseError(
            "%r is no revision: give a tag, a branch, or the id of a commit" % text)
    return text


def vendor_split(text):
    """Takes URL|PATH[@REV] apart. Returns (where, revision or "").

    An @ in front of a / or : belongs to the address; so does one of a folder that is there.
    """
    where, at, revision = text.rpartition("@")
    if not at or "/" in revision or ":" in revision or os.path.isdir(text):
        return text, ""
    return where, revision_check(revision)
