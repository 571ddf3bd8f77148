# SPDX-License-Identifier: Apache-2.0
"""Requests whose targets go out as they are, each on a connection of its own."""

import http.client
import json
import ssl
import time
from urllib.parse import quote, urlsplit

from weave.server.hawk import PORTS

TIMEOUT_SECONDS = 20
MAX_ANSWER_BYTES = 1024 * 1024


class Answer:
    """The answer of a server. `sent` and `came` are Unix seconds of this machine."""

    def __init__(self, response, sent):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read(MAX_ANSWER_BYTES)
        self.sent, self.came = sent, time.time()

    @property
    def content_type(self):
        return self.headers.get("Content-Type", "").split(";")[0].strip().lower()

    @property
    def json(self):
        """The decoded body; None when it is no JSON."""
        try:
            return json.loads(self.body.decode("utf-8"))
        except (ValueError, RecursionError):
            return None

    @property
    def told(self):
        """Status and type, for a sentence."""
        return "%d, %s" % (self.status, self.content_type or "without a type")


class Wire:
    """Requests to the server of a URL.

    `verifies` is whether certificates must be good; a report about TLS comes first, and
    all else can be looked at nevertheless.
    """

    def __init__(self, url):
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        self.scheme = parts.scheme
        # UnicodeError, a ValueError, where it is no name
        self.host = parts.hostname.encode("idna").decode("ascii")
        self.port = parts.port or PORTS[self.scheme]
        self.prefix = quote(parts.path, safe="/%:@!$&'()*+,;=~")
        self.verifies = True

    def request(self, method, path, body=None, headers=None):
        """The Answer to a request for a path below the URL; OSError, HTTPException."""
        connection = self._connection()
        sent = time.time()
        try:
            connection.putrequest(
                method, self.prefix + path, skip_accept_encoding=True
            )
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            if body:
                self._send(connection, body)
            return Answer(connection.getresponse(), sent)
        finally:
            connection.close()

    @staticmethod
    def _send(connection, body):
        """A server that refuses a body answers before it has all of it, and may close."""
        try:
            connection.send(body)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _connection(self):
        if self.scheme == "http":
            kind = http.client.HTTPConnection
            return kind(self.host, self.port, timeout=TIMEOUT_SECONDS)
        context = ssl.create_default_context()
        if not self.verifies:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        kind = http.client.HTTPSConnection
        return kind(self.host, self.port, timeout=TIMEOUT_SECONDS, context=context)
