# SPDX-License-Identifier: Apache-2.0
"""What the files of a virtualenv should be, by the RECORD of each project in it.

The format is that of "Recording installed projects": lines of path, sha256=..., size.
Nothing of the virtualenv is imported or executed.
"""

import base64
import csv
import os
import stat

from mozupload.names import canonical

from . import files

RECORD_MOST = 64 * 1024 * 1024


class Project:
    """A *.dist-info folder: name (canonical), version, and path of its RECORD."""

    def __init__(self, folder):
        self.record = os.path.join(folder, "RECORD")
        self.site = os.path.dirname(folder)
        name, _, version = os.path.basename(folder)[: -len(".dist-info")].rpartition("-")
        self.name = canonical(name)
        self.version = version

    def rows(self):
        """(absolute path, hash or "", size or "") of each file. ValueError, OSError."""
        with open(self.record, encoding="utf-8", newline="") as file:
            if os.fstat(file.fileno()).st_size > RECORD_MOST:
                raise ValueError("it is larger than %d bytes" % RECORD_MOST)
            try:
                rows = list(csv.reader(file))
            except csv.Error as error:
                raise ValueError(str(error)) from error
        for row in rows:
            if row and row[0]:
                path, hashed, size = (row + ["", ""])[:3]
                yield os.path.normpath(os.path.join(self.site, path)), hashed, size


def sites(release_path):
    """The site-packages of a virtualenv: one, mostly."""
    lib = os.path.join(release_path, "lib")
    try:
        names = sorted(os.listdir(lib))
    except OSError:
        return []
    found = [os.path.join(lib, name, "site-packages") for name in names]
    return [path for path in found if os.path.isdir(path)]


def projects(release_path):
    """All projects that are installed there."""
    found = []
    for site in sites(release_path):
        found += [
            Project(os.path.join(site, name))
            for name in sorted(os.listdir(site))
            if name.endswith(".dist-info")
        ]
    return found


def sha256_of(path):
    """The digest of a regular file, and no other. OSError, ValueError."""
    fd = os.open(path, files.READ)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("it is no regular file")
        with open(fd, "rb", closefd=False) as stream:
            return files.hash_read(stream)[0]
    finally:
        os.close(fd)


def hash_differs(path, hashed):
    """Whether a file has another content than its row says; OSError, ValueError.

    hashed is "sha256=" and base64 without "=", as RECORD has it.
    """
    algorithm, _, wanted = hashed.partition("=")
    if algorithm != "sha256":
        raise ValueError("its hash is no sha256")
    found = base64.urlsafe_b64encode(sha256_of(path).digest()).rstrip(b"=").decode()
    return found != wanted.rstrip("=")
