# SPDX-License-Identifier: Apache-2.0
"""Who syncs, how often, and how long they stay away when told to."""

import itertools
from dataclasses import dataclass

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# From the end of a sync to the next one, as the preferences
# services.sync.scheduler.* of legacy Firefox and of UXP have it
# (services/sync/services-sync.js), and the share of the browsers that are
# running; the shares are an estimate.
MIX = (
    # nothing to fetch from others: singleDeviceInterval
    ("single device", DAY, 0.30),
    # several devices, nobody at this one: idleInterval
    ("idle", HOUR, 0.55),
    # several devices, in use: activeInterval
    ("active", 10 * MINUTE, 0.14),
    # the last sync brought something: immediateInterval
    ("immediate", 90, 0.01),
)

# A sync asks for info/collections, meta/global, crypto/keys and the
# collections that have changed.
REQUESTS = 8
# between two requests of a sync, uniformly
GAP_S = (0.2, 1.0)
LONGEST_SYNC_S = REQUESTS * GAP_S[1]

# A person presses Sync, whatever the client has been told: once in
MANUAL_EVERY_S = DAY

# What legacy Firefox adds to the wait at random, so that it is N * (1..1.25):
# services/sync/modules/policies.js, on "weave:service:backoff:interval".
FUZZ = 0.25

# A 503 after the first request: MINIMUM_BACKOFF_INTERVAL, and up to as much
# again at random (calculateBackoff in services/sync/modules/util.js).
CUT_OFF_S = 15 * MINUTE


@dataclass(frozen=True)
class Fleet:
    """How many clients, and what they make of "come back in N seconds".

    `exact` is the share that takes N literally and waits not a moment longer,
    the worst case; the others wait N * (1..1.25).
    `patient` ones don't come before their own interval is over, should that
    be longer: legacy Firefox raises the interval to the wait, never lowers
    it. Where they are not, a refused client is back as soon as it may.
    """

    size: int = 100000
    exact: float = 0.0
    patient: bool = False

    def intervals(self):
        """The interval of each client, in seconds."""
        shares = itertools.accumulate(share for _, _, share in MIX)
        found = []
        for (_, seconds, _), share in zip(MIX, shares):
            found += [seconds] * (round(share * self.size) - len(found))
        return found

    def is_exact(self, client):
        """Evenly strewn over all intervals."""
        return int((client + 1) * self.exact) > int(client * self.exact)

    def told_wait(self, client, seconds, random):
        """What it makes of N."""
        if self.is_exact(client):
            return seconds
        return seconds * (1 + FUZZ * random())

    def cut_off_wait(self, client, seconds, random):
        """The same, when the sync had begun."""
        least = CUT_OFF_S
        if not self.is_exact(client):
            least *= 1 + random()
        return max(least, self.told_wait(client, seconds, random))


FLEETS = {
    "fuzzed": Fleet(),
    "mixed": Fleet(exact=0.1),
    "exact": Fleet(exact=1.0),
    "patient": Fleet(patient=True),
}
