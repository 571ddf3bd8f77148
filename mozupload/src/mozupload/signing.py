# SPDX-License-Identifier: Apache-2.0
"""Signatures of manifests, by the gpg of whoever uploads."""

import os
import shutil
import subprocess
import sys

from .errors import UploadError


def key_check(key):
    """Raises UploadError unless gpg has the secret key: before anything is uploaded."""
    if not shutil.which("gpg"):
        raise UploadError("--sign needs gpg, which is not installed.")
    command = ["gpg", "--batch", "--with-colons", "--list-secret-keys", "--", key]
    if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        raise UploadError(
            "gpg has no secret key %s: `gpg --list-secret-keys` shows those it has." % key
        )


def sign(key, data):
    """A detached signature of the bytes, in ASCII. gpg asks for a passphrase itself."""
    command = ["gpg", "--batch", "--yes", "--armor", "--local-user", key]
    command += ["--detach-sign", "--output", "-"]
    environment = dict(os.environ)
    if "GPG_TTY" not in environment and sys.stderr.isatty():
        # where gpg's agent asks for the passphrase
        environment["GPG_TTY"] = os.ttyname(sys.stderr.fileno())
    done = subprocess.run(
        command, input=data, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    if done.returncode or not done.stdout:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it says nothing"]
        raise UploadError("gpg could not sign with the key %s: %s." % (key, lines[-1].rstrip(".")))
    return done.stdout
