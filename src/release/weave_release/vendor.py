# SPDX-License-Identifier: Apache-2.0
"""The archives of a vendor repository, in one flat folder: the only source of a checkout."""

import os

from mozupload import names

from .errors import ReleaseError
from .files import file_hash


def wanted_path(path, pins):
    """PATH where it is one of an archive that may be taken, else None; see tree.Tree."""
    name = path.rpartition("/")[2]
    if not names.is_archive(name) or not pins.is_wanted(*_guess(name)):
        return None
    return path


def _guess(name):
    """(canonical name, version) as the name of an archive has them."""
    return names.archive_guess(name) or ("", "")


def archives_flatten(source, target, shown, pins):
    """Links the archives that lie anywhere in `source` into the folder `target`.

    What is pinned to another version is left out, and what has not the hash that the
    requirements files demand (pins: pins.Pins). Returns how many there are. The same
    name twice must be the same file. `shown` is the repository for people.
    """
    taken, refused = set(), {}
    for path, _, files in os.walk(source):
        for name in files:
            whole = os.path.join(path, name)
            if not wanted_path(name, pins) or os.path.islink(whole):
                continue
            project, version = _guess(name)
            if not pins.is_hash_good(project, version, lambda: file_hash(whole)[0]):
                refused[(project, version)] = name
                continue
            taken.add((project, version))
            _link(whole, os.path.join(target, name), name, shown)
    for both in sorted(set(refused) - taken):
        raise ReleaseError("%s of %s is not the file whose hash %s has"
                           % (refused[both], shown, " and ".join(pins.files)))
    return len(os.listdir(target))


def _link(path, target, name, shown):
    try:
        os.link(path, target)
    except FileExistsError:
        if file_hash(path) != file_hash(target):
            raise ReleaseError("%s has two different files called %s" % (shown, name))
