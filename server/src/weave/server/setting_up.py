# SPDX-License-Identifier: Apache-2.0
"""The settings that a sync.ini needs for Sync 1.5, for weavectl init and weave-server init.

Of this package it imports clients and config alone: the Makefile copies all three for
weavectl.
"""

import os
import re
import secrets

from . import clients
from .config import Config, ConfigError

# 32 bytes in hexadecimal digits, as read_secrets() wants them.
_SECRET_BYTES = 32


def new_secret():
    """The text of a new file of secrets."""
    return secrets.token_hex(_SECRET_BYTES) + "\n"


class SettingError(Exception):
    """The settings cannot be used: str() is the reason, and `cure` what to do about it."""

    def __init__(self, message, cure=""):
        super().__init__(message)
        self.cure = cure


class Settings15:
    """The settings of Sync 1.5 in the sync.ini `ini`, which need not be there.

    secret is the path of the file with the secret; `value` is how a sync.ini says that where
    it is the usual one; `url` is that of the server, with a slash, or None; `admission` the
    value of allow_new_users; `lines` are what the sync.ini lacks. SettingError.
    """

    def __init__(self, ini, public_url=None):
        self.ini = ini
        self.given = _given(public_url)
        self.url = self.given
        self.admission = "first"  # as the server has it by itself
        self.secret = os.path.splitext(ini)[0] + ".secret"
        self.value = _value_beside(self.secret)
        self.lines = []
        self.has_section = False

    def read(self):
        """Reads the sync.ini; whether it names a file of secrets."""
        try:
            config = Config(self.ini)
            secret = _text(config, "sync15", "secret_file")
            public_url = _text(config, "sync15", "public_url")
            node = _text(config, "nodes", "fallback_node")
            admission = _text(config, "sync15", "allow_new_users").lower()
        except ConfigError as error:
            raise SettingError(str(error)) from None
        self.admission = admission or self.admission
        if self.given and public_url and self.given != _node(public_url):
            raise SettingError(
                "%s has sync15.public_url = %s, and %s was asked for"
                % (self.ini, public_url, self.given),
                "leave --public-url out, or write into [sync15] of %s: public_url = %s"
                % (self.ini, self.given),
            )
        self.url = self.given or _node(public_url or node)
        if not secret:
            self.lines.append("secret_file = " + self.value)
        elif os.path.isabs(secret):
            self.secret = os.path.normpath(secret)
        else:
            raise self.misplaced(secret)
        if self.given and not public_url:
            self.lines.append("public_url = " + self.given)
        self.has_section = "sync15" in config.sections()
        if self.lines and not self.has_section:
            self.lines.insert(0, "[sync15]")
        return bool(secret)

    def misplaced(self, path):
        """The SettingError of a secret_file that is no place for one."""
        return SettingError(
            "%s has sync15.secret_file = %s, which is no place for a secret"
            % (self.ini, path),
            "name a file beside the sync.ini, such as: secret_file = " + self.value,
        )

    def missing(self):
        """The lines that tell people what to add to the sync.ini; [] where nothing lacks."""
        if not self.lines:
            return []
        where = "[sync15] of " if self.has_section else ""
        head = "add to %s%s, which stays as it is:" % (where, self.ini)
        return [head] + ["    " + line for line in self.lines]

    def browsers(self):
        """The lines that tell people what to do in their browsers."""
        lines = clients.text(self.url, self.admission)
        return ["then, in each browser:"] + ["    " + line for line in lines]


def _given(public_url):
    if not public_url:
        return None
    try:
        return clients.node_url(public_url)
    except ValueError as error:
        raise SettingError("--public-url %s" % error) from None


def _value_beside(path):
    """The value for the path of a file beside the sync.ini: it stays right if both move."""
    name = os.path.basename(path)
    is_plain = re.fullmatch(r"[\w+.,:@=-]+", name, re.ASCII)
    return "%%(here)s/%s" % name if is_plain else '"%s"' % path


def _text(config, section, name):
    """The value as text; "" where the key is not set."""
    entry = config.find(section, name)
    return str(entry.value(typed=False)) if entry else ""


def _node(url):
    """The URL with its slash, or None where there is none; configtest says what is wrong."""
    try:
        return clients.node_url(url) if url else None
    except ValueError:
        return None
