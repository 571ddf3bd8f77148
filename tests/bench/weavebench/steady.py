# SPDX-License-Identifier: Apache-2.0
"""A light, steady load in the background that forgets no request."""

import collections
import threading
import time

from .client import Broken, Connection


class Steady:
    """Threads that each ask, look at the answer, pause and ask again.

    Kept-alive clients keep one connection; fresh ones make one for each
    request. `failures` counts whatever was not the right answer.
    """

    def __init__(self, port, workload, kept=3, fresh=1, pause=0.01):
        self.port, self.workload, self.pause = port, workload, pause
        self.failures = collections.Counter()
        self.answered = self.resent = 0
        self.slowest = 0.0
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.threads = [
            threading.Thread(target=self.run, args=(number < kept,),
                             daemon=True)
            for number in range(kept + fresh)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def ask(self, connection):
        """None when the answer was right, else what was wrong with it."""
        try:
            status, body = connection.request(self.workload)
        except Broken as error:
            return str(error)
        if status != 200 or body != self.workload.body:
            return f"status {status}, {len(body)} bytes"
        return None

    def run(self, kept):
        connection = Connection(self.port)
        while not self.ending.is_set():
            started = time.monotonic()
            wrong = self.ask(connection)
            took = time.monotonic() - started
            if not kept:
                connection.close()
            with self.lock:
                self.slowest = max(self.slowest, took)
                self.answered += not wrong
                if wrong:
                    self.failures[wrong] += 1
            self.ending.wait(self.pause)
        with self.lock:
            self.resent += connection.resent
        connection.close()
