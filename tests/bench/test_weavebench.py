# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the bench, on numbers worked out by hand."""

import asyncio
import io
import os
import subprocess
import sys
import unittest
from contextlib import redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from weavebench import (callgrind, events, maintenance,  # noqa: E402
                        memory, paced, peers, process, releases, report,
                        rounds, servers, targets, wrk)
from weavebench.tap import Tap  # noqa: E402
from weavebench.workloads import MAINTENANCE, WORKLOADS  # noqa: E402


def sample(rps, cpu_us, errors=0):
    return {"requests": rps, "rps": rps, "cpu_us": cpu_us, "p50_us": 500,
            "p99_us": 2000, "voluntary": 1, "involuntary": 0.5,
            "errors": errors, "bad_status": 0,
            "other_cpu_percent": 0.0, "threads": {}}


ROWS = {
    # the machine was half as quick in the second round
    "floor": [sample(40000, 25), sample(20000, 50), sample(40000, 25)],
    "weave": [sample(32000, 30), sample(16000, 60), sample(36000, 25)],
    "mod_wsgi": [sample(16000, 60), sample(8000, 120), sample(16000, 50)],
}


def described(rows=None, workload="hello"):
    rows = rows or ROWS
    return rounds.describe(rows, WORKLOADS[workload], 16,
                           [servers.SERVERS[name] for name in rows])


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

    def test_workers_are_judged_by_their_own_rows(self):
        rows = {"floor": ROWS["floor"], "workers": ROWS["weave"],
                "proxy_uwsgi": ROWS["mod_wsgi"], "nginx": ROWS["floor"]}
        found = {row["title"]: row["verdict"] for row in targets.judge(
            self.report([described(rows)])) if row["server"] == "workers"}
        self.assertEqual(found["hello c=16: throughput ÷ proxy_uwsgi"],
                         "PASS")
        self.assertEqual(found["hello c=16: throughput ÷ nginx"], "below")
        self.assertEqual(found["hello c=16: throughput ÷ wsgi_daemon"],
                         "not measured")

    def test_a_floor_in_both_modes_is_no_confusion(self):
        rows = {name: ROWS[name] for name in ("floor", "mod_wsgi")}
        found = self.verdicts(self.report([described(rows), described()]))
        self.assertEqual(found["hello c=16: throughput ÷ mod_wsgi"], "PASS")

    def test_steady(self):
        row = {"server": "workers", "event": "graceful", "failed": 0,
               "slowest_ms": 151.0, "undone": 0}
        other = dict(row, server="floor", failed=5)
        found = self.verdicts(dict(self.report(), steady=[other, row]))
        self.assertEqual(found["graceful: failed requests"], "PASS")
        self.assertEqual(found["graceful: slowest answer, ms"], "below")
        self.assertEqual(found["weavectl reload: failed requests"],
                         "not measured")

    def test_releases(self):
        row = {"failed": 0, "load": 0.5, "p99_ms": 40.0, "slowest_ms": 149.0,
               "took_s": 2.5, "start_s": 0.6}
        still = dict(row, event=releases.UNDISTURBED)
        rows = [dict(row, event="install"),
                dict(row, event="rollback", failed=1, slowest_ms=151.0),
                # a machine with other work: what it does by itself counts
                dict(row, event="import error", load=3, slowest_ms=900.0),
                dict(row, event="warm-up 500", load=3, p99_ms=61.0,
                     slowest_ms=151.0)]
        for one in rows:
            one["beyond"] = releases.beyond(one, [still, *rows])
        found = self.verdicts(dict(self.report(), releases={
            "rows": rows, "listing": {"ms": 101, "min": 90, "max": 400,
                                      "load": 1, "cpu_ms": 60}}))
        slow = "slowest answer ÷ what it may be"
        for title, verdict in (
                ("install: failed requests", "PASS"),
                (f"install: {slow}", "PASS"),
                ("rollback: failed requests", "below"),
                (f"rollback: {slow}", "below"),
                ("rollback: s, without the application's start", "PASS"),
                (f"import error: {slow}", "PASS"),
                (f"warm-up 500: {slow}", "below"),
                (f"bad signature: {slow}", "not measured"),
                ("weavectl releases with 50 of them: ms", "below")):
            self.assertEqual(found[title], verdict, title)

    def test_memory(self):
        sizes = {"python": {"rss_kb": 10240, "pss_kb": 7168},
                 "workers": {"rss_kb": 11776, "pss_kb": 11264}}
        self.assertEqual(memory.over_python(sizes, "workers", "rss_kb"), 1.5)
        self.assertIsNone(memory.over_python({}, "workers", "rss_kb"))
        found = self.verdicts(dict(self.report(), memory=sizes))
        self.assertEqual(found["idle worker over plain Python: MB of RSS"],
                         "PASS")
        self.assertEqual(found["idle worker over plain Python: MB of PSS"],
                         "below")


OFF = {"server": "weave", "requests": 9000, "clock_p50": 30, "p50": 90,
       "p90": 200, "loop": {"median": 30.0, "min": 29.0, "max": 51.0}}


class Maintenance(unittest.TestCase):
    def test_its_sets_are_judged_for_each_server(self):
        rows = {"floor": ROWS["floor"], "weave": ROWS["weave"]}
        found = rounds.describe(rows, MAINTENANCE, 16, [
            servers.SERVERS[name] for name in rows])
        judged = {(row["server"], row["title"]): row["verdict"] for row in
                  targets.judge({"sets": [found], "instructions": {}})}
        title = "maintenance c=16: throughput ÷ floor"
        self.assertEqual(judged["weave", title], "below")
        self.assertEqual(judged["workers", title], "not measured")

    def test_a_request_asks_twice(self):
        def verdict(**changed):
            row = {**OFF, **changed}
            return next(found for found in targets.judge(
                {"sets": [], "instructions": {}, "maintenance": [row]})
                if found["title"] == "maintenance off: ns a request, in a loop"
                and found["server"] == "weave")
        found = verdict()
        self.assertEqual((found["reached"], found["max"], found["verdict"]),
                         (58, 102, "PASS"))
        slow = {"median": 55.0, "min": 50.5, "max": 60.0}
        self.assertEqual(verdict(loop=slow)["verdict"], "below")
        self.assertEqual(verdict(server="workers")["verdict"], "not measured")

    def test_answers_are_alike_but_for_numbers_and_date(self):
        one, other = (
            b"HTTP/1.1 503 Service Unavailable\r\nDate: %b\r\n"
            b"Retry-After: %b\r\n\r\nbody" % texts for texts in
            ((b"Wed, 25 Nov", b"1800"), (b"Thu, 26 Nov", b"1871")))
        self.assertEqual(maintenance.shape(one), maintenance.shape(other))
        self.assertNotEqual(maintenance.shape(one),
                            maintenance.shape(one.replace(b"1800", b"60")))
        self.assertNotEqual(maintenance.shape(one),
                            maintenance.shape(one + b"!"))

    def test_the_child_with_most_requests_speaks_for_them(self):
        few = {"pid": 1, "requests": 1, "clock_p50": 60, "p50": 900,
               "p90": 900, "loop": 31.0}
        most = {"pid": 2, "requests": 5000, "clock_p50": 30, "p50": 90,
                "p90": 200, "loop": 29.0}
        found = maintenance.digest([few, most, few])
        self.assertEqual((found["requests"], found["p50"]), (5000, 90))
        self.assertEqual(found["loop"],
                         {"median": 31.0, "min": 29.0, "max": 31.0})

    def test_a_status_that_is_expected_is_no_error(self):
        said = {"requests": 10, "status": 10}
        self.assertEqual(wrk.wrong(said, MAINTENANCE), 0)
        self.assertEqual(wrk.wrong(dict(said, status=7), MAINTENANCE), 3)
        self.assertEqual(wrk.wrong(said, WORKLOADS["hello"]), 10)

    def test_tables(self):
        found = {"maintenance": [
            dict(OFF, python="cannot be imported", python_cpu_us=None),
            dict(OFF, server="workers", python="2 workers stopped",
                 python_cpu_us=0.0)]}
        self.assertIn("| 2 workers stopped  | 0.00 ",
                      report.maintenance(found))
        self.assertIn("| weave           | 30.0 (29.0..51.0) ",
                      report.off(found))
        self.assertIn(" 60 ", report.off(found))


class Paced(unittest.TestCase):
    PLAN = paced.Plan(8080, "/", b"ok")

    def test_kept_and_fresh_in_turn_and_some_posts(self):
        requests = [self.PLAN.request(number) for number in range(16)]
        closing = [b"Connection: close" in one for one in requests]
        self.assertEqual(closing, [True, False] * 8)
        posts = [number for number, one in enumerate(requests)
                 if one.startswith(b"POST")]
        self.assertEqual(posts, [0, 1, 8, 9])
        gets = paced.Plan(8080, "/", b"ok", posts=False)
        self.assertTrue(all(gets.request(number).startswith(b"GET / ")
                            for number in range(16)))

    def test_answers(self):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
        parse = paced.Answer.parse
        self.assertEqual(parse(head + b"\r\nok", False),
                         paced.Answer(200, b"ok", True))
        self.assertFalse(
            parse(head + b"Connection: close\r\n\r\nok", False).keep)
        self.assertIsNone(parse(head + b"\r\no", False))
        self.assertIsNone(parse(head, False))
        self.assertEqual(parse(b"HTTP/1.0 503 No\r\n\r\nx", True),
                         paced.Answer(503, b"x", False))

    def test_what_is_cut_is_broken(self):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
        for data in (b"", b"HTTP/1.1", head + b"\r\no"):
            with self.assertRaises(paced.Broken):
                paced.Answer.parse(data, True)

    def test_summary(self):
        found = paced.summary([(0, 0.02, None), (1, 0.1, "x"), (2, 0.03,
                                                                None)])
        self.assertEqual((found["requests"], found["failed"]), (3, 1))
        self.assertEqual(found["failures"], {"x": 1})
        self.assertAlmostEqual(found["slowest_ms"], 100)
        self.assertAlmostEqual(found["p50_ms"], 30)
        self.assertAlmostEqual(found["p99_ms"], 100)

    def serve(self, behave, count=2 * paced.KEPT + 8, in_turn=True):
        """A Load of `count` requests to a server that behaves so.

        In turn each begins when the one before it has ended, so that what
        is kept and used again does not hang on the machine's speed.
        """
        async def run():
            server = await asyncio.start_server(behave, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            load = paced.Load(paced.Plan(port, "/", b"ok", rate=1000,
                                         seconds=count / 1000, posts=False))
            if in_turn:
                for number in range(count):
                    await load.one(number)
            else:
                await load.run()
            for connection in list(load.idle):
                connection.close()
            server.close()
            await asyncio.sleep(0.02)  # what was closed is gone
            return load
        return asyncio.run(run())

    async def answer(self, reader, writer):
        """Whether another request may follow."""
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return b"close" not in request

    def test_kept_connections_are_used_again(self):
        made = []

        async def behave(reader, writer):
            made.append(writer)
            try:
                while await self.answer(reader, writer):
                    pass
            except asyncio.IncompleteReadError:
                pass
            writer.close()
        load = self.serve(behave, 200)
        self.assertFalse(paced.summary(load.rows)["failed"])
        self.assertEqual(load.resent, 0)
        self.assertEqual(len(made), 100 + paced.KEPT)

    def test_a_connection_closed_when_reused_is_sent_again(self):
        async def behave(reader, writer):
            if await self.answer(reader, writer):
                try:
                    await reader.readuntil(b"\r\n\r\n")
                except asyncio.IncompleteReadError:
                    pass
            writer.close()
        load = self.serve(behave)
        self.assertFalse(paced.summary(load.rows)["failed"])
        self.assertEqual(load.resent, 4)

    def test_a_fresh_connection_closed_is_a_failure(self):
        async def behave(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.close()
        load = self.serve(behave, 10, in_turn=False)
        self.assertEqual(paced.summary(load.rows)["failed"], 10)
        self.assertEqual(load.resent, 0)


class Events(unittest.TestCase):
    def test_replaced(self):
        self.assertTrue(events.replaced(lambda: [3, 4], [1, 2], 2)())
        self.assertFalse(events.replaced(lambda: [2, 3], [1, 2], 2)())
        self.assertFalse(events.replaced(lambda: [3], [1, 2], 2)())
        self.assertFalse(events.replaced(lambda: [3, 4, 5], [1, 2], 2)())

    def test_every_server_is_one(self):
        for event in events.EVENTS:
            self.assertIn(event.server, servers.SERVERS)


class Servers(unittest.TestCase):
    def test_modes(self):
        self.assertEqual(
            [name for name, server in servers.SERVERS.items()
             if "embedded" in server.modes], ["floor", "weave", "mod_wsgi"])

    def test_configurations_fill_in(self):
        values = dict(root="/r", socket="/s", port=1, processes=2, threads=3,
                      backlog=4, keep_alive=5, virtualenv="/v",
                      application="/a", identity="", parameters="p;")
        for template in (peers.UWSGI, peers.GUNICORN, peers.NGINX):
            self.assertNotIn("{root}", template.format(**values))
        compile(peers.GUNICORN.format(**values), "conf.py", "exec")


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

    def test_steady_and_memory_have_tables(self):
        row = {"event": "graceful", "server": "workers", "times": 1,
               "requests": 1600, "failed": 2, "failures": {"cut": 2},
               "resent": 3, "p50_ms": 21.0, "slowest_ms": 88.0,
               "settled_s": None, "undone": 1, "late_ms": 80.0}
        found = {"machine": {}, "sets": [], "instructions": {},
                 "servers": {}, "options": {"rounds": 3, "seconds": 1},
                 "steady": [row],
                 "memory": {name: {"rss_kb": size, "pss_kb": size,
                                   "private_kb": size}
                            for name, size in (("python", 10240),
                                               ("workers", 12288))}}
        found["targets"] = targets.judge(found)
        text = report.text(found)
        self.assertIn("2 x cut", text)
        self.assertIn("not always", text)
        self.assertIn("80 ms late", text)
        self.assertIn("| workers      | 12.0 ", text)
        self.assertIn("| mod_weave workers ", text)
        self.assertNotIn("| mod_weave embedded ", text)


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

    def test_asking_is_both_functions_each_once(self):
        ask, again = callgrind.ASKING
        few = {(ask, "mod_weave.so"): 1000, (ask, ""): 1000, ("x", ""): 9}
        many = {(ask, "mod_weave.so"): 2200, (ask, ""): 2200,
                (again, "mod_weave.so"): 500, ("x", ""): 99999}
        self.assertEqual(callgrind.asking(few, many, (10, 20)), 170)


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
        self.assertEqual(process.usage([busy.pid]).threads, {})

    def test_tree_and_footprint(self):
        with subprocess.Popen(["cat", "-"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as child:
            try:
                # it runs: before that, Linux has no command line for it
                child.stdin.write(b"up\n")
                child.stdin.flush()
                self.assertEqual(child.stdout.readline(), b"up\n")
                self.assertIn(child.pid, process.tree(os.getpid()))
                found = process.footprint(child.pid)
                self.assertEqual(found["threads"], 1)
                self.assertGreaterEqual(found["fds"], 3)
                self.assertEqual(found["memfds"], 0)
                self.assertIn(child.pid, process.children(os.getpid()))
                self.assertEqual(process.command(child.pid), "cat -")
                self.assertIn(child.pid, process.titled("cat", "-"))
                self.assertTrue(process.alive(child.pid))
                sizes = process.memory(child.pid)
                self.assertLessEqual(sizes["pss_kb"], sizes["rss_kb"])
            finally:
                child.kill()
        self.assertIsNone(process.footprint(child.pid))
        self.assertIsNone(process.memory(child.pid))
        self.assertFalse(process.alive(child.pid))

    def test_memfds_are_counted(self):
        before = process.footprint(os.getpid())["memfds"]
        memory_file = os.memfd_create("weave-test")
        try:
            self.assertEqual(process.footprint(os.getpid())["memfds"],
                             before + 1)
        finally:
            os.close(memory_file)


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
