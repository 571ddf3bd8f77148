# SPDX-License-Identifier: Apache-2.0
"""The file of sync15.secret_file: the secrets of the tokens of Sync 1.5.

It has one secret a line. The last one signs new tokens; all of them verify. So a new
secret is added below the old one, which is removed once its last token has expired
(sync15.token_duration). Empty lines, and lines that begin with `#`, are left out.
"""

import os
import stat

from weave.server.config import in_file, read_regular
from weave.server.owner import user_name
from weave.server.tokens import Secrets

MAX_BYTES = 16 * 1024

# Short secrets can be guessed: with one token, guesses need no answer of the server.
MIN_CHARS = 32

HOW_TO_MAKE = "`weavectl init` makes it, or `weave-server init` without mod_weave"


def read_secrets(path):
    """The Secrets of the file; ConfigError, which says how to mend it."""
    secrets = []
    for number, line in enumerate(_read_text(path).splitlines(), 1):
        secret = line.strip()
        if not secret or secret.startswith("#"):
            continue
        if len(secret) < MIN_CHARS:
            raise in_file(
                path,
                "this secret has less than %d characters: write a longer one, such as "
                "`openssl rand -hex 32` prints" % MIN_CHARS,
                number,
            )
        secrets.append(secret)
    if not secrets:
        raise in_file(path, "has no secret: remove the file, and " + HOW_TO_MAKE)
    return Secrets(secrets)


def _user():
    """The name of the user of this process, who is that of the server."""
    return user_name(os.geteuid()) or "USER"


def _read_text(path):
    try:
        status, data = read_regular(path, MAX_BYTES)
    except OSError as error:
        cure = HOW_TO_MAKE
        if isinstance(error, PermissionError):
            cure = "run `chown %s %s`, so that the server can" % (_user(), path)
        text = "the file of sync15.secret_file cannot be read (%s): %s"
        raise in_file(path, text % (error.strerror, cure)) from None
    # A group that reads it may be that of the workers.
    if status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise in_file(
            path,
            "other users of this machine may use it, and whoever has it can do what every "
            "user of Sync 1.5 can: run `chmod 600 %s`, and write a new secret into it where "
            "you do not trust them all" % path,
        )
    if len(data) > MAX_BYTES:
        raise in_file(path, "is too long for a file of secrets: it has one a line")
    try:
        # A mark before a comment would make a secret of it, which everybody can guess.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise in_file(path, "is not UTF-8: it has one secret a line") from None
