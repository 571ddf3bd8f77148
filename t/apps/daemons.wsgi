# SPDX-License-Identifier: Apache-2.0
"""Processes that an embedded application forks, and what they have open."""
import json
import logging
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time

from weave_test import append, case, query

_context = multiprocessing.get_context("fork")
_own = os.open(__file__, os.O_RDONLY)


def _address(number):
    """Where a socket is bound, and to whom it is connected."""
    with socket.socket(fileno=os.dup(number)) as opened:
        try:
            return [opened.getsockname(), opened.getpeername()]
        except OSError:
            return [opened.getsockname(), None]


def _opened():
    """{number: what it is}, but for the folder that is looked at."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink("/proc/self/fd/" + name)
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            target = "socket: %s" % _address(int(name))
        found[name] = target
    return found


def _child(note_id, listener):
    """What is in a fork, for the test."""
    text = {
        "pid": os.getpid(),
        "open": _opened(),
        "own": len(os.pread(_own, 10, 0)),
        "socket": listener.getsockname()[1],
    }
    with open(os.environ["WEAVE_INI"]) as stream:
        text["ini"] = "[wsgi]" in stream.read()
    append(note_id, json.dumps(text))


def daemon(environ):
    """Forks twice, as what makes a daemon of a process does."""
    note_id = environ["HTTP_X_NOTE"]
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                _child(note_id, listener)
                time.sleep(300)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    listener.close()
    return {"own": _own}


def _speak(words):
    print(words + " printed")
    print(words + " on stderr", file=sys.stderr)
    logging.getLogger("daemons").warning(words + " logged")
    subprocess.run(["sh", "-c", "echo %s by a program >&2" % words], check=True)


def speak(environ):
    """A process of multiprocessing that says something."""
    process = _context.Process(target=_speak, args=(query(environ)["words"],))
    process.start()
    process.join(50)
    return {"status": process.exitcode}


def _run(run):
    with tempfile.NamedTemporaryFile("r") as stream:
        run(["/bin/sh", "-c", "ls -l /proc/self/fd >" + stream.name])
        return [line for line in stream.read().splitlines() if "->" in line]


def programs(environ):
    """What programs have open that the application lets inherit all."""
    def spawn(command):
        os.waitpid(os.posix_spawn(command[0], command, os.environ), 0)
    return {
        "subprocess": _run(lambda command: subprocess.run(
            command, close_fds=False, check=True)),
        "system": _run(lambda command: os.system(command[2])),
        "spawn": _run(spawn),
    }


def _links(pid):
    found = []
    for name in os.listdir("/proc/%d/fd" % pid):
        try:
            found.append(os.readlink("/proc/%d/fd/%s" % (pid, name)))
        except FileNotFoundError:
            continue
    return found


def _links_put(queue):
    queue.put({"process": _links(os.getpid()), "server": _links(os.getppid())})


def forkserver(environ):
    """What a process of multiprocessing has open, and what forks it."""
    context = multiprocessing.get_context("forkserver")
    queue = context.SimpleQueue()
    process = context.Process(target=_links_put, args=(queue,))
    process.start()
    found = queue.get()
    process.join(50)
    return found


def pid(environ):
    return {"pid": os.getpid()}


def application(environ, start_response):
    result = globals()[case(environ)](environ)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(result).encode()]
