# SPDX-License-Identifier: Apache-2.0
"""Waiting for what a test has caused."""

import time

# Against hanging, in seconds: a test that passes never waits for so long.
LONG_SECONDS = 240


def eventually(condition, what="a condition of the test", seconds=LONG_SECONDS):
    """Waits until condition() is true, and returns what it returned."""
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < until, "not in time: %s" % what
        time.sleep(0.02)
