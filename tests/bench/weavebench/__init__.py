# SPDX-License-Identifier: Apache-2.0
"""What `bench` and `soak` share: servers, load and accounting.

`httpd` and `servers` start things, `workloads`, `wrk` and `client` send
requests, `process` and `machine` look at /proc, `rounds` and `callgrind`
measure, `targets` and `report` judge and print.
"""


class BenchError(Exception):
    """Something the person at the terminal can mend; its text says how."""
