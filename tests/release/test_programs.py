# SPDX-License-Identifier: Apache-2.0
"""What becomes of a program that does not end in time."""

import os
import subprocess
import sys

from conftest import BUILD

# It has a child in its own session, and one in another. The clock steps on when both are
# there.
PROGRAM = """
import sys
import time
sys.path.insert(0, %r)
from weave_release import programs
said = []
now = time.monotonic


def line_take(line):
    said.append(line)
    if len(said) == 2:
        time.monotonic = lambda: now() + 1000


programs.descendants_adopt()
ended = programs.program_run(
    ["sh", "-c", "sleep 600 & echo $!; setsid sleep 600 & echo $!; sleep 600"],
    output=line_take, seconds=500)
print(ended.status, *said)
""" % str(BUILD / "weave-release")


def test_at_its_deadline_all_of_it_ends():
    said = subprocess.check_output([sys.executable, "-I", "-c", PROGRAM], encoding="utf-8",
                                   timeout=120).split()
    assert said[0] == "None" and len(said) == 3
    for pid in said[1:]:
        assert not os.path.exists("/proc/%s" % pid)
