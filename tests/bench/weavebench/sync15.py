# SPDX-License-Identifier: Apache-2.0
"""Sync 1.5 for the parts that measure it: settings, keys, and what signs requests.

The token server believes the key in server/tests/rsa15.json, as if it were the account
server's, and client15.py there signs as a browser does.
"""

import json
import os
import subprocess
import sys

from . import BenchError
from .databases import of_tests
from .httpd import unprivileged_user

SECRET = "0123456789abcdef" * 4
TOKEN_PATH = "/1.0/sync/1.5"

SECTION = """
[sync15]
secret_file = {secret_file}
public_url = {url}
allow_new_users = true
"""


def serves(tree):
    """Whether the weave.server of a checkout knows it."""
    return (tree / "server" / "src" / "weave" / "server" / "hawk.py").exists()


def section(folder, url):
    """The lines of an ini file; the secret is in a file in the folder."""
    path = os.path.join(folder, "secrets15")
    with open(path, "w", encoding="ascii") as file:
        file.write(SECRET + "\n")
    os.chmod(path, 0o600)
    user = unprivileged_user()
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)
    return SECTION.format(secret_file=path, url=url)


def load_keys(sources, ini, folder):
    """Puts the key of the tests into the database of an ini file."""
    path = os.path.join(folder, "jwks.json")
    with open(path, "wb") as file:
        file.write(of_tests("client15").KEY.jwks())
    done = subprocess.run(
        [sys.executable, "-m", "weave.server", "fetch-keys", str(ini), path],
        env=dict(os.environ, PYTHONPATH=str(sources)), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise BenchError(f"weave-server fetch-keys fails:\n{done.stdout}")


def token_headers(number):
    """The headers that the browser of an account sends to the token server."""
    client15 = of_tests("client15")
    return {"Authorization": f"Bearer {client15.KEY.jwt(sub=f'{number:032x}')}",
            "X-KeyID": client15.KEY_ID}


class Signer:
    """Signs requests with a token, which is the answer of the token server."""

    def __init__(self, body):
        token = json.loads(body)
        self.endpoint = token["api_endpoint"].rstrip("/")
        self.path = "/" + self.endpoint.split("://", 1)[1].partition("/")[2]
        self.id, self.key = token["id"], token["key"]
        self.header = of_tests("client15").hawk_header

    def sign(self, method, target):
        """The header Authorization; target is a path and query with its escapes."""
        return self.header(self.id, self.key, method,
                           self.endpoint[:-len(self.path)] + target)
