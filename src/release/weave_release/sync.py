# SPDX-License-Identifier: Apache-2.0
"""The part of weavectl init for a Sync server: the secret of Sync 1.5, and its settings.

It imports three modules of the server, which the Makefile copies: no code of a release runs.
"""

import contextlib
import os
import pwd
import re
import stat

from weave_server import clients, setting_up

from .errors import ReleaseError
from .folders import quote, user_name
from .newfile import file_make

SECRET_MODE = 0o600
_SCRIPT, _MODULE = "/share/weave/weave.wsgi", "weave.server.wsgi"


class Sync:
    """workers are the number of their user (None: not known), and of their group.

    lines are what the sync.ini lacks, notes are for people, and `makes` says whether the
    secret is to be made.
    """

    def __init__(self, ini, public_url, workers, workers_gid):
        with _refusing():
            self.settings = setting_up.Settings15(ini, public_url)
        self.workers, self.workers_gid = workers, workers_gid
        self.is_server = True
        self.makes = False
        self.notes = []

    # ---- looking ----

    def example_fill(self, text):
        """The text of a new sync.ini, with this secret and URL."""
        value = b"secret_file = " + os.fsencode(self.settings.value)
        text, count = re.subn(rb"(?m)^secret_file *=.*$", lambda _: value, text)
        if count != 1:
            raise ReleaseError("the example of a sync.ini is not that of this weavectl",
                               "install mod_weave anew")
        if self.settings.given:
            line = b"public_url = " + os.fsencode(self.settings.given)
            text = re.sub(rb"(?m)^#?public_url *=.*$", lambda _: line, text)
        return text

    def ini_look(self, script, module):
        """Looks at a sync.ini that is there; it stays as it is."""
        with _refusing():
            has_secret = self.settings.read()
        self.is_server = has_secret or script.endswith(_SCRIPT) or module == _MODULE
        if not self.is_server and self.settings.given:
            raise ReleaseError("--public-url is for the Sync server, and %s is of another "
                               "application" % self.settings.ini, "leave --public-url out")
        if self.is_server and not has_secret:
            self.notes.append("without the lines above, only Sync 1.1 is served, and no Firefox "
                              "of today")

    def secret_look(self, home):
        """Notes whether the secret must be made, and what is wrong with one that is there."""
        if not self.is_server:
            return
        path = self.secret
        with _refusing():
            if os.path.commonpath((path, home)) == home:
                raise self.settings.misplaced(path)
        try:
            info = os.stat(path)
        except FileNotFoundError:
            self.makes = True
            self._making_note()
            return
        except OSError as error:
            raise ReleaseError("%s: %s" % (path, error.strerror)) from error
        if not stat.S_ISREG(info.st_mode):
            raise ReleaseError("%s is no file" % path, "name another one as sync15.secret_file")
        self._rights_look(info)

    def _making_note(self):
        if os.geteuid() == 0 and self.workers is None:
            self.notes.append("the user of the workers is not known here: chown USER %s"
                              % quote(self.secret))
        self.notes.append("several nodes with one database need the same secret: copy %s to the "
                          "others, with its owner and mode" % self.secret)

    def _rights_look(self, info):
        if os.geteuid() != 0 or self.workers is None:
            return
        is_theirs = info.st_uid == self.workers
        by_group = info.st_gid == self.workers_gid and info.st_mode & 0o040
        if info.st_mode & 0o027 or not (is_theirs or by_group):
            path = quote(self.secret)
            self.notes.append(
                "%s must be a file that the workers can read, and nobody else: chown %s %s && "
                "chmod %o %s" % (self.secret, self.owner_name(), path, SECRET_MODE, path))

    @property
    def secret(self):
        return self.settings.secret

    @property
    def lines(self):
        return self.settings.lines if self.is_server else []

    def owner_name(self):
        """The name of the user to whom the file belongs, or will belong."""
        if os.geteuid() != 0:
            return user_name(os.geteuid())
        return user_name(self.workers or 0)

    # ---- doing ----

    def secret_write(self):
        owner, trusted = None, ()
        if os.geteuid() == 0 and self.workers is not None:
            gid = self.workers_gid
            owner = (self.workers, pwd.getpwuid(self.workers).pw_gid if gid is None else gid)
            trusted = {self.workers}
        file_make(self.secret, setting_up.new_secret().encode(), SECRET_MODE, owner, trusted)

    # ---- telling ----

    def token_url(self):
        """The URL to which Firefox's preference is set; None where it is not known."""
        url = self.settings.url
        return clients.token_url(url) if self.is_server and url else None

    def missing(self):
        """The lines that tell people what to add to the sync.ini."""
        return self.settings.missing() if self.is_server else []

    def browsers(self):
        """The lines on what people do in their browsers; [] for another application."""
        return self.settings.browsers() if self.is_server else []


@contextlib.contextmanager
def _refusing():
    try:
        yield
    except setting_up.SettingError as error:
        raise ReleaseError(str(error), error.cure) from None
