# SPDX-License-Identifier: Apache-2.0
"""Releases of the server that weavectl installs, as on the machine of an administrator.

A made folder has: build/, what was built; share/, wheels of the server; home/, the releases,
which belong to a user of their own.
"""

import contextlib
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import tempfile

import e2e
import syncing

OWNER = "daemon"
PROJECT = "WeaveServer"
SCHEMA_LINE = re.compile(r"^SCHEMA_VERSION = (\d+)", re.MULTILINE)


@contextlib.contextmanager
def made_folder(prefix):
    """A folder with a wheel of this server in its share, which every user can read."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        e2e.copy_build(folder)
        shutil.copytree(e2e.BUILD / "weave-release", folder / "build" / "weave-release")
        e2e.run("chmod", "-R", "a+rX,go-w", folder / "build")
        (folder / "home").mkdir()
        owner = pwd.getpwnam(OWNER)
        os.chown(folder / "home", owner.pw_uid, owner.pw_gid)
        put_wheel(folder)
        yield folder


def put_wheel(folder, version=None):
    """Puts a wheel of this server into the share; of a newer one with tables that have more,
    where a version is given."""
    with tempfile.TemporaryDirectory() as name:
        sources = pathlib.Path(name, "server")
        shutil.copytree(e2e.TOP / "server", sources, ignore=shutil.ignore_patterns(
            "*.egg-info", "dist", "build", "__pycache__", "tests"))  # fmt: skip
        if version:
            package = sources / "src/weave/server"
            schema = int(SCHEMA_LINE.search((package / "schema_version.py").read_text())[1])
            syncing.make_newer(package, version, schema + 1, schema)
        subprocess.run([e2e.PYTHON, "setup.py", "-q", "bdist_wheel", "-d", folder / "share"],
                       cwd=sources, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)  # fmt: skip
    # whatever the umask is
    e2e.run("chmod", "-R", "a+rX", folder / "share")
