# SPDX-License-Identifier: Apache-2.0
"""Whose things are whose: the owner of release.home, the workers' user, and who calls.

Nothing here opens anything below release.home.
"""

import grp
import os
import pwd
import stat

from . import folders
from .errors import ReleaseError


class User:
    """A user of the system: name, uid, gid; group_name: of a group that is not its own, or ""."""

    def __init__(self, entry, gid=None):
        self.name, self.uid = entry.pw_name, entry.pw_uid
        self.gid = entry.pw_gid if gid is None else gid
        self.group_name = "" if self.gid == entry.pw_gid else grp.getgrgid(self.gid).gr_name


def user_by_uid(uid):
    """ReleaseError where the system has no name for the number."""
    try:
        return User(pwd.getpwuid(uid))
    except KeyError:
        raise ReleaseError("no user of this system has the number %d" % uid,
                           "make one with that number, or `chown` what belongs to it") from None


def workers_user(name, group):
    """The User of the keys workers.user and workers.group, which may be ""."""
    gid = group_gid(group) if group else None
    try:
        return User(pwd.getpwnam(name), gid)
    except KeyError:
        raise ReleaseError("workers.user: there is no user %s on this system" % name) from None


def caller_name():
    """Who calls, for records: "alice via sudo", or the name of the user."""
    try:
        own = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        own = str(os.getuid())
    return sudo_name(own, os.environ.get("SUDO_USER"))


def sudo_name(own, sudo):
    if own != "root" or not sudo or sudo == own or not sudo.isprintable() or len(sudo) > 64:
        return own
    return "%s (%s via sudo)" % (own, sudo)


def user_become(user):
    """Gives up root for ever. In a process that has just been forked."""
    if os.getuid() != 0:
        return
    os.initgroups(user.name, user.gid)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)


# ---- release.home ----

# What weavectl keeps there, beside files whose names begin with a dot.
HOME_ENTRIES = frozenset((
    "releases", "current", "incoming", "store", "mirror", "logs", "lock", "history.jsonl",
    "channels.json", "in-place", "in-place.json"))


def _make_hint(home):
    return ("make it with: weavectl init --owner USER   (or: useradd --system --home-dir %s "
            "--shell /usr/sbin/nologin weave-release; install -d -o weave-release %s)"
            % (home, home))


def home_owner(home):
    """The owner of release.home, after a look at it and at each folder on the way.

    ReleaseError says what is wrong and how to mend it.
    """
    try:
        info = os.stat(home)
    except FileNotFoundError:
        raise ReleaseError("release.home %s is not there" % home, _make_hint(home)) from None
    except OSError as error:
        raise ReleaseError("release.home %s: %s" % (home, error.strerror)) from error
    if not stat.S_ISDIR(info.st_mode):
        raise ReleaseError("release.home %s is no folder" % home, _make_hint(home))
    if os.getuid() == 0 and info.st_uid == 0:
        raise ReleaseError("release.home %s belongs to root, and releases are never made as root"
                           % home, _make_hint(home))
    if os.getuid() not in (0, info.st_uid):
        raise ReleaseError(
            "release.home %s belongs to %s: call weavectl as that user, or as root"
            % (home, user_by_uid(info.st_uid).name))
    if os.getuid() == 0:    # on the way, nobody else may put another folder there
        os.close(folders.folder_open(os.path.abspath(home), (info.st_uid,)))
    return user_by_uid(info.st_uid)


def workers_refuse(home, owner, workers):
    """Refuses a home in which the workers' user may change a release, or cannot read one.

    `workers` is a User, or None: workers run as whoever starts httpd.
    """
    if os.getuid() != 0:
        return
    releases = os.path.join(home, "releases")
    _releases_refuse(releases, owner)
    if workers is not None:
        _workers_refuse(home, releases, owner, workers)
    _others_refuse((home, releases), owner)


def _workers_refuse(home, releases, owner, workers):
    if workers.uid == owner.uid:
        raise ReleaseError(
            "release.home %s belongs to %s, which is workers.user and must not be able to change "
            "a release" % (home, owner.name), "give it to another user: weavectl init --owner USER")
    for path in (home, releases):
        rights = _rights_of(workers, path)
        if "w" in rights:
            raise ReleaseError("%s can be written by %s, which is workers.user and must not be "
                               "able to change a release" % (path, workers.name),
                               "chmod go-w %s" % path)
        if "x" not in rights:
            raise ReleaseError("%s cannot be entered by %s, which is workers.user"
                               % (path, workers.name), "chmod a+x %s" % path)


def _releases_refuse(releases, owner):
    """Refuses a folder releases/ of somebody else. It may not be there yet."""
    try:
        info = os.lstat(releases)
    except FileNotFoundError:
        return
    if info.st_uid != owner.uid or not stat.S_ISDIR(info.st_mode):
        raise ReleaseError("%s is no folder of %s, the owner of release.home"
                           % (releases, owner.name), "chown -R %s %s" % (owner.name, releases))


def _others_refuse(paths, owner):
    """Refuses folders in which others than the owner may write, whoever they are."""
    for path in paths:
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            continue
        if mode & 0o022:
            raise ReleaseError("%s can be written by others than %s (mode %04o)"
                               % (path, owner.name, stat.S_IMODE(mode)), "chmod go-w %s" % path)


def _rights_of(user, path):
    """"w" and "x", as far as USER has them on a folder; one that is not there may be entered.

    It is asked with the user's rights, as ACLs count too.
    """
    pid = os.fork()
    if pid == 0:
        status = 4
        try:
            user_become(user)
            is_there = os.path.lexists(path) or not os.access(os.path.dirname(path), os.X_OK)
            status = bool(os.access(path, os.W_OK)) + 2 * (
                os.access(path, os.X_OK) or not is_there)
        finally:
            os._exit(status)
    status = os.waitpid(pid, 0)[1] >> 8
    if status >= 4:
        raise ReleaseError("cannot look at %s as %s" % (path, user.name))
    return "w" * (status & 1) + "x" * (status >> 1)


def group_gid(name):
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ReleaseError("workers.group: there is no group %s on this system" % name) from None
