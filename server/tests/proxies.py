# SPDX-License-Identifier: Apache-2.0
"""A server at a port, with something between clients and the application that changes it.

    with Front(tls=(certificate, key)) as front:
        front.application = lost_header(application, "HTTP_AUTHORIZATION")
        client.get(front.url)
"""

import contextlib
import io
import itertools
import ssl
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer


class _Handler(WSGIRequestHandler):
    def get_environ(self):
        """With the target as it was sent, as the servers for WSGI have it."""
        environ = super().get_environ()
        environ["REQUEST_URI"] = self.path
        return environ

    def log_message(self, *_):
        pass


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 50

    def server_bind(self):
        # HTTPServer's looks up the name of the host.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]
        self.setup_environ()

    def handle_error(self, request, client_address):
        """A client that has seen enough goes."""


class Front:
    """Serves `application`, which may be set later and changed at any time."""

    def __init__(self, tls=None, host="127.0.0.1"):
        self.application = answer(404)
        self._server = _Server((host, 0), _Handler)
        self._server.set_app(lambda environ, start: self.application(environ, start))
        self.port = self._server.server_port
        self.url = "http://127.0.0.1:%d" % self.port
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self.url = "https://localhost:%d" % self.port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def answer(status, body=b"<html>", content_type="text/html", **headers):
    """An application that has one answer to everything."""
    lines = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    lines += [(name.replace("_", "-"), value) for name, value in headers.items()]

    def application(environ, start):
        start("%d ." % status, lines)
        return [body]

    return application


def changed(application, change):
    """change(environ) may change what arrives, or return another application for it."""

    def proxy(environ, start):
        return (change(environ) or application)(environ, start)

    return proxy


def drained(application):
    """Reads what the application leaves of a body, as httpd does before it closes."""

    def proxy(environ, start):
        left = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(left)
        environ["wsgi.input"] = io.BytesIO(body)
        return application(environ, start)

    return proxy


def with_environ(application, **values):
    return changed(application, lambda environ: environ.update(values))


def without(application, name):
    """Loses a header of requests: HTTP_NAME."""
    return changed(application, lambda environ: environ.pop(name, None) and None)


def at_paths(application, is_other, other):
    """Where is_other(raw target) is true, another application answers."""
    return changed(
        application, lambda environ: other if is_other(environ["REQUEST_URI"]) else None
    )


def targets(application, write_anew):
    """Changes paths and queries as they stand in the request line."""

    def change(environ):
        environ["REQUEST_URI"] = write_anew(environ["REQUEST_URI"])

    return changed(application, change)


def answers(application, change):
    """change(status, headers) returns those that clients get; headers is a dict."""

    def proxy(environ, start):
        def start_changed(status, headers, *error):
            code, found = change(int(status[:3]), dict(headers))
            return start("%d ." % code, list(found.items()), *error)

        return application(environ, start_changed)

    return proxy


def without_answered(application, name):
    """Loses a header of answers."""

    def change(status, headers):
        return status, {key: headers[key] for key in headers if key.lower() != name.lower()}

    return answers(application, change)


def mounted(path, application, is_told=True):
    """An application below a path; is_told is whether it knows of the path."""

    def proxy(environ, start):
        if not environ["PATH_INFO"].startswith(path + "/"):
            return answer(404)(environ, start)
        environ["PATH_INFO"] = environ["PATH_INFO"][len(path) :]
        if is_told:
            environ["SCRIPT_NAME"] = path
        else:
            environ["REQUEST_URI"] = environ["REQUEST_URI"][len(path) :]
        return application(environ, start)

    return proxy


def hanging_up(_environ, _start):
    """An application that ends the connection without an answer."""
    raise ConnectionAbortedError  # to wsgiref: the client is gone


def in_turns(*applications):
    """Each request meets the next of several nodes."""
    turns = itertools.cycle(applications)
    lock = threading.Lock()

    def proxy(environ, start):
        with lock:
            application = next(turns)
        return application(environ, start)

    return proxy


@contextlib.contextmanager
def running(act):
    """A thread that does something beside a block, and has ended with it."""
    thread = threading.Thread(target=act)
    thread.start()
    yield
    thread.join()
