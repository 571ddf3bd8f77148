# SPDX-License-Identifier: Apache-2.0
"""What is read off a simulation, and the tables of it."""

import statistics
from dataclasses import dataclass

from . import server

# for the pictures and the steadier of the two peaks
BIN_S = 10
LATE = 0.95

FLEET_TITLES = {
    "fuzzed": "N × (1..1.25)",
    "mixed": "10 % of them N",
    "exact": "N",
    "patient": "N × (1..1.25) or own interval",
}
SCENARIO_TITLES = {
    "fixed": "N fixed at 1800 s",
    "for": "`on --for 30m`: N is what remains",
    "entry": "the same after 5 min of backoff and 5 min of drain",
}
# which fleets are put through which scenario
CASES = {
    "fixed": ("fuzzed", "exact"),
    "for": ("fuzzed", "mixed", "exact", "patient"),
    "entry": ("fuzzed", "exact"),
}


@dataclass(frozen=True)
class Figures:
    """Rates in requests a second, peaks in multiples of `normal`, times in
    seconds after the end of the maintenance."""

    normal: float
    peak_1s: float
    peak_10s: float
    late: float     # until so many of those held back were back: LATE
    last: float
    rates: tuple    # of all requests, served or refused, for each BIN_S


def binned(counts, width):
    """The rate in each whole bin."""
    return tuple(sum(counts[at:at + width]) / width
                 for at in range(0, len(counts) - width + 1, width))


def quantile(ordered, share):
    if not ordered:
        return 0.0
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def read(done):
    """The Figures of a Simulation that has run."""
    normal = sum(done.served[:server.CALM]) / server.CALM
    after = done.served[server.END:server.UNTIL]
    every = [ok + no for ok, no in zip(done.served, done.refused)]
    return Figures(normal=normal,
                   peak_1s=max(after) / normal,
                   peak_10s=max(binned(after, BIN_S)) / normal,
                   late=quantile(done.delays, LATE),
                   last=quantile(done.delays, 1.0),
                   rates=binned(every[:server.UNTIL], BIN_S))


def median(runs, name):
    return statistics.median(getattr(run, name) for run in runs)


def in_range(runs, name):
    """Median (lowest..highest)."""
    values = [getattr(run, name) for run in runs]
    return "%.1f (%.1f..%.1f)" % (statistics.median(values), min(values),
                                  max(values))


ROWS = (
    ("peak of 1 s", lambda runs: "%.1f" % median(runs, "peak_1s")),
    ("peak of 10 s", lambda runs: in_range(runs, "peak_10s")),
    ("95 % back, min", lambda runs: "%.1f" % (median(runs, "late") / 60)),
    ("last back, min", lambda runs: "%.1f" % (median(runs, "last") / 60)),
)


def table(found, scenario, spreads):
    """Markdown; `found` has a list of Figures for each (scenario, fleet,
    spread)."""
    lines = [["clients wait", ""] + ["%d %%" % spread for spread in spreads]]
    for fleet in CASES[scenario]:
        for number, (label, make) in enumerate(ROWS):
            cells = [make(found[scenario, fleet, spread])
                     for spread in spreads]
            lines.append([FLEET_TITLES[fleet] if not number else "", label] +
                         cells)
    widths = [max(len(line[column]) for line in lines)
              for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width
                          in zip(line, widths)) + " |" for line in lines)


def text(found, spreads):
    normal = statistics.median(run.normal for runs in found.values()
                               for run in runs)
    parts = ["Normal: %.0f requests a second. Peaks in multiples of it." %
             normal]
    for scenario, title in SCENARIO_TITLES.items():
        parts += [title + ":", table(found, scenario, spreads)]
    return "\n\n".join(parts)
