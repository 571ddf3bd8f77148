# SPDX-License-Identifier: Apache-2.0
"""The Sync server from a folder that has its sdist alone; the distribution has all it needs.

Debian's Falcon, SQLAlchemy, argon2: this is how the server is installed on most nodes.
"""

import json
import shutil
import subprocess

import nodes
import pytest
import sync_node
from conftest import TOP
from fetching import DISTRIBUTION


@pytest.fixture(scope="module")
def node():
    """A node that has installed the server from a plain folder, called as in the proposal."""
    made = sync_node.node_make()
    source = made.folder / "server"
    shutil.copytree(TOP / "server", source, ignore=shutil.ignore_patterns("*.egg-info", "dist"))
    sync_node.sdist_make(source, made.folder / "dist")
    sdist = next((made.folder / "dist").iterdir())
    sdist.rename(made.share / sdist.name.replace("-", "").replace(".tar.gz", ".tgz"))
    made.said = made.run("install", "WeaveServer")
    yield made
    made.close()


def test_it_is_proven(node):
    """The migration has made the tables, the warm-up was answered, and the link is there."""
    assert "nothing vouches for these files" in node.said
    assert "warm-up 200" in node.said
    assert node.current().startswith("releases/weaveserver-")
    assert (node.folder / "data" / "weave.db").stat().st_size > 0


def test_the_lock_names_the_system(node):
    lock = node.ready(node.releases()[0])["lock"]
    for name in ("falcon", "sqlalchemy", "argon2-cffi"):
        assert lock[name]["system"] and lock[name]["version"], name
    assert not lock["weaveserver"]["system"]
    installed = {path.name.split("-")[0] for path in
                 (node.home / "current").glob("lib/*/site-packages/*.dist-info")}
    assert installed == {"WeaveServer"}


def test_a_dry_run_counts_what_the_system_provides(node):
    """It said that a release took away what the distribution goes on to provide."""
    said = json.loads(node.run("install", "WeaveServer", "--dry-run", "--json").splitlines()[-1])
    assert said["result"] == "planned" and said["changes"] == []


def test_verify_says_when_the_system_has_changed(node):
    assert "is as it was installed" in node.run("verify")
    path = node.home / "current" / ".weave" / "ready.json"
    ready = json.loads(path.read_text())
    now = ready["lock"]["falcon"]["version"]
    ready["lock"]["falcon"]["version"] = "3.0.9"
    path.write_text(json.dumps(ready))
    assert "falcon: is %s in the distribution, was 3.0.9" % now in node.run("verify", status=1)


def test_a_driver_of_the_distribution():
    """A share with a manifest, which mozupload --system has left mysqlclient out of."""
    version = subprocess.check_output(
        [DISTRIBUTION, "-c",
         "from importlib import metadata; print(metadata.version('mysqlclient'))"],
        encoding="utf-8").strip()
    made = nodes.Node(options=("python = " + DISTRIBUTION, "system_site_packages = true"))
    try:
        wheel = nodes.archives.wheel(made.share, "Tiny", "1.0", ["mysqlclient>=1.4"], files={
            "Tiny-1.0.data/scripts/app.wsgi":
                "#!python\nimport MySQLdb\ndef application(environ, start_response):\n    pass\n"})
        row = nodes.file_of(wheel, "tiny", "1.0", "application")
        made.manifest_write("Tiny", "1.0", [row], system={"mysqlclient": version})
        assert "tiny 1.0 is what httpd serves" in made.install()
        assert made.ready("tiny-1.0")["lock"]["mysqlclient"] == {
            "version": version, "sha256": None, "system": True}
        # and where it must not count, it is missing
        made.ini_write(("python = " + DISTRIBUTION,))
        assert "mysqlclient" in made.install(status=1)
        assert made.current() == "releases/tiny-1.0"
    finally:
        made.close()
