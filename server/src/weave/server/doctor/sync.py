# SPDX-License-Identifier: Apache-2.0
"""A small sync of a user who is there for it alone."""

import json
from urllib.parse import quote

from weave.server.doctor.arrival import PATH_CURE
from weave.server.doctor.outside import HEADERS_CURE, ask
from weave.server.doctor.report import Stop

_CURES = {
    401: "the log of the server says why; most often the proxy has changed the path, or a "
    "process has another secret",
    403: "let the web server pass it on (LimitExcept, a firewall for applications)",
    405: "let the web server pass on GET, PUT, POST and DELETE (Limit, LimitExcept, mod_dav)",
    501: "let the web server pass on GET, PUT, POST and DELETE",
}
_LOG = "look at the log of the server, and of the proxy before it"

COLLECTION = "/storage/doctor"
RECORDS = 3


class Sync:
    """Does what browsers do, and reports; Stop at the first step that fails."""

    def __init__(self, report, wire, signer):
        self._report, self._wire, self._signer = report, wire, signer

    def run(self, changed_paths):
        """changed_paths are those that Arrival.check() has returned."""
        self._check_paths(changed_paths)
        self._look()
        self._write_one()
        self._upload()
        self._read_pages()
        self._delete()
        self._report.ok("a small sync, from the first request to the last, is as it must be")

    def _check_paths(self, changed_paths):
        for path, what in changed_paths:
            answer = self._ask("GET", COLLECTION + path)
            text = "the web server, or a proxy, %s" % what
            if answer.status == 401:
                text += ", so that signatures do not match (401)"
                self._report.wrong(text, PATH_CURE)
            else:
                self._report.note(text + "; the server makes up for it")

    def _look(self):
        self._expect(200, "GET", "/info/collections", names=("X-Last-Modified",))
        self._expect(200, "GET", "/info/configuration")
        self._expect(404, "GET", "/storage/meta/global")

    def _write_one(self):
        meta, body = "/storage/meta/global", {"payload": "doctor"}
        new = {"X-If-Unmodified-Since": "0"}
        answer = self._expect(200, "PUT", meta, body, new, ("X-Last-Modified",))
        time = answer.body.decode("latin-1").strip()
        again = self._ask("PUT", meta, body, new)
        if again.status == 200:
            self._lost("X-If-Unmodified-Since")
        self._must_be(412, again, "PUT", meta)
        again = self._ask("GET", meta, None, {"X-If-Modified-Since": time})
        if again.status == 200:
            self._lost("X-If-Modified-Since")
        self._must_be(304, again, "GET", meta)
        answer = self._expect(200, "GET", meta)
        if not isinstance(answer.json, dict) or answer.json.get("payload") != "doctor":
            self._stop("a record comes back changed", _LOG)

    def _upload(self):
        records = [{"id": "record%d" % n, "payload": "x"} for n in range(RECORDS)]
        begun = self._expect(202, "POST", COLLECTION + "?batch=true", records[:-1])
        batch = begun.json.get("batch") if isinstance(begun.json, dict) else None
        if not isinstance(batch, str):
            self._stop("an upload in several parts is not begun (%s)" % begun.told, _LOG)
        path = "%s?batch=%s&commit=true" % (COLLECTION, quote(batch, safe=""))
        self._expect(200, "POST", path, records[-1:])

    def _read_pages(self):
        path, found = COLLECTION + "?full=1&limit=2", []
        page = self._expect(200, "GET", path)
        offset = page.headers.get("X-Weave-Next-Offset")
        if not offset:
            self._stop("X-Weave-Next-Offset is missing in a list", HEADERS_CURE)
        path += "&offset=" + quote(offset, safe="")
        for page in (page, self._expect(200, "GET", path)):
            found += _ids(page.json)
        if sorted(found) != ["record%d" % n for n in range(RECORDS)]:
            self._stop("a list of %d records has %d in its pages" % (RECORDS, len(found)), _LOG)

    def _delete(self):
        self._expect(200, "DELETE", COLLECTION)
        # without a slash at its end, as phones ask
        self._expect(200, "DELETE", "")
        answer = self._expect(200, "GET", "/info/collections")
        if answer.json != {}:
            self._stop("the store is not empty when all was deleted", _LOG)

    def _ask(self, method, path, body=None, headers=None):
        sent = {**self._signer.headers(method, path), **(headers or {})}
        data = None
        if body is not None:
            data = json.dumps(body).encode("ascii")
            sent["Content-Type"] = "text/plain"
        return ask(self._report, self._wire, method, self._signer.endpoint + path, data, sent)

    def _expect(self, status, method, path, body=None, headers=None, names=()):
        """The Answer; Stop where its status is another one, or it lacks a header of names."""
        answer = self._ask(method, path, body, headers)
        self._must_be(status, answer, method, path)
        for name in names:
            if name not in answer.headers:
                self._stop("%s %s comes without %s" % (method, path, name), HEADERS_CURE)
        return answer

    def _must_be(self, status, answer, method, path):
        if answer.status != status:
            self._stop(
                "%s %s is answered %s, not %d"
                % (method, path or "of everything", answer.told, status),
                _CURES.get(answer.status, _LOG),
            )

    def _lost(self, name):
        self._stop(
            "the header %s does not arrive" % name,
            "let the proxy pass on all headers: without it devices overwrite each other's data",
        )

    def _stop(self, text, cure):
        self._report.wrong(text, cure)
        raise Stop


def _ids(listed):
    """The ids of the records in a list; none where it is another thing."""
    records = listed if isinstance(listed, list) else ()
    return [str(each.get("id")) for each in records if isinstance(each, dict)]
