# SPDX-License-Identifier: Apache-2.0
"""Programs and processes that an application starts: signals and imports."""
import concurrent.futures
import json
import multiprocessing
import os
import signal
import subprocess
import tempfile
import threading
import time

from weave_test import case, note, query

# no shell in between: some of them open their mask
_STATUS = ["/bin/cp", "/proc/self/status"]


def _blocked(text):
    """The signals in the text of /proc/PID/status."""
    bits = int(text.partition("SigBlk:")[2].split()[0], 16)
    return [n for n in range(1, 32) if bits >> (n - 1) & 1]


def _of_program(run):
    with tempfile.NamedTemporaryFile("r") as stream:
        run(_STATUS + [stream.name])
        return _blocked(stream.read())


def _own():
    with open("/proc/thread-self/status") as stream:
        return _blocked(stream.read())


def _of_fork(fork):
    read, write = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            os.write(write, json.dumps(_own()).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as stream:
        return json.load(stream)


def _popen(**options):
    return lambda args: subprocess.check_call(args, **options)


def _spawn(args):
    os.waitpid(os.posix_spawn(args[0], args, os.environ), 0)


def _spawnp(args):
    os.waitpid(os.posix_spawnp("cp", args, os.environ), 0)


def _masked(run):
    """As multiprocessing starts its resource tracker."""
    def run_masked(args):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        try:
            run(args)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    return run_masked


def _masked_fork():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    return pid


def masks(environ):
    """What programs and forks have blocked."""
    return {
        "subprocess": _of_program(_popen()),
        "close_fds": _of_program(_popen(close_fds=False)),
        "preexec_fn": _of_program(_popen(preexec_fn=lambda: None)),
        "posix_spawn": _of_program(_spawn),
        "posix_spawnp": _of_program(_spawnp),
        "system": _of_program(lambda args: os.system(" ".join(args))),
        "spawnv": _of_program(
            lambda args: os.spawnv(os.P_WAIT, args[0], args)),
        "fork": _of_fork(os.fork),
        "forkpty": _of_fork(lambda: os.forkpty()[0]),
        "masked": _of_program(_masked(_popen())),
        "spawn masked": _of_program(_masked(_spawn)),
        "fork masked": _of_fork(_masked_fork),
    }


class _Spy:
    """A word of a command that sees the thread which starts the program."""
    def __init__(self):
        self.blocked = []

    def __fspath__(self):
        self.blocked.append(_own())
        return "x"


def threads(environ):
    """What the thread has blocked, before and while it starts programs."""
    spies = {name: _Spy() for name in ("subprocess", "close_fds", "posix_spawn")}
    subprocess.run(["/bin/true", spies["subprocess"]])
    subprocess.run(["/bin/true", spies["close_fds"]], close_fds=False)
    _spawn(["/bin/true", spies["posix_spawn"]])
    return {"before": _own(),
            "while": {name: spy.blocked for name, spy in spies.items()}}


def system(environ):
    """What os.system() returns."""
    return {"status": os.system("exit 3"),
            "signal": os.system("kill -TERM $$")}


def terminate(environ):
    """Does a program end that is told to?"""
    with subprocess.Popen(["/bin/sleep", "300"]) as process:
        process.terminate()
        try:
            return {"status": process.wait(50)}
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def early(environ):
    """How processes end that are told to as soon as there are they."""
    statuses = set()
    for unused in range(40):
        pid = os.fork()
        if pid == 0:
            time.sleep(50)
            os._exit(0)
        os.kill(pid, signal.SIGTERM)
        statuses.add(os.waitpid(pid, 0)[1])
    return {"statuses": sorted(statuses), "pid": os.getpid()}


def _square(number):
    return number * number


def _sleep():
    time.sleep(300)


def pool(environ):
    """A function of this script in processes of each kind."""
    threading.current_thread()
    context = multiprocessing.get_context(query(environ)["method"])
    with concurrent.futures.ProcessPoolExecutor(2, context) as executor:
        return {"found": list(executor.map(_square, range(4))),
                "own": _own()}


def process(environ):
    """The exit statuses of a process that ends, and of one that must."""
    threading.current_thread()
    context = multiprocessing.get_context(query(environ)["method"])
    one = context.Process(target=_square, args=(1,))
    other = context.Process(target=_sleep)
    one.start()
    other.start()
    one.join(50)
    other.terminate()
    other.join(50)
    return {"ended": one.exitcode, "terminated": other.exitcode}


def true(environ):
    """Starts programs in all ways, while httpd gets signals."""
    subprocess.run(["/bin/true"])
    subprocess.run(["/bin/true"], close_fds=False)
    note(environ, "true")
    return {"status": os.system("true")}


def application(environ, start_response):
    result = globals()[case(environ)](environ)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(result).encode()]
