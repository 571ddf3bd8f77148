# SPDX-License-Identifier: Apache-2.0
"""Releases that are ready to be uploaded, without pip; and what readers of a share believe."""

import hashlib
import os
import pathlib
import tempfile

import archives

from mozupload import manifest, names, publish, share, writing
from mozupload.identity import archive_identity


def draft(folder, version="1.0", text="", allowed=(), name="Weave"):
    """A Draft of an sdist, its wheel and a dependency; text: a file of the sdist."""
    folder = pathlib.Path(folder)
    folder.mkdir(exist_ok=True)
    files = [
        (archives.sdist(folder, name, version, files={"text": text}), "application"),
        (archives.wheel(folder, name, version, ["falcon"]), "application"),
        (archives.wheel(folder, "falcon", "3.1"), "dependency"),
    ]
    rows = []
    for path, role in files:
        identity = archive_identity(path)
        project = names.canonical(identity.name)
        rows.append(publish.DraftFile(str(path), path.name, project, identity.version, role))
    return publish.Draft(
        rows,
        name=names.canonical(name),
        project=name,
        version=version,
        requires={"falcon": "3.1"},
        system={},
        python=["3.11"],
        platforms=["linux_x86_64"],
        vcs=None,
        allowed=list(allowed),
        by="alice",
        at="2026-11-30T09:00:00Z",
        tools={},
    )


def upload(where, made, **more):
    """Uploads a Draft as upload() does: the lines that people see."""
    lines = []
    channel = more.pop("channel", None)
    publisher = publish.Publisher(writing.writer_open(str(where)), lines.append, **more)
    found = publisher.present(made.name, made.version)
    if not found or not publisher.is_present(found, made.files[0].path):
        found = publisher.release(made)
    publisher.finish(found, channel)
    return lines


def believed(where, name="weave"):
    """{version: Manifest} of the releases that nodes see; each file is checked to be whole."""
    opened = share.share_open(str(where))
    found = {}
    for version in opened.manifests(name):
        read = manifest.manifest_read(opened.manifest(name, version))
        for file in read.files:
            with tempfile.TemporaryFile() as out:
                assert opened.fetch(file.name, out.fileno()) == (file.sha256, file.size)
        found[version] = read
    return found


def files_of(folder):
    """{path below a folder: SHA-256} of all files, temporary ones too."""
    found = {}
    for top, _, files in os.walk(str(folder)):
        for name in files:
            path = os.path.join(top, name)
            with open(path, "rb") as stream:
                digest = hashlib.sha256(stream.read()).hexdigest()
            found[os.path.relpath(path, str(folder))] = digest
    return found
