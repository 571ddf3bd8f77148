# SPDX-License-Identifier: Apache-2.0
"""What programs do with sys.stdout and sys.stderr beside writing lines."""
import faulthandler
import subprocess
import sys
import threading

from weave_test import case

BLOCK = b"x" * 65536


def _rss():
    with open("/proc/self/status") as stream:
        status = dict(line.split(":", 1) for line in stream)
    return int(status["VmRSS"].split()[0])


def endless_line():
    """4 MB without a newline; the thread measures while its line is open."""
    grown = []

    def run():
        sys.stdout.write("BEGIN")
        before = _rss()
        for _ in range(64):
            sys.stdout.buffer.write(BLOCK)
        grown.append(_rss() - before)
        sys.stdout.write("END")
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return grown[0]


def last_words():
    thread = threading.Thread(
        target=sys.stdout.write, args=("last words of a thread",))
    thread.start()
    thread.join()


def halves():
    sys.stdout.buffer.write(b"caf\xc3")
    sys.stdout.buffer.write(b"\xa9 in halves\n")


def before_exception():
    sys.stdout.write("begun and ")
    sys.stderr.write("broken off by ")
    raise ValueError("an exception")


def reconfigured():
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
    sys.stderr.reconfigure(errors="replace")
    print("after reconfigure()")


def enabled():
    faulthandler.enable()
    faulthandler.disable()
    return "enabled"


def handed_on():
    return subprocess.run(["sh", "-c", "echo from a subprocess >&2"],
                          stderr=sys.stderr).returncode


def application(environ, start_response):
    result = globals()[case(environ)]()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(result).encode()]
