# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the server that has Mozilla's public keys, slow and broken where wanted."""

import contextlib
import http.server
import ssl
import threading

from client15 import KEY


class AccountServer:
    """A server on the loopback interface; `answer(handler)` is what it does."""

    def __init__(self):
        self.requests = []
        self.answer = self.send(KEY.jwks())
        self.ends = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.path)
                with contextlib.suppress(OSError):
                    outer.answer(self)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = "http://127.0.0.1:%d/v1/jwks" % self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def send(self, body, status=200, **headers):
        def answer(handler):
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)

        return answer

    def trickle(self, handler, begin):
        """A byte now and then, so that no read takes long."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + begin)
        while not self.ends.wait(0.05):
            handler.wfile.write(b"x")

    def encrypt(self, certificate, key):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    def close(self):
        self.ends.set()
        self._server.shutdown()
        self._server.server_close()
