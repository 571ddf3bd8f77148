# SPDX-License-Identifier: Apache-2.0
"""A first sync.ini and the secret of Sync 1.5, for other WSGI servers than mod_weave."""

import os
import stat
import sys

from weave.server.commands.command import Command, Failed, argument
from weave.server.config import Config, printable
from weave.server.newfile import NewFile
from weave.server.owner import become_maker, user_name
from weave.server.secret_file import read_secrets
from weave.server.setting_up import SettingError, Settings15, new_secret

_INI = """# The settings of this Sync server. server/README.md of mod_weave has all of them.
# %(here)s is the folder of this file.

[storage]
sqluri = sqlite:///%(here)s/weave.db
create_tables = true

[auth]
# For Pale Moon and its like. false: nobody can sign up any more
allow_new_users = true

[sync15]
# For today's Firefox. All servers with this database have the same secret.
secret_file = {secret}
# This server, as Firefox reaches it
{url}
# Which Mozilla accounts may begin: the first one, and then whom `weave-server
# admit` lets in (first); all (true); none (false)
allow_new_users = first
"""
_NO_URL = "#public_url = https://sync.example.org/"


def init(arguments, _sites):
    ini = os.path.abspath(arguments.ini)
    folder = os.path.dirname(ini)
    if not os.path.isdir(folder):
        raise Failed("%s is not there: make it first" % folder)
    become_maker(ini, sys.argv[1:])
    has_ini = os.path.lexists(ini)
    try:
        settings = Settings15(ini, arguments.public_url)
        if has_ini:
            _refuse_of_mod_weave(ini)
            settings.read()
    except SettingError as error:
        raise Failed("%s%s" % (error, "\n" + error.cure if error.cure else "")) from None
    made = []
    if os.path.lexists(settings.secret):
        read_secrets(settings.secret)  # or says what is wrong
    else:
        made.append(_make(settings.secret, new_secret()))
    if not has_ini:
        made.append(_make(ini, _ini_text(settings)))
    _tell(ini, settings, made)


def _refuse_of_mod_weave(ini):
    if "wsgi" in Config(ini).sections():
        raise Failed(
            "%s is a sync.ini of mod_weave: run `weavectl init -i %s`, as root, which "
            "makes the secret for the user of its workers" % (ini, ini)
        )


def _ini_text(settings):
    url = "public_url = " + settings.given if settings.given else _NO_URL
    return _INI.replace("{secret}", settings.value).replace("{url}", url)


def _make(path, text):
    """Writes a file that nobody else can read, and returns its path."""
    with NewFile(path) as new:
        with open(new.path, "w", encoding="utf-8") as file:
            file.write(text)
        new.publish()
    return path


def _tell(ini, settings, made):
    lines = []
    for path in made:
        status = os.stat(path)
        owner = user_name(status.st_uid) or status.st_uid
        lines.append("made %s  (%s, %04o)" % (path, owner, stat.S_IMODE(status.st_mode)))
    if not made:
        lines.append("%s and %s are there" % (ini, settings.secret))
    if made and os.geteuid() == 0:
        lines.append(
            "note: only root can read that; for a server that runs as another user: "
            "chown USER " + " ".join(made)
        )
    lines += settings.missing()
    lines.append("next: start the server, with this in its environment:")
    lines.append("    WEAVE_INI=%s   for weave.server.wsgi:application" % ini)
    for line in lines + settings.browsers():
        print(printable(line))


COMMANDS = (
    Command(
        ("init",),
        "make a first sync.ini and the secret for today's Firefox (without mod_weave)",
        init,
        (
            argument("ini", metavar="INI", help="the sync.ini; one that is there stays as it is"),
            argument("--public-url", metavar="URL", help="the server as browsers reach it"),
        ),
        opens=False,
    ),
)
