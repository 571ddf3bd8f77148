# SPDX-License-Identifier: Apache-2.0
"""What mod_weave must reach, as data, and the verdict on a report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One figure: `metric` of `one` ÷ `other`, or an instruction count."""

    workload: str
    metric: str
    one: str
    other: str
    must: float
    aim: float
    connections: int = 16

    @property
    def at_most(self):
        return self.metric != "rps"

    @property
    def title(self):
        if self.metric == "instructions":
            return f"{self.workload}: instructions over the {self.other}"
        what = {"rps": "throughput", "cpu_us": "CPU"}[self.metric]
        return (f"{self.workload} c={self.connections}: {what} "
                f"÷ {self.other}")


EMBEDDED = (
    Target("hello", "rps", "weave", "mod_wsgi", 1.4, 1.8),
    Target("hello", "cpu_us", "weave", "mod_wsgi", 0.65, 0.5),
    Target("hello", "rps", "weave", "floor", 0.75, 0.95),
    Target("hello", "rps", "weave", "floor", 0.85, 0.95, connections=48),
    Target("hello", "instructions", "weave", "floor", 15000, 5000),
    Target("env", "rps", "weave", "mod_wsgi", 1.3, 1.6),
    Target("post", "rps", "weave", "mod_wsgi", 1.3, 1.6),
    Target("big", "rps", "weave", "mod_wsgi", 1.3, 1.6),
    Target("cpu", "rps", "weave", "mod_wsgi", 0.97, 1.0),
    Target("mix", "rps", "weave", "mod_wsgi", 1.3, 1.7),
)


def reached(target, report):
    """(median, min, max) or None when it was not measured."""
    if target.metric == "instructions":
        row = report["instructions"].get(target.workload, {})
        value = row.get(target.one, {}).get("over_floor")
        return None if value is None else (value, value, value)
    for found in report["sets"]:
        if (found["workload"], found["connections"]) == \
                (target.workload, target.connections):
            ratio = found["ratios"].get(f"{target.one}/{target.other}", {})
            if found["thrown_away"] or target.metric not in ratio:
                return None
            row = ratio[target.metric]
            return row["median"], row["min"], row["max"]
    return None


def judge(report, targets=EMBEDDED):
    """A row per target, with the verdict PASS, below or not measured."""
    rows = []
    for target in targets:
        value = reached(target, report)
        verdict = "not measured"
        if value:
            good = value[0] <= target.must if target.at_most \
                else value[0] >= target.must
            verdict = "PASS" if good else "below"
        rows.append({
            "title": target.title, "bound": "≤" if target.at_most else "≥",
            "must": target.must, "aim": target.aim,
            "reached": value[0] if value else None,
            "min": value[1] if value else None,
            "max": value[2] if value else None, "verdict": verdict})
    return rows
