# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the parts that measure weave.server."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from weavebench import python_cpu, report, scale, targets  # noqa: E402


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


if __name__ == "__main__":
    unittest.main()
