# SPDX-License-Identifier: Apache-2.0
"""Answers that may be too long for memory.

A list is written here as fast as the database gives it, and sent when it is
whole. So an error in the middle is an ordinary 503, a slow client holds a file
and no connection to the database, and mod_weave can hand the file to httpd.
"""

import tempfile

MEMORY_BYTES = 1024 * 1024


class SpoolError(Exception):
    """The temporary folder cannot take the answer; str() says why."""


class Spool:
    """Bytes in memory up to MEMORY_BYTES, else in a file without a name."""

    def __init__(self):
        self._parts = []
        self._held = 0
        self._file = None
        self.size = 0

    def write(self, data):
        self._parts.append(data)
        self._held += len(data)
        self.size += len(data)
        if self._held > MEMORY_BYTES:
            self._flush()

    def close(self):
        """Forgets everything; done when nobody is going to read it."""
        if self._file is not None:
            self._file.close()

    def send(self, resp):
        """Makes this the body of a falcon.Response, which closes it."""
        if self._file is None:
            resp.data = b"".join(self._parts)
            return
        self._flush()
        self._file.seek(0)
        resp.set_stream(self._file, self.size)

    def _flush(self):
        data = memoryview(b"".join(self._parts))
        self._parts, self._held = [], 0
        try:
            if self._file is None:
                # Without a buffer it is what wsgi.file_wrapper sends itself.
                self._file = tempfile.TemporaryFile(buffering=0)
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise SpoolError(
                "%s: %s" % (tempfile.gettempdir(), error.strerror)
            ) from error
