# SPDX-License-Identifier: Apache-2.0
"""A small Sync 1.1 client over HTTP, standard library only.

It does what a browser does, in the browser's order, and knows nothing about
the server but its URL.
"""

import base64
import hashlib
import http.client
import json
import struct
from urllib.parse import quote, urlencode, urlsplit

from waiting import LONG_SECONDS


def name_of(email):
    """The user name that clients make of an e-mail address."""
    digest = hashlib.sha1(email.lower().encode("utf-8")).digest()
    return base64.b32encode(digest).decode("ascii").lower()


def hundredths(text):
    """The integer of a timestamp of the protocol: exact, where a float is not."""
    whole, _, rest = str(text).partition(".")
    assert whole.isdigit() and rest.isdigit() and len(rest) == 2, text
    return int(whole + rest)


def seconds(stamp):
    """The only text that the protocol has for a time in hundredths of a second."""
    return "%d.%02d" % divmod(stamp, 100)


class Verbs:
    """The verbs for a class that has call(method, path, body, status, **headers)."""

    def get(self, path, status=200, **headers):
        return self.call("GET", path, None, status, **headers)

    def put(self, path, body, status=200, **headers):
        return self.call("PUT", path, body, status, **headers)

    def post(self, path, body, status=200, **headers):
        return self.call("POST", path, body, status, **headers)

    def delete(self, path, status=200, **headers):
        return self.call("DELETE", path, None, status, **headers)


class SyncError(Exception):
    """An answer that is not 200; has status, headers, body."""

    def __init__(self, status, headers, body):
        super().__init__("%d %r" % (status, body[:200]))
        self.status = status
        self.headers = headers
        self.body = body


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def json(self):
        return json.loads(self.body)


class Connection:
    """One kept-alive connection; a request is repeated once when the server
    had closed it meanwhile."""

    def __init__(self, url, timeout=LONG_SECONDS):
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection
        if parts.scheme == "http":
            kind = http.client.HTTPConnection
        self._http = kind(parts.hostname, parts.port, timeout=timeout)
        self._prefix = parts.path.rstrip("/")

    def request(self, method, path, body=None, headers=None):
        """The Answer, whatever its status."""
        if isinstance(body, str):
            body = body.encode("utf-8")
        for last_try in (False, True):
            try:
                self._http.request(method, self._prefix + path, body, headers or {})
                return Answer(self._http.getresponse())
            except (http.client.RemoteDisconnected, BrokenPipeError):
                self._http.close()
                if last_try:
                    raise

    def close(self):
        self._http.close()


class SyncClient:
    """One device of one user."""

    BATCH = 100

    def __init__(self, url, email, password):
        self.name = name_of(email)
        self._email = email
        self._password = password
        self._users = Connection(url)
        self._storage = None
        self.node = None

    def close(self):
        self._users.close()
        if self._storage:
            self._storage.close()

    def is_free(self):
        return self._account("GET").text == "0"

    def sign_up(self):
        body = json.dumps({"password": self._password, "email": self._email})
        return self._account("PUT", body=body).text

    def find_node(self):
        """Asks where the storage is, and uses that from now on."""
        self.node = self._account("GET", "/node/weave").text
        self._storage = Connection(self.node)
        return self.node

    def change_password(self, password):
        answer = self._account("POST", "/password", password, self._authorization())
        self._password = password
        return answer.text

    def delete_account(self):
        return self._account("DELETE", "", None, self._authorization()).text

    def info(self, what="collections"):
        return self.call("GET", "info/" + what).json

    def get(self, collection, item):
        return self.call("GET", _path(collection, item)).json

    def put(self, collection, item, payload, unmodified_since=None, **fields):
        record = dict(fields, id=item, payload=json.dumps(payload))
        headers = _condition(unmodified_since)
        return self.call("PUT", _path(collection, item), json.dumps(record), headers)

    def upload(self, collection, records):
        """Posts records in batches; (ids stored, {id: reasons})."""
        stored, failed = [], {}
        for start in range(0, len(records), self.BATCH):
            batch = json.dumps(records[start : start + self.BATCH])
            answer = self.call("POST", _path(collection), batch).json
            stored += answer["success"]
            failed.update(answer["failed"])
        return stored, failed

    def download(self, collection, accept="application/newlines", **arguments):
        """Full records, in the order of the server."""
        arguments["full"] = 1
        path = _path(collection) + "?" + urlencode(arguments)
        answer = self.call("GET", path, headers={"Accept": accept})
        records = _parse(answer)
        assert len(records) == int(answer.headers["X-Weave-Records"])
        return records

    def ids(self, collection, **arguments):
        path = _path(collection) + "?" + urlencode(arguments)
        return self.call("GET", path).json

    def delete(self, collection, item=None, unmodified_since=None, **arguments):
        path = _path(collection, item)
        if arguments:
            path += "?" + urlencode(arguments)
        return self.call("DELETE", path, headers=_condition(unmodified_since)).json

    def wipe(self):
        return self.call("DELETE", "storage", headers={"X-Confirm-Delete": "1"}).json

    def call(self, method, path, body=None, headers=None):
        """The Answer of a request below the user's storage URL; SyncError."""
        headers = dict(headers or {}, **self._authorization())
        path = "/1.1/%s/%s" % (quote(self.name), path)
        return _successful(self._storage.request(method, path, body, headers))

    def _account(self, method, what="", body=None, headers=None):
        path = "/user/1.0/%s%s" % (quote(self.name), what)
        return _successful(self._users.request(method, path, body, headers))

    def _authorization(self):
        secret = "%s:%s" % (self.name, self._password)
        encoded = base64.b64encode(secret.encode("utf-8")).decode("ascii")
        return {"Authorization": "Basic " + encoded}


def _path(collection, item=None):
    path = "storage/" + quote(collection, safe="")
    return path if item is None else path + "/" + quote(item, safe="")


def _condition(unmodified_since):
    if unmodified_since is None:
        return {}
    return {"X-If-Unmodified-Since": str(unmodified_since)}


def _successful(answer):
    if answer.status != 200:
        raise SyncError(answer.status, answer.headers, answer.body)
    return answer


def _parse(answer):
    kind = answer.headers["Content-Type"].split(";")[0]
    if kind == "application/newlines":
        assert not answer.body or answer.body.endswith(b"\n")
        return [json.loads(line) for line in answer.body.split(b"\n") if line]
    if kind == "application/whoisi":
        records, body = [], answer.body
        while body:
            (size,) = struct.unpack(">I", body[:4])
            records.append(json.loads(body[4 : 4 + size]))
            body = body[4 + size :]
        return records
    return answer.json
