# SPDX-License-Identifier: Apache-2.0
"""The report as text (Markdown tables) and as JSON."""

import json

from . import rounds
from .events import LATE_MS
from .memory import PYTHON, over_python

# of the requests; at c=48 httpd now and then closes a kept-alive connection
# when more than 32 of them have met in one child
ERRORS_MAX = 0.01
# threads with less CPU in a request are left out
IDLE_US = 0.1


def table(head, rows):
    """Markdown, its columns padded so that it also reads in a terminal."""
    cells = [list(head)] + [[str(cell) for cell in row] for row in rows]
    width = [max(len(row[column]) for row in cells)
             for column in range(len(head))]
    lines = [" | ".join(cell.ljust(width[column])
                        for column, cell in enumerate(row)) for row in cells]
    lines.insert(1, " | ".join("-" * size for size in width))
    return "\n".join(f"| {line} |" for line in lines)


def number(value):
    """Three significant figures and no exponent."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def ranged(row):
    return (f"{number(row['median'])} "
            f"({number(row['min'])}..{number(row['max'])})")


def set_rows(found):
    for name, row in found["servers"].items():
        ratio = next((ratios["rps"] for key, ratios
                      in found["ratios"].items()
                      if key == f"{name}/floor" and "rps" in ratios), None)
        yield (found["workload"], found["connections"], name,
               ranged(row["rps"]), ranged(ratio) if ratio else "",
               number(row["p50_us"]["median"] / 1000),
               number(row["p99_us"]["median"] / 1000),
               number(row["cpu_us"]["median"]),
               number(row["voluntary"]["median"]),
               number(row["involuntary"]["median"]),
               f"{row['errors']['max']:.0f}",
               "thrown away" if found["thrown_away"] else "")


def sets(report):
    return table(
        ("workload", "c", "server", "requests/s", "÷ floor", "p50 ms",
         "p99 ms", "CPU ms/1,000", "vol. sw.", "invol.", "errors", ""),
        [row for found in report["sets"] for row in set_rows(found)])


def calls(found, server, kind):
    """(how many, which) system calls: those of a tenth of the requests."""
    rows = found.get("calls", {}).get(server, {}).get(kind, {})
    return (number(sum(rows.values())) if rows else "",
            ", ".join(f"{name} {number(count)}" for name, count in
                      rows.items() if count >= 0.1))


def threads(report):
    """Where the switches and the CPU of each server's requests come from."""
    return table(
        ("workload", "c", "server", "threads", "vol. sw.", "invol.",
         "CPU ms/1,000", "system calls", ""),
        [(found["workload"], found["connections"], name, kind,
          *(number(row[metric]["median"]) for metric in
            ("voluntary", "involuntary", "cpu_us")),
          *calls(found, name, kind))
         for found in report["sets"]
         for name, kinds in found["threads"].items()
         for kind, row in sorted(kinds.items())
         if row["cpu_us"]["median"] >= IDLE_US])


def instructions(report):
    return table(
        ("workload", "server", "instructions/request", "over the floor",
         "asking for maintenance"),
        [(workload, name, number(row["instructions"]),
          number(row["over_floor"]) if row.get("over_floor") else "",
          number(row["asking"]) if row.get("asking") else "")
         for workload, found in report["instructions"].items()
         for name, row in found.items()])


def functions(report):
    for workload, found in report["instructions"].items():
        for name, row in found.items():
            for order, rows in row.get("functions", {}).items():
                yield (f"{name}, {workload}: instructions per request by "
                       f"function, {order}\n" + table(
                           ("inclusive", "self", "function", "object"),
                           [(number(max(one["inclusive"], 0)),
                             number(max(one["self"], 0)),
                             one["function"], one["object"])
                            for one in rows]))


def memory(report):
    """MB per process that runs the application, idle."""
    found = report["memory"]
    def over(name, field):
        return "" if name == PYTHON else \
            f"{over_python(found, name, field):.1f}"
    return table(
        ("idle process", "RSS MB", "PSS MB", "private MB", "RSS over Python",
         "PSS over Python"),
        [(name, *(f"{row[field] / 1024:.1f}" for field in
                  ("rss_kb", "pss_kb", "private_kb")),
          over(name, "rss_kb"), over(name, "pss_kb"))
         for name, row in found.items()])


def steady(report):
    return table(
        ("200 requests/s around", "server", "times", "requests", "failed",
         "re-sent", "p50 ms", "slowest ms", "settled in s", "what failed"),
        [(row["event"], row["server"], row["times"], row["requests"],
          row["failed"], row["resent"], number(row["p50_ms"]),
          number(row["slowest_ms"]),
          "not always" if row["undone"] else number(row["settled_s"]),
          "; ".join(f"{count} x {why}" for why, count in
                    row["failures"].items()))
         for row in report["steady"]])


def releases(report):
    return table(
        ("200 requests/s around", "load", "requests", "failed", "re-sent",
         "p50 ms", "p99 ms", "slowest ms", "it took s", "start s",
         "what failed"),
        [(row["event"], number(row["load"]), row["requests"], row["failed"],
          row["resent"], number(row["p50_ms"]), number(row["p99_ms"]),
          number(row["slowest_ms"]), *(
              "" if row[name] is None else number(row[name])
              for name in ("took_s", "start_s")),
          "; ".join(f"{count} x {why}" for why, count in
                    row["failures"].items()))
         for row in report["releases"]["rows"]])


def maintenance(report):
    """How it was known that no Python ran."""
    return table(
        ("maintenance", "its Python", "CPU ms of Python meanwhile"),
        [(row["server"], row["python"], "" if row["python_cpu_us"] is None
          else number(row["python_cpu_us"] / 1000))
         for row in report["maintenance"] if row.get("python")])


def off(report):
    return table(
        ("maintenance off", "asking once, in a loop: ns", "clock ns",
         "asking once, in a request: ns, p50", "p90", "requests"),
        [(row["server"], ranged(row["loop"]), number(row["clock_p50"]),
          number(max(0, row["p50"] - row["clock_p50"])),
          number(max(0, row["p90"] - row["clock_p50"])),
          number(row["requests"]))
         for row in report["maintenance"] if row.get("loop")])


def python(report):
    """µs of CPU of a call, and what the database's processes spent on it."""
    def cells(row, name):
        return [ranged(row[name]["cpu_us"]),
                number(row[name]["database_us"]["median"]) or ""] \
            if name in row else ["", ""]

    def ratio(row, name):
        return ranged(row[name]) if name in row else ""
    paired = any("ratio" in row for row in report["python"])
    both = any("of_11" in row for row in report["python"])
    return table(
        ("weave.server on", "call of", "CPU µs", "database µs",
         *(("÷ 1.1",) if both else ()),
         *(("before", "database before", "÷ before") if paired else ())),
        [(row["database"], row["request"], *cells(row, "now"),
          *((ratio(row, "of_11"),) if both else ()),
          *((*cells(row, "before"), ratio(row, "ratio")) if paired else ()))
         for row in report["python"]])


def scale(report):
    """CPU of the application's and the database's processes, and the time."""
    rows = report["scale"]
    few, many = (f"{count:,}" for count in rows[0]["counts"])
    def ms(row, size, what):
        return number(row[size][what]["median"] / 1000)
    return table(
        ("records of the user on", "request", f"CPU ms, {few}", many, "ratio",
         f"wall ms, {few}", many, "ratio"),
        [(row["database"], row["request"],
          ms(row, "small", "cost_us"), ms(row, "large", "cost_us"),
          ranged(row["cost_us_ratio"]),
          ms(row, "small", "wall_us"), ms(row, "large", "wall_us"),
          ranged(row["wall_us_ratio"])) for row in rows])


def syncs(report):
    """What clients got, and the µs of CPU of a request by who spent it."""
    return table(
        ("syncs on", "Sync", "clients", "sync", "syncs/s", "requests/s", "failed",
         "re-sent", "CPU µs/request: workers", "httpd", "database",
         "what failed"),
        [(row["database"], row["protocol"], row["clients"], row["sync"],
          number(row["syncs_per_s"]), number(row["requests_per_s"]),
          row["failed"], row["resent"],
          *(number(row["cpu_us"][who])
            for who in ("workers", "httpd", "database")),
          "; ".join(f"{count} x {why}" for why, count in
                    row["failures"].items()))
         for row in report["sync"]])


def sync_requests(report):
    return table(
        ("requests on", "Sync", "clients", "sync", "request", "number", "p50 ms",
         "p90 ms", "p99 ms", "slowest ms"),
        [(row["database"], row["protocol"], row["clients"], row["sync"], kind,
          found["requests"], *(number(found[what]) for what in
                               ("p50_ms", "p90_ms", "p99_ms", "slowest_ms")))
         for row in report["sync"] for kind, found in row["kinds"].items()])


def bounds(report):
    rows = report["bounds"]
    return table(
        ("list of 100 MB on", "memory of a worker, MB", "of httpd, MB",
         "first byte after s", "all after s"),
        [(row["database"], number(row["list"]["worker_kb"] / 1024),
          number(row["list"]["httpd_kb"] / 1024),
          number(row["list"]["first_byte_s"]),
          number(row["list"]["seconds"])) for row in rows])


def guesses(report):
    """The latency of others, in the pair of halves with the median ratio."""
    return table(
        ("wrong passwords on", "sent", "401", "503", "CPU ms of each",
         "others' p50 ms, without", "with", "p99 ms, without", "with",
         "p99 ratio", "others failed"),
        [(row["database"], found["guesses"], found["refused"],
          found["put_off"], number(found["guess_cpu_us"] / 1000),
          *(number(found[name]) for name in
            ("without_50", "beside_50", "without_99", "beside_99")),
          f"{number(found['ratio'])} ({number(min(found['ratios']))}.."
          f"{number(max(found['ratios']))})", found["failed"])
         for row in report["bounds"] for found in [row["guesses"]]])


def verdict_rows(rows):
    def cell(row):
        if row["reached"] is None:
            return ""
        if row["min"] == row["max"]:
            return number(row["reached"])
        return (f"{number(row['reached'])} "
                f"({number(row['min'])}..{number(row['max'])})")
    return [(row["title"], cell(row),
             f"{row['bound']} {number(row['must'])}",
             f"{row['bound']} {number(row['aim'])}", row["verdict"])
            for row in rows]


def verdicts(report):
    """A table for each of our servers of which something was measured."""
    for server, what in (("weave", "mod_weave embedded"),
                         ("workers", "mod_weave workers"),
                         ("releases", "weavectl"),
                         ("server", "weave.server")):
        rows = [row for row in report["targets"] if row["server"] == server]
        if server == "server":
            # of parts that nobody asked for
            rows = [row for row in rows if row["reached"] is not None]
        if any(row["reached"] is not None for row in rows):
            yield table((what, "reached", "must", "aim", ""),
                        verdict_rows(rows))


def noise(report):
    """Sentences on what makes these numbers doubtful, if anything."""
    options = report["options"]
    if report["sets"] and (options["rounds"] < 5 or options["seconds"] < 3):
        yield ("fewer than 5 rounds of 3 s: to look at while working, not to "
               "publish")
    others = [row["other_cpu_percent"]["median"] for found in report["sets"]
              for row in found["servers"].values()]
    if others and max(others) > 15:
        yield (f"other processes used up to {max(others):.0f} % of a core "
               "while this was measured")
    for found in report["sets"]:
        if found["thrown_away"]:
            yield (f"{found['workload']} c={found['connections']}: the floor "
                   f"spread {found['floor_spread']:.1f}x, more than "
                   f"{rounds.FLOOR_SPREAD_MAX:g}x, set thrown away")
        for name, row in found["servers"].items():
            if row["bad_status"]["max"] or row["errors"]["max"] > \
                    ERRORS_MAX * row["rps"]["min"] * options["seconds"]:
                yield (f"{found['workload']} c={found['connections']}: {name} "
                       f"had {row['errors']['max']:.0f} errors in a round")
    for row in report.get("steady", ()):
        if row["late_ms"] > LATE_MS:
            yield (f"{row['server']}, {row['event']}: the load itself was up "
                   f"to {row['late_ms']:.0f} ms late")
    for row in (report.get("releases") or {}).get("rows", ()):
        if row["late_ms"] > LATE_MS:
            yield (f"{row['event']}: the load itself was up to "
                   f"{row['late_ms']:.0f} ms late")


def text(report):
    facts = report["machine"]
    parts = [", ".join(f"{name}: {value}" for name, value in facts.items()
                       if value is not None)]
    if report["sets"]:
        parts.append(sets(report))
        if report["options"].get("threads"):
            parts.append(threads(report))
    if report["instructions"]:
        parts.append(instructions(report))
        parts.extend(functions(report))
    if report.get("memory"):
        parts.append(memory(report))
    if report.get("steady"):
        parts.append(steady(report))
    if report.get("releases"):
        parts.append(releases(report))
    if report.get("python"):
        parts.append(python(report))
    if report.get("scale"):
        parts.append(scale(report))
    if report.get("sync"):
        parts += [syncs(report), sync_requests(report)]
    if report.get("bounds"):
        parts += [bounds(report), guesses(report)]
    if report.get("maintenance"):
        parts += [maintenance(report), off(report)]
    parts.extend(verdicts(report))
    parts.extend(f"note: {sentence}" for sentence in noise(report))
    return "\n\n".join(parts)


def write(report, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
