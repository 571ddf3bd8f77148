# SPDX-License-Identifier: Apache-2.0
"""docs/operations.md, "A node that has another virtualenv": as it is written, under load."""

import os
import re
import subprocess

import pytest

import served
from conftest import TOP
from shop import GOOD, Node, kinds, owner

HEADING = "### A node that has another virtualenv\n"


def commands():
    """The lines of the example, without comments."""
    text = (TOP / "docs" / "operations.md").read_text().split(HEADING)[1].split("\n### ")[0]
    return re.findall(r"^    (.*)$", text, re.M)


def program_make(folder, name, text):
    path = folder / name
    path.write_text("#!/bin/sh\n" + text + "\n")
    path.chmod(0o755)


@pytest.fixture
def node(libdir, shop_share):
    node = Node(libdir, shop_share, "folder")
    yield node
    node.end()


@pytest.mark.skipif(os.getuid() != 0, reason="only for root")
def test_a_node_moves_over(node):
    httpd, tools = node.httpd, node.top / "tools"
    tools.mkdir()
    program_make(tools, "useradd", "true")
    program_make(tools, "weavectl", 'exec %s/weavectl "$@" -i %s -d %s/run -s %s/state' % (
        httpd.libdir, httpd.ini, node.top, node.top))
    program_make(tools, "apachectl", '[ "$1" = configtest ] && set -- -t || set -- -k "$1"\n'
                 'exec %s -d %s -f %s/httpd.conf "$@"' % (httpd.program, node.top, node.top))
    program_make(tools, "editor", 'sed -i "s|^virtualenv = .*|virtualenv = %s/current|" "$1"'
                 % node.home)
    # filled by root, as by hand
    subprocess.check_call(["chown", "-R", "root:root", node.home])
    httpd.start()
    assert node.version_serves("1.0")
    before = node.files()
    with served.Load(httpd) as load:
        load.goes_on()
        for command in commands():
            for old, new in (("/var/sync", node.home), ("/etc/sync.ini", httpd.ini),
                             ("/srv/share", node.share), ("WeaveServer", "shop-app==" + GOOD),
                             ("weave-release", owner().pw_name)):
                command = command.replace(old, str(new))
            done = subprocess.run(["sh", "-e", "-c", command], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, encoding="utf-8",
                                  env=dict(os.environ, PATH="%s:%s" % (tools, os.environ["PATH"])))
            assert done.returncode == 0, (command, done.stdout)
            assert "refuses" not in done.stdout, done.stdout
        assert node.version_serves(GOOD)
        load.goes_on()
    assert kinds(load.answers) == ["1.0", GOOD], httpd.log()
    assert node.files() == before
    assert (node.home / "current").resolve().parent == node.home / "releases"
    # the way back
    (node.home / "current").unlink()
    (node.home / "current").symlink_to("venv")
    assert httpd.weavectl("reload")[0] == 0
    assert node.version_serves("1.0")
