# SPDX-License-Identifier: Apache-2.0
"""What `bench` and `soak` share: servers, load and accounting.

`httpd` and `servers` start things, `workloads`, `wrk` and `client` send
requests, `process` and `machine` look at /proc, `rounds` and `callgrind`
measure, `targets` and `report` judge and print.
"""

import signal


class BenchError(Exception):
    """Something the person at the terminal can mend; its text says how."""


def unwind_on_signals():
    """TERM unwinds like Ctrl-C, so that what was started is stopped.

    INT is set too: a shell starts background jobs with it ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
