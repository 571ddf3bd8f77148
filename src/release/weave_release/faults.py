# SPDX-License-Identifier: Apache-2.0
"""Kills this process where a test says, or has it wait there.

WEAVE_KILL_AT=STEP:before or STEP:after ends it as kill -9 does. WEAVE_KILL_AT=wait:FOLDER makes
FOLDER/STEP behind each step, and goes on when the test has removed that.
Only the build tree has this file, so an installed weavectl cannot be told so.
"""

import os
import signal
import time

VARIABLE = "WEAVE_KILL_AT"


def step_reached(step, when):
    """Ends the process or waits, where the test wants that at this moment."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted == "%s:%s" % (step, when):
        os.kill(os.getpid(), signal.SIGKILL)
    if wanted.startswith("wait:") and when == "after":
        path = os.path.join(wanted[len("wait:"):], step)
        open(path, "w").close()
        while os.path.exists(path):
            time.sleep(0.01)
