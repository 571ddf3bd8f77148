# SPDX-License-Identifier: Apache-2.0
"""What the server answers before, in and after a maintenance.

All times are seconds since the simulation began.
"""

import math
from dataclasses import dataclass

# the maintenance: `on` from BEGIN to END
BEGIN = 900
END = BEGIN + 1800
# until all who were told something must have come back
UNTIL = END + 3600

# the entry that SYNC.md recommends: soft backoff, then drain
BACKOFF_S = 300
DRAIN_S = 300
# undisturbed in every scenario
CALM = BEGIN - BACKOFF_S - DRAIN_S

RETRY_AFTER_S = 1800    # maintenance.retry_after
FOR_LEAST_S = 60        # with --for, N is no less
SPREAD_LEAST_S = 5      # the least that spread may add


@dataclass(frozen=True)
class Server:
    """How the pause is announced.

    `known_end`: `weavectl maintenance on --for 30m`, N is what remains;
    otherwise N is fixed. `entry`: backoff and drain come first. `spread` is
    maintenance.spread in percent.
    """

    known_end: bool = False
    entry: bool = False
    spread: int = 0

    @property
    def begin(self):
        """When it first answers in another way."""
        return CALM if self.entry else BEGIN

    def mode(self, now):
        if not self.begin <= now < END:
            return "off"
        if now >= BEGIN:
            return "on"
        return "drain" if now >= BEGIN - DRAIN_S else "backoff"

    def seconds(self, now, random):
        """N, with what spread adds to it: once per answer, as in
        src/httpd/unavailable.c."""
        seconds = RETRY_AFTER_S
        if self.known_end:
            # upwards: whoever obeys to the letter must not be early
            seconds = max(math.ceil(END - now), FOR_LEAST_S)
        if self.spread <= 0:
            return seconds
        most = max(seconds * self.spread // 100, SPREAD_LEAST_S)
        return seconds + int(random() * (most + 1))

    def answer(self, now, first, random):
        """(served, N or 0); `first` is the info/collections of a sync."""
        mode = self.mode(now)
        if mode == "off":
            return True, 0
        refused = mode == "on" or (mode == "drain" and first)
        return not refused, self.seconds(now, random)


SCENARIOS = {
    "fixed": Server(),
    "for": Server(known_end=True),
    "entry": Server(known_end=True, entry=True),
}
