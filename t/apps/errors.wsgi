# SPDX-License-Identifier: Apache-2.0
"""Everything that should end in the error log."""
import logging
import sys
import threading
import warnings

from weave_test import case, query

logging.basicConfig(level=logging.DEBUG, format="%(message)s")
log = logging.getLogger("weave_test.errors")


def write(environ):
    environ["wsgi.errors"].write("to wsgi.errors\n")


def writelines(environ):
    environ["wsgi.errors"].writelines(["line 1\nli", "ne 2\n", "line 3\n"])


def flush(environ):
    environ["wsgi.errors"].write("before the flush")
    environ["wsgi.errors"].flush()
    environ["wsgi.errors"].write(", after it\n")


def partial(environ):
    environ["wsgi.errors"].write("no newline")


def pieces(environ):
    for piece in ("in ", "many ", "pieces", "\n"):
        environ["wsgi.errors"].write(piece)


def printed(environ):
    print("to stdout", "in two parts")


def printed_stderr(environ):
    print("to stderr", file=sys.stderr)


def printed_partial(environ):
    sys.stdout.write("stdout without newline")


def empty_lines(environ):
    environ["wsgi.errors"].write("above\n\nbelow\n")


def utf8(environ):
    environ["wsgi.errors"].write("caf\xe9 \u20ac \U0001f600\n")


def surrogate(environ):
    environ["wsgi.errors"].write("half \ud800 done\n")


def control(environ):
    environ["wsgi.errors"].write("nul \0 then \x1b[31m red \r end\n")


def long(environ):
    environ["wsgi.errors"].write("BEGIN" + "\u20ac" * 7000 + "END\n")


def wrong_type(environ):
    try:
        environ["wsgi.errors"].write(b"bytes")
    except TypeError:
        environ["wsgi.errors"].write("TypeError as it should\n")


def print_to(environ):
    print("by print", file=environ["wsgi.errors"])


def stream_handler(environ):
    handler = logging.StreamHandler(environ["wsgi.errors"])
    logger = logging.getLogger("weave_test.own")
    logger.propagate = False
    logger.addHandler(handler)
    logger.error("by a handler of its own")
    logger.removeHandler(handler)


def levels(environ):
    log.debug("a debug line")
    log.info("an info line")
    log.warning("a warning line")
    log.error("an error line")
    log.critical("a critical line")


def its_id(environ):
    log.warning("the id is %s", environ["weave.request_id"])


def logged_exception(environ):
    try:
        int("x")
    except ValueError:
        log.exception("caught it")


def logged_lines(environ):
    log.error("first\nsecond")


def warned(environ):
    warnings.warn("a Python warning")


def from_thread(environ):
    def run():
        print("from a thread")
        log.error("logged from a thread")
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def thread_dies(environ):
    thread = threading.Thread(target=lambda: int("thread"))
    thread.start()
    thread.join()


def interleaved(environ):
    me = query(environ)["me"]
    for i in range(200):
        environ["wsgi.errors"].write("<%s" % me)
        environ["wsgi.errors"].write(" %d" % i)
        environ["wsgi.errors"].write(" %s>\n" % me)
        sys.stdout.write("[%s" % me)
        sys.stdout.write(" %d" % i)
        sys.stdout.write(" %s]\n" % me)


def late_write(environ):
    _kept.append(environ["wsgi.errors"])


def use_late(environ):
    while _kept:
        try:
            _kept.pop().write("too late\n")
        except Exception:
            pass


_kept = []


def application(environ, start_response):
    globals()[case(environ)](environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
