# SPDX-License-Identifier: Apache-2.0
"""The header that tells clients how much of their quota is left."""

WARNING_KB = 1024


def send_quota_left(resp, left_kb):
    """X-Weave-Quota-Remaining, in KB, where little is left. None: there is no quota."""
    if left_kb is not None and left_kb < WARNING_KB:
        resp.set_header("X-Weave-Quota-Remaining", "%.2f" % left_kb)
