# SPDX-License-Identifier: Apache-2.0
"""The workloads: what is asked, and what a right answer looks like."""

from dataclasses import dataclass

from . import BenchError
from .client import Broken, Connection

HELLO = b"Hello, world\n"
# what mod_weave says of a request to Sync's storage during maintenance
REFUSED = b'"server issue: maintenance"'


@dataclass(frozen=True)
class Workload:
    """`floor` is the workload the floor answers beside this one.

    Where C has no counterpart (Python's own work) the floor says hello: it
    tells then how steady the machine was, and no ratio is made of it.
    `threads` is what a worker process has: with fewer than clients, `sleep`
    would only measure how many there are.
    """

    name: str
    length: int
    body: bytes = None
    body_bytes: int = 0
    floor: str = ""
    threads: int = 15
    status: int = 200
    at: str = ""

    @property
    def path(self):
        return self.at or f"/{self.name}"

    @property
    def method(self):
        return "POST" if self.body_bytes else "GET"

    @property
    def mirrored(self):
        return not self.floor

    def on(self, server):
        """What to ask of `server` (a Server) in a set of this workload."""
        return WORKLOADS[self.floor] if server.floor and self.floor else self


WORKLOADS = {workload.name: workload for workload in (
    Workload("hello", len(HELLO), HELLO),
    Workload("env", 4096),
    Workload("post", 5, b"65536", body_bytes=64 * 1024),
    Workload("big", 1024 * 1024, b"x" * (1024 * 1024)),
    Workload("sleep", len(HELLO), HELLO, threads=32),
    Workload("cpu", len(HELLO), HELLO, floor="hello"),
    Workload("mix", len(HELLO), HELLO, floor="hello"),
)}

ABOUT = Workload("about", 0)
# the first call of a sync, refused
MAINTENANCE = Workload("maintenance", len(REFUSED), REFUSED, status=503,
                       at="/1.1/user/info/collections")


def choose(names):
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        raise BenchError(f"no workload {unknown[0]!r}: there are "
                         f"{', '.join(WORKLOADS)}")
    return [WORKLOADS[name] for name in names]


def check(label, port, workload, tail=lambda: ""):
    """Asks twice on one connection; raises unless both answers are right."""
    connection = Connection(port)
    try:
        for _ in range(2):
            status, body = connection.request(workload)
            right = status == workload.status and \
                len(body) == workload.length and workload.body in (None, body)
            if not right:
                raise BenchError(
                    f"{label} answers {workload.path} with {status} and "
                    f"{len(body)} bytes, not {workload.status} and "
                    f"{workload.length}: {body[:60]!r}\n{tail()[-3000:]}")
    except Broken as error:
        raise BenchError(f"{label} does not answer {workload.path}: "
                         f"{error}\n{tail()[-3000:]}") from error
    finally:
        connection.close()
