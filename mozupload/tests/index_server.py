# SPDX-License-Identifier: Apache-2.0
"""A package index of the tests: takes what twine uploads, and serves it to pip."""

import contextlib
import email.parser
import email.policy
import hashlib
import http.server
import re
import threading


class Index(http.server.ThreadingHTTPServer):
    """`files` has the uploaded archives, `fields` the form of each, by file name."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        self.fields = {}

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.server_address[1]


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def _answer(self, status, body=b"", kind="text/html"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = b"Content-Type: %s\r\n\r\n" % self.headers["Content-Type"].encode()
        form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        fields, name, data = {}, None, None
        for part in form.iter_parts():
            content = part.get_payload(decode=True)
            if part.get_filename():
                name, data = part.get_filename(), content
            else:
                key = part.get_param("name", header="content-disposition")
                fields[key] = content.decode()
        digest = hashlib.sha256(data or b"").hexdigest()
        if fields.get(":action") != "file_upload" or fields.get("sha256_digest") != digest:
            self._answer(400)
            return
        self.server.files[name] = data
        self.server.fields[name] = fields
        self._answer(200)

    def do_GET(self):
        if self.path.startswith("/files/"):
            data = self.server.files.get(self.path.rpartition("/")[2])
            self._answer(200 if data else 404, data or b"", "application/octet-stream")
            return
        project = self.path.strip("/").rpartition("/")[2]
        rows = [
            '<a href="/files/%s#sha256=%s">%s</a>' % (name, fields["sha256_digest"], name)
            for name, fields in self.server.fields.items()
            if re.sub(r"[-_.]+", "-", fields["name"]).lower() == project
        ]
        page = "<!DOCTYPE html><html><body>%s</body></html>" % "\n".join(rows)
        self._answer(200 if rows else 404, page.encode())


@contextlib.contextmanager
def index_serve():
    """An Index that answers until the block ends."""
    with Index() as index:
        thread = threading.Thread(target=index.serve_forever)
        thread.start()
        try:
            yield index
        finally:
            index.shutdown()
            thread.join()
