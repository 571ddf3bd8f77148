# SPDX-License-Identifier: Apache-2.0
"""A plain HTTP/1.1 client: one request at a time on a kept-alive connection.

For checks, for callgrind and for soak, where what counts is that each answer
is whole; wrk makes the load.
"""

import http.client


class Broken(Exception):
    """An answer that did not come, or not whole."""


class Connection:
    """One client; a connection that the server has closed is made anew."""

    def __init__(self, port, timeout=30):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout)
        self.resent = 0

    def close(self):
        self.http.close()

    def send(self, workload):
        # as few bytes as wrk sends: no Accept-Encoding
        self.http.putrequest(workload.method, workload.path,
                             skip_accept_encoding=True)
        if workload.body_bytes:
            self.http.putheader("Content-Type", "application/octet-stream")
            self.http.putheader("Content-Length", str(workload.body_bytes))
        self.http.endheaders(b"x" * workload.body_bytes or None)
        return self.http.getresponse()

    def request(self, workload):
        """(status, body) of one request.

        A kept-alive connection that closes before the first byte of the
        answer is what RFC 9112 section 9.3.1 lets a client retry, once;
        `resent` counts it. Everything else that fails is Broken.
        """
        reused = self.http.sock is not None
        try:
            try:
                response = self.send(workload)
            except (http.client.RemoteDisconnected, ConnectionResetError,
                    BrokenPipeError):
                self.http.close()
                if not reused:
                    raise
                self.resent += 1
                response = self.send(workload)
            return response.status, response.read()
        except (http.client.HTTPException, OSError) as error:
            self.http.close()
            raise Broken(f"{type(error).__name__}: {error}") from error
