# SPDX-License-Identifier: Apache-2.0
"""What the test applications share."""
import os
from urllib.parse import parse_qs

TEST_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
STATIC = os.path.join(TEST_ROOT, "htdocs")
_NOTES = os.path.join(TEST_ROOT, "logs", "notes")


def note(environ, text):
    """Tell the test something that no response can carry.

    A line for the id in the header X-Note. One write to a file opened for
    appending, so that any process may do it at any time.
    """
    note_id = environ.get("HTTP_X_NOTE")
    if note_id:
        append(note_id, text)


def append(note_id, text):
    """The same, outside of a request."""
    fd = os.open(_NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(fd, ("%s %s\n" % (note_id, text)).encode("utf-8"))
    finally:
        os.close(fd)


def case(environ):
    """The last segment of the path: which behaviour the test asks for."""
    return environ["PATH_INFO"].rstrip("/").rsplit("/", 1)[-1]


def query(environ):
    """The query string as a dict of single values."""
    return {k: v[-1] for k, v in parse_qs(environ["QUERY_STRING"]).items()}


class Noted:
    """An iterable that notes its close() and what it has yielded so far."""

    def __init__(self, environ, chunks):
        self._environ = environ
        self._chunks = iter(chunks)
        self._count = 0

    def __iter__(self):
        return self

    def __next__(self):
        chunk = next(self._chunks)
        self._count += 1
        return chunk

    def close(self):
        note(self._environ, "close after %d" % self._count)
