# SPDX-License-Identifier: Apache-2.0
"""A share as its readers see it: a folder, or the same behind http(s).

    *.tar.gz *.whl ...              archives, flat, never changed
    releases/NAME-VERSION.json      manifests (and .json.asc, their signatures), never changed
    simple/NAME/index.html, .json   index for pip and for readers over http
    channels/CHANNEL                one line: NAME-VERSION

Nothing that is read here is trusted: callers check manifests, sizes and hashes.
"""

import base64
import errno
import hashlib
import html.parser
import http.client
import json
import netrc
import os
import stat
import time
import urllib.error
import urllib.parse
import urllib.request

from . import manifest, names

CHUNK = 1 << 16
TIMEOUT_S = 60
SLOWEST = 1024  # bytes a second
MAX_SIGNATURE = 1 << 16
MAX_CHANNEL = 1 << 10
MAX_INDEX = 16 << 20
STALE_TRIES = 3
CURES = {
    401: ": it wants a user and a password; put them into ~/.netrc",
    403: ": this user may not do this there",
}


class ShareError(Exception):
    """The share cannot be used; its text is one sentence for people.

    status: that of an answer of HTTP, or None.
    """

    status = None


class ShareMissing(ShareError):
    """Something is not there, or not yet: NFS shows new files up to a minute late."""


def share_open(where):
    """The share at a folder's path, or at a file://, http:// or https:// URL.

    Raises ShareMissing when the folder is not there; a web server is not asked yet.
    """
    parts = urllib.parse.urlsplit(where)
    if parts.scheme in ("http", "https"):
        if not parts.hostname:
            raise ShareError("%s has no host: write http://HOST/PATH." % where)
        return HttpShare(where)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise ShareError("%s has a host: write file:///PATH." % where)
        return FolderShare(urllib.parse.unquote(parts.path))
    if "://" in where:
        raise ShareError(
            "%s is neither a folder nor a file://, http:// or https:// URL." % where
        )
    return FolderShare(where)


class Share:
    """What both kinds have. where: the share's name for people, without a password."""

    where = ""

    def manifest(self, name, version):
        """The bytes of a manifest; ShareMissing when it is not there."""
        return self.bytes_read(manifest.path_of(name, version), manifest.MAX_BYTES)

    def signature(self, name, version):
        """The bytes of a manifest's signature, or None."""
        try:
            return self.bytes_read(manifest.path_of(name, version) + ".asc", MAX_SIGNATURE)
        except ShareMissing:
            return None

    def channel(self, channel):
        """NAME-VERSION that a channel names, or None when there is no such channel."""
        if not names.is_channel(channel):
            raise ShareError("%r is no name of a channel." % channel)
        try:
            data = self.bytes_read("channels/" + channel, MAX_CHANNEL)
        except ShareMissing:
            return None
        text = data.decode("utf-8", "replace").strip()
        if not names.release_split(text):
            raise ShareError(
                "The channel %s of %s says %r instead of NAME-VERSION."
                % (channel, self.where, text)
            )
        return text

    def fetch(self, filename, out_fd, limit=None):
        """Copies an archive to a file that is open for writing: (sha256 in hex, bytes).

        What is hashed is what was written. More than `limit` bytes are an error.
        """
        raise NotImplementedError

    def manifests(self, name):
        """The versions of a canonical name that the share has manifests of, in no order."""
        raise NotImplementedError

    def archives(self):
        """The names of the archives in the share, sorted.

        Over http those that a page of links has: the share's own, or those in
        simple/. ShareMissing when there is neither.
        """
        raise NotImplementedError

    def bytes_read(self, path, limit):
        """All of a file; ShareMissing, or ShareError when it has more than limit bytes."""
        raise NotImplementedError

    def _copy(self, read, out_fd, limit, filename):
        """Copies what read(bytes) returns until it returns nothing."""
        digest, size = hashlib.sha256(), 0
        while True:
            chunk = read(CHUNK)
            if not chunk:
                return digest.hexdigest(), size
            size += len(chunk)
            if limit is not None and size > limit:
                raise ShareError(
                    "%s of %s has more than the %d bytes that it should have."
                    % (filename, self.where, limit)
                )
            digest.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(out_fd, view):]


class FolderShare(Share):
    """A share in a folder, which may be NFS."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        self.where = self.folder
        if not os.path.isdir(self.folder):
            raise ShareMissing(
                "There is no folder %s: is the share mounted?" % self.folder
            )

    def manifests(self, name):
        return _manifest_versions(self._list("releases"), name)

    def archives(self):
        return sorted(name for name in self._list("") if names.is_archive(name))

    def fetch(self, filename, out_fd, limit=None):
        _check_archive(filename)
        start = os.lseek(out_fd, 0, os.SEEK_CUR)

        def once():
            os.lseek(out_fd, start, os.SEEK_SET)
            os.ftruncate(out_fd, start)
            with self._open(filename) as stream:
                return self._copy(_reader(stream), out_fd, limit, filename)

        return self._stale(once, filename)

    def bytes_read(self, path, limit):
        def once():
            with self._open(path) as stream:
                return _reader(stream)(limit + 1)

        data = self._stale(once, path)
        if len(data) > limit:
            raise ShareError("%s/%s has more than %d bytes." % (self.where, path, limit))
        return data

    def _list(self, path):
        try:
            return self._stale(lambda: os.listdir(os.path.join(self.folder, path)), path)
        except ShareMissing:
            if os.path.isdir(self.folder):
                return []
            raise

    def _open(self, path):
        # without O_NONBLOCK a FIFO would hold us for ever
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        opened = os.open(os.path.join(self.folder, path), flags)
        try:
            if stat.S_ISREG(os.fstat(opened).st_mode):
                return open(opened, "rb", buffering=0)
        except OSError as problem:
            os.close(opened)
            raise _ReadError(problem.errno)
        os.close(opened)
        raise ShareError("%s/%s is no file." % (self.where, path))

    def _stale(self, once, path):
        """Does something again when an NFS server has replaced the file meanwhile."""
        for left in reversed(range(STALE_TRIES + 1)):
            try:
                return once()
            except _ReadError as problem:
                number = problem.number
            except OSError as problem:
                if problem.filename is None:
                    raise  # the file that is written to
                number = problem.errno
            if number == errno.ESTALE and left:
                continue
            if number in (errno.ENOENT, errno.ENOTDIR):
                raise ShareMissing("%s has no %s." % (self.where, path or "such folder"))
            raise ShareError(
                "%s cannot be read: %s." % (os.path.join(self.where, path), os.strerror(number))
            )


def _manifest_versions(entries, name):
    """The versions of a name among files of the folder releases/."""
    splits = (names.release_split(entry[:-5]) for entry in entries if entry.endswith(".json"))
    return sorted({split[1] for split in splits if split and split[0] == name})


class _ReadError(Exception):
    """A file of the share cannot be read any further; number: an errno."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def _reader(stream):
    """A function that reads up to so many bytes; its failures are told from those of writing."""

    def chunk_read(size):
        chunks = []
        try:
            while size:
                chunk = stream.read(size)
                if not chunk:
                    break
                chunks.append(chunk)
                size -= len(chunk)
        except OSError as problem:
            raise _ReadError(problem.errno)
        return b"".join(chunks)

    return chunk_read


class HttpShare(Share):
    """A share behind a web server. Credentials come from the URL or from ~/.netrc."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        path = parts.path if parts.path.endswith("/") else parts.path + "/"
        self.url = urllib.parse.urlunsplit((parts.scheme, host, path, "", ""))
        self.where = self.url
        self.authorization = _authorization(parts)
        self._opener = urllib.request.build_opener(_Redirects)

    def manifests(self, name):
        try:
            data = self.bytes_read("simple/%s/index.json" % name, MAX_INDEX)
        except ShareMissing:
            return self._manifests_listed(name)
        try:
            versions = json.loads(data.decode("utf-8")).get("_releases", [])
            return [text for text in versions if names.is_version(text)]
        except (ValueError, AttributeError, TypeError, RecursionError):
            raise ShareError("%ssimple/%s/index.json is damaged." % (self.url, name))

    def _manifests_listed(self, name):
        """The same from the server's own listing of releases/, where it makes one.

        A first upload that was cut off before the index has a manifest and no index:
        where its archives are seen, the manifest must be seen, too.
        """
        try:
            data = self.bytes_read("releases/", MAX_INDEX)
        except ShareError as problem:
            if isinstance(problem, ShareMissing) or problem.status == 403:
                return []
            raise
        entries = (link.rpartition("/")[2] for link in _links(data))
        return _manifest_versions(map(urllib.parse.unquote, entries), name)

    def archives(self):
        try:
            return self._links("")
        except ShareError as problem:
            # a server without listings of its own answers with 403
            if not isinstance(problem, ShareMissing) and problem.status != 403:
                raise
        found = set()
        for project in self._links("simple/", folders=True):
            found.update(self._links("simple/%s/" % project))
        return sorted(found)

    def fetch(self, filename, out_fd, limit=None):
        _check_archive(filename)
        return self.copy(filename, out_fd, limit)

    def copy(self, path, out_fd, limit=None):
        """Copies any file as fetch() does."""
        with self.request("GET", path) as answer:
            digest, size = self._copy(_guard(answer, self.url), out_fd, limit, path)
            announced = answer.headers.get("Content-Length")
        if announced is not None and announced.isdigit() and int(announced) != size:
            raise ShareError(
                "%s%s ended after %d of %s bytes." % (self.url, path, size, announced)
            )
        return digest, size

    def request(self, method, path, body=None, headers=()):
        """The answer to a request, to be closed; ShareMissing for 404 and 410.

        body: bytes or a file of known length.
        """
        url = self.url + urllib.parse.quote(path, safe="/!+")
        request = urllib.request.Request(url, data=body, method=method)
        request.add_header("Cache-Control", "no-cache")
        request.add_header("User-Agent", "mozupload")
        for name, value in headers:
            request.add_header(name, value)
        if self.authorization:
            request.add_unredirected_header("Authorization", self.authorization)
        try:
            return self._opener.open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as answer:
            answer.close()
            if answer.code in (404, 410):
                raise ShareMissing("%s is not there (%d)." % (url, answer.code))
            problem = ShareError(
                "%s %s was answered with %d %s%s."
                % (method, url, answer.code, answer.reason, CURES.get(answer.code, ""))
            )
            problem.status = answer.code
            raise problem
        except (OSError, http.client.HTTPException) as problem:
            reason = getattr(problem, "reason", problem)
            raise ShareError("%s cannot be reached: %s." % (url, reason or "no answer"))

    def bytes_read(self, path, limit):
        with self.request("GET", path) as answer:
            read = _guard(answer, self.url)
            chunks, size = [], 0
            while size <= limit:
                chunk = read(CHUNK)
                if not chunk:
                    break
                chunks.append(chunk)
                size += len(chunk)
            announced = answer.headers.get("Content-Length")
        if size > limit:
            raise ShareError("%s%s has more than %d bytes." % (self.url, path, limit))
        if announced is not None and announced.isdigit() and int(announced) != size:
            raise ShareError("%s%s ended after %d bytes." % (self.url, path, size))
        return b"".join(chunks)

    def _links(self, path, folders=False):
        """Names of the archives (or of the folders below) that a page has links to."""
        data = self.bytes_read(path, MAX_INDEX)
        found = set()
        for link in _links(data):
            url = urllib.parse.urldefrag(urllib.parse.urljoin(self.url + path, link)).url
            base = self.url + path if folders else self.url
            if not url.startswith(base):
                continue
            name = urllib.parse.unquote(url[len(base):].partition("?")[0])
            if folders and name.endswith("/") and names.is_name(name[:-1]):
                found.add(name[:-1])
            elif not folders and names.is_archive(name):
                found.add(name)
        return sorted(found)


def _links(data):
    """The targets of the links in a page of HTML."""
    page = _Links()
    page.feed(data.decode("utf-8", "replace"))
    return page.links


class _Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.links = []

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.links.extend(value for name, value in attrs if name == "href" and value)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections on the same host, but from https to https only."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        old = urllib.parse.urlsplit(req.full_url)
        new = urllib.parse.urlsplit(newurl)
        if new.scheme not in (old.scheme, "https") or new.hostname != old.hostname:
            where = "%s://%s" % (new.scheme, new.hostname or "")
            raise urllib.error.HTTPError(
                newurl, code, "a redirection to %s, which is not followed" % where, headers, fp
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _guard(answer, url):
    """A function that reads from an answer; failures of the network are ShareError.

    TIMEOUT_S counts for each byte; who sends one now and then is too slow.
    """
    began, total = time.monotonic(), 0

    def chunk_read(size):
        nonlocal total
        try:
            data = answer.read1(size)
        except (OSError, http.client.HTTPException) as problem:
            raise ShareError("%s stopped in the middle: %s." % (url, problem))
        total += len(data)
        seconds = time.monotonic() - began
        if data and seconds > TIMEOUT_S and total < seconds * SLOWEST:
            raise ShareError("%s is too slow: %d bytes in %d s." % (url, total, seconds))
        return data

    return chunk_read


def _authorization(parts):
    """The value of the header Authorization for a URL, or None."""
    user, password = parts.username, parts.password
    if user is None:
        try:
            found = netrc.netrc().authenticators(parts.hostname)
        except (OSError, netrc.NetrcParseError, KeyError):
            return None
        if not found:
            return None
        user, password = found[0], found[2]
    else:
        user, password = (urllib.parse.unquote(text or "") for text in (user, password))
    secret = ("%s:%s" % (user, password)).encode("utf-8")
    return "Basic " + base64.b64encode(secret).decode("ascii")


def _check_archive(filename):
    if not names.is_archive(filename):
        raise ShareError("%r is no plain name of an archive." % filename)
