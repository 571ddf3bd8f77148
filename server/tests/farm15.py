# SPDX-License-Identifier: Apache-2.0
"""A Farm that serves Sync 1.5, and believes access tokens of the test key."""

import contextlib
import os
import subprocess
import sys

import client15
from apache import give
from farm import running_farm

SECRET = "5ec2e7" * 10

SECTIONS = """
[maintenance]
style = sync
[sync15]
secret_file = %(here)s/secrets
allow_new_users = true
"""


@contextlib.contextmanager
def running_farm15(url, conf=""):
    """The Farm on the database of a URL, while it runs; conf as running_farm() has it."""
    with running_farm(url, make_secrets, SECTIONS, conf) as farm:
        load_keys(farm)
        yield farm


def make_secrets(folder):
    path = folder / "secrets"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    give(path)


def load_keys(farm):
    """Makes the token server believe the key of the tests."""
    path = farm.folder / "jwks.json"
    path.write_bytes(client15.KEY.jwks())
    command = [sys.executable, "-m", "weave.server", "fetch-keys", str(farm.ini), str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                   env=dict(os.environ, PYTHONPATH=str(farm.folder / "src")))  # fmt: skip
