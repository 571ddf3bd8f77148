# SPDX-License-Identifier: Apache-2.0
"""What keeps root's side of weavectl apart from the owner of release.home."""

import subprocess
import sys

import pytest

import nodes

root = pytest.mark.skipif(not nodes.IS_ROOT, reason="needs root: two users are compared")

# Says which inner of this node's weavectl it could look into. argv: the path of the sync.ini.
SPY = """
import os, sys
ini = os.fsencode(sys.argv[1])
done = set()
def text(pid, name):
    with open("/proc/%s/%s" % (pid, name), "rb") as file:
        return file.read()
print("begins", flush=True)
while os.getppid() != 1:
    for pid in set(os.listdir("/proc")) - done:
        try:
            command = text(pid, "cmdline")
            if b"--inner" not in command:
                if not pid.isdigit() or (command and ini not in command):
                    done.add(pid)
                continue
            above = text(pid, "stat").rpartition(b") ")[2].split()[1].decode()
            if ini not in text(above, "cmdline"):
                done.add(pid)
            elif os.stat("/proc/%s" % pid).st_uid in (0, os.getuid()):
                print(pid, os.readlink("/proc/%s/fd/1" % pid), flush=True)
                done.add(pid)
        except (OSError, IndexError):
            continue
"""


@root
def test_the_owner_cannot_look_into_inner(node):
    """It holds the terminal of root and the socket of the broker."""
    spy = subprocess.Popen(
        ["setpriv", "--reuid", nodes.OWNER, "--regid", nodes.OWNER, "--init-groups",
         sys.executable, "-c", SPY, str(node.ini)], stdout=subprocess.PIPE, encoding="utf-8")
    try:
        assert spy.stdout.readline() == "begins\n"
        for _ in range(5):
            node.run("releases")
    finally:
        spy.kill()
    assert spy.stdout.read() == ""
    spy.wait()
