# SPDX-License-Identifier: Apache-2.0
"""weavectl init: release.home for its owner, a first sync.ini, and the secret of Sync 1.5.

It runs with the rights of the caller, mostly root: nothing of a release is opened here. It
works by descriptors, overwrites nothing, and does nothing where all is there.
"""

import contextlib
import grp
import json
import os
import pwd
import re
import stat
import sys

from . import folders, words
from .arguments import DEFAULT_HOME
from .errors import ReleaseError
from .folders import FOLDER, quote, user_name
from .httpd import USUAL_USERS
from .newfile import file_make, parent_open
from .sync import SECRET_MODE, Sync
from .users import HOME_ENTRIES

HOME_MODE = 0o755
INI_MODE = 0o640
DEFAULT_OWNER = "weave-release"
EXAMPLE_MOST = 1 << 20


def run_as_caller(broker):
    """Runs the command. Returns the exit status; ReleaseError when it is refused."""
    plan = Plan(broker)
    plan.look()
    if not broker.options.dry_run:
        plan.do()
    plan.say()
    return 0


class Plan:
    """The plan of `weavectl init`: it looks at what is there, and then makes what lacks."""

    def __init__(self, broker):
        self.broker = broker
        self.options = broker.options
        self.is_dry = self.options.dry_run
        self.ini = self.options.ini
        self.has_ini = False
        self.home = ""
        self.owner = None       # pwd entry
        self.workers_gid = None
        self.sync = None        # Sync
        self.make_home = self.give_home = self.set_mode = False
        self.done = []          # sentences
        self.notes = []
        self.ini_text = b""

    # ---- looking ----

    def look(self):
        self.has_ini = os.path.lexists(self.ini)
        if self.has_ini:
            self.broker.keys_read()
        self.home = self._home_choose()
        workers = self._workers_find()
        self._home_look()
        self._owner_check(workers)
        if not self.has_ini:
            self.ini_text = self._ini_make()
        else:
            self._ini_look()
        self.sync = Sync(self.ini, self.options.public_url, workers, self.workers_gid)
        if not self.has_ini:
            self.ini_text = self.sync.example_fill(self.ini_text)
        else:
            self.sync.ini_look(self.broker.key("wsgi.script"), self.broker.key("wsgi.module"))
        self.sync.secret_look(self.home)

    def _home_choose(self):
        said = self.options.home and os.path.normpath(
            os.path.join(os.getcwd(), self.options.home))
        if not self.has_ini:
            home = said or DEFAULT_HOME
        else:
            home = self.broker.home
            if said and said != home:
                raise ReleaseError(
                    "%s has release.home = %s, and %s was asked for" % (self.ini, home, said),
                    "leave --home out, or write into [release] of %s: home = %s"
                    % (self.ini, said))
        if home == "/" or not home.isprintable():
            raise ReleaseError("%r cannot be release.home" % home, "choose another folder")
        return home

    def _workers_find(self):
        """The user number of the workers (None: httpd's), and sets the group of theirs."""
        uid = None
        user = self.broker.key("workers.user") if self.has_ini else ""
        group = self.broker.key("workers.group") if self.has_ini else ""
        names = (group,) if group else USUAL_USERS
        if user:
            entry = _user(user, "workers.user of %s" % self.ini)
            uid, self.workers_gid = entry.pw_uid, entry.pw_gid
        if group or not user:
            self.workers_gid = None
            for name in names:
                with contextlib.suppress(KeyError):
                    self.workers_gid = grp.getgrnam(name).gr_gid
                    break
        if uid is None:
            for name in USUAL_USERS:
                with contextlib.suppress(KeyError):
                    uid = pwd.getpwnam(name).pw_uid
                    break
        return uid

    def _home_look(self):
        """Finds out whether the home is there, and who owns it."""
        asked = _owner_named(self.options.owner, self.home) if self.options.owner else None
        trusted = {asked.pw_uid} if asked else set()
        try:
            info = os.stat(self.home)
        except FileNotFoundError:
            info = None
        if info is not None and not stat.S_ISDIR(info.st_mode):
            raise ReleaseError("%s is no folder" % self.home, "choose another one with --home")
        if info is not None and (info.st_uid != 0 or os.geteuid() == 0 and asked is None):
            trusted.add(info.st_uid)
        self.owner = self._owner_choose(info, asked)
        if info is None:
            self.make_home = True
            self._parent_close(trusted)
            return
        fd = self._home_open(trusted)
        try:
            self._folder_look(fd, asked)
        finally:
            os.close(fd)

    def _owner_choose(self, info, asked):
        if info is not None and info.st_uid != 0:
            if asked and asked.pw_uid != info.st_uid:
                raise ReleaseError(
                    "%s belongs to %s, and not to %s"
                    % (self.home, user_name(info.st_uid), asked.pw_name),
                    "leave --owner out, or: chown -R %s %s" % (asked.pw_name, quote(self.home)))
            return _owner_numbered(info.st_uid, self.home)
        if asked is None and os.geteuid() != 0:
            return _owner_numbered(os.geteuid(), self.home)
        if asked is None:
            what = "is not there" if info is None else "belongs to root"
            raise ReleaseError(
                "%s %s: name the user that releases belong to, who is neither root nor the user "
                "of the workers" % (self.home, what), _owner_cure(info, self.home))
        return asked

    def _parent_close(self, trusted):
        """ReleaseError unless the home can be made: the folder above it is there, and safe."""
        if os.path.lexists(self.home):
            raise ReleaseError("%s is a link that leads nowhere" % self.home,
                               "remove it: rm %s" % quote(self.home))
        os.close(parent_open(self.home, trusted))

    def _home_open(self, trusted):
        try:
            return folders.folder_open(self.home, trusted)
        except OSError as error:
            raise ReleaseError("%s: %s" % (self.home, error.strerror)) from error

    def _folder_look(self, fd, asked):
        """Looks at a home that is there."""
        info = os.fstat(fd)
        names = os.listdir(fd)
        if info.st_uid == 0 and self.owner.pw_uid != 0:
            if names:
                raise ReleaseError(
                    "%s belongs to root and is not empty, so it is left as it is" % self.home,
                    "if it is meant: chown %s %s" % (asked.pw_name, quote(self.home)))
            self.give_home = True
        self.set_mode = stat.S_IMODE(info.st_mode) & 0o777 != HOME_MODE
        for name in sorted(HOME_ENTRIES.intersection(names)):
            of_ours = os.stat(name, dir_fd=fd, follow_symlinks=False)
            path = quote(os.path.join(self.home, name))
            if name == "current" and stat.S_ISLNK(of_ours.st_mode):
                continue    # who owns the folder may replace the link, whoever has made it
            if of_ours.st_uid != self.owner.pw_uid:
                raise ReleaseError(
                    "%s belongs to %s, and the home to %s"
                    % (path, user_name(of_ours.st_uid), self.owner.pw_name),
                    "chown -R -h %s %s" % (self.owner.pw_name, path))
            if of_ours.st_mode & 0o022 and not stat.S_ISLNK(of_ours.st_mode):
                raise ReleaseError("%s can be written by others than %s"
                                   % (path, self.owner.pw_name), "chmod -R go-w %s" % path)

    def _owner_check(self, workers):
        """Refuses an owner whom a bad release, or the workers, would give too much."""
        if os.geteuid() != 0:
            return
        if workers is not None and self.owner.pw_uid == workers:
            raise ReleaseError(
                "%s is the user of the workers, who must not be able to change a release"
                % self.owner.pw_name, _owner_cure(None, self.home))
        groups = os.getgrouplist(self.owner.pw_name, self.owner.pw_gid)
        if self.workers_gid is not None and self.workers_gid in groups:
            name = grp.getgrgid(self.workers_gid).gr_name
            raise ReleaseError(
                "%s is in the group %s, which may read %s and its passwords"
                % (self.owner.pw_name, name, self.ini),
                "take it out: gpasswd -d %s %s   (or: choose another user)"
                % (self.owner.pw_name, name))

    # ---- the sync.ini ----

    def _ini_make(self):
        """The text of mod_weave's own example, with HOME/current as its virtualenv."""
        path = os.path.join(self.broker.libdir, "weave-release", "sync.ini")
        try:
            with open(path, "rb") as file:
                text = file.read(EXAMPLE_MOST)
        except OSError as error:
            raise ReleaseError("%s, the example of a sync.ini: %s" % (path, error.strerror),
                               "install mod_weave anew") from error
        home = os.fsencode(_ini_value(self.home))
        text, count = re.subn(rb"(?m)^virtualenv *=.*$",
                              lambda _: b"virtualenv = " + _ini_link(home), text)
        if count != 1:
            raise ReleaseError("%s is no example of a sync.ini" % path, "install mod_weave anew")
        return re.sub(rb"(?m)^#?home *=.*$", lambda _: b"home = " + home, text)

    def _ini_look(self):
        virtualenv = self.broker.key("wsgi.virtualenv")
        link = os.path.join(self.home, "current")
        if virtualenv != link:
            self.notes.append(
                "%s has virtualenv = %s, so weavectl install refuses; it wants: virtualenv = %s"
                % (self.ini, virtualenv or "nothing", link))
        info = os.stat(self.ini)
        if info.st_mode & 0o004:
            cure = "chmod o-r %s" % quote(self.ini)
            if self.workers_gid and info.st_gid != self.workers_gid:
                cure = "chgrp %s %s && %s" % (grp.getgrgid(self.workers_gid).gr_name,
                                              quote(self.ini), cure)
            self.notes.append("everybody can read %s, where passwords may be: %s"
                              % (self.ini, cure))

    # ---- doing ----

    def do(self):
        trusted = {self.owner.pw_uid}
        if self.make_home:
            above = parent_open(self.home, trusted)
            try:
                self._home_make(above)
            finally:
                os.close(above)
        elif self.give_home or self.set_mode:
            fd = self._home_open(trusted)
            try:
                self._home_give(fd)
            finally:
                os.close(fd)
        if self.sync.makes:
            self.sync.secret_write()    # before the sync.ini that names it
        if not self.has_ini:
            owner = (0, self.workers_gid or 0) if os.geteuid() == 0 else None
            file_make(self.ini, self.ini_text, INI_MODE, owner)

    def _home_make(self, above):
        name = os.path.basename(self.home)
        try:
            os.mkdir(name, 0o700, dir_fd=above)
            fd = os.open(name, FOLDER, dir_fd=above)
        except OSError as error:
            raise ReleaseError("cannot make %s: %s" % (self.home, error.strerror)) from error
        try:
            self._home_give(fd)
            os.fsync(above)
        finally:
            os.close(fd)

    def _home_give(self, fd):
        info = os.fstat(fd)
        if info.st_uid not in (os.geteuid(), self.owner.pw_uid):
            raise ReleaseError("%s was exchanged meanwhile" % self.home, "call weavectl again")
        if os.geteuid() == 0 and info.st_uid != self.owner.pw_uid:
            os.fchown(fd, self.owner.pw_uid, self.owner.pw_gid)
        os.fchmod(fd, HOME_MODE)

    # ---- telling ----

    def say(self):
        made = []
        if self.make_home or self.give_home or self.set_mode:
            made.append({"path": self.home, "owner": self.owner.pw_name,
                         "mode": "%04o" % HOME_MODE})
        if self.sync.makes:
            made.append({"path": self.sync.secret, "owner": self.sync.owner_name(),
                         "mode": "%04o" % SECRET_MODE})
        if not self.has_ini:
            made.append({"path": self.ini, "owner": user_name(os.geteuid()),
                         "mode": "%04o" % INI_MODE})
        following, notes = self._next(), self.notes + self.sync.notes
        if self.options.json:
            print(json.dumps({"result": "planned" if self.is_dry else "done",
                              "home": self.home, "owner": self.owner.pw_name, "ini": self.ini,
                              "made": made, "add": self.sync.lines, "notes": notes,
                              "next": following, "token_url": self.sync.token_url()}))
            return
        verb = "would make" if self.is_dry else "made"
        for one in made:
            print("%s %s  (%s, %s)" % (verb, one["path"], one["owner"], one["mode"]))
        if not made:
            print("%s and %s are there" % (self.home, self.ini))
        for line in self.sync.missing():
            print(line)
        for note in notes:
            print("note: %s" % note)
        print("next:")
        _indented_print(following)
        for line in self.sync.browsers():
            print(line)
        sys.stdout.flush()

    def _next(self):
        return ["weavectl install%s NAME --find-links SHARE" % words.ini_option(self.ini),
                "apachectl configtest && apachectl restart"]


def _indented_print(lines):
    for line in lines:
        print("    %s" % line)


def _ini_value(text):
    """A path as a value of a sync.ini: in quotes where it would be read differently."""
    plain = re.fullmatch(r"[\w/.+,:@=-]+", text, re.ASCII)
    return text if plain else '"%s"' % text


def _ini_link(home):
    return home[:-1] + b'/current"' if home.endswith(b'"') else home + b"/current"


def _user(name, what):
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise ReleaseError("%s: there is no user %s on this system" % (what, name)) from None


def _owner_named(name, home):
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ReleaseError("there is no user %s on this system" % name,
                           _useradd(name, home)) from None
    if entry.pw_uid == 0:
        raise ReleaseError("root cannot be the owner: releases are never made as root",
                           _owner_cure(None, home))
    return entry


def _owner_numbered(uid, home):
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise ReleaseError("%s belongs to user %d, who has no name on this system" % (home, uid),
                           "name an owner that has: chown USER %s" % quote(home)) from None


def _useradd(name, home):
    return "useradd --system --home-dir %s --shell /usr/sbin/nologin %s" % (
        quote(home), quote(name))


def _owner_cure(info, home):
    """The command that makes an owner, and gives it the home."""
    lines = [_useradd(DEFAULT_OWNER, home)]
    if info is not None:
        lines.append("chown %s %s" % (DEFAULT_OWNER, quote(home)))
    lines.append("weavectl init --owner %s%s"
                 % (DEFAULT_OWNER, "" if home == DEFAULT_HOME else " --home " + quote(home)))
    return " && ".join(lines)
