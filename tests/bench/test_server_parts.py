# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the parts that measure weave.server."""

import asyncio
import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from weavebench import (python_cpu, report, scale, sync_client,  # noqa: E402
                        syncs, targets)


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

    def test_sync_1_5_pairs_with_1_1_within_the_round(self):
        rounds = {"info/collections": [python_round(200.0, 1.0), python_round(400.0, 1.0)],
                  "info/collections, 1.5": [{"now": one["now"]} for one in (
                      python_round(180.0, 0), python_round(480.0, 0))]}
        rows = list(python_cpu.rows_of("sqlite", rounds))
        self.assertEqual(rows[1]["of_11"], {"median": 1.05, "min": 0.9, "max": 1.2,
                                            "least": 0.9})
        self.assertIn("1.05 (0.90..1.20)", report.python({"python": rows}))
        row, = targets.judge({"python": rows}, [targets.Beside11Target("sqlite")])
        self.assertEqual((row["verdict"], row["reached"], row["max"]), ("PASS", 0.9, 1.2))

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
        return {"database": "sqlite", "clients": 1, "protocol": "1.1",
                "sync": "change",
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


class Answering:
    """A client whose server says yes to everything, as far as syncs look at it."""

    name, number, last = "user7", 7, "0.00"

    def __init__(self):
        self.asked, self.times = [], {}

    async def call(self, kind, method, path, body=None, expect=(200,), headers=None):
        self.asked.append((method, path, headers, body))
        answer = {"failed": {}, "success": body, "batch": "b=1", "modified": 12.34}
        if "newer=" in path or path.startswith("storage/clients?full"):
            answer = []
        elif path == "info/collections":
            answer = {"bookmarks": 11.5}
        return sync_client.Answer(200, {
            "x-weave-timestamp": "12.34", "x-last-modified": "12.34",
            "x-weave-records": "0"}, json.dumps(answer).encode())


class Protocols(unittest.TestCase):
    def test_the_number_of_requests(self):
        for name, protocol in syncs.PROTOCOLS.items():
            for sync, (act, requests) in protocol.syncs.items():
                client = Answering()
                asyncio.run(act(client))
                self.assertEqual(len(client.asked), requests, (name, sync))

    def test_a_batch_of_1_5(self):
        client = Answering()
        asyncio.run(syncs.first15(client))
        posts = [(path.partition("?")[2], headers["X-If-Unmodified-Since"], len(body))
                 for method, path, headers, body in client.asked
                 if method == "POST" and "/history" in path]
        self.assertEqual(posts[0], ("batch=true", "0", 100))
        self.assertEqual(posts[1], ("batch=b%3D1", "12.34", 100))
        self.assertEqual(posts[-1], ("batch=b%3D1&commit=true", "12.34", 100))
        self.assertEqual(len(posts), 20)


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
