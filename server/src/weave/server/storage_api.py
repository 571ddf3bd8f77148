# SPDX-License-Identifier: Apache-2.0
"""Storage 1.0 and 1.1: /1.1/NAME/info/... and /1.1/NAME/storage/..."""

import re

import falcon

from weave.server import formats, http, lists, query, records
from weave.server.rules import V11
from weave.server.stamps import Stamp
from weave.server.writer import Condition, Modified, OverQuota

# Clients post 100 records of up to 256 KiB: 26.2 MB and some names.
MAX_BODY_BYTES = 27_000_000

# Marks (formats.check_shape) of a record with all its members, and then some.
MARKS_OF_A_RECORD = 50

# The longest id that comes back among those that failed.
MAX_FAILED_ID_CHARS = 256

_COLLECTION = re.compile(r"[A-Za-z0-9._-]{1,%d}" % V11.max_collection_chars, re.ASCII)


def _check_collection(name):
    if not _COLLECTION.fullmatch(name):
        raise http.bad_request(http.BAD_COLLECTION)


def _record_id(text):
    try:
        return records.parse_id(text)
    except records.InvalidRecord:
        raise http.bad_request(http.BAD_OBJECT) from None


def _record(raw):
    try:
        return records.parse_one(raw)
    except records.InvalidRecord:
        raise http.bad_request(http.BAD_OBJECT) from None


def _selection(req):
    try:
        return query.parse(req.query_string)
    except ValueError:
        raise http.bad_request(http.BAD_PROTOCOL) from None


def _unmodified_since(req):
    text = req.get_header("X-If-Unmodified-Since")
    if text is None:
        return None
    try:
        return Stamp.parse(text)
    except ValueError:
        raise http.bad_request(http.BAD_PROTOCOL) from None


class Resource:
    """A URL below that of a user."""

    def __init__(self, storage, authenticator):
        self._storage = storage
        self._authenticator = authenticator

    def user_id(self, req, name):
        return self._authenticator.account(req, name).user_id

    def body(self, req, user_id, max_marks=formats.MAX_MARKS):
        """The decoded body, for a block."""
        return http.json_body(req, MAX_BODY_BYTES, max_marks, owner=user_id)

    def change(self, req, resp, user_id, collection, act):
        """Calls act(writer) in one transaction; returns what it returned.

        412 when X-If-Unmodified-Since says so, 400 when over quota: nothing
        has changed then.
        """
        since = _unmodified_since(req)
        condition = None if since is None else Condition(since, collection)

        def write(writer):
            return act(writer), writer.quota_left_kb(), writer.stamp

        try:
            result, left, stamp = self._storage.write(user_id, write, condition)
        except Modified:
            raise falcon.HTTPPreconditionFailed() from None
        except OverQuota:
            raise http.bad_request(http.OVER_QUOTA) from None
        req.context.stamp = stamp
        http.send_quota_left(resp, left)
        return result

    def put_one(self, req, resp, user_id, collection, record):
        """The single put: answers with the time of the record's last change."""
        changes = {record["id"]: record}

        def act(writer):
            return writer.put(collection, changes)

        modified = self.change(req, resp, user_id, collection, act)
        http.send_json(resp, modified[record["id"]])

    def delete(self, req, resp, user_id, collection, selection):
        """Deletes what is selected (None: all); answers with the time."""

        def act(writer):
            writer.delete(collection, selection)

        self.change(req, resp, user_id, collection, act)
        http.send_json(resp, http.stamp_of(req))


class Info(Resource):
    """A hash of collections; `read` is the method of Storage that makes it."""

    def __init__(self, storage, authenticator, read):
        super().__init__(storage, authenticator)
        self._read = read

    def on_get(self, req, resp, name):
        hash_, req.context.stamp = self._authenticator.read(req, name, self._read)
        resp.set_header("X-Weave-Records", str(len(hash_)))
        http.send_json(resp, hash_)


class Quota(Resource):
    def on_get(self, req, resp, name):
        read = self._storage.usage
        used, req.context.stamp = self._authenticator.read(req, name, read)
        http.send_json(resp, [sum(used.values()), self._storage.quota_kb])


class Everything(Resource):
    def on_delete(self, req, resp, name):
        user_id = self.user_id(req, name)
        if req.get_header("X-Confirm-Delete") is None:
            raise http.bad_request(http.EXISTS, "X-Confirm-Delete is missing")
        self.change(req, resp, user_id, None, lambda writer: writer.delete_all())
        http.send_json(resp, http.stamp_of(req))


class Collection(Resource):
    """`max_count` and `max_bytes` are what one POST may store."""

    def __init__(self, storage, authenticator, max_count, max_bytes):
        super().__init__(storage, authenticator)
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._max_marks = max(formats.MAX_MARKS, max_count * MARKS_OF_A_RECORD)

    def on_get(self, req, resp, name, collection):
        media_type = formats.choose(req.get_header("Accept") or "")

        def find(connection, user_id):
            _check_collection(collection)
            selection = _selection(req)
            return user_id, lists.find(
                self._storage, connection, user_id, collection, selection, media_type
            )

        user_id, found = self._authenticator.read(req, name, find)
        found.send(resp, user_id, http.may_stream(req))
        req.context.stamp = found.stamp
        resp.set_header("X-Weave-Records", str(found.count))
        resp.content_type = media_type

    def on_post(self, req, resp, name, collection):
        user_id = self.user_id(req, name)
        _check_collection(collection)
        with self.body(req, user_id, self._max_marks) as body:
            if isinstance(body, list):
                self._store_batch(req, resp, user_id, collection, body)
            else:
                self._store_one(req, resp, user_id, collection, body)

    def on_put(self, req, resp, name, collection):
        user_id = self.user_id(req, name)
        _check_collection(collection)
        with self.body(req, user_id) as body:
            self._store_one(req, resp, user_id, collection, body)

    def on_delete(self, req, resp, name, collection):
        user_id = self.user_id(req, name)
        _check_collection(collection)
        selection = _selection(req) if req.query_string else None
        self.delete(req, resp, user_id, collection, selection)

    def _store_one(self, req, resp, user_id, collection, raw):
        record = _record(raw)
        if "id" not in record:
            raise http.bad_request(http.BAD_OBJECT)
        self.put_one(req, resp, user_id, collection, record)

    def _store_batch(self, req, resp, user_id, collection, batch):
        changes, failed = self._sort_out(batch)

        def act(writer):
            writer.put(collection, changes)

        self.change(req, resp, user_id, collection, act)
        answer = {
            "modified": http.stamp_of(req),
            "success": list(changes),
            "failed": failed,
        }
        http.send_json(resp, answer)

    def _sort_out(self, batch):
        """({id: fields}, {id: [reason]}) of a POST."""
        changes, failed, kept_bytes = {}, {}, 0
        for position, raw in enumerate(batch):
            try:
                record = records.parse(raw)
                if "id" not in record:
                    raise records.InvalidRecord("invalid id")
                if position >= self._max_count:
                    raise records.InvalidRecord("retry wbo")
                size = records.byte_length(record.get("payload", ""))
                if kept_bytes + size > self._max_bytes:
                    raise records.InvalidRecord("retry bytes")
            except records.InvalidRecord as reason:
                failed[_id_as_sent(raw)] = [str(reason)]
                continue
            kept_bytes += size
            # The last one of the same id wins, as if they came one by one.
            before = changes.get(record["id"], {})
            before.pop("ttl", None)
            changes[record["id"]] = dict(before, **record)
        return changes, failed


class Item(Resource):
    def on_get(self, req, resp, name, collection, item):
        def read(connection, user_id):
            _check_collection(collection)
            id_ = _record_id(item)
            return self._storage.get(connection, user_id, collection, id_)

        record, req.context.stamp = self._authenticator.read(req, name, read)
        if record is None:
            raise falcon.HTTPNotFound()
        http.send_json(resp, record)

    def on_put(self, req, resp, name, collection, item):
        user_id = self.user_id(req, name)
        _check_collection(collection)
        with self.body(req, user_id) as raw:
            record = dict(_record(raw), id=_record_id(item))
            self.put_one(req, resp, user_id, collection, record)

    def on_delete(self, req, resp, name, collection, item):
        user_id = self.user_id(req, name)
        _check_collection(collection)
        selection = query.Selection(ids=[_record_id(item)])
        self.delete(req, resp, user_id, collection, selection)


def _id_as_sent(raw):
    """The key under which a client finds a record that failed."""
    id_ = raw.get("id") if isinstance(raw, dict) else None
    if isinstance(id_, bool) or not isinstance(id_, (str, int, float)):
        return ""
    return str(id_)[:MAX_FAILED_ID_CHARS]


def refuse_path(_req, _resp, **_params):
    """A record whose id holds a slash."""
    raise http.bad_request(http.BAD_OBJECT)


def add_routes(app, storage, authenticator, max_count, max_bytes):
    common = (storage, authenticator)
    for version in http.VERSIONS:
        user = "/%s/{name}" % version
        info = user + "/info/"
        app.add_route(info + "collections", Info(*common, storage.timestamps))
        app.add_route(info + "collection_counts", Info(*common, storage.counts))
        app.add_route(info + "collection_usage", Info(*common, storage.usage))
        app.add_route(info + "quota", Quota(*common))
        app.add_route(user + "/storage", Everything(*common))
        collection = user + "/storage/{collection}"
        app.add_route(collection, Collection(*common, max_count, max_bytes))
        app.add_route(collection + "/{item}", Item(*common))
    app.add_sink(refuse_path, r"/1(\.[01])?/[^/]+/storage/[^/]+/.+")
