# SPDX-License-Identifier: Apache-2.0
"""Puts a release into a share, in the order that hides what is not whole.

First its archives, then the manifest, which makes the release; then what is
made of manifests: signature, index, SHA256SUMS; a channel last. Killed anywhere,
the share has the release or not, and the same upload again finishes it.
"""

import collections
import os
import tempfile

from . import contents, index, manifest, names, share, signing, writing
from .errors import UploadError

# A file to be uploaded: path is where it lies here.
DraftFile = collections.namedtuple("DraftFile", "path name project version role")

OTHER_CONTENT = "other-content"
ALLOW = ((OTHER_CONTENT, "replacing what the share has under the same name"),)


class Draft:
    """A release that is to be uploaded: files (DraftFile), and the manifest's members."""

    def __init__(self, files, **members):
        self.files = files
        self.members = members
        self.name = members["name"]
        self.version = members["version"]


class Publisher:
    """One upload to a share.

    say(text): tells people a line; key: gpg's name of the key to sign with, or None;
    replace: --allow-other-content was said.
    """

    def __init__(self, writer, say, key=None, replace=False):
        self.writer = writer
        self.reader = writer.reader
        self.say = say
        self.key = key
        self.replace = replace
        self.stored = 0
        self.stored_bytes = 0
        self.replaced = False

    def present(self, name, version):
        """The manifest that the share has of this release, or None."""
        try:
            data = self.reader.manifest(name, version)
        except share.ShareMissing:
            return None
        try:
            return manifest.manifest_read(data)
        except manifest.ManifestError as problem:
            raise UploadError(
                "The manifest of %s in %s is damaged: %s"
                % (names.release_name(name, version), self.reader.where, problem)
            )

    def is_present(self, found, sdist):
        """Whether the archive here is the one that a manifest of the share names."""
        source = writing.Source(sdist)
        name = os.path.basename(sdist)
        for file in found.files_of("application"):
            if file.sha256 == source.sha256:
                return True
            if file.name == name:
                return self._same_in_share(sdist, name)
        return False

    def release(self, draft):
        """Uploads archives and manifest; the manifest that the share then has."""
        self.writer.begin()
        if self.replace:
            self._replace_check(draft)
        files = [self._archive(file) for file in draft.files]
        if self.replaced or self.replace and self.present(draft.name, draft.version):
            allowed = set(draft.members["allowed"]) | {OTHER_CONTENT}
            draft.members["allowed"] = sorted(allowed)
        made = manifest.make(files=files, **draft.members)
        path = manifest.path_of(made.name, made.version)
        signature = signing.sign(self.key, made.data()) if self.key else None
        try:
            self.writer.put_new(path, made.data())
        except writing.ShareConflict:
            found = self.present(made.name, made.version)
            if _content(found) == _content(made):
                # two uploads of one release: the first one's manifest counts
                made, signature = found, None
            elif self.replace:
                self.writer.remove(path + ".asc")
                self.writer.replace(path, made.data())
            else:
                raise self._conflict(path)
        self.say(row(path, "", "stored"))
        self._signature(made, signature)
        return made

    def finish(self, found, channel=None):
        """Signs if need be, writes the index and SHA256SUMS anew, and sets the channel."""
        self.writer.begin()
        self._signature(found)
        self._index()
        if channel:
            self.writer.replace("channels/" + channel, (found.release + "\n").encode("utf-8"))
            self.say("  channel %s: %s" % (channel, found.release))

    def _archive(self, file):
        """Uploads a file; its row of the manifest, with the hash that the share has."""
        source = writing.Source(file.path)
        try:
            state = self.writer.put_new(file.name, file.path)
        except writing.ShareConflict:
            found = self._same_in_share(file.path, file.name)
            if found:
                source, state = found, "same"
            elif self.replace:
                self.writer.replace(file.name, file.path)
                self.replaced, state = True, "replaced"
            else:
                raise self._conflict(file.name)
        if state == "same":
            state = "is there already"
        else:
            self.stored += 1
            self.stored_bytes += source.size
        self.say(row(file.name, size_text(source.size), state))
        return manifest.File(
            file.name, source.sha256, source.size, file.project, file.version, file.role
        )

    def _same_in_share(self, path, name):
        """The share's archive as a Source, when it holds the same as ours; else None."""
        with tempfile.TemporaryDirectory(prefix="mozupload-") as folder:
            copy = os.path.join(folder, name)
            with open(copy, "w+b") as out:
                self.reader.fetch(name, out.fileno())
            return writing.Source(copy) if contents.same_contents(path, copy) else None

    def _conflict(self, path):
        return UploadError(
            "%s has another %s already: a version is uploaded once, so give this one a new "
            "version, or say --allow-%s." % (self.writer.where, path, OTHER_CONTENT)
        )

    def _replace_check(self, draft):
        """Raises UploadError when a file to be replaced is part of another release, too."""
        ours = {file.name: file.path for file in draft.files}
        for found in self._manifests():
            if (found.name, found.version) == (draft.name, draft.version):
                continue
            for file in found.files:
                path = ours.get(file.name)
                if path and writing.Source(path).sha256 != file.sha256:
                    if self._same_in_share(path, file.name):
                        continue
                    raise UploadError(
                        "%s belongs to %s, too, and cannot be replaced."
                        % (file.name, found.release)
                    )

    def _signature(self, found, signature=None):
        if not self.key or self.reader.signature(found.name, found.version):
            return
        data = self.reader.manifest(found.name, found.version)
        path = manifest.path_of(found.name, found.version) + ".asc"
        try:
            self.writer.put_new(path, signature or signing.sign(self.key, data))
        except writing.ShareConflict:
            return  # somebody else has signed it meanwhile
        self.say(row(path, "", "signed by " + self.key))

    def _manifests(self):
        """All manifests of the share that can be read; says which cannot."""
        for name, version in self.writer.releases():
            try:
                yield manifest.manifest_read(self.reader.manifest(name, version))
            except share.ShareMissing:
                pass
            except manifest.ManifestError as problem:
                release = names.release_name(name, version)
                self.say("  %s is left out of the index: %s" % (release, problem))

    def _index(self):
        """Writes the index until it has all manifests: another upload may be on its way."""
        while True:
            releases = self.writer.releases()
            pages = index.index_pages(list(self._manifests()), archives_known(self.reader))
            for path in sorted(pages, key=lambda path: path == "SHA256SUMS"):
                if self._differs(path, pages[path]):
                    self.writer.replace(path, pages[path])
            if self.writer.releases() == releases:
                break
        self.say("  index of %d releases, SHA256SUMS" % len(releases))

    def _differs(self, path, data):
        try:
            return self.reader.bytes_read(path, len(data)) != data
        except share.ShareError:
            return True


def archives_known(reader):
    """The names of the archives in a share, which may have no page of them yet."""
    try:
        return set(reader.archives())
    except share.ShareMissing:
        return set()


def _content(found):
    """What two manifests of one release must have in common to count as the same."""
    files = {file.name: (file.sha256, file.role) for file in found.files}
    return files, found.requires, found.system, found.python, found.platforms


def size_text(size):
    """Bytes as people read them."""
    if size < 1000:
        return "%d bytes" % size
    for unit in ("kB", "MB"):
        size /= 1000.0
        if size < 999.95:
            return "%.1f %s" % (size, unit)
    return "%.1f GB" % (size / 1000.0)


def row(name, size, state):
    """A line of progress about a file."""
    return "  %-52s %10s  %s" % (name, size, state)
