# SPDX-License-Identifier: Apache-2.0
"""Just enough of the Test Anything Protocol for prove."""

import sys


class Tap:
    """Prints a line per check; finish() prints the plan."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def ok(self, good, name, *details):
        """One check; `details` are printed when it failed."""
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}",
              flush=True)
        if not good:
            for detail in details:
                self.note(detail)
        return good

    def note(self, text):
        for line in str(text).splitlines():
            print(f"# {line}", flush=True)

    def skip_all(self, why):
        print(f"1..0 # SKIP {why}")
        return 0

    def bail_out(self, why):
        print(f"Bail out!  {str(why).splitlines()[0]}")
        print(why, file=sys.stderr)
        return 255

    def finish(self):
        print(f"1..{self.count}")
        return 1 if self.failed else 0
