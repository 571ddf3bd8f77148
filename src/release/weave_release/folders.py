# SPDX-License-Identifier: Apache-2.0
"""Opens a folder step by step from "/", as src/core/weave_folder.h does in C.

No user but root, the caller and those in `trusted` may be able to exchange a folder or a
link on the way. The result is a descriptor: work below it with dir_fd, and no rename
leads it elsewhere.
"""

import os
import pwd
import shlex
import stat

from .errors import ReleaseError

LINKS_MOST = 40  # as the kernel follows
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def user_name(uid):
    """The name of a user for a message."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "user %d" % uid


def quote(path):
    """The path as one word of a shell."""
    return shlex.quote(path)


def folder_open(path, trusted=()):
    """A descriptor of the folder PATH, which is absolute; the caller closes it.

    FileNotFoundError and other OSErrors where it cannot be opened; ReleaseError where a
    user who is not trusted could exchange it.
    """
    trusted = {0, os.geteuid(), *trusted}
    names, links = _split(path), 0
    here = os.open("/", FOLDER)
    way = []  # names of the folders that are open, from "/" on
    try:
        _folder_check(here, "/", trusted)
        while names:
            name = names.pop(0)
            step = "/" + "/".join(way + [name])
            info = os.stat(name, dir_fd=here, follow_symlinks=False)
            if stat.S_ISLNK(info.st_mode):
                links += 1
                _link_check(info, step, here, trusted, links)
                target = os.readlink(name, dir_fd=here)
                names = _split(target) + names
                if target.startswith("/"):
                    here, way = _replace(here, os.open("/", FOLDER)), []
                continue
            here = _replace(here, os.open(name, FOLDER, dir_fd=here))
            way = way[:-1] if name == ".." else way + [name]
            _folder_check(here, "/" + "/".join(way), trusted)
    except BaseException:
        os.close(here)
        raise
    return here


def _split(path):
    return [name for name in path.split("/") if name not in ("", ".")]


def _replace(old, new):
    os.close(old)
    return new


def _folder_check(fd, path, trusted):
    info = os.fstat(fd)
    if info.st_uid not in trusted:
        raise ReleaseError(
            "%s belongs to %s, who could exchange what is in it" % (path, user_name(info.st_uid)),
            "choose another folder, or: chown root %s" % quote(path))
    if info.st_mode & 0o022 and not info.st_mode & stat.S_ISVTX:
        raise ReleaseError(
            "%s can be written by others (mode %04o)" % (path, stat.S_IMODE(info.st_mode)),
            "choose another folder, or: chmod go-w %s" % quote(path))


def _link_check(info, path, folder, trusted, links):
    """A link must be of one who is trusted; in a folder like /tmp, root's or the caller's."""
    above = os.fstat(folder)
    if above.st_mode & 0o022:
        trusted = {0, os.geteuid()}
    if info.st_uid not in trusted:
        raise ReleaseError(
            "the link %s belongs to %s, who can change where it leads"
            % (path, user_name(info.st_uid)),
            "name the path that it leads to, or: chown -h root %s" % quote(path))
    if links > LINKS_MOST:
        raise ReleaseError("%s leads over too many links" % path)
