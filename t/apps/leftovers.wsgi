# SPDX-License-Identifier: Apache-2.0
"""Processes and timers that an application starts."""
import multiprocessing
import os
import signal
import time

from weave_test import case, note

# Forking is what inherits from httpd; newer Pythons would rather not.
_context = multiprocessing.get_context("fork")


def _run(connection):
    connection.send("running")
    time.sleep(200)


def _alarm():
    signal.alarm(1)
    time.sleep(50)


def _process():
    """One that is running, and not only forked."""
    here, there = _context.Pipe()
    process = _context.Process(target=_run, args=(there,), daemon=True)
    process.start()
    here.recv()
    return process


def terminated(environ):
    process = _process()
    process.terminate()
    process.join(50)
    result = process.exitcode
    if result is None:
        process.kill()
    return result


def alarmed(environ):
    """How a process ends that has asked for an alarm."""
    process = _context.Process(target=_alarm)
    process.start()
    process.join(100)
    return process.exitcode


def started(environ):
    """Stays behind when the server stops."""
    return _process().pid


def timers(environ):
    signal.alarm(1)
    signal.siginterrupt(signal.SIGTERM, False)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    time.sleep(1.2)
    return os.getpid()


def keywords(environ):
    before = signal.getsignal(signal.SIGUSR1)
    signal.signal(signalnum=signal.SIGUSR1, handler=signal.SIG_IGN)
    return signal.getsignal(signal.SIGUSR1) == before


def application(environ, start_response):
    result = globals()[case(environ)](environ)
    note(environ, "done")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(result).encode()]
