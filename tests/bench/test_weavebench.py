# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the bench, on numbers worked out by hand."""

import io
import os
import subprocess
import sys
import unittest
from contextlib import redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from weavebench import (callgrind, process, report, rounds,  # noqa: E402
                        servers, targets)
from weavebench.tap import Tap  # noqa: E402
from weavebench.workloads import WORKLOADS  # noqa: E402


def sample(rps, cpu_us, errors=0):
    return {"requests": rps, "rps": rps, "cpu_us": cpu_us, "p50_us": 500,
            "p99_us": 2000, "voluntary": 1, "involuntary": 0.5,
            "errors": errors, "bad_status": 0,
            "other_cpu_percent": 0.0}


ROWS = {
    # the machine was half as quick in the second round
    "floor": [sample(40000, 25), sample(20000, 50), sample(40000, 25)],
    "weave": [sample(32000, 30), sample(16000, 60), sample(36000, 25)],
    "mod_wsgi": [sample(16000, 60), sample(8000, 120), sample(16000, 50)],
}
CHOSEN = [servers.SERVERS[name] for name in ROWS]


def described(rows=None, workload="hello"):
    return rounds.describe(rows or ROWS, WORKLOADS[workload], 16, CHOSEN)


class Rounds(unittest.TestCase):
    def test_ratios_pair_within_the_round(self):
        found = described()["ratios"]
        self.assertEqual(found["weave/mod_wsgi"]["rps"],
                         {"median": 2.0, "min": 2.0, "max": 2.25})
        self.assertEqual(found["weave/mod_wsgi"]["cpu_us"]["max"], 0.5)
        self.assertEqual(found["weave/floor"]["rps"]["median"], 0.8)

    def test_a_floor_that_doubles_is_still_kept(self):
        self.assertFalse(described()["thrown_away"])

    def test_a_floor_that_spreads_more_throws_the_set_away(self):
        rows = dict(ROWS, floor=[sample(40000, 25), sample(19000, 50),
                                 sample(40000, 25)])
        self.assertTrue(described(rows)["thrown_away"])

    def test_no_ratio_to_a_floor_that_said_something_else(self):
        found = described(workload="cpu")["ratios"]
        self.assertIn("weave/mod_wsgi", found)
        self.assertNotIn("weave/floor", found)


class Targets(unittest.TestCase):
    def report(self, sets=None, over_floor=4000):
        return {"sets": [described()] if sets is None else sets,
                "instructions": {"hello": {
                    "weave": {"over_floor": over_floor}}}}

    def verdicts(self, found):
        return {row["title"]: row["verdict"] for row in targets.judge(found)}

    def test_verdicts(self):
        found = self.verdicts(self.report())
        self.assertEqual(found["hello c=16: throughput ÷ mod_wsgi"], "PASS")
        self.assertEqual(found["hello c=16: CPU ÷ mod_wsgi"], "PASS")
        self.assertEqual(found["hello: instructions over the floor"], "PASS")
        self.assertEqual(found["env c=16: throughput ÷ mod_wsgi"],
                         "not measured")
        self.assertEqual(found["hello c=48: throughput ÷ floor"],
                         "not measured")

    def test_below(self):
        rows = dict(ROWS, weave=ROWS["mod_wsgi"])
        found = self.verdicts(self.report([described(rows)], 15001))
        self.assertEqual(found["hello c=16: throughput ÷ mod_wsgi"], "below")
        self.assertEqual(found["hello c=16: CPU ÷ mod_wsgi"], "below")
        self.assertEqual(found["hello: instructions over the floor"],
                         "below")

    def test_a_set_thrown_away_gives_no_verdict(self):
        found = dict(described(), thrown_away=True)
        self.assertEqual(
            self.verdicts(self.report([found]))
            ["hello c=16: throughput ÷ mod_wsgi"], "not measured")


class Report(unittest.TestCase):
    def test_text_has_every_server_and_verdict(self):
        rows = dict(ROWS, weave=[sample(1, 30, errors=7)] * 3)
        found = {"machine": {"cpu": "test"}, "sets": [described(rows)],
                 "options": {"rounds": 3, "seconds": 1},
                 "instructions": {}, "servers": {}}
        found["targets"] = targets.judge(found)
        text = report.text(found)
        self.assertIn("| mod_wsgi ", text)
        self.assertIn("below", text)
        self.assertIn("weave had 7 errors", text)
        self.assertIn("not to publish", text)


class Callgrind(unittest.TestCase):
    def test_rows_of_callgrind_annotate(self):
        row = callgrind.FUNCTION_ROW.match
        with_object = row("1,234 (12.3%)  src/a b.c:call_app [/x/eng-3.11.so]")
        self.assertEqual(with_object.groups(),
                         ("1,234", "src/a b.c", "call_app",
                          "/x/eng-3.11.so"))
        self.assertEqual(
            row("56 ( 0.01%)  ???:0x000000000001f0 [/lib/libc.so.6]")[3],
            "0x000000000001f0")
        self.assertEqual(row("7  loop.c:main")[3], "main")
        self.assertIsNone(row("258,110,119 (100.0%)  PROGRAM TOTALS"))

    def test_two_counts_are_subtracted(self):
        self.assertEqual(callgrind.per_request(1500, 5500, (10, 20)), 400)


class Process(unittest.TestCase):
    def test_usage_sees_what_a_process_spends(self):
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) \
                as busy:
            try:
                before = process.usage([busy.pid])
                while process.usage([busy.pid]).since(before)[0] < 50000:
                    pass
            finally:
                busy.kill()
        self.assertEqual(process.usage([busy.pid]).cpu_ns, {})

    def test_tree_and_footprint(self):
        with subprocess.Popen(["sleep", "30"]) as child:
            try:
                self.assertIn(child.pid, process.tree(os.getpid()))
                found = process.footprint(child.pid)
                self.assertEqual(found["threads"], 1)
                self.assertGreaterEqual(found["fds"], 3)
            finally:
                child.kill()
        self.assertIsNone(process.footprint(child.pid))


class TapOutput(unittest.TestCase):
    def test_failure_and_plan(self):
        tap, output = Tap(), io.StringIO()
        with redirect_stdout(output):
            tap.ok(True, "one")
            tap.ok(False, "two", "because")
            status = tap.finish()
        self.assertEqual(status, 1)
        self.assertEqual(output.getvalue(),
                         "ok 1 - one\nnot ok 2 - two\n# because\n1..2\n")


if __name__ == "__main__":
    unittest.main()
