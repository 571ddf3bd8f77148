# SPDX-License-Identifier: Apache-2.0
"""A lock of threads and processes of one machine: first come, first served.

The threads of a process queue up in memory. The first of them queues up with
those of other processes at a file: it draws the next number and waits until the
kernel has taken the lock from the byte of the number before, as it does when
that process lets go or ends. These are locks of an open file description: they
belong to one thread, and a child that is forked cannot release them.
"""

import collections
import errno
import fcntl
import logging
import os
import queue
import struct
import threading
import time
import weakref

log = logging.getLogger(__name__)

# fcntl has these names since Python 3.9; the numbers are Linux's.
_OFD_SETLK = 37
_OFD_SETLKW = 38

# Bytes of the file: who draws a number has the first one, and each number has one.
_DRAWING = 0
_NUMBERS = 16

_COUNTER_BYTES = 8
_HIGHEST = 2**62


def _lock(file, byte, waits, kind=fcntl.F_WRLCK):
    """Locks one byte; False when it would have to wait and shall not."""
    # struct flock; its end is padding
    what = struct.pack("hhqqi0q", kind, os.SEEK_SET, byte, 1, 0)
    try:
        fcntl.fcntl(file, _OFD_SETLKW if waits else _OFD_SETLK, what)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _closed_gate():
    """A lock that another thread releases, which wakes the one that waits for it."""
    gate = threading.Lock()
    gate.acquire()
    return gate


class _Ticket:
    """A place in the queue of the processes, until it is closed."""

    def __init__(self, path):
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(path, flags, 0o600)
        self._number = None
        self.reached = _closed_gate()
        self.is_done = False

    def reach(self, waits):
        """Whether it is its turn; with waits, it returns when it is."""
        if self._number is None and not self._draw(waits):
            return False
        return _lock(self._file, _NUMBERS + self._number, waits)

    def close(self):
        """Gives the place back; the next one of the queue is woken."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _draw(self, waits):
        if not _lock(self._file, _DRAWING, waits):
            return False
        before = int.from_bytes(os.pread(self._file, _COUNTER_BYTES, 0), "big")
        before %= _HIGHEST
        _lock(self._file, _NUMBERS + before + 1, waits)
        os.pwrite(self._file, (before + 1).to_bytes(_COUNTER_BYTES, "big"), 0)
        _lock(self._file, _DRAWING, waits, fcntl.F_UNLCK)
        self._number = before
        return True


class FairLock:
    """The lock of the file path, which is made where it is missing.

    Without a right to the file, or where the system has no such locks, threads of
    this process still take turns.
    """

    _all = weakref.WeakSet()

    def __init__(self, path):
        self._path = path
        self._warned = False
        self._start()
        self._all.add(self)

    def acquire(self, until):
        """Whether this thread has it now; False at `until`, which is monotonic time."""
        if not self._enter(until):
            return False
        try:
            has_it = self._reach(until)
        except OSError as error:
            self._warn(error)
            has_it = True
        except BaseException:
            self._leave()
            raise
        if not has_it:
            self._leave()
        return has_it

    def release(self):
        """Gives it to the next one."""
        ticket, self._mine = self._mine, None
        if ticket:
            ticket.close()
        self._leave()

    def _start(self):
        self._guard = threading.Lock()
        self._is_taken = False
        self._waiting = collections.deque()
        # The ticket of the thread that has the lock, one in the hands of the
        # porter, and whether somebody waits for that one.
        self._mine = None
        self._carried = None
        self._is_wanted = False
        self._porter = None

    def _enter(self, until):
        """Takes a turn among the threads of this process."""
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return True
            mine = _closed_gate()
            self._waiting.append(mine)
        if mine.acquire(timeout=_seconds(until)):
            return True
        with self._guard:
            if mine not in self._waiting:
                return True  # it was just given
            self._waiting.remove(mine)
            return False

    def _leave(self):
        with self._guard:
            if self._waiting:
                # It stays taken: nobody who comes now can be quicker.
                self._waiting.popleft().release()
            else:
                self._is_taken = False

    def _reach(self, until):
        """Takes a turn among the processes; only one thread at a time is here."""
        with self._guard:
            ticket = self._carried
            self._is_wanted = True
        if ticket is None:
            ticket = _Ticket(self._path)
            try:
                is_reached = ticket.reach(waits=False)
            except OSError:
                ticket.close()
                raise
            if is_reached:
                self._mine = ticket
                return True
            self._carry(ticket)
        ticket.reached.acquire(timeout=_seconds(until))
        with self._guard:
            if not ticket.is_done:
                # It keeps its place, for the next thread that comes.
                self._is_wanted = False
                return False
            self._carried, self._mine = None, ticket
            return True

    def _carry(self, ticket):
        """Has the porter wait for a ticket: a thread, since files have no deadline."""
        with self._guard:
            if self._porter is None:
                porter = queue.SimpleQueue()
                args = (weakref.ref(self), porter)
                try:
                    threading.Thread(target=_port, args=args, daemon=True).start()
                except RuntimeError as error:
                    ticket.close()
                    raise OSError(errno.EAGAIN, str(error)) from None
                weakref.finalize(self, porter.put, None)
                self._porter = porter
            self._carried = ticket
            self._porter.put(ticket)

    def _done(self, ticket):
        """The porter has waited for the ticket."""
        with self._guard:
            ticket.is_done = True
            if self._is_wanted:
                ticket.reached.release()
            else:
                self._carried = None
                ticket.close()

    def _warn(self, error):
        if not self._warned:
            self._warned = True
            cure = ""
            if error.errno in (errno.EACCES, errno.EPERM):
                cure = ": give it to the user that the server runs as"
            log.warning(
                "%s cannot be used (%s), so that processes that write do not take turns%s",
                self._path,
                error.strerror or error,
                cure,
            )

    @classmethod
    def _forked(cls):
        """The child has none of the threads; its copies of files must not keep a lock."""
        for lock in cls._all:
            for ticket in (lock._mine, lock._carried):
                if ticket:
                    ticket.close()
            lock._start()


def _port(lock, tickets):
    """Waits for tickets, one after the other; lock is a weak reference."""
    while True:
        ticket = tickets.get()
        if ticket is None:
            return
        try:
            ticket.reach(waits=True)
        except OSError as error:
            log.debug("no turn: %s", error)
        owner = lock()
        if owner is None:
            ticket.close()
            return
        owner._done(ticket)
        del owner


def _seconds(until):
    return max(0, until - time.monotonic())


os.register_at_fork(after_in_child=FairLock._forked)
