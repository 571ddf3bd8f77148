# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the parts that measure weave.server."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from weavebench import python_cpu, report, scale, syncs, targets  # noqa: E402


def python_round(now, before):
    return {"now": {"cpu_us": now, "database_us": 0.0},
            "before": {"cpu_us": before, "database_us": 0.0}}


class PythonCpu(unittest.TestCase):
    def rows(self):
        # the machine was half as quick in the second round
        rounds = [python_round(200.0, 800.0), python_round(400.0, 1600.0)]
        return list(python_cpu.rows_of("sqlite", {"info/collections": rounds}))

    def test_ratios_pair_within_the_round(self):
        row, = self.rows()
        self.assertEqual(row["ratio"],
                         {"median": 0.25, "min": 0.25, "max": 0.25})

    def test_the_quickest_round_counts(self):
        rows = targets.judge({"python": self.rows()},
                             [targets.PythonTarget("sqlite", 250),
                              targets.PythonTarget("mariadb", 450)])
        self.assertEqual([row["verdict"] for row in rows],
                         ["PASS", "not measured"])

    def test_the_table_shows_both(self):
        text = report.python({"python": self.rows()})
        self.assertIn("300 (200..400)", text)
        self.assertIn("1,200 (800..1,600)", text)


def scale_round(few, many):
    return {10: {"cost_us": few, "wall_us": few},
            1000: {"cost_us": many, "wall_us": many}}


class Scale(unittest.TestCase):
    def rows(self, many):
        rounds = {"quick": [scale_round(100.0, 110.0)],
                  "slow": [scale_round(100.0, many), scale_round(1000.0, many)]}
        return list(scale.rows_of("mariadb", rounds, (10, 1000)))

    def test_the_dearest_request_is_judged(self):
        for many, verdict in ((300.0, "PASS"), (3000.0, "below")):
            row, = targets.judge({"scale": self.rows(many)},
                                 [targets.ScaleTarget("mariadb", 2)])
            self.assertEqual(row["verdict"], verdict)

    def test_requests_of_a_sync(self):
        asked = scale.requests([f"id{number}" for number in range(100)], 12305)
        self.assertEqual(asked["newer, 100"]["query"], "full=1&newer=123.05")

    def test_the_table_shows_the_counts(self):
        self.assertIn("CPU ms, 10 ", report.scale({"scale": self.rows(300.0)}))


class Syncs(unittest.TestCase):
    def row(self):
        rows = [("newer", 0.001 * (1 + i), None) for i in range(100)]
        rows += [("POST of 1", 0.5, "status 503")] * 2
        spent = {"workers": 51000.0, "httpd": 0.0, "database": 0.0}
        return {"database": "sqlite", "clients": 1, "sync": "change",
                "resent": 0, **syncs.summary(rows, 10.0, 8, spent)}

    def test_a_sync_under_way_counts_by_its_share(self):
        self.assertEqual(self.row()["syncs_per_s"], 100 / 8 / 10)

    def test_each_kind_of_request_has_its_latency(self):
        found = self.row()["kinds"]["newer"]
        self.assertAlmostEqual(found["p50_ms"], 51)
        self.assertAlmostEqual(found["p99_ms"], 100)
        self.assertEqual(self.row()["cpu_us"]["workers"], 500)

    def test_failures_are_shown_and_judged(self):
        found = {"sync": [self.row()]}
        self.assertIn("2 x status 503", report.syncs(found))
        self.assertIn("POST of 1", report.sync_requests(found))
        row, = targets.judge(found, [targets.SyncTarget("sqlite")])
        self.assertEqual((row["verdict"], row["reached"]), ("below", 2))

    def test_a_first_sync_stores_5000_records(self):
        self.assertEqual(sum(posts for _, posts in syncs.FIRST)
                         * syncs.POSTED, 5000)


class Bounds(unittest.TestCase):
    FOUND = {"bounds": [{
        "database": "sqlite",
        "list": {"worker_kb": 5120, "httpd_kb": 100, "first_byte_s": 0.25,
                 "seconds": 2.0, "bytes": 10**8},
        "guesses": {"without_50": 4.0, "beside_50": 5.0, "without_99": 10.0,
                    "beside_99": 25.0, "guess_cpu_us": 400.0, "ratio": 2.5, "ratios": [1.5, 2.5, 3.0],
                    "failed": 0, "guesses": 1200, "refused": 20,
                    "put_off": 1180}}]}

    def test_verdicts(self):
        rows = targets.judge(self.FOUND, [
            targets.BoundTarget("sqlite", "list", 20),
            targets.BoundTarget("sqlite", "guesses", 2),
            targets.BoundTarget("mariadb", "list", 20)])
        self.assertEqual([row["verdict"] for row in rows],
                         ["PASS", "below", "not measured"])

    def test_tables(self):
        self.assertIn("5.00", report.bounds(self.FOUND))
        self.assertIn("2.50 (1.50..3.00)", report.guesses(self.FOUND))


if __name__ == "__main__":
    unittest.main()
