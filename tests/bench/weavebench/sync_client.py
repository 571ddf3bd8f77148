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

from . import sync15

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

    def target(self, path):
        """Path and query of a request; path is below the user's URL without a slash."""
        return path if path.startswith("/") else f"/1.1/{self.name}/{path}"

    def credentials(self, _method, _target):
        """The header Authorization."""
        return f"Basic {self.authorization}"

    async def call(self, kind, method, path, body=None, expect=(200,), headers=None):
        """The Answer; raises Failed, which is in `rows` as well."""
        started, wrong = time.monotonic(), None
        try:
            answer = await asyncio.wait_for(
                self.answer(method, path, body, headers or {}), TIMEOUT_S)
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

    async def answer(self, method, path, body, headers):
        target = self.target(path)
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"Host": f"127.0.0.1:{self.port}", "Accept": "*/*",
                   "Content-Length": len(data), **headers}
        if "Authorization" not in headers:
            headers["Authorization"] = self.credentials(method, target)
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = f"{method} {target} HTTP/1.1\r\n{''.join(lines)}\r\n"
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


class Client15(Client):
    """The same with a token of Sync 1.5, once it has signed in."""

    def __init__(self, port, number):
        super().__init__(port, number)
        self.number = number
        self.signer = None
        # of the collections, as info/collections has said last
        self.times = {}

    def target(self, path):
        return path if path.startswith("/") else f"{self.signer.path}/{path}"

    def credentials(self, method, target):
        return self.signer.sign(method, target)

    async def sign_in(self):
        answer = await self.call("token", "GET", sync15.TOKEN_PATH,
                                 headers=sync15.token_headers(self.number))
        self.signer = sync15.Signer(answer.body)
