# SPDX-License-Identifier: Apache-2.0
"""What one client can cost the others: a list of 100 MB, and wrong passwords.

The list: how much the memory of a worker grows while it is sent, and when its
first byte comes. The passwords: 50 a second, each another one, from one address,
beside browsers that sync by the clock; the latency of those, with and without.
"""

import asyncio
import base64
import contextlib
import statistics
import time

from . import databases, process
from .sync_client import Client, Failed
from .sync_site import running_sites
from .syncs import idle, prepare, quantile, run

LIST_RECORDS, LIST_BYTES = 1000, 100_000
LIST_READ = 65536
WRONG_PER_S = 50
BROWSERS, BROWSER_PAUSE_S = 8, 0.2
HALF_S = 8
PAIRS = 5


# ---- a list of 100 MB ----


def memory_kb(pids, field):
    return {pid: rows[0] for pid in pids
            for rows in [process.status(pid, field)] if rows}


def begin_peaks(pids):
    """VmHWM of each begins again; what they take now."""
    for pid in pids:
        with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    return memory_kb(pids, "VmRSS")


async def read_list(client, path):
    """{"first_byte_s", "seconds", "bytes"} of a list, of which little is kept."""
    began, first, size = time.monotonic(), None, 0
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write((f"GET /1.1/{client.name}/{path} HTTP/1.1\r\n"
                  f"Host: 127.0.0.1:{client.port}\r\n"
                  "Connection: close\r\nAuthorization: Basic "
                  f"{client.authorization}\r\n\r\n").encode("ascii"))
    head = await reader.readuntil(b"\r\n\r\n")
    while data := await reader.read(LIST_READ):
        first = first or time.monotonic() - began
        size += len(data)
    writer.close()
    if b" 200 " not in head.split(b"\r\n")[0] or size < LIST_RECORDS * LIST_BYTES:
        raise Failed(f"{head.splitlines()[0]}, and {size} bytes of a list")
    return {"first_byte_s": first, "seconds": time.monotonic() - began,
            "bytes": size}


def measure_list(site, client):
    """The row of a report."""
    run([client], idle(client))
    workers = site.httpd.python_pids()
    others = [pid for pid in site.httpd.pids() if pid not in workers]
    before = {"worker": begin_peaks(workers), "httpd": begin_peaks(others)}
    found = asyncio.run(read_list(client, "storage/history?full=1"))
    for who, rest in before.items():
        peaks = memory_kb(rest, "VmHWM")
        found[f"{who}_kb"] = max(peaks[pid] - rest[pid] for pid in peaks)
    return found


# ---- wrong passwords ----


async def browse(client, until):
    """Idle syncs by the clock."""
    while time.monotonic() < until:
        started = time.monotonic()
        with contextlib.suppress(Failed):
            await idle(client)
        await asyncio.sleep(max(0, started + BROWSER_PAUSE_S
                                - time.monotonic()))


async def guess(victim, until, numbers):
    """Wrong passwords for an account; the Client whose rows tell the answers."""
    clients = []

    async def one(client, number):
        secret = base64.b64encode(f"{victim.name}:guess {number}".encode())
        client.authorization = secret.decode("ascii")
        with contextlib.suppress(Failed):
            answer = await client.call("guess", "GET", "info/collections",
                                       expect=(401, 503))
            client.statuses.append(answer.status)
        client.is_free = True

    tasks = []
    due = time.monotonic()
    while due < until:
        client = next((one for one in clients if one.is_free), None)
        if not client:
            client = Client(victim.port, 300)
            client.name, client.statuses = victim.name, []
            clients.append(client)
        client.is_free = False
        tasks.append(asyncio.create_task(one(client, next(numbers))))
        due += 1 / WRONG_PER_S
        await asyncio.sleep(max(0, due - time.monotonic()))
    await asyncio.gather(*tasks)
    for client in clients:
        client.close()
    return clients


async def half(browsers, numbers):
    """(latencies in s, failed, statuses of guesses); numbers is None without."""
    for client in browsers:
        client.rows.clear()
    until = time.monotonic() + HALF_S
    acts = [browse(client, until) for client in browsers]
    guesses = []
    if numbers is not None:
        guesses = await asyncio.gather(
            guess(browsers[0], until, numbers), *acts)
        guesses = guesses[0]
    else:
        await asyncio.gather(*acts)
    rows = [row for client in browsers for row in client.rows]
    return (sorted(row[1] for row in rows), sum(bool(row[2]) for row in rows),
            [status for client in guesses for status in client.statuses])


def spent_in(site, browsers, numbers):
    """What half() returns, and the µs of CPU of all of the site's processes."""
    before = site.usage()
    found = run(browsers, half(browsers, numbers))
    return (*found, sum(site.spent_us(before).values()))


def measure_guesses(site, browsers):
    """The row of a report: pairs of halves, without guesses and with them."""
    numbers, statuses, failed, pairs = iter(range(10**6)), [], 0, []
    for number in range(PAIRS):
        halves = {}
        for name in ("without", "beside")[::-1 if number % 2 else 1]:
            halves[name] = spent_in(site, browsers,
                                    numbers if name == "beside" else None)
            failed += halves[name][1]
            statuses += halves[name][2]
        pair = {f"{name}_{share}": quantile(found[0], share / 100)
                for name, found in halves.items() for share in (50, 99)}
        pair["ratio"] = pair["beside_99"] / pair["without_99"]
        pair["guess_cpu_us"] = (halves["beside"][3] - halves["without"][3]) \
            / max(1, len(halves["beside"][2]))
        pairs.append(pair)
    middle = sorted(pairs, key=lambda pair: pair["ratio"])[PAIRS // 2]
    return {**middle, "ratios": [pair["ratio"] for pair in pairs],
            "guess_cpu_us": statistics.median(
                pair["guess_cpu_us"] for pair in pairs),
            "failed": failed, "guesses": len(statuses),
            "refused": statuses.count(401), "put_off": statuses.count(503)}


def measure_one(site, kind, say):
    browsers = [Client(site.port, number) for number in range(BROWSERS)]
    lister = Client(site.port, BROWSERS)
    run([lister, *browsers], prepare([lister, *browsers]))
    post = lister.call("POST", "POST", "storage/history", [
        {"id": "a", "payload": "x"}])
    run([lister], post)
    row = {"database": kind, "guesses": measure_guesses(site, browsers)}
    say("{}: p99 {:.0f} ms without, {:.0f} ms beside wrong passwords".format(
        kind, row["guesses"]["without_99"], row["guesses"]["beside_99"]))
    databases.of_tests("plenty").fill(
        site.url, "history", LIST_RECORDS, LIST_BYTES)
    row["list"] = measure_list(site, lister)
    say("{}: a list of {:.0f} MB: {:.1f} MB of memory, first byte after {:.2f} s"
        .format(kind, row["list"]["bytes"] / 1e6,
                row["list"]["worker_kb"] / 1024, row["list"]["first_byte_s"]))
    return row


def measure(options, say, rows):
    """Appends a row for each database."""
    for kind, site in running_sites(options, say):
        rows.append(measure_one(site, kind, say))
