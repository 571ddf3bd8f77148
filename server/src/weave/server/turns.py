# SPDX-License-Identifier: Apache-2.0
"""Taking turns at what costs much memory or time, within one process."""

import contextlib
import threading

# Told to those who found no place, in seconds.
RETRY_SECONDS = 30


class Busy(Exception):
    """The request was refused before it cost anything; str() says why.

    `seconds` is how long the client should wait.
    """

    def __init__(self, reason, seconds=RETRY_SECONDS):
        super().__init__(reason)
        self.seconds = seconds


class Turns:
    """At most `running` at a time; `waiting` more wait, each for `seconds`.

    Who waits holds a thread of the server, so their number is bounded as well.
    `what` names the work in the message of Busy.
    """

    def __init__(self, what, running, waiting, seconds):
        self._what = what
        self._seconds = seconds
        self._places = threading.Semaphore(running + waiting)
        self._running = threading.Semaphore(running)

    @contextlib.contextmanager
    def taken(self):
        """Does the block when it is its turn; raises Busy when that takes long."""
        if not self._places.acquire(blocking=False):
            raise Busy("too many wait for " + self._what)
        try:
            if not self._running.acquire(timeout=self._seconds):
                raise Busy("waited too long for " + self._what)
            try:
                yield
            finally:
                self._running.release()
        finally:
            self._places.release()
