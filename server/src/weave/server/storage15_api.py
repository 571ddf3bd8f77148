# SPDX-License-Identifier: Apache-2.0
"""Storage 1.5: /1.5/UID/info/... and /1.5/UID/storage/...

It is also at /storage/1.5/UID, where Mozilla's old all-in-one server had it.
"""

import dataclasses

import falcon

from weave.server import api15, formats, health, http, lists, offsets, post15, query15
from weave.server.api15 import Resource
from weave.server.query import Selection

PREFIXES = ("/1.5", "/storage/1.5")

_LISTS = (formats.JSON, formats.NEWLINES)


class Info(Resource):
    """An object with a value for each collection; `find` is the Storage method for it."""

    def __init__(self, storage, authenticator, find):
        super().__init__(storage, authenticator)
        self._find = find

    def on_get(self, req, resp, uid):
        user_id = self._authenticator.claim(req, uid)
        api15.media_type_of(req)

        def find(connection, check):
            found, last = self._find(connection, user_id)
            check(last, last)
            return found

        found = self.read(req, resp, user_id, find)
        if found is not None:
            self.send(resp, found)

    def send(self, resp, found):
        resp.set_header("X-Weave-Records", str(len(found)))
        http.send_json(resp, found)


class Quota(Info):
    def send(self, resp, found):
        http.send_json(resp, [sum(found.values()), self._storage.quota_kb])


class Configuration(Resource):
    def __init__(self, storage, authenticator, limits):
        super().__init__(storage, authenticator)
        self._limits = dataclasses.asdict(limits)

    def on_get(self, req, resp, uid):
        user_id = self._authenticator.claim(req, uid)
        api15.media_type_of(req)

        def find(connection, check):
            last = self._storage.last_stamp(connection, user_id)
            check(last, last)
            return self._limits

        found = self.read(req, resp, user_id, find)
        if found is not None:
            http.send_json(resp, found)


class Everything(Resource):
    def on_delete(self, req, resp, uid):
        user_id = self._authenticator.claim(req, uid)
        self.change(req, resp, user_id, None, lambda writer: writer.delete_all())
        http.send_json(resp, {})


class Collection(Resource):
    def __init__(self, storage, authenticator, limits):
        super().__init__(storage, authenticator)
        self._limits = limits

    def on_get(self, req, resp, uid, collection):
        user_id = self._authenticator.claim(req, uid)
        api15.check_collection(collection)
        media_type = api15.media_type_of(req, _LISTS)
        selection = api15.arguments(query15.parse, req, user_id, collection)

        def find(connection, check):
            return lists.find(
                self._storage,
                connection,
                user_id,
                collection,
                selection,
                media_type,
                check,
            )

        found = self.read(req, resp, user_id, find)
        if found is None:
            return
        found.send(resp, user_id, http.may_stream(req))
        resp.set_header("X-Weave-Records", str(found.count))
        if found.end is not None:
            token = offsets.encode(found.end, user_id, collection, selection.sort)
            resp.set_header("X-Weave-Next-Offset", token)
        resp.content_type = media_type

    def on_post(self, req, resp, uid, collection):
        user_id = self._authenticator.claim(req, uid)
        api15.check_collection(collection)
        post15.post(self, req, resp, user_id, collection, self._limits)

    def on_delete(self, req, resp, uid, collection):
        user_id = self._authenticator.claim(req, uid)
        api15.check_collection(collection)
        selection = api15.arguments(query15.parse_ids, req)

        def act(writer):
            writer.delete(collection, selection)

        _, stamp = self.change(req, resp, user_id, collection, act)
        http.send_json(resp, {"modified": stamp})


class Item(Resource):
    def __init__(self, storage, authenticator, limits):
        super().__init__(storage, authenticator)
        self._limits = limits

    def on_get(self, req, resp, uid, collection, item):
        user_id = self._authenticator.claim(req, uid)
        api15.check_collection(collection)
        id_ = api15.item_id(req, item)
        api15.media_type_of(req)

        def find(connection, check):
            record, last = self._storage.get(connection, user_id, collection, id_)
            check(record and record["modified"], last)
            return record

        record = self.read(req, resp, user_id, find)
        if record is not None:
            http.send_json(resp, record)

    def on_put(self, req, resp, uid, collection, item):
        user_id = self._authenticator.claim(req, uid)
        api15.check_collection(collection)
        id_ = api15.item_id(req, item)
        with post15.read_body(req, self._limits, user_id) as raw:
            record = post15.single(raw, id_, collection, self._limits)

            def act(writer):
                writer.put(collection, {id_: record})

            _, stamp = self.change(req, resp, user_id, collection, act, id_)
        http.send_json(resp, stamp)

    def on_delete(self, req, resp, uid, collection, item):
        user_id = self._authenticator.claim(req, uid)
        api15.check_collection(collection)
        id_ = api15.item_id(req, item)

        def act(writer):
            if not writer.delete(collection, Selection(ids=[id_])):
                raise falcon.HTTPNotFound()

        _, stamp = self.change(req, resp, user_id, collection, act, id_)
        http.send_json(resp, {"modified": stamp})


def add_routes(app, errors, storage, authenticator, limits):
    """errors: the http.Errors of app. limits: a rules.Limits; storage has its rules."""
    common = (storage, authenticator)
    everything = Everything(*common)
    item = Item(*common, limits)
    for prefix in PREFIXES:
        errors.add(prefix, http.error_of_15)
        user = prefix + "/{uid}"
        info = user + "/info/"
        app.add_route(info + "collections", Info(*common, storage.timestamps))
        app.add_route(info + "collection_counts", Info(*common, storage.counts))
        app.add_route(info + "collection_usage", Info(*common, storage.usage))
        app.add_route(info + "quota", Quota(*common, storage.usage))
        app.add_route(info + "configuration", Configuration(*common, limits))
        app.add_route(user, everything)
        app.add_route(user + "/storage", everything)
        collection = user + "/storage/{collection}"
        app.add_route(collection, Collection(*common, limits))
        app.add_route(collection + "/{item}", item)
        # An id may have a slash.
        pattern = r"%s/(?P<uid>[^/]+)/storage/(?P<collection>[^/]+)/(?P<item>.+)"
        app.add_sink(_any_item(item), pattern % prefix.replace(".", r"\."))
    app.add_route("/__version__", health.Version())


def _any_item(item):
    methods = {"GET": item.on_get, "PUT": item.on_put, "DELETE": item.on_delete}

    def answer(req, resp, **params):
        if req.method not in methods:
            raise falcon.HTTPMethodNotAllowed(list(methods))
        methods[req.method](req, resp, **params)

    return answer
