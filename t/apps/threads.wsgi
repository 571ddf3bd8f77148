# SPDX-License-Identifier: Apache-2.0
"""What an application hands to threads of its own must not outlive a request
in any way that does harm."""
import threading
import time

from weave_test import case, note

PLAIN = [("Content-Type", "text/plain")]


def _start(target, *args):
    def run():
        try:
            target(*args)
        except Exception:
            pass  # it was too late, and was told so
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def _read_all(stream):
    return len(stream.read())


def _read_lines(stream):
    return sum(1 for _ in stream)


def read_and_leave(environ, start_response):
    """The thread is still waiting for the body when the answer is out."""
    _start(_read_all, environ["wsgi.input"])
    time.sleep(0.05)
    start_response("200 OK", PLAIN)
    return [b"left"]


def lines_and_leave(environ, start_response):
    _start(_read_lines, environ["wsgi.input"])
    start_response("200 OK", PLAIN)
    return [b"left"]


def read_in_thread(environ, start_response):
    result = []
    thread = threading.Thread(
        target=lambda: result.append(environ["wsgi.input"].read()))
    thread.start()
    thread.join()
    start_response("200 OK", PLAIN)
    return result


def read_in_many(environ, start_response):
    """Every byte goes to exactly one of them."""
    result = []

    def run():
        while True:
            data = environ["wsgi.input"].read(7)
            if not data:
                return
            result.append(data)
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    start_response("200 OK", PLAIN)
    return [bytes(sorted(b"".join(result)))]


def write_in_thread(environ, start_response):
    write = start_response("200 OK", PLAIN)
    thread = threading.Thread(target=write, args=(b"from a thread,",))
    thread.start()
    thread.join()
    return [b"from the request"]


def _write_on(write):
    for _ in range(200):
        write(b"x" * 1000)
        time.sleep(0.001)


def write_and_leave(environ, start_response):
    _start(_write_on, start_response("200 OK", PLAIN))
    time.sleep(0.02)
    return [b"left"]


def _log_on(environ):
    try:
        for i in range(50):
            environ["wsgi.errors"].write("late line %d\n" % i)
            time.sleep(0.002)
    finally:
        note(environ, "logged")


def log_and_leave(environ, start_response):
    _start(_log_on, environ)
    start_response("200 OK", PLAIN)
    return [b"left"]


def application(environ, start_response):
    return globals()[case(environ)](environ, start_response)
