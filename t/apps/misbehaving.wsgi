# SPDX-License-Identifier: Apache-2.0
"""What no application should do to its process, one function each.

What is in the file "at_import" beside this one is run before it is loaded.
"""
import os
import re
import signal
import subprocess
import sys
import threading
import time

from weave_test import case, note, query

_at_import = os.path.join(os.path.dirname(os.path.abspath(__file__)), "at_import")
if os.path.exists(_at_import):
    with open(_at_import) as _stream:
        exec(_stream.read())


def who(environ):
    return "%d" % os.getpid()


def sleep(environ):
    time.sleep(float(query(environ)["s"]))
    return who(environ)


def backtrack(environ):
    """In C for ever, with the GIL."""
    return str(re.match(r"(?:a+)+$", "a" * 60 + "b"))


def exit_at_once(environ):
    os._exit(3)


def exit_in_thread(environ):
    threading.Thread(target=os._exit, args=(4,)).start()
    time.sleep(50)


def sys_exit(environ):
    sys.exit(5)


def kill(environ):
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(50)


def terminate(environ):
    """As a service manager would: it drains."""
    os.kill(os.getpid(), signal.SIGTERM)
    return who(environ)


def abort(environ):
    os.abort()


def fork_and_exit(environ):
    """The child goes through what Python does at its end."""
    pid = os.fork()
    if pid == 0:
        sys.exit(6)
    return "%d %d" % (pid, os.waitpid(pid, 0)[1])


def fork_and_raise(environ):
    pid = os.fork()
    if pid == 0:
        raise RuntimeError("in the child")
    return "%d %d" % (pid, os.waitpid(pid, 0)[1])


def fork_and_answer(environ):
    """The child answers, too."""
    pid = os.fork()
    return "child" if pid == 0 else "%d" % pid


def outlive(environ):
    """A program that stays when its parent has gone."""
    return "%d" % subprocess.Popen(["sleep", "200"]).pid


def fill_stderr(environ):
    subprocess.run([sys.executable, "-c",
                    "import os\nfor _ in range(16): os.write(2, b'filling ' * 8192)\n"
                    "os.write(2, b'\\n')"], check=True)
    for _ in range(200):
        sys.stderr.write("filling " * 1000 + "\n")
    return "filled"


def recurse(environ):
    return recurse(environ)


def recurse_without_limit(environ):
    sys.setrecursionlimit(1 << 30)

    class Deep:
        def __repr__(self):
            return repr(self)
    return repr(Deep())


def too_much(environ):
    return "%d" % len(bytearray(1 << 50))


def for_ever(environ):
    """Threads that do not end."""
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(1000,)).start()
    return who(environ)


def change_folder(environ):
    os.chdir(query(environ)["to"])
    return os.getcwd()


def close_all(environ):
    os.closerange(3, 256)
    return "closed"


def close_and_open(environ):
    """What the worker had is something else now."""
    os.closerange(3, 256)
    return "%d" % len([os.open("/dev/zero", os.O_RDWR) for _ in range(64)])


def application(environ, start_response):
    note(environ, "in %d" % os.getpid())
    body = globals()[case(environ)](environ).encode()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
