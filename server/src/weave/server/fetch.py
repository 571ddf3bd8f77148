# SPDX-License-Identifier: Apache-2.0
"""Fetches a small document of another server, within a time and a size."""

import http.client
import socket
import ssl
import threading
from contextlib import suppress
from urllib.parse import urlsplit

from weave.server.version import VERSION

SECONDS = 5


class FetchError(Exception):
    """The document cannot be had; str() is the reason."""


def reason(error):
    """Returns why a request has failed, for people."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class _Fetch(threading.Thread):
    """Makes one request in a thread of its own, since Python has no timeout for looking
    up a name, and the timeout of a socket begins anew with each byte."""

    def __init__(self, url, max_bytes, seconds):
        super().__init__(name="weave-fetch", daemon=True)
        parts = urlsplit(url)
        kind, options = http.client.HTTPConnection, {}
        if parts.scheme == "https":
            kind = http.client.HTTPSConnection
            options["context"] = ssl.create_default_context()
        self._connection = kind(parts.hostname, parts.port, timeout=seconds, **options)
        self._target = parts.path or "/"
        self._max_bytes = max_bytes
        self._is_given_up = False
        self._socket = None
        self.data = None
        self.error = None

    def run(self):
        try:
            self.data = self._read()
        except FetchError as error:
            self.error = str(error)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.error = "the server cannot be asked: %s" % reason(error)
        finally:
            self._connection.close()

    def give_up(self):
        """Lets the thread end soon, wherever it is."""
        self._is_given_up = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self):
        self._connection.connect()
        # The connection forgets it when the answer begins.
        self._socket = self._connection.sock
        if self._is_given_up:
            raise FetchError("given up")
        headers = {"Accept": "application/json", "User-Agent": "weave.server/" + VERSION}
        self._connection.request("GET", self._target, headers=headers)
        response = self._connection.getresponse()
        if response.status != 200:
            raise FetchError("the server answers %d" % response.status)
        data = response.read(self._max_bytes + 1)
        if len(data) > self._max_bytes:
            raise FetchError("the document has over %d bytes" % self._max_bytes)
        return data


def fetch(url, max_bytes):
    """The bytes of what an http or https URL names; FetchError. Follows no redirection.

    It takes SECONDS at most, whatever the server does.
    """
    one = _Fetch(url, max_bytes, SECONDS)
    one.start()
    one.join(SECONDS)
    if one.is_alive():
        one.give_up()
        raise FetchError("the server has not answered within %g s" % SECONDS)
    if one.error is not None:
        raise FetchError(one.error)
    return one.data
