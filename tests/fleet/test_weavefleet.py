# SPDX-License-Identifier: Apache-2.0
"""A small fleet: what must hold whatever the figures are."""

import dataclasses
import re
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from weavefleet import clients, figures, plot, server  # noqa: E402
from weavefleet.simulation import Simulation  # noqa: E402

KEYS = HERE.parent.parent / "src" / "core" / "weave_keys.def"
SIZE = 2000
SEED = 1
_done = {}


def default_spread():
    """What sync.ini has when it says nothing."""
    found = re.search(r'WEAVE_KEY\(MAINTENANCE_SPREAD,[^)]*?"(\d+) %"',
                      KEYS.read_text(encoding="utf-8"))
    return int(found.group(1))


def done(scenario, fleet, spread=0):
    """A run of the small fleet, made once."""
    key = scenario, fleet, spread
    if key not in _done:
        _done[key] = Simulation(
            dataclasses.replace(clients.FLEETS[fleet], size=SIZE),
            dataclasses.replace(server.SCENARIOS[scenario], spread=spread),
            SEED).run()
    return _done[key]


def every_run():
    for scenario in server.SCENARIOS:
        for fleet in clients.FLEETS:
            for spread in (0, default_spread()):
                yield (scenario, fleet, spread), done(scenario, fleet, spread)


class Runs(unittest.TestCase):
    def test_the_same_seed_is_the_same_run(self):
        first = done("entry", "mixed", 20)
        again, other = (Simulation(first.fleet, first.answers, seed).run()
                        for seed in (SEED, SEED + 1))
        for name in ("served", "refused", "delays"):
            self.assertEqual(getattr(first, name), getattr(again, name))
            self.assertNotEqual(getattr(first, name), getattr(other, name))

    def test_nobody_is_served_while_on(self):
        for key, run in every_run():
            during = slice(server.BEGIN, server.END)
            self.assertEqual(sum(run.served[during]), 0, key)
            self.assertGreater(sum(run.refused[during]), 0, key)

    def test_nobody_is_refused_otherwise(self):
        for key, run in every_run():
            self.assertEqual(sum(run.refused[:run.answers.begin]), 0, key)
            self.assertEqual(sum(run.refused[server.END:]), 0, key)

    def test_whoever_was_refused_comes_back(self):
        for key, run in every_run():
            self.assertGreater(run.refused_clients, SIZE / 5, key)
            self.assertEqual(run.returned_clients, run.refused_clients, key)
            self.assertGreaterEqual(run.delays[0], 0, key)

    def test_spread_lowers_the_peak(self):
        spread = default_spread()
        for scenario in ("for", "entry"):
            for fleet in ("fuzzed", "mixed", "exact"):
                without, with_it = (
                    figures.read(done(scenario, fleet, some)).peak_10s
                    for some in (0, spread))
                self.assertLess(with_it, without, (scenario, fleet))

    def test_without_spread_the_obedient_come_in_one_second(self):
        run = done("for", "exact")
        self.assertLess(figures.quantile(run.delays, 0.9), 1)
        self.assertGreater(figures.read(run).peak_1s, 50)

    def test_the_hour_after_the_end_has_as_many_requests_as_any(self):
        for key, run in every_run():
            later = run.served[server.END:server.UNTIL]
            ratio = sum(later) / len(later) / figures.read(run).normal
            self.assertTrue(0.8 < ratio < 1.2, (key, ratio))


class Answers(unittest.TestCase):
    def test_spread_0_adds_nothing(self):
        self.assertEqual(server.Server().seconds(server.BEGIN, None), 1800)
        known = server.Server(known_end=True)
        self.assertEqual(known.seconds(server.END - 900, None), 900)

    def test_spread_is_between_nothing_and_its_share(self):
        for spread, most in ((5, 90), (20, 360), (100, 1800)):
            answers = server.Server(spread=spread)
            for draw, added in ((0.0, 0), (0.999999, most)):
                self.assertEqual(
                    answers.seconds(server.BEGIN, lambda: draw),
                    1800 + added)

    def test_spread_is_at_least_five_seconds(self):
        answers = server.Server(known_end=True, spread=5)
        self.assertEqual(
            answers.seconds(server.END - 60, lambda: 0.999999), 65)

    def test_nobody_is_asked_to_come_before_the_end(self):
        answers = server.Server(known_end=True)
        for tenth in range(10 * server.BEGIN, 10 * server.END):
            seconds = answers.seconds(tenth / 10, None)
            self.assertIsInstance(seconds, int)
            self.assertGreaterEqual(seconds, server.FOR_LEAST_S)
            self.assertGreaterEqual(tenth / 10 + seconds, server.END)

    def test_the_entry(self):
        answers = server.SCENARIOS["entry"]
        for now, first, served, told in (
                (server.CALM - 1, True, True, False),
                (server.CALM, True, True, True),
                (server.BEGIN - server.DRAIN_S, True, False, True),
                (server.BEGIN - server.DRAIN_S, False, True, True),
                (server.BEGIN, False, False, True),
                (server.END, True, True, False)):
            ok, seconds = answers.answer(now, first, None)
            self.assertEqual((ok, seconds > 0), (served, told), now)


class Clients(unittest.TestCase):
    def test_the_mix_is_all_of_them(self):
        intervals = clients.Fleet(size=1000).intervals()
        self.assertEqual(len(intervals), 1000)
        for _, seconds, share in clients.MIX:
            self.assertEqual(intervals.count(seconds), round(1000 * share))

    def test_the_share_of_the_exact(self):
        for share in (0.0, 0.1, 1.0):
            fleet = clients.Fleet(size=1000, exact=share)
            found = sum(fleet.is_exact(client) for client in range(1000))
            self.assertEqual(found, 1000 * share)

    def test_how_long_they_wait(self):
        for fleet, most in ((clients.FLEETS["fuzzed"], 125),
                            (clients.FLEETS["exact"], 100)):
            self.assertEqual(fleet.told_wait(7, 100, lambda: 0.0), 100)
            self.assertEqual(fleet.told_wait(7, 100, lambda: 1.0), most)

    def test_a_sync_that_was_cut_off_costs_a_quarter_of_an_hour(self):
        for fleet in clients.FLEETS.values():
            self.assertEqual(fleet.cut_off_wait(7, 60, lambda: 0.0), 900)
            self.assertGreaterEqual(
                fleet.cut_off_wait(7, 3600, lambda: 0.0), 3600)


class Figures(unittest.TestCase):
    def test_binned(self):
        self.assertEqual(figures.binned([1, 3, 2, 0, 9], 2), (2.0, 1.0))

    def test_quantile(self):
        self.assertEqual(figures.quantile([], 0.5), 0.0)
        self.assertEqual(figures.quantile([1, 2, 3, 4], 0.5), 3)
        self.assertEqual(figures.quantile([1, 2, 3, 4], 1.0), 4)

    def test_text_and_scripts_name_every_case(self):
        one = figures.read(done("for", "fuzzed"))
        found = {(scenario, fleet, spread): [one]
                 for scenario, fleets in figures.CASES.items()
                 for fleet in fleets
                 for spread in plot.SHOWN_SPREADS}
        text = figures.text(found, plot.SHOWN_SPREADS)
        for title in (*figures.FLEET_TITLES.values(),
                      *figures.SCENARIO_TITLES.values()):
            self.assertIn(title, text)
        script = plot.rate_script(found, "rate.png")
        self.assertEqual(script.count("with lines lw"), 6)
        script = plot.spread_script(found, plot.SHOWN_SPREADS, "spread.png")
        self.assertEqual(script.count("$mixed"), 3)


if __name__ == "__main__":
    unittest.main()
