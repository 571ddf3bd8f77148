# SPDX-License-Identifier: Apache-2.0
"""The outages of a Farm15 below browsers15.Browser, and the answers that they may cause.

Everything that a test does to the server says what the server may answer meanwhile; all
other refusals are failures, at that time and at any other.
"""

import contextlib
import json
import re
import time
import types

MAINTENANCE = "maintenance"

# Another writer kept the lock for too long: a slow machine can cause it at any time.
LOCKED = "503 soon"
LOCKED_SECONDS = "30"

# The only call that a drain refuses.
FIRST_CALL = "info/collections"

# Lines that the log may have at level error, of processes that were killed.
DEATHS = re.compile(
    r"WEAVE0(?:137: the worker \(pid|250: a second worker \(pid|075: worker|076: worker"
    r"|085: worker|131: weaved \(pid) (\d+)"
)

# The same of a database that was killed; libpq writes the last one itself.
AWAY = re.compile(
    r" is answered 503: the (?:database does not answer|connection was lost during COMMIT)"
    r"|\] the database does not answer yet: "
    r"|\] FATAL:  terminating connection due to unexpected postmaster exit"
)

LOCKED_LINE = re.compile(
    r" is answered 503: .*(?:database is locked|Lock wait timeout|lock timeout)"
)


class Outages:
    """`mode` is the maintenance that has been in force since somebody set it, as an object
    of its own each time: whoever sees the same one before a request and after the answer
    knows that it was in force all the time. None: none is, or nobody knows."""

    def __init__(self):
        self.mode = None
        self._all = []

    def begin(self, refusals):
        """From now on the server may answer so to requests. Returns the outage, for end()."""
        self._all.append({"refusals": refusals, "end": None})
        return self._all[-1]

    def end(self, outage):
        outage["end"] = time.monotonic()

    @contextlib.contextmanager
    def in_force(self, name):
        self.mode = types.SimpleNamespace(name=name)
        yield
        self.mode = None

    def allows(self, refusal, sent):
        """Whether a request that was sent then may be answered so now."""
        return any(
            refusal in outage["refusals"] and (outage["end"] is None or outage["end"] >= sent)
            for outage in self._all
        )


def refusal_of(answer):
    """How an answer says that the server cannot serve just now; None: it does not."""
    if answer.headers.get("X-Weave-Maintenance"):
        return MAINTENANCE
    if answer.status == 503 and answer.headers["Retry-After"] == LOCKED_SECONDS:
        return LOCKED
    return answer.status if answer.status in (502, 503) else None


def check_refusal(outages, mode, sent, path, answer):
    """Whether the answer to a request for a path was a refusal where it had to be one, and
    only where it may be; mode: that of outages when it was sent."""
    refusal = refusal_of(answer)
    told = (path, refusal, answer)
    if mode and mode is outages.mode:
        is_refused = mode.name == "on" or path == FIRST_CALL
        assert is_refused == (refusal == MAINTENANCE), (mode.name, told)
        assert int(answer.headers["X-Weave-Backoff"]) > 0, (mode.name, told)
    if refusal is None:
        return
    assert refusal == LOCKED or outages.allows(refusal, sent), told
    check_headers(refusal, path, answer)


def check_headers(refusal, path, answer):
    """A refusal as clients of Sync 1.5 and of its token server can read it."""
    assert int(answer.headers["Retry-After"]) > 0, (path, answer)
    assert answer.headers["Content-Type"].startswith("application/json"), (path, answer)
    said = json.loads(answer.body)
    if path.startswith("/"):
        assert said["errors"], (path, answer)
    else:
        assert said == 0, (path, answer)
    if refusal == MAINTENANCE:
        assert answer.status == 503, (path, answer)
        names = ("Retry-After", "X-Weave-Backoff", "X-Backoff")
        assert len({answer.headers[name] for name in names}) == 1, (path, answer.headers)
        assert answer.headers["Cache-Control"] == "no-store", (path, answer.headers)
        assert float(answer.headers["X-Weave-Timestamp"]) > 0, (path, answer.headers)


def unexplained(log, killed, had_database_killed):
    """The lines of an error log at level error, and those that are none of httpd's, but for
    what has come of the processes of the pids killed, and of the database's death."""
    found = []
    for line in log.splitlines():
        death = DEATHS.search(line)
        if death and int(death.group(1)) in killed or LOCKED_LINE.search(line):
            continue
        if had_database_killed and AWAY.search(line):
            continue
        if not re.match(r"\[[^]]+\] \[\w+:(?:warn|notice|info)\]", line) or "exit signal" in line:
            found.append(line)
    return found
