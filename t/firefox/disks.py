# SPDX-License-Identifier: Apache-2.0
"""A small disk in memory, which only this process and its children see."""

import ctypes
import os

NEW_MOUNTS = 0x20000  # CLONE_NEWNS, <linux/sched.h>
PRIVATE, RECURSIVE, DETACH = 1 << 18, 1 << 14, 2  # MS_PRIVATE, MS_REC, MNT_DETACH, <sys/mount.h>

libc = ctypes.CDLL(None, use_errno=True)


def _must(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def put(folder, mib, owner):
    """Mounts a disk of so many MiB, which belongs to an entry of pwd, over a folder.

    OSError where that is not allowed. It vanishes with the last of the processes, too.
    """
    _must(libc.unshare(NEW_MOUNTS))
    _must(libc.mount(None, b"/", None, PRIVATE | RECURSIVE, None))
    options = "size=%dm,mode=755,uid=%d,gid=%d" % (mib, owner.pw_uid, owner.pw_gid)
    _must(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options.encode("ascii")))


def take_off(folder):
    """Removes it again, with all that is there."""
    _must(libc.umount2(os.fsencode(folder), DETACH))
