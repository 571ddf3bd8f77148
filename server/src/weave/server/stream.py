# SPDX-License-Identifier: Apache-2.0
"""Answers that are sent while they are still being read from the database.

A thread reads and writes them into a spool, as fast as the database gives them, and
ends the transaction then. The thread of the request sends from there. What a client
has not taken by then, mod_weave hands to httpd as a file: so a slow client holds a
file, and neither thread, transaction nor connection.
"""

import contextlib
import logging
import os
import threading

from weave.server.database import reason

log = logging.getLogger(__name__)

# Threads of one process that read, each with a connection to the database. What finds
# no place is read by the thread of its request, and sent when it is whole.
READERS = 8

PIECE_BYTES = 256 * 1024

_places = threading.Semaphore(READERS)


def _begin_anew():
    """In a process that was forked, none of the threads exists."""
    global _places
    _places = threading.Semaphore(READERS)


os.register_at_fork(after_in_child=_begin_anew)


class Cut(Exception):
    """An answer cannot be read to its end after its beginning was sent; str() says why."""


def take_place():
    """A function that gives the place of a reader back; None where there is none."""
    places = _places
    return places.release if places.acquire(blocking=False) else None


class Stream:
    """The body of an answer, for WSGI.

    spool: has the beginning. pieces: a generator of the rest (bytes), which is read
    by a thread, within the context manager `transaction`. expected: bytes of all,
    about. give_back: from take_place(). Raises Busy where the spool has no room; all
    of them are closed whatever happens.
    """

    def __init__(self, spool, pieces, transaction, expected, give_back):
        self._spool = spool
        self._pieces = pieces
        self._transaction = transaction
        self._give_back = give_back
        self._changed = threading.Condition()
        # The thread changes these, under the lock.
        self._written = 0
        self._error = None
        self._is_over = False
        # And the sender these.
        self._sent = 0
        self._is_closed = False
        thread = threading.Thread(target=self._read, name="weave-list", daemon=True)
        try:
            self._file = spool.open(expected)
            self._written = spool.size
            thread.start()
        except BaseException:
            spool.close()
            give_back()
            with transaction:
                pieces.close()
            raise

    def __iter__(self):
        while self._wait() or self._sent < self._written:
            yield self._next_piece()

    def close(self):
        """Ends the thread, soon."""
        with self._changed:
            self._is_closed = True
            if self._is_over:
                self._file.close()

    def feed(self, write, file_wrapper):
        """Sends by write() until the database has given all; the iterable of the rest.

        Raises what write() raises, and Cut.
        """
        try:
            while self._wait():
                write(self._next_piece())
            self._file.seek(self._sent)
            return file_wrapper(self._file)
        except BaseException:
            self.close()
            raise

    def _wait(self):
        """Waits for something to send; False when it is whole. Raises Cut."""
        with self._changed:
            while True:
                if self._error:
                    raise Cut(
                        "a list was cut after %d bytes: %s"
                        % (self._sent, reason(self._error))
                    ) from self._error
                if self._is_over or self._sent < self._written:
                    return not self._is_over
                self._changed.wait()

    def _next_piece(self):
        size = min(PIECE_BYTES, self._written - self._sent)
        piece = os.pread(self._file.fileno(), size, self._sent)
        self._sent += len(piece)
        return piece

    def _read(self):
        error = None
        try:
            with self._transaction, contextlib.closing(self._pieces):
                for piece in self._pieces:
                    self._spool.write(piece)
                    with self._changed:
                        if self._is_closed:
                            break
                        self._written = self._spool.size
                        self._changed.notify()
        except Exception as raised:
            log.error("a list cannot be read to its end: %s", reason(raised))
            error = raised
        finally:
            self._give_back()
            with self._changed:
                self._error = error
                self._is_over = True
                if self._is_closed:
                    self._file.close()
                self._changed.notify()


class Feeder:
    """An application whose Streams leave as PEP 3333's write() and wsgi.file_wrapper."""

    def __init__(self, application):
        self._application = application

    def __call__(self, environ, start_response):
        writes = []

        def start(*arguments):
            write = start_response(*arguments)
            writes.append(write)
            return write

        body = self._application(environ, start)
        if type(body) is Stream and "wsgi.file_wrapper" in environ:
            return body.feed(writes[-1], environ["wsgi.file_wrapper"])
        return body
