# SPDX-License-Identifier: Apache-2.0
"""The report of the doctor: one sentence for each thing that was checked."""

from weave.server.config import printable


# How workers get to see a sync.ini, or a file that it names, that has changed.
RELOAD = "`apachectl graceful && weavectl reload`"


class Stop(Exception):
    """Nothing further can be checked; the reason is in the report already."""


class Report:
    """Prints each sentence when it is known, and counts them."""

    def __init__(self):
        self.wrong_count = 0
        self._ok_count = 0
        self._unknown = []

    def ok(self, text):
        self._ok_count += 1
        self._print("ok", text)

    def note(self, text):
        """Reports something that works, and that people should know."""
        self._print("note", text)

    def wrong(self, text, cure):
        """Reports something that keeps clients from syncing, and how to mend it."""
        self.wrong_count += 1
        self._print("WRONG", "%s: %s" % (text, cure))

    def unknown(self, what, why):
        """Something that could not be looked at."""
        self._unknown.append(what)
        self._print("-", "not checked: %s (%s)" % (what, why))

    def end(self):
        print(
            "%d ok, %d wrong, %d not checked"
            % (self._ok_count, self.wrong_count, len(self._unknown))
        )

    @staticmethod
    def _print(mark, text):
        print("%-5s %s" % (mark, printable(text)), flush=True)
