# SPDX-License-Identifier: Apache-2.0
"""The turns of those who write to one SQLite file, in threads and in processes."""

import contextlib
import multiprocessing
import os
import pathlib
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest
import webtest

from conftest import LONG_SECONDS, SOURCES, User, eventually, is_unavailable
from weave.server.app import create_application
from weave.server.database import Database
from weave.server.fairlock import FairLock

PROCESSES, THREADS, WRITES = 3, 3, 30

# Takes the turn and lets go as it is told, and writes its name into a file with each turn.
PROGRAM = """
import sys, time
from weave.server.fairlock import FairLock

lock, name, order = FairLock(sys.argv[1]), sys.argv[2], sys.argv[3]
print("ready", flush=True)
for line in sys.stdin:
    if line == "take\\n":
        print(lock.acquire(time.monotonic() + %d), flush=True)
        with open(order, "a") as file:
            print(name, file=file)
    else:
        lock.release()
"""


class Process:
    """A process with a FairLock."""

    def __init__(self, path, name):
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM % LONG_SECONDS, path, name, path + ".order"],
            env=dict(os.environ, PYTHONPATH=SOURCES),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="ascii",
        )
        assert self.read() == "ready"

    def read(self):
        return self._process.stdout.readline().strip()

    def say(self, word):
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def take(self):
        self.say("take")
        assert self.read() == "True"

    def signal(self, number):
        self._process.send_signal(number)

    def close(self):
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "weave.db-turn")


@pytest.fixture
def start(path):
    """Starts a Process with a name."""
    with contextlib.ExitStack() as stack:
        yield lambda name: stack.enter_context(contextlib.closing(Process(path, name)))


def soon(seconds=LONG_SECONDS):
    return time.monotonic() + seconds


def drawn(path):
    """How many numbers were given out."""
    return int.from_bytes(pathlib.Path(path).read_bytes(), "big")


def test_processes_are_served_in_the_order_in_which_they_came(path, start):
    holder = start("0")
    holder.take()
    others = [start(str(number)) for number in range(1, 6)]
    for number, process in enumerate(others):
        process.say("take")
        eventually(lambda: drawn(path) == number + 2)
    holder.say("free")
    # It wants the turn at once, again, and is the last one all the same.
    holder.say("take")
    for process in others:
        assert process.read() == "True"
        process.say("free")
    eventually(lambda: len(pathlib.Path(path + ".order").read_text().split()) == 7)
    assert pathlib.Path(path + ".order").read_text().split() == list("0123450")


def test_threads_are_served_in_the_order_in_which_they_came(path):
    lock, order = FairLock(path), []
    assert lock.acquire(soon())

    def run(number):
        assert lock.acquire(soon())
        order.append(number)
        lock.release()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for number, thread in enumerate(threads):
        thread.start()
        eventually(lambda: len(lock._waiting) == number + 1)
    lock.release()
    for thread in threads:
        thread.join()
    assert order == list(range(8))
    assert lock.acquire(soon(0)), "it is free again"


def test_whoever_gives_up_leaves_no_gap(path, start):
    holder = start("holder")
    holder.take()
    lock, results = FairLock(path), []
    for seconds in (0, 0.01, 0.05):
        assert not lock.acquire(soon(seconds))
    thread = threading.Thread(target=lambda: results.append(lock.acquire(soon())))
    thread.start()
    eventually(lambda: lock._is_wanted)
    assert not lock.acquire(soon(0.01)), "a thread is in front of it"
    holder.say("free")
    thread.join()
    assert results == [True]
    assert drawn(path) == 2, "the place in the queue was kept"
    lock.release()
    holder.take()


def test_a_turn_that_nobody_waits_for_any_more_is_given_back(path, start):
    holder, other = start("holder"), start("other")
    holder.take()
    lock = FairLock(path)
    assert not lock.acquire(soon(0.01))
    other.say("take")
    eventually(lambda: drawn(path) == 3)
    holder.say("free")
    assert other.read() == "True"


@pytest.mark.parametrize("waits", [False, True])
def test_a_process_that_is_killed(path, start, waits):
    holder, other = start("holder"), start("other")
    holder.take()
    if waits:
        other.say("take")
        eventually(lambda: drawn(path) == 2)
        other.signal(signal.SIGKILL)
    holder.signal(signal.SIGKILL)
    lock = FairLock(path)
    assert lock.acquire(soon())


def test_a_child_that_is_forked_has_neither_the_turn_nor_a_way_to_end_it(path, start):
    lock, other = FairLock(path), start("other")
    assert lock.acquire(soon())
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            got = lock.acquire(soon(0.05))
            os.write(writing, b"had it" if got else b"waited")
            signal.pause()
        os._exit(0)
    try:
        eventually(lambda: drawn(path) == 2)
        assert os.read(reading, 10) == b"waited"
        other.say("take")
        eventually(lambda: drawn(path) == 3)
        lock.release()
        assert other.read() == "True"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_without_a_file_threads_take_turns(tmp_path, caplog):
    lock = FairLock(str(tmp_path))
    for _ in range(2):
        assert lock.acquire(soon())
        assert not lock.acquire(soon(0))
        lock.release()
    assert caplog.text.count("cannot be used") == 1


def test_no_thread_can_be_started(path, monkeypatch, caplog):
    """Nobody waits in vain then, and later on turns are taken again."""
    holder, lock = FairLock(path), FairLock(path)
    assert holder.acquire(soon())

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert lock.acquire(soon())
        lock.release()
    assert "can't start new thread" in caplog.text
    holder.release()
    for _ in range(2):
        assert lock.acquire(soon())
        lock.release()


def test_an_exception_leaves_the_turn_to_others(path, monkeypatch):
    lock = FairLock(path)
    with monkeypatch.context() as patched:
        patched.setattr(lock, "_reach", lambda until: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            lock.acquire(soon())
    assert lock.acquire(soon())


def make(folder, timeout):
    """The URL of a database, in an ini, with Alice and her like."""
    ini = folder / "sync.ini"
    ini.write_text(
        "[storage]\nsqluri = sqlite:///%%(here)s/weave.db?timeout=%s\n"
        "create_tables = true\n[auth]\nstrict_usernames = false\n" % timeout
    )
    return str(ini)


def write_many(ini, process, barrier, finished):
    """In a process: each thread writes again and again."""
    app = webtest.TestApp(create_application(ini))
    users = [User(app, "u%d-%d" % (process, n)).sign_up() for n in range(THREADS)]
    failures = []

    def run(user):
        with contextlib.closing(finished[user.name]):
            barrier.wait(LONG_SECONDS)
            for number in range(WRITES):
                batch = [{"id": "%d" % n, "payload": "x" * 100} for n in range(10)]
                if user.post("storage/col", batch, "*").status_int != 200:
                    failures.append(number)
                finished[user.name].send(time.monotonic_ns())

    threads = [threading.Thread(target=run, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.exit(len(failures))


@pytest.mark.sqlite_only
def test_nobody_starves(tmp_path):
    """No process writes less than half as much as another."""
    ini = make(tmp_path, LONG_SECONDS)
    create_application(ini)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES * THREADS)
    names = ["u%d-%d" % (p, t) for p in range(PROCESSES) for t in range(THREADS)]
    pipes = {name: context.Pipe(duplex=False) for name in names}
    processes = []
    for number in range(PROCESSES):
        mine = {name: pipes[name][1] for name in names if name.startswith("u%d-" % number)}
        args = (ini, number, barrier, mine)
        processes.append(context.Process(target=write_many, args=args))
        processes[-1].start()
    for _, writing in pipes.values():
        writing.close()
    times = {name: sorted(_received(pipes[name][0])) for name in names}
    for process in processes:
        process.join()
        assert process.exitcode == 0, "a write has failed"
    first = min(mine[-1] for mine in times.values())
    done = {name: sum(at <= first for at in mine) for name, mine in times.items()}
    assert min(done.values()) >= WRITES / 2, done


def _received(pipe):
    with contextlib.suppress(EOFError):
        while True:
            yield pipe.recv()


HOLD = """
import sys
from weave.server.app import create_application, Databases
databases = Databases()
create_application(sys.argv[1], databases)
(database,) = databases

def act(connection):
    print("in", flush=True)
    sys.stdin.readline()

database.write(act)
print("out", flush=True)
"""


@pytest.fixture
def holding(tmp_path):
    """A process that has begun to write, until it is told to end."""
    processes = []

    def start(ini):
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", HOLD, ini],
                env=dict(os.environ, PYTHONPATH=SOURCES),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.sqlite_only
def test_the_one_who_writes_is_stopped(tmp_path, holding):
    ini = make(tmp_path, 0.3)
    user = User(webtest.TestApp(create_application(ini)), "alice").sign_up()
    holder = holding(ini)
    assert holder.stdout.readline() == b"in\n"
    holder.send_signal(signal.SIGSTOP)
    assert is_unavailable(user.put("storage/col/a", {"payload": "x"}, 503), 30)
    holder.send_signal(signal.SIGCONT)
    holder.communicate(b"\n")
    # The thread that has waited for the turn may notice only now that it was given.
    eventually(lambda: user.put("storage/col/a", {"payload": "x"}, "*").status_int == 200)


@pytest.mark.sqlite_only
def test_one_who_waits_is_stopped(tmp_path, holding):
    """Its turn comes, and it does not notice; others need not wait for ever."""
    ini = make(tmp_path, 0.3)
    user = User(webtest.TestApp(create_application(ini)), "alice").sign_up()
    holder = holding(make(tmp_path, LONG_SECONDS))
    assert holder.stdout.readline() == b"in\n"
    before = drawn(tmp_path / "weave.db-turn")
    waiter = holding(ini)
    eventually(lambda: drawn(tmp_path / "weave.db-turn") == before + 1)
    waiter.send_signal(signal.SIGSTOP)
    holder.communicate(b"\n")
    user.put("storage/col/a", {"payload": "x"})
    user.put("storage/col/b", {"payload": "x"})
    waiter.send_signal(signal.SIGCONT)
    assert waiter.stdout.readline() == b"in\n"


@pytest.mark.sqlite_only
def test_purge_takes_its_turn(tmp_path, path, start):
    ini = make(tmp_path, LONG_SECONDS)
    user = User(webtest.TestApp(create_application(ini)), "alice").sign_up()
    user.put("storage/col/a", {"payload": "x", "ttl": 0})
    holder, before = start("holder"), drawn(path)
    holder.take()
    purge = subprocess.Popen(
        [sys.executable, "-m", "weave.server", "purge", ini],
        env=dict(os.environ, PYTHONPATH=SOURCES),
        stdout=subprocess.PIPE,
    )
    with purge:
        eventually(lambda: drawn(path) > before + 1)
        assert purge.poll() is None
        holder.say("free")
        assert purge.communicate()[0] == b"1 expired records removed\n"


@pytest.mark.sqlite_only
def test_the_file_is_closed_to_others(tmp_path):
    ini = make(tmp_path, LONG_SECONDS)
    User(webtest.TestApp(create_application(ini)), "alice").sign_up()
    assert stat.S_IMODE(os.stat(tmp_path / "weave.db-turn").st_mode) == 0o600


def test_a_database_in_memory_needs_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pool = dict.fromkeys(["pool_size", "pool_max_overflow", "pool_timeout"], 1)
    database = Database("sqlite://", dict(pool, pool_recycle=60, reset_on_return=True))
    database.write(lambda connection: connection.exec_driver_sql("create table t (x)"))
    assert os.listdir(tmp_path) == []
