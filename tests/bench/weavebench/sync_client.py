# SPDX-License-Identifier: Apache-2.0
"""One browser that syncs: its requests on a kept-alive connection, timed.

Each client comes from an address of its own (127.0.x.y), as in life, where
logins are bounded by address.
"""

import asyncio
import base64
import json
import time
from dataclasses import dataclass

TIMEOUT_S = 60
PASSWORD = "correct horse battery"


class Failed(Exception):
    """An answer that did not come whole, or is not what a client expects."""


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise Failed("no JSON") from None


class Client:
    """The device of user number `number`; `rows` is [(kind, seconds, what was
    wrong or None)] of all its requests."""

    def __init__(self, port, number):
        self.port = port
        self.name = f"user{number}"
        self.address = f"127.0.{1 + number // 200}.{1 + number % 200}"
        self.rows = []
        self.resent = 0
        self.last = "0.00"
        self.reader = self.writer = None
        self.used = False
        secret = f"{self.name}:{PASSWORD}".encode()
        self.authorization = base64.b64encode(secret).decode("ascii")

    async def connect(self):
        self.used = False
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(self.address, 0), limit=2**20)

    def close(self):
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None

    async def call(self, kind, method, path, body=None, expect=(200,)):
        """The Answer; raises Failed, which is in `rows` as well."""
        started, wrong = time.monotonic(), None
        try:
            answer = await asyncio.wait_for(
                self.answer(method, path, body), TIMEOUT_S)
            if answer.status not in expect:
                wrong = f"status {answer.status}"
        except asyncio.TimeoutError:
            wrong = f"no answer in {TIMEOUT_S} s"
        except (Failed, OSError, asyncio.IncompleteReadError) as error:
            wrong = f"{type(error).__name__}: {error}"
        self.rows.append((kind, time.monotonic() - started, wrong))
        if wrong:
            self.close()
            raise Failed(wrong)
        return answer

    async def answer(self, method, path, body):
        if not path.startswith("/"):
            path = f"/1.1/{self.name}/{path}"
        data = b"" if body is None else json.dumps(body).encode()
        head = (f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
                f"Authorization: Basic {self.authorization}\r\n"
                f"Accept: */*\r\nContent-Length: {len(data)}\r\n\r\n")
        request = head.encode("ascii") + data
        if not self.writer:
            await self.connect()
        reused, self.used = self.used, True
        try:
            return await self.exchange(request)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            # RFC 9112, section 9.3.1: closed while it was idle
            if not reused or getattr(error, "partial", b""):
                raise
            self.resent += 1
            self.close()
            await self.connect()
            self.used = True
            return await self.exchange(request)

    async def exchange(self, request):
        self.writer.write(request)
        await self.writer.drain()
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in
                   (line.partition(":") for line in lines[1:])}
        body = await self.body(headers)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(lines[0].split()[1]), headers, body)

    async def body(self, headers):
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        if headers.get("transfer-encoding", "").lower() != "chunked":
            raise Failed("neither a length nor chunks")
        parts = []
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            chunk = await self.reader.readexactly(size + 2)
            if not size:
                return b"".join(parts)
            parts.append(chunk[:-2])
