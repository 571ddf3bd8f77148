# SPDX-License-Identifier: Apache-2.0
"""So many requests a second, whatever the server makes of them.

Requests go out by the clock, on kept-alive and fresh connections in turn, so
that a stall of the server is seen by all that it would have met. The load
has a process of its own: what the bench does meanwhile must not delay it.
"""

import asyncio
import collections
import contextlib
import gc
import multiprocessing
import os
import time
from dataclasses import dataclass

TIMEOUT_S = 10
# where we may
NICE = -10
# kept-alive connections: each is idle for a while between two requests
KEPT = 16
# of the requests of each kind of connection, where there are POSTs
POST_EVERY = 4
POST_BODY = b"x" * 64


class Broken(Exception):
    """An answer that did not come, or not whole."""


@dataclass(frozen=True)
class Plan:
    """What is asked, how often and for how long."""

    port: int
    path: str
    body: bytes
    rate: float = 200.0
    seconds: float = 10.0
    posts: bool = True

    @property
    def count(self):
        return round(self.rate * self.seconds)

    def fresh(self, number):
        return number % 2 == 0

    def request(self, number):
        """The bytes of request `number`."""
        post = self.posts and (number // 2) % POST_EVERY == 0
        head = [f"{'POST' if post else 'GET'} {self.path} HTTP/1.1",
                f"Host: 127.0.0.1:{self.port}"]
        if post:
            head.append(f"Content-Length: {len(POST_BODY)}")
        if self.fresh(number):
            head.append("Connection: close")
        return "\r\n".join([*head, "", ""]).encode("ascii") + \
            (POST_BODY if post else b"")


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    keep: bool

    @classmethod
    def parse(cls, data, ended):
        """An Answer, or None while more is to come; raises Broken.

        As much of HTTP as the servers of the bench send: a length, or the
        end of the connection.
        """
        head, separator, body = data.partition(b"\r\n\r\n")
        if not separator:
            if ended:
                raise Broken("closed before the answer" if not data
                             else "cut in the head")
            return None
        lines = head.decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip().lower() for
                  name, _, value in (line.partition(":") for line in
                                     lines[1:])}
        if "content-length" not in fields:
            if "transfer-encoding" in fields:
                raise Broken("chunked: " + lines[0])
            return cls(int(lines[0].split()[1]), body, False) if ended \
                else None
        length = int(fields["content-length"])
        if len(body) < length:
            if ended:
                raise Broken(f"cut at {len(body)} bytes of {length}")
            return None
        return cls(int(lines[0].split()[1]), body[:length],
                   not ended and fields.get("connection") != "close")


class Connection(asyncio.Protocol):
    """One connection; sees at once when the server closes it."""

    def __init__(self, pool):
        self.pool = pool
        self.transport = self.waiting = None
        self.data = b""
        self.ended = False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        self.look()

    def eof_received(self):
        self.connection_lost(None)

    def connection_lost(self, _):
        self.ended = True
        if self in self.pool:
            self.pool.remove(self)
        self.look()

    def look(self):
        if not self.waiting or self.waiting.done():
            return
        try:
            answer = Answer.parse(self.data, self.ended)
        except Broken as error:
            self.waiting.set_exception(error)
        else:
            if answer:
                self.waiting.set_result(answer)

    async def ask(self, request):
        self.data, self.waiting = b"", asyncio.get_running_loop() \
            .create_future()
        self.transport.write(request)
        self.look()
        return await self.waiting

    def close(self):
        self.transport.close()


class Load:
    """The plan, carried out; `rows` has (start, seconds, what was wrong)."""

    def __init__(self, plan, ending=None):
        self.plan = plan
        self.ending = ending
        self.idle = []
        self.rows = []
        self.resent = 0
        self.late = 0.0

    async def connect(self):
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(
            lambda: Connection(self.idle), "127.0.0.1", self.plan.port))[1]

    async def answer(self, number):
        """The Answer, and the connection if it may be kept."""
        request = self.plan.request(number)
        fresh = self.plan.fresh(number)
        reused = not fresh and len(self.idle) >= KEPT
        connection = self.idle.pop(0) if reused else await self.connect()
        try:
            try:
                answer = await connection.ask(request)
            except Broken:
                # RFC 9112, section 9.3.1: closed while it was idle
                if not reused or connection.data:
                    raise
                self.resent += 1
                connection = await self.connect()
                answer = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if answer.keep and not fresh and not connection.ended:
            self.idle.append(connection)
        else:
            connection.close()
        return answer

    async def one(self, number):
        started = time.monotonic()
        try:
            answer = await asyncio.wait_for(self.answer(number), TIMEOUT_S)
            wrong = None if (answer.status, answer.body) == \
                (200, self.plan.body) else \
                f"status {answer.status}, {len(answer.body)} bytes"
        except asyncio.TimeoutError:
            wrong = f"no answer in {TIMEOUT_S} s"
        except (Broken, OSError) as error:
            wrong = f"{type(error).__name__}: {error}"
        self.rows.append((started, time.monotonic() - started, wrong))

    async def run(self):
        begun, tasks = time.monotonic(), []
        for number in range(self.plan.count):
            due = begun + number / self.plan.rate
            if self.ending and self.ending.is_set():
                break
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.late = max(self.late, time.monotonic() - due)
            tasks.append(asyncio.create_task(self.one(number)))
        await asyncio.gather(*tasks)


def summary(rows):
    """What a report says of `rows` of a Load."""
    took = sorted(row[1] for row in rows)
    failures = collections.Counter(row[2] for row in rows if row[2])
    return {
        "requests": len(rows),
        "failed": sum(failures.values()),
        "failures": dict(failures.most_common(10)),
        "p50_ms": took[len(took) // 2] * 1000 if took else None,
        "p99_ms": took[len(took) * 99 // 100] * 1000 if took else None,
        "slowest_ms": took[-1] * 1000 if took else None,
    }


def carry_out(plan, out, ending):
    """Runs in the process of the load."""
    load = Load(plan, ending)
    # little work, but on time
    with contextlib.suppress(PermissionError):
        os.nice(NICE)
    gc.collect()
    gc.freeze()
    gc.disable()
    asyncio.run(load.run())
    out.send({**summary(load.rows), "resent": load.resent,
              "late_ms": load.late * 1000})


class Paced:
    """`with Paced(plan) as load:` and then `load.result()` or `load.end()`."""

    def __init__(self, plan):
        self.plan = plan
        context = multiprocessing.get_context("fork")
        self.receiver, sender = context.Pipe(duplex=False)
        self.ending = context.Event()
        self.process = context.Process(
            target=carry_out, args=(plan, sender, self.ending), daemon=True)

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *exception):
        if exception[0]:
            self.process.kill()
        self.process.join()

    def end(self):
        """summary() of the requests until now, and no more of them."""
        self.ending.set()
        return self.result()

    def result(self):
        """summary() of all requests; waits for the end of the plan."""
        if not self.receiver.poll(self.plan.seconds + 2 * TIMEOUT_S):
            self.process.kill()
            raise RuntimeError("the load did not end")
        return self.receiver.recv()
