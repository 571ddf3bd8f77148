# SPDX-License-Identifier: Apache-2.0
"""The bench's figures of switches, by thread, of wake-ups and of --before."""

import os
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parent))

from test_weavebench import ROWS, described, sample  # noqa: E402
from weavebench import (machine, process, report, rounds,  # noqa: E402
                        servers, systemcalls, targets)

THREADS = {"weave-executor": {"cpu_us": 20, "voluntary": 1.5,
                              "involuntary": 0.5},
           "weaved": {"cpu_us": 0, "voluntary": 0, "involuntary": 0}}

# as perf trace -s writes it
SUMMARY = """
 Summary of events:

 weave-executor (7), 552 events, 0.4%

   syscall            calls  errors  total       min       avg       max
                                     (msec)    (msec)    (msec)    (msec)
   --------------- --------  ------ -------- --------- --------- ---------
   epoll_wait            92      0  1986.571     0.000    21.593   586.679
   recvmsg               92      0     1.384     0.012     0.015     0.026

 weave-executor (8), 12 events, 0.4%

   epoll_wait            50      0  1986.571     0.000    21.593   586.679
   futex                  1      1     0.000     0.000     0.000     0.000

 Passenger core (9), 12 events, 0.0%

   read                   5      0  1986.571     0.000    21.593   586.679
"""


class ByKind(unittest.TestCase):
    def test_threads_of_a_kind_are_summed(self):
        before = process.Usage({(1, 1): (5000, 1, 0), (1, 2): (1000, 2, 2),
                                (9, 9): (7000, 7, 7)})
        now = process.Usage({(1, 1): (7000, 2, 0), (1, 2): (4000, 5, 3),
                             (1, 3): (1000, 4, 0)})
        kinds = {(1, 1): "main", (1, 2): "executor", (1, 3): "executor"}
        self.assertEqual(now.by_kind(before, kinds), {
            "main": [2, 1, 0], "executor": [4, 7, 1]})
        self.assertEqual(now.since(before), (6, 8, 1))
        self.assertEqual(process.Usage({}).since(before), (0, 0, 0))

    def test_a_thread_that_waits_has_voluntary_switches(self):
        awake, tid = threading.Event(), []

        def wait():
            tid.append(threading.get_native_id())
            while not awake.wait(0.002):
                pass
        thread = threading.Thread(target=wait)
        before = process.usage([os.getpid()])
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                now = process.usage([os.getpid()])
                kinds = dict.fromkeys([(os.getpid(), one) for one in tid], "w")
                if now.by_kind(before, kinds).get("w", (0, 0))[1] >= 5:
                    break
            else:
                self.fail("no switches in 30 s")
        finally:
            awake.set()
            thread.join()

    def test_a_thread_is_of_the_kind_of_its_name(self):
        me = os.getpid()
        with open(f"/proc/{me}/comm", encoding="ascii") as file:
            self.assertEqual(process.thread_kinds([me])[me, me],
                             file.read().strip())
        self.assertEqual(process.httpd_thread_kind(me, me, "apache2",
                                                   "apache2"), "httpd main")
        self.assertEqual(process.httpd_thread_kind(me, 0, "apache2",
                                                   "wsgi-bench"), "wsgi-bench")

    def test_rows_have_medians_and_leave_out_the_idle(self):
        rows = [dict(sample(1, 1), threads=kinds) for kinds in
                (THREADS, {}, THREADS)]
        found = rounds.thread_rows(rows)
        self.assertEqual(found["weave-executor"]["voluntary"],
                         {"median": 1.5, "min": 0, "max": 1.5})
        text = report.threads({"sets": [{
            "workload": "hello", "connections": 16,
            "threads": {"workers": found}}]})
        self.assertIn("| weave-executor | 1.50 ", text)
        self.assertNotIn("weaved", text)

    def test_system_calls_of_threads_of_a_kind_are_summed(self):
        found = systemcalls.calls(SUMMARY.splitlines(),
                                  {7: "executor", 8: "executor"})
        self.assertEqual(found, {
            "executor": {"epoll_wait": 142, "recvmsg": 92, "futex": 1},
            "?": {"read": 5}})
        text = report.threads({"sets": [{
            "workload": "hello", "connections": 16,
            "calls": {"workers": {"weave-executor": {"recvmsg": 1.0,
                                                     "futex": 0.05}}},
            "threads": {"workers": rounds.thread_rows(
                [dict(sample(1, 1), threads=THREADS)])}}]})
        self.assertIn("| 1.05         | recvmsg 1.00 |", text)


class Targets(unittest.TestCase):
    def verdicts(self, rows, connections=16):
        found = dict(described(rows), connections=connections)
        return {row["title"]: row for row in targets.judge(
            {"sets": [found], "instructions": {}},
            targets.TARGETS + targets.BEFORE) if row["server"] == "workers"}

    def test_switches_are_no_ratio(self):
        rows = {"floor": ROWS["floor"],
                "workers": [dict(row, voluntary=count) for row, count in
                            zip(ROWS["weave"], (2.9, 3.1, 2.0))]}
        row = self.verdicts(rows)[
            "hello c=16: voluntary switches a request"]
        self.assertEqual((row["verdict"], row["reached"], row["bound"]),
                         ("PASS", 2.9, "≤"))

    def test_latency_of_one_client_beside_the_floor(self):
        rows = {"floor": ROWS["floor"],
                "workers": [dict(row, p50_us=950) for row in ROWS["weave"]]}
        title = "hello c=1: latency ÷ floor"
        row = self.verdicts(rows, 1)[title]
        self.assertEqual((row["verdict"], row["reached"]), ("below", 1.9))
        self.assertEqual(self.verdicts(rows)[title]["verdict"],
                         "not measured")

    def test_an_older_build_is_one_more_server(self):
        older = servers.before(Path("/older"))
        rows = {"workers": ROWS["weave"], "before": ROWS["mod_wsgi"]}
        found = rounds.describe(rows, SimpleNamespace(
            name="mix", mirrored=False), 16, [older])
        judged = {row["title"]: row["verdict"] for row in targets.judge(
            {"sets": [found], "instructions": {}}, targets.BEFORE)}
        self.assertEqual(judged["mix c=16: throughput ÷ before"], "PASS")
        self.assertEqual(judged["mix c=16: CPU ÷ before"], "PASS")
        self.assertEqual(judged["big c=16: CPU ÷ before"], "not measured")


class Passenger(unittest.TestCase):
    def test_processes_take_the_place_of_threads(self):
        made = []
        kept, servers.passenger = servers.passenger, \
            lambda bench, processes: made.append(processes)
        try:
            for threads in (servers.WORKER_THREADS, 32):
                servers.make_passenger(None, threads)
        finally:
            servers.passenger = kept
        self.assertEqual(made, [2, 64])


class Wakeup(unittest.TestCase):
    def test_a_wake_up_takes_time(self):
        with tempfile.TemporaryDirectory() as folder:
            found = machine.wakeup_us(SimpleNamespace(build=Path(folder)))
        self.assertGreater(found["wakeup_us_one_core"], 0)
        self.assertIn("wakeup_us_two_cores", found)


if __name__ == "__main__":
    unittest.main()
