# SPDX-License-Identifier: Apache-2.0
"""Kills this process where a test says: WEAVE_KILL_AT=STEP:before or STEP:after.

Only the build tree has this file, so an installed weavectl cannot be told so.
"""

import os
import signal

VARIABLE = "WEAVE_KILL_AT"


def step_reached(step, when):
    """Ends the process, as kill -9 does, where the test wants that at this moment."""
    if os.environ.get(VARIABLE) == "%s:%s" % (step, when):
        os.kill(os.getpid(), signal.SIGKILL)
