# SPDX-License-Identifier: Apache-2.0
"""load.py PORT RATE: asks for / so many times a second, until SIGTERM; then prints what was met.

Four processes with a connection each, at fixed times: a slow answer delays no later one's
clock. A kept connection that is closed before any byte of an answer is opened again once,
as clients do; all else that is no complete 200 is a failure.
"""

import http.client
import json
import os
import signal
import sys
import time

PROCESSES = 4


class Told(BaseException):
    pass


def told(number, frame):
    raise Told()


class Client:
    def __init__(self, port):
        self.port = port
        self.connection = None
        self.times = []
        self.reopened = 0
        self.failures = []

    def ask(self, due):
        """Asks once. The time counts from when it was due."""
        is_fresh = self.connection is None
        try:
            self._ask(due)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            self._close()
            if is_fresh:
                self.failures.append("%.3f %r" % (time.time(), error))
                return
            self.reopened += 1
            self.ask(due)
        except (OSError, http.client.HTTPException) as error:
            self._close()
            self.failures.append("%.3f %r" % (time.time(), error))

    def _ask(self, due):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.connection.request("GET", "/")
        response = self.connection.getresponse()
        response.read()
        self.times.append(time.monotonic() - due)
        if response.status != 200:
            self.failures.append("%.3f status %d" % (time.time(), response.status))

    def _close(self):
        self.connection.close()
        self.connection = None


def client_run(port, pause, pipe):
    client = Client(port)
    signal.signal(signal.SIGTERM, told)
    due = time.monotonic()
    try:
        while True:
            client.ask(due)
            due = max(due + pause, time.monotonic() - 1)
            time.sleep(max(0, due - time.monotonic()))
    except Told:
        pass
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(pipe, "w", encoding="utf-8") as file:
        json.dump([client.times, client.reopened, client.failures], file)
    os._exit(0)


def main(port, rate):
    clients = []
    signal.signal(signal.SIGTERM, told)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    for _ in range(PROCESSES):
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ours)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            client_run(port, PROCESSES / rate, theirs)
        os.close(theirs)
        clients.append((pid, ours))
    print("asks", flush=True)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        while True:
            time.sleep(3600)
    except Told:
        pass
    times, reopened, failures = [], 0, []
    for pid, _ in clients:
        os.kill(pid, signal.SIGTERM)
    for pid, ours in clients:
        with open(ours, encoding="utf-8") as file:
            some, again, bad = json.load(file)
        times += some
        reopened += again
        failures += bad
        os.waitpid(pid, 0)
    times.sort()
    print(json.dumps({
        "answered": len(times), "reopened": reopened, "failures": failures,
        "p99_ms": 1000 * times[int(len(times) * 0.99)] if times else 0,
        "most_ms": 1000 * times[-1] if times else 0}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
