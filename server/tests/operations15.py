# SPDX-License-Identifier: Apache-2.0
"""The operations on a Farm15 while browsers15.Browser syncs with it."""

import collections
import contextlib
import hashlib
import random
import time

from sqlalchemy import create_engine, inspect
from sqlalchemy.pool import NullPool

from conftest import eventually
from outages15 import MAINTENANCE

# weavectl waits for so long until no request runs any more.
WAIT = "120s"

# The operations that are possible while the database is away, or in a maintenance.
MEANWHILE = ("graceful", "reload", "kill -9 of a worker", "kill -9 of all workers")

# The statuses that the death of workers may cause.
WITHOUT_WORKERS = (502, 503)


class Operations:
    """`done` is how often each was done. Without a server of the database (None), it does
    not die."""

    def __init__(self, farm, url, server, browsers, outages):
        self.done = collections.Counter()
        self._farm = farm
        self._url = url.replace("%(here)s", str(farm.folder / "data"))
        self._server = server
        self._browsers = browsers
        self._outages = outages
        # The outages that go on until both workers serve again, and until browsers are served.
        self._without_workers = []
        self._lasting = []
        self._has_more = False
        # Each with what clients may be answered while it lasts.
        self._operations = {
            "graceful": (farm.graceful,),
            "reload": (farm.reload,),
            "kill -9 of a worker": (lambda: farm.kill_workers(1), *WITHOUT_WORKERS),
            "kill -9 of all workers": (lambda: farm.kill_workers(2), *WITHOUT_WORKERS),
            "kill -9 of weaved": (farm.kill_weaved,),
            "kill -9 of weaved and a worker": (
                lambda: farm.kill_weaved(1), *WITHOUT_WORKERS),
            "maintenance on": (self._maintain,),
            "maintenance drain": (self._drain,),
        }
        if server:
            self._operations["kill -9 of the database"] = (self._kill_database, 503)

    def go_through(self, is_enough, pause_seconds):
        """Each kind once, and then any, until is_enough(); pauses are that long at most."""
        once = [("graceful", "reload"), ("kill -9 of weaved", "maintenance on"),
                ("kill -9 of a worker", "maintenance drain"),
                ("kill -9 of all workers",)]  # fmt: skip
        if self._server:
            once.append(("kill -9 of the database",))
        while not self.failures and (once or not is_enough()):
            if once:
                self._run(once.pop(0))
            else:
                self._has_more = True
                self._run(random.sample(list(self._operations), random.choice((1, 1, 2))))
            time.sleep(random.uniform(0, pause_seconds))

    def _run(self, names):
        """One after the other, without a pause between them; then all browsers are served
        again, or one has failed."""
        for name in names:
            self._do(name)
        self._wait("served", all)
        if len(self._farm.workers()) == 2:
            self._lasting += self._without_workers
            self._without_workers = []
        for outage in self._lasting:
            self._outages.end(outage)
        self._lasting = []

    def _do(self, name):
        operate, *refusals = self._operations[name]
        outage = self._outages.begin(refusals)
        (self._without_workers if 502 in refusals else self._lasting).append(outage)
        operate()
        self.done[name] += 1

    def _do_another(self):
        """In the midst of an operation, now and then."""
        if self._has_more and random.random() < 0.5:
            self._do(random.choice(MEANWHILE))

    def _wait(self, what, how):
        """Until two more answers to all browsers, or to any, were such ones: the second was
        asked for since."""
        before = [getattr(browser, what) for browser in self._browsers]

        def go_on():
            now = [getattr(browser, what) for browser in self._browsers]
            return self.failures or how(b > a + 1 for a, b in zip(before, now))

        eventually(go_on, "browsers are " + what)

    @property
    def failures(self):
        return [browser.failure for browser in self._browsers if browser.failure]

    @contextlib.contextmanager
    def _maintenance(self, mode, *options):
        outage = self._outages.begin([MAINTENANCE])
        self._farm.maintenance(mode, *options)
        with self._outages.in_force(mode):
            yield
        self._farm.maintenance("off")
        self._outages.end(outage)

    def _maintain(self):
        """As an administrator does who restarts the database: nothing is written from the
        end of the command on, and clients are told nothing but that."""
        with self._maintenance("on", "--wait", WAIT):
            before = self._digest()
            self._wait("refused", any)
            if self._server:
                self._server.kill()
                self._do_another()
                self._server.start()
            assert self._digest() == before, "something was written in a maintenance"

    def _drain(self):
        with self._maintenance("drain"):
            self._do_another()
            self._wait("refused", any)

    def _kill_database(self):
        self._server.kill()
        self._wait("refused", any)
        self._do_another()
        self._server.start()

    def _digest(self):
        """A hash of all tables."""
        engine = create_engine(self._url, poolclass=NullPool)
        found = hashlib.sha256()
        with engine.connect() as connection:
            for table in sorted(inspect(connection).get_table_names()):
                rows = connection.exec_driver_sql("SELECT * FROM %s" % table)
                found.update("\n".join(sorted(repr(tuple(row)) for row in rows)).encode())
        return found.hexdigest()
