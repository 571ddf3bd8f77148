# SPDX-License-Identifier: Apache-2.0
"""HOME/store: files that were fetched, by their SHA-256, for the next install or without the share.

It may be lost or damaged at any time: what is taken from it is hashed again.
"""

import contextlib
import os
import shutil

from .files import file_hash


def store_path(home, sha256):
    return os.path.join(home.store_path, "sha256", sha256)


def link_or_copy(source, path):
    try:
        os.link(source, path)
    except FileNotFoundError:
        raise
    except OSError:             # a file system without hard links
        shutil.copyfile(source, path)


def take(home, sha256, path):
    """Puts the file with this hash at path; False when the store has not (or no longer) got it."""
    kept = store_path(home, sha256)
    try:
        link_or_copy(kept, path)
    except FileNotFoundError:
        return False
    if file_hash(path)[0] == sha256:
        return True
    os.unlink(path)
    with contextlib.suppress(OSError):
        os.unlink(kept)
    return False


def keep(home, sha256, path):
    """Has the store keep a file. What fails is nobody's trouble: the file is there."""
    kept = store_path(home, sha256)
    fresh = "%s.%d" % (kept, os.getpid())
    try:
        os.makedirs(os.path.dirname(kept), 0o700, exist_ok=True)
        link_or_copy(path, fresh)
        os.replace(fresh, kept)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(fresh)


def store_prune(home, wanted):
    """Removes all files but those of these hashes. Call it with the lock."""
    folder = os.path.join(home.store_path, "sha256")
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name not in wanted and entry.is_file(follow_symlinks=False):
                os.unlink(entry.path)
