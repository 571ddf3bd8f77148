# SPDX-License-Identifier: Apache-2.0
"""Gives a command that opens databases the rights of their owner.

A server cannot write what root has made in its folder. And what lies in the
folder of a user may be anything by the time that root opens it.
"""

import os
import pwd
import shlex
import stat
import sys

MAX_LINKS = 40


class OwnerError(Exception):
    """The command must run as somebody else; str() says so, with the command."""


def become_owner(ini, files, words):
    """Takes the rights of the owner of SQLite files for good, if root has called.

    ini is the file that names them, words are the arguments of the command line.
    OwnerError where it is another user, or where it is not clear who that is.
    """
    if os.geteuid() != 0:
        for file in files:
            _check_own(file, words)
        return
    if not files:
        return
    owners = set()
    for path in (ini, *files):
        owners.update(_owners(path))
    if len(owners) > 1:
        names = ", ".join(sorted(_name(uid) for uid in owners))
        raise OwnerError(
            "the databases, sync.ini, and the folders and links that lead there belong "
            "to different users (%s): %s" % (names, _as_user("USER", words))
        )
    if owners:
        _become(owners.pop(), files[0])
        return
    for file in files:
        _check_roots(file, words)


def become_maker(path, words):
    """Takes the rights of the owner of the path to a new file for good, if root has called.

    Root stays root where all of it is root's. OwnerError where several users own it.
    """
    if os.geteuid() != 0:
        return
    owners = _owners(path)
    if len(owners) > 1:
        names = ", ".join(sorted(_name(uid) for uid in owners))
        raise OwnerError(
            "the folders and links that lead to %s belong to different users (%s): %s"
            % (path, names, _as_user("USER", words))
        )
    if owners:
        _become(owners.pop(), path)


def _check_own(file, words):
    """OwnerError when the file is somebody else's, or in a closed folder of theirs."""
    for path in (file, os.path.dirname(file)):
        try:
            uid = os.stat(path).st_uid
        except OSError:
            continue  # what else is wrong is said elsewhere
        if uid != os.geteuid() and (path == file or _is_closed(path, uid)):
            cure = _as_user(_name(uid), words)
            if uid == 0 and _is_callers(os.path.dirname(file)):
                cure = "run `sudo chown %s %s`" % (_name(os.geteuid()), shlex.quote(file))
            raise OwnerError("%s belongs to %s: %s" % (path, _name(uid), cure))
        return


def _is_callers(folder):
    return os.stat(folder).st_uid == os.geteuid()


def _is_closed(folder, uid):
    """Whether it is a user's, and this one cannot look for a file in it."""
    return uid != 0 and not os.access(folder, os.X_OK)


def _check_roots(file, words):
    """OwnerError unless the file is there, and nobody but root can replace it.

    So it is where a server runs as root, in a container for example.
    """
    wrong = None
    if not os.path.isdir(os.path.dirname(file)):
        return  # as is said elsewhere
    if not os.path.exists(file):
        wrong = "does not exist, and its folder belongs to root"
    elif any(map(_is_loose, _way(file))):
        wrong = "belongs to root, but others can write it, or a folder on the way to it"
    if wrong:
        cure = "give both to the user that the server runs as, or "
        raise OwnerError("%s %s: %s" % (file, wrong, cure + _as_user("USER", words)))


def _is_loose(status):
    """Whether others than its owner can write or replace it."""
    mode = status.st_mode
    return bool(mode & 0o022) and not stat.S_ISLNK(mode) and not mode & stat.S_ISVTX


def _owners(path):
    """The users, apart from root, who can decide what is at the path."""
    return {status.st_uid for status in _way(path)} - {0}


def _way(path):
    """Yields the status of each folder, link and file that a path leads over."""
    names = os.path.abspath(path).split("/")[::-1]
    here, links = "/", 0
    while names:
        name = names.pop()
        if name == "..":
            here = os.path.dirname(here)
        if name in ("", ".", ".."):
            continue
        there = os.path.join(here, name)
        try:
            status = os.lstat(there)
        except OSError:
            return
        yield status
        if not stat.S_ISLNK(status.st_mode):
            here = there
            continue
        links += 1
        if links > MAX_LINKS:
            raise OwnerError("%s leads over too many links" % path)
        target = os.readlink(there)
        here = "/" if target.startswith("/") else here
        names += target.split("/")[::-1]


def _become(uid, file):
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        text = "%s belongs to user number %d, who has no name here: run this as that user"
        raise OwnerError(text % (file, uid)) from None
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    there = file if os.path.exists(file) else os.path.dirname(file)
    gid = os.stat(there).st_gid
    os.setgroups(groups)
    # Its files have one group, if the owner is allowed to have it.
    os.setgid(gid if gid in groups else entry.pw_gid)
    os.setuid(uid)


def _name(uid):
    return user_name(uid) or "#%d" % uid  # as sudo takes it


def user_name(uid):
    """The name of a user, or None."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def _as_user(name, words):
    """What to do instead, as the end of a sentence."""
    program = [sys.argv[0]]
    if os.path.basename(program[0]) == "__main__.py":
        program = [sys.executable, "-m", "weave.server"]
    what = shlex.join(["sudo", "-u", name, *program, *words])
    if name == "USER":
        return "run `%s` with the server's user as USER, www-data for example" % what
    return "run `%s`" % what
