# SPDX-License-Identifier: Apache-2.0
"""What weavectl init does for a Sync server: the secret of Sync 1.5, and what browsers need.

Of the server it has two modules, which the Makefile copies: nothing of a release is run.
"""

import os
import pwd
import re
import secrets
import stat

from weave_server import clients
from weave_server.config import Config, ConfigError

from .errors import ReleaseError
from .folders import quote, user_name
from .newfile import file_make

SECRET_MODE = 0o600
SECRET_BYTES = 32
_SCRIPT, _MODULE = "/share/weave/weave.wsgi", "weave.server.wsgi"


class Sync:
    """workers are the number of their user (None: not known), and of their group."""

    def __init__(self, ini, public_url, workers, workers_gid):
        self.ini = ini
        self.workers, self.workers_gid = workers, workers_gid
        self.given = self._url_read(public_url)
        self.base = self.given      # the URL of the server, or None
        self.admission = "first"    # as the server has it by itself
        self.secret = ""            # its path; "" where the application is no Sync server
        self.makes = False
        self.lines = []             # that the sync.ini lacks
        self.notes = []

    def _url_read(self, text):
        if not text:
            return None
        try:
            return clients.node_url(text)
        except ValueError as error:
            raise ReleaseError("--public-url %s" % error) from None

    # ---- looking ----

    def example_fill(self, text):
        """The text of a new sync.ini, with this secret and URL."""
        self.secret = self._secret_usual()
        value = b"secret_file = " + os.fsencode(self._secret_value())
        text, count = re.subn(rb"(?m)^secret_file *=.*$", lambda _: value, text)
        if count != 1:
            raise ReleaseError("the example of a sync.ini is not that of this weavectl",
                               "install mod_weave anew")
        if self.given:
            line = b"public_url = " + os.fsencode(self.given)
            text = re.sub(rb"(?m)^#?public_url *=.*$", lambda _: line, text)
        return text

    def ini_look(self, script, module):
        """Looks at a sync.ini that is there; it stays as it is."""
        try:
            config = Config(self.ini)
            found = {name: _value(config, section, name) for section, name in (
                ("sync15", "secret_file"), ("sync15", "public_url"), ("nodes", "fallback_node"),
                ("sync15", "allow_new_users"))}
        except ConfigError as error:
            raise ReleaseError(str(error), "weavectl check -i %s" % quote(self.ini)) from None
        is_sync = script.endswith(_SCRIPT) or module == _MODULE
        if not is_sync and not found["secret_file"]:
            if self.given:
                raise ReleaseError("--public-url is for the Sync server, and %s is of another "
                                   "application" % self.ini, "leave --public-url out")
            return
        self._url_choose(found)
        self.admission = found["allow_new_users"].lower() or self.admission
        self.secret = found["secret_file"]
        if not self.secret:
            self.secret = self._secret_usual()
            self.lines.append("secret_file = " + self._secret_value())
            self.notes.append("without the lines above, only Sync 1.1 is served, and no Firefox "
                              "of today")
        if self.given and not found["public_url"]:
            self.lines.append("public_url = " + self.given)
        if self.lines and "sync15" not in config.sections():
            self.lines.insert(0, "[sync15]")

    def _url_choose(self, found):
        here = found["public_url"] or found["fallback_node"]
        try:
            here = clients.node_url(here) if here else None
        except ValueError:
            here = None     # as weavectl check says
        if self.given and found["public_url"] and here != self.given:
            raise ReleaseError(
                "%s has sync15.public_url = %s, and %s was asked for"
                % (self.ini, found["public_url"], self.given),
                "leave --public-url out, or write into [sync15] of %s: public_url = %s"
                % (self.ini, self.given))
        self.base = self.given or here

    def _secret_usual(self):
        return os.path.splitext(self.ini)[0] + ".secret"

    def _secret_value(self):
        """The usual path as a value: beside the sync.ini, wherever that is."""
        name = os.path.basename(self._secret_usual())
        is_plain = re.fullmatch(r"[\w+.,:@=-]+", name, re.ASCII)
        return "%%(here)s/%s" % name if is_plain else '"%s"' % self._secret_usual()

    def secret_look(self, home):
        """Whether the file is there and only the workers can read it."""
        if not self.secret:
            return
        path = os.path.normpath(self.secret)
        if not os.path.isabs(path) or os.path.commonpath((path, home)) == home:
            raise ReleaseError(
                "%s has sync15.secret_file = %s, which is no place for a secret"
                % (self.ini, self.secret), "name a file beside the sync.ini, such as: "
                "secret_file = %s" % self._secret_value())
        self.secret = path
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
            self.notes.append("nobody knows the user of the workers here: chown USER %s"
                              % quote(self.secret))
        self.notes.append("several nodes with one database need the same secret: copy %s to the "
                          "others, with its owner and mode" % self.secret)

    def _rights_look(self, info):
        if os.geteuid() != 0 or self.workers is None:
            return
        is_theirs = info.st_uid == self.workers
        by_group = info.st_gid == self.workers_gid and info.st_mode & 0o040
        if info.st_mode & 0o027 or not (is_theirs or by_group):
            self.notes.append(
                "%s must be a file that the workers can read, and nobody else: chown %s %s && "
                "chmod %o %s" % (self.secret, self.owner_name(), quote(self.secret), SECRET_MODE,
                                 quote(self.secret)))

    def owner_name(self):
        """Whose the file is, or would be."""
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
        line = secrets.token_hex(SECRET_BYTES) + "\n"
        file_make(self.secret, line.encode(), SECRET_MODE, owner, trusted)

    # ---- telling ----

    def token_url(self):
        """What the preference of Firefox gets; None where no URL is known."""
        return clients.token_url(self.base) if self.secret and self.base else None

    def browsers(self):
        """What people do in their browsers, in lines; nothing for another application."""
        if not self.secret:
            return []
        lines = clients.text(self.base, self.admission)
        return ["then, in each browser:"] + ["    " + line for line in lines]


def _value(config, section, name):
    """The value as text; "" where the key is not set."""
    entry = config.find(section, name)
    return str(entry.value(typed=False)) if entry else ""
