# SPDX-License-Identifier: Apache-2.0
"""The common part of the resources of storage 1.5: conditions, times, refusals.

An authenticator has two methods. claim(req, uid) opens no database: it returns the user_id
of the client or raises a 401. check(connection, user_id) raises a 401 where the user was
deleted or replaced.
"""

import re
from urllib.parse import unquote

import falcon

from weave.server import formats, hawk, http, query15
from weave.server.records import InvalidRecord, parse_id
from weave.server.lists import collection_state
from weave.server.rules import V15
from weave.server.stamps import Stamp
from weave.server.writer import Condition, Modified, OverQuota

_ESCAPED_SLASH = re.compile("(%2f)", re.IGNORECASE)
_COLLECTION = re.compile(r"[A-Za-z0-9._-]{1,%d}" % V15.max_collection_chars, re.ASCII)


class NotModified(Exception):
    """The resource has not changed since the client read it; `when` (a Stamp) it did."""

    def __init__(self, when):
        super().__init__("not modified since " + when.text)
        self.when = when


class Conditions:
    """X-If-Modified-Since and X-If-Unmodified-Since of a request; 400."""

    def __init__(self, req):
        self._modified_since = _time(req, "X-If-Modified-Since")
        self.unmodified_since = _time(req, "X-If-Unmodified-Since")
        if None not in (self._modified_since, self.unmodified_since):
            raise http.bad_request(http.BAD_PROTOCOL, "both conditions at once")

    def check(self, modified):
        """Raises Modified and NotModified for a GET of what was modified then."""
        if self.unmodified_since is not None and modified > self.unmodified_since:
            raise Modified(modified)
        if self._modified_since is not None and modified <= self._modified_since:
            raise NotModified(modified)


def _time(req, name):
    text = req.get_header(name)
    if text is None:
        return None
    try:
        return query15.stamp(text)
    except ValueError:
        raise http.bad_request(http.BAD_PROTOCOL, name + " is malformed") from None


def check_collection(name):
    """404 where no collection can have the name."""
    if not _COLLECTION.fullmatch(name):
        raise falcon.HTTPNotFound(description="the name of the collection is malformed")


def item_id(req, text):
    """The id of a record from its URL; 404 where no record can have it."""
    if req.env.get("PATH_INFO", "").endswith("/"):
        # Falcon has cut off a slash that belongs to the id.
        text += "/"
    try:
        return parse_id(_with_slashes(req, text), V15)
    except InvalidRecord:
        raise falcon.HTTPNotFound(description="the id is malformed") from None


def _with_slashes(req, text):
    """The id whose slashes are still escaped where httpd has `AllowEncodedSlashes NoDecode`.

    An id that holds `%2F` itself looks alike in PATH_INFO, and not in the request line.
    """
    if "%2f" not in text.lower():
        return text
    segments = hawk.raw_target(req.env).partition("?")[0].split("/")
    escaped = "/".join(segments[-text.count("/") - 1 :])
    kept = (
        part if part.lower() == "%2f" else unquote(part)
        for part in _ESCAPED_SLASH.split(escaped)
    )
    return unquote(escaped) if "".join(kept) == text else text


def arguments(parse, req, *more):
    """Returns parse(query string, *more); 400 where that is a ValueError."""
    try:
        return parse(req.query_string, *more)
    except ValueError:
        raise http.bad_request(http.BAD_PROTOCOL) from None


def media_type_of(req, offered=(formats.JSON,)):
    """The best media type of an answer; 406."""
    media_type = formats.negotiate(req.get_header("Accept") or "", offered)
    if media_type is None:
        raise falcon.HTTPNotAcceptable(
            description="no offered format is acceptable: " + ", ".join(offered)
        )
    return media_type


class Resource:
    """A URL at or below that of a user."""

    def __init__(self, storage, authenticator):
        self._storage = storage
        self._authenticator = authenticator

    @property
    def quota_bytes(self):
        return self._storage.quota_bytes

    def read(self, req, resp, user_id, find):
        """Returns what find(connection, check) returns, from one state of the database.

        find calls check(modified, last): the Stamps of the resource and of the store.
        check raises where a condition of the client decides the answer, and a 404 where
        modified is None, since the resource is not there. Returns None for a 304, which is
        complete then.
        """
        conditions = Conditions(req)

        def check(modified, last):
            # Nothing that is shown is later than the time of the answer.
            _raise_time(req, last)
            if modified is None:
                raise falcon.HTTPNotFound()
            resp.set_header("X-Last-Modified", modified.text)
            conditions.check(modified)

        def act(connection):
            self._authenticator.check(connection, user_id)
            return find(connection, check)

        try:
            return self._storage.database.read(act)
        except NotModified:
            resp.status = falcon.HTTP_304
            return None
        except Modified as error:
            raise _precondition_failed(error.when) from None

    def change(self, req, resp, user_id, collection, act, record_id=None):
        """Returns (act(writer), stamp), run in one transaction.

        412 when X-If-Unmodified-Since says so, 400 when over quota: nothing has
        changed then. It is about the record, the collection, or the whole store.
        """

        def write(writer):
            return act(writer), writer.stamp, writer.quota_left_kb()

        run = self._storage.write
        result, stamp, left = self._run(run, write, req, user_id, collection, record_id)
        http.send_quota_left(resp, left)
        req.context.stamp = stamp
        resp.set_header("X-Last-Modified", stamp.text)
        return result, stamp

    def hold(self, req, resp, user_id, collection, act):
        """Returns act(connection, now), run like change(), but no time is changed."""

        def hold(connection, now):
            result = act(connection, now)
            return result, collection_state(connection, user_id, collection)

        run = self._storage.hold
        result, state = self._run(run, hold, req, user_id, collection)
        last, _, modified = state
        _raise_time(req, last)
        resp.set_header("X-Last-Modified", modified.text)
        return result

    def _run(self, run, act, req, user_id, collection, record_id=None):
        since = Conditions(req).unmodified_since
        condition = None if since is None else Condition(since, collection, record_id)

        def guard(connection):
            self._authenticator.check(connection, user_id)

        try:
            return run(user_id, act, condition, guard)
        except Modified as error:
            _raise_time(req, error.when)
            raise _precondition_failed(error.when) from None
        except OverQuota:
            raise http.bad_request(http.OVER_QUOTA) from None


def _raise_time(req, last):
    req.context.stamp = max(http.stamp_of(req), Stamp(last))


def _precondition_failed(when):
    return falcon.HTTPPreconditionFailed(headers={"X-Last-Modified": when.text})
