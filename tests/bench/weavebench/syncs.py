# SPDX-License-Identifier: Apache-2.0
"""Whole syncs by 1 to 64 browsers at once, through httpd, on each database.

What a browser does, in its order, with a new request as soon as it has the
answer to the last one:

first   a new device with 5,000 records that nobody has stored yet
idle    nothing has changed
change  one bookmark was changed here, and perhaps something elsewhere

So do browsers of Sync 1.5 in their own way (syncs15.py), where it is served.

It ends by the clock: a sync under way then counts by the share of its requests
that were answered.
"""

import asyncio
import collections
import contextlib
import functools
import random
import time
from dataclasses import dataclass
from typing import Callable

from . import BenchError, syncs15
from .sync_client import PASSWORD, Client, Client15, Failed
from .sync_site import running_sites

POSTED = 100
# (collection, POSTs): 5,000 records
FIRST = (("bookmarks", 10), ("history", 20), ("forms", 10), ("passwords", 10))
POSTS = sum(posts for _, posts in FIRST)
PAYLOAD_BYTES = 400
# as long as first syncs may take; more would only be more of the same
FIRST_S = 30


def record(id_, number):
    payload = '{"ciphertext":"%s"}' % ("A" * PAYLOAD_BYTES)
    return {"id": id_, "sortindex": number % 1000, "payload": payload}


def bookmark(client, number):
    return record(f"r{number % 10:03d}-{number // 10:03d}-{client.name[4:]}", number)


def records_of(client, number):
    """Those of the POST `number` of a first sync."""
    return [record(f"r{number:03d}-{i:03d}-{client.name[4:]}", i)
            for i in range(POSTED)]


async def sign_up(client):
    who = {"email": f"{client.name}@example.org", "password": PASSWORD}
    await client.call("sign-up", "PUT", f"/user/1.0/{client.name}", who,
                      expect=(200, 400))


async def first(client):
    """A first sync, from a storage without anything."""
    await client.call("info/collections", "GET", "info/collections")
    await client.call("meta/global", "GET", "storage/meta/global",
                      expect=(200, 404))
    for path in ("meta/global", "crypto/keys"):
        await client.call("PUT", "PUT", f"storage/{path}", {"payload": "{}"})
    await client.call("PUT", "PUT", "storage/clients/one", {"payload": "{}"})
    for collection, posts in FIRST:
        for number in range(posts):
            answer = await client.call("POST of 100", "POST",
                                       f"storage/{collection}",
                                       records_of(client, number))
            if answer.json["failed"] or len(answer.json["success"]) != POSTED:
                raise Failed("a POST stored less than it was given")
            client.last = answer.headers["x-weave-timestamp"]


async def idle(client):
    """A sync that finds nothing."""
    answer = await client.call("info/collections", "GET", "info/collections")
    await client.call("meta/global", "GET", "storage/meta/global")
    await client.call("crypto/keys", "GET", "storage/crypto/keys")
    await client.call("clients", "GET", "storage/clients?full=1")
    return answer


async def change(client):
    """A sync with a changed bookmark; it reads what is newer than the last."""
    await idle(client)
    for collection in ("bookmarks", "history", "tabs"):
        answer = await client.call(
            "newer", "GET", f"storage/{collection}?full=1&newer={client.last}")
        if len(answer.json) != int(answer.headers["x-weave-records"]):
            raise Failed("X-Weave-Records is not the number of records")
    answer = await client.call("POST of 1", "POST", "storage/bookmarks",
                               [bookmark(client, random.randrange(1000))])
    client.last = answer.headers["x-weave-timestamp"]


async def first15(client):
    await syncs15.first(client, FIRST, records_of)


async def change15(client):
    await syncs15.change(client, functools.partial(bookmark, client))


@dataclass(frozen=True)
class Protocol:
    """syncs is {name: (coroutine of a client, number of its requests)}."""

    client: type
    sign_up: Callable
    idle: Callable
    syncs: dict


PROTOCOLS = {
    "1.1": Protocol(Client, sign_up, idle, {
        "first": (first, 5 + POSTS), "idle": (idle, 4), "change": (change, 8)}),
    "1.5": Protocol(Client15, syncs15.sign_up, syncs15.idle, {
        "first": (first15, syncs15.BEGINNING + len(FIRST) + POSTS),
        "idle": (syncs15.idle, 4), "change": (change15, 8)}),
}


async def repeat(client, sync, until, most):
    """Syncs again and again, until the time or at most so often."""
    for _ in range(most):
        if time.monotonic() >= until:
            return
        with contextlib.suppress(Failed, asyncio.TimeoutError):
            await asyncio.wait_for(sync(client),
                                   max(0.01, until - time.monotonic()))


def run(clients, act):
    """What the coroutine act returns; all connections are closed then."""
    async def closing():
        try:
            return await act
        finally:
            for client in clients:
                client.close()
    return asyncio.run(closing())


async def prepare(clients, protocol=PROTOCOLS["1.1"]):
    """Accounts, and passwords or keys of tokens in the caches of all workers."""
    for client in clients:
        await protocol.sign_up(client)
        for path in ("meta/global", "crypto/keys", "clients/one"):
            await client.call("PUT", "PUT", f"storage/{path}", {"payload": "{}"})
    for _ in range(4):
        await asyncio.gather(*(protocol.idle(client) for client in clients))


async def play(clients, sync, seconds, most):
    """Seconds that it took."""
    begun = time.monotonic()
    await asyncio.gather(*(repeat(client, sync, begun + seconds, most)
                           for client in clients))
    return time.monotonic() - begun


def quantile(took, share):
    return took[min(len(took) - 1, int(len(took) * share))] * 1000


def summary(rows, seconds, requests_of_a_sync, spent_us):
    """The row of a report; rows are those of all clients."""
    by_kind = collections.defaultdict(list)
    for kind, took, _ in rows:
        by_kind[kind].append(took)
    failures = collections.Counter(wrong for _, _, wrong in rows if wrong)
    good = len(rows) - sum(failures.values())
    kinds = {}
    for kind, took in sorted(by_kind.items()):
        took.sort()
        kinds[kind] = {"requests": len(took),
                       **{f"p{share}_ms": quantile(took, share / 100)
                          for share in (50, 90, 99)},
                       "slowest_ms": took[-1] * 1000}
    return {
        "seconds": seconds, "requests": len(rows),
        "syncs_per_s": good / requests_of_a_sync / seconds,
        "requests_per_s": good / seconds,
        "failed": sum(failures.values()),
        "failures": dict(failures.most_common(10)),
        "cpu_us": {who: us / max(1, len(rows))
                   for who, us in spent_us.items()},
        "kinds": kinds,
    }


def measure_sync(site, clients, protocol, name, options):
    """One kind of sync by some clients at once."""
    sync, requests = PROTOCOLS[protocol].syncs[name]
    for client in clients:
        client.rows.clear()
        client.resent = 0
    seconds, most = options.sync_seconds, 100_000
    if name == "first":
        seconds, most = FIRST_S, 1
    before = site.usage()
    took = run(clients, play(clients, sync, seconds, most))
    rows = [row for client in clients for row in client.rows]
    return {"clients": len(clients), "protocol": protocol, "sync": name,
            "resent": sum(client.resent for client in clients),
            **summary(rows, took, requests, site.spent_us(before))}


def measure_one(site, kind, protocol, options, say, rows):
    number, its = 0, PROTOCOLS[protocol]
    for count in options.clients:
        clients = [its.client(site.port, number + i) for i in range(count)]
        number += count
        try:
            run(clients, prepare(clients, its))
        except Failed as error:
            raise BenchError(f"{kind}, {protocol}: no sync: {error}\n"
                             + site.httpd.log()[-4000:]) from error
        for name in its.syncs:
            row = {"database": kind,
                   **measure_sync(site, clients, protocol, name, options)}
            rows.append(row)
            say(f"{kind}, {protocol}, {count} clients, {name}: "
                f"{row['syncs_per_s']:.2f} syncs/s, {row['failed']} failed of "
                f"{row['requests']}")


def measure(options, say, rows):
    """Appends a row for each database, number of clients and kind of sync."""
    for kind, site in running_sites(options, say):
        for protocol in options.protocols:
            if protocol != "1.5" or site.serves_15:
                measure_one(site, kind, protocol, options, say, rows)
