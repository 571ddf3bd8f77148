# SPDX-License-Identifier: Apache-2.0
"""Timestamps of the Sync protocol."""

import math
import time

LIMIT = 2**53

MAX_NUMBER_CHARS = 64


def parse_number(text):
    """A finite number as clients write it; ValueError for anything else."""
    if len(text) > MAX_NUMBER_CHARS:
        raise ValueError("too long for a number")
    value = float(text)
    if not math.isfinite(value) or "_" in text or not text.isascii():
        raise ValueError("not a finite number")
    return value


class Stamp(int):
    """Hundredths of a second since 1970.

    Kept as an integer so that two stamps never differ by rounding; `text` is
    the JSON number with exactly two decimals that clients compare textually.
    str() is that of the integer: some drivers of databases write by it what is
    no plain int.
    """

    __slots__ = ()

    @property
    def text(self):
        return "%d.%02d" % divmod(int(self), 100)

    @classmethod
    def now(cls):
        return cls(time.time_ns() // 10_000_000)

    @classmethod
    def parse(cls, text):
        """Reads what a client sent; ValueError unless it is a finite number."""
        value = parse_number(text)
        return cls(round(max(-LIMIT, min(value * 100, LIMIT))))
