# SPDX-License-Identifier: Apache-2.0
"""Paired rounds: all servers in every round, ratios within the round."""

import statistics
import time

from . import process, workloads, wrk

# a floor that spreads more says that the machine was busy with other things
FLOOR_SPREAD_MAX = 2.0
WARM_UP_S = 1
# metrics of a sample that a report carries, all with median, min and max
METRICS = ("rps", "p50_us", "p99_us", "cpu_us", "voluntary", "involuntary",
           "errors", "bad_status", "other_cpu_percent")


def sample(httpd, workload, connections, seconds):
    """One server under load for `seconds`: a dict with METRICS."""
    pids = httpd.pids()
    kinds = process.thread_kinds(pids)
    spent, busy, clock = (process.usage(pids), process.machine_busy_us(),
                          time.monotonic())
    said = wrk.load(httpd.port, workload, connections, seconds)
    wall_us = (time.monotonic() - clock) * 1e6
    all_busy = process.machine_busy_us() - busy
    now = process.usage(httpd.pids())
    cpu, voluntary, involuntary = now.since(spent)
    count = max(said["requests"], 1)
    return {
        "requests": said["requests"],
        "rps": said["requests"] * 1e6 / said["duration_us"],
        "p50_us": said["p50_us"],
        "p99_us": said["p99_us"],
        "cpu_us": cpu / count,
        "voluntary": voluntary / count,
        "involuntary": involuntary / count,
        "errors": sum(said[kind] for kind in wrk.ERRORS),
        "bad_status": said["status"],
        "other_cpu_percent": max(
            0.0, (all_busy - cpu - said["wrk_cpu_us"]) * 100 / wall_us),
        "threads": {
            kind: {name: value / count for name, value in
                   zip(("cpu_us", "voluntary", "involuntary"), row)}
            for kind, row in now.by_kind(spent, kinds).items()},
    }


def summary(values):
    return {"median": statistics.median(values),
            "min": min(values), "max": max(values)}


def ratios(rows, over):
    """{metric: summary} of rows ÷ over, each pair from one round."""
    found = {}
    for metric in ("rps", "cpu_us", "p50_us", "voluntary"):
        pairs = [(one[metric], other[metric])
                 for one, other in zip(rows, over) if other[metric] > 0]
        if pairs:
            found[metric] = summary([one / other for one, other in pairs])
    return found


def measure(running, workload, connections, options, say):
    """One set: {server's name: [a sample per round]}.

    `running` is {Server: what its make() returned}.
    """
    servers = list(running)
    rows = {server.name: [] for server in servers}
    for server in servers:
        wrk.load(running[server].port, workload.on(server), connections,
                 WARM_UP_S)
    for turn in range(options.rounds):
        first = turn % len(servers)
        for server in servers[first:] + servers[:first]:
            rows[server.name].append(sample(
                running[server], workload.on(server), connections,
                options.seconds))
        say(f"{workload.name} c={connections} round {turn + 1}: "
            + ", ".join(f"{name} {samples[-1]['rps']:.0f}/s"
                        for name, samples in rows.items()))
    return rows


def spread(samples):
    rates = [row["rps"] for row in samples]
    return max(rates) / max(min(rates), 1e-9)


def thread_rows(samples):
    """{kind of thread: {metric: summary}} of one server's samples."""
    kinds = {kind for row in samples for kind in row["threads"]}
    nothing = {"cpu_us": 0, "voluntary": 0, "involuntary": 0}
    return {kind: {metric: summary([
        row["threads"].get(kind, nothing)[metric] for row in samples])
        for metric in nothing} for kind in kinds}


def describe(rows, workload, connections, servers):
    """The set as it goes into the report."""
    floors = [server.name for server in servers if server.floor]
    floor_spread = max((spread(rows[name]) for name in floors), default=1.0)
    compared = [name for name in rows
                if workload.mirrored or name not in floors]
    return {
        "workload": workload.name,
        "connections": connections,
        "floor_spread": floor_spread,
        "thrown_away": floor_spread > FLOOR_SPREAD_MAX,
        "servers": {
            name: {metric: summary([row[metric] for row in samples])
                   for metric in METRICS}
            for name, samples in rows.items()},
        "threads": {name: thread_rows(samples)
                    for name, samples in rows.items()},
        "ratios": {
            f"{one}/{other}": ratios(rows[one], rows[other])
            for one in compared for other in compared if one != other},
        "samples": rows,
    }


def run_set(running, workload, connections, options, say):
    """measure() and describe(), once more when the floor was unsteady."""
    for attempt in range(1 + options.retries):
        rows = measure(running, workload, connections, options, say)
        found = describe(rows, workload, connections, list(running))
        if not found["thrown_away"]:
            break
        say(f"{workload.name} c={connections}: the floor spreads "
            f"{found['floor_spread']:.1f}x, set thrown away")
    return found


def check_all(running, chosen):
    for server, httpd in running.items():
        for workload in chosen:
            workloads.check(server.label, httpd.port, workload.on(server),
                            httpd.log)
