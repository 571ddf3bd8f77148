# SPDX-License-Identifier: Apache-2.0
"""Lets time pass: a discrete-event simulation with a calendar for a queue.

An event is the beginning of a sync. It is kept with those of the same second,
which is cheaper than a heap and orders them as well as is needed: the figures
count whole seconds.
"""

import math
import random

from . import clients, server

# the gaps in a sync are drawn beforehand, in so many variants
PATTERNS = 256
# a sync may begin in the last second that is simulated
SLACK_S = int(clients.LONGEST_SYNC_S) + 2
NOBODY = None


class Simulation:
    """One run. Afterwards:

    served, refused   requests in each second
    delays            seconds from the end of the maintenance to the first
                      sync of each client that an answer had held back
    refused_clients, returned_clients
                      how many were refused, how many of these synced later
    """

    def __init__(self, fleet, answers, seed):
        self.fleet, self.answers = fleet, answers
        # of its own for the server: the same seed is the same fleet,
        # whatever spread is
        self.random = random.Random("clients %d" % seed).random
        self.server_random = random.Random("server %d" % seed).random
        self.served = [0] * (server.UNTIL + SLACK_S)
        self.refused = [0] * (server.UNTIL + SLACK_S)
        self.delays = []
        self.refused_clients = self.returned_clients = 0
        self.intervals = fleet.intervals()
        # when each client's timer rings; what else is in the calendar is old
        self.due = [0.0] * fleet.size
        # of a client that was refused: whether it is N that it waits for;
        # NOBODY: was not refused, or is back
        self.waiting = [NOBODY] * fleet.size
        self.calendar = [[] for _ in range(server.UNTIL)]
        self.patterns = [self._pattern() for _ in range(PATTERNS)]
        self._begin()

    def _pattern(self):
        """Seconds from the beginning of a sync to each of its requests."""
        least, most = clients.GAP_S
        offsets = [0.0]
        while len(offsets) < clients.REQUESTS:
            offsets.append(offsets[-1] + least + (most - least) * self.random())
        return offsets

    def _begin(self):
        """A fleet that has been there for ever: any phase is as likely."""
        draw = self.random
        length = math.fsum(pattern[-1]
                           for pattern in self.patterns) / PATTERNS
        for client, interval in enumerate(self.intervals):
            self._schedule(client, draw() * (interval + length))
        manual = self.fleet.size * server.UNTIL / clients.MANUAL_EVERY_S
        for _ in range(round(manual)):
            when = draw() * server.UNTIL
            # ~client: a person, not the timer
            self.calendar[int(when)].append(
                (when, ~int(draw() * self.fleet.size)))

    def _schedule(self, client, when):
        self.due[client] = when
        if when < server.UNTIL:
            self.calendar[int(when)].append((when, client))

    def run(self):
        # for most events, everything is here: calls cost more than they do
        draw, due, served, calendar = \
            self.random, self.due, self.served, self.calendar
        patterns, intervals, waiting = \
            self.patterns, self.intervals, self.waiting
        calm = self.answers.begin - clients.LONGEST_SYNC_S
        for second, events in enumerate(calendar):
            usual = second + 1 < calm or second >= server.END
            # grows while it is gone through
            for when, client in events:
                if client < 0:
                    client = ~client
                elif due[client] != when:
                    continue
                pattern = patterns[int(draw() * PATTERNS)]
                if not usual:
                    self._sync(client, when, pattern)
                    continue
                for offset in pattern:
                    served[int(when + offset)] += 1
                if waiting[client] is not NOBODY:
                    self._returned(client, when)
                due[client] = when = when + pattern[-1] + intervals[client]
                if when < server.UNTIL:
                    calendar[int(when)].append((when, client))
            calendar[second] = ()
        self._finish()
        return self

    def _sync(self, client, when, pattern):
        """A sync that may be told something or refused."""
        seconds = 0
        for offset in pattern:
            now = when + offset
            ok, seconds = self.answers.answer(now, not offset,
                                              self.server_random)
            if not ok:
                self.refused[int(now)] += 1
                self._refuse(client, now, seconds, bool(offset))
                return
            self.served[int(now)] += 1
        if self.waiting[client] is not NOBODY:
            self._returned(client, when)
        wait = self.fleet.told_wait(client, seconds, self.random)
        self._schedule(client, now + max(self.intervals[client], wait))

    def _refuse(self, client, now, seconds, cut_off):
        if cut_off:
            wait = self.fleet.cut_off_wait(client, seconds, self.random)
        else:
            wait = self.fleet.told_wait(client, seconds, self.random)
        held = True
        if self.fleet.patient and not cut_off:
            held = wait > self.intervals[client]
            wait = max(wait, self.intervals[client])
        self.refused_clients += self.waiting[client] is NOBODY
        self.waiting[client] = held
        self._schedule(client, now + wait)

    def _returned(self, client, when):
        if self.waiting[client]:
            self.delays.append(when - server.END)
        self.waiting[client] = NOBODY
        self.returned_clients += 1

    def _finish(self):
        """Who is not back yet has a timer that rings after the end."""
        for client, waits in enumerate(self.waiting):
            if waits is not NOBODY and self.due[client] >= server.UNTIL:
                self._returned(client, self.due[client])
        self.delays.sort()
