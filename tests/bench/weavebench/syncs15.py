# SPDX-License-Identifier: Apache-2.0
"""The syncs of syncs.py by Sync 1.5, as today's Firefox has them: see its order there.

first   an empty account: everything is deleted, then 5,000 records in four batches
idle    nothing has changed but the tabs, which are sent each time
change  one bookmark was changed here, and perhaps something elsewhere
"""

import random
from urllib.parse import quote

from .sync_client import Failed

BEGINNING = 9  # requests of a first sync before its collections


def since(stamp):
    return {"X-If-Unmodified-Since": stamp}


async def sign_up(client):
    await client.sign_in()


async def begin(client):
    answer = await client.call("info/collections", "GET", "info/collections")
    client.times = answer.json
    await client.call("info/configuration", "GET", "info/configuration")


async def upload(client, collection, posts, records):
    """One batch; records(number) are those of a POST."""
    await client.call("DELETE", "DELETE", f"storage/{collection}")
    batch, known = "true", "0"
    for number in range(posts):
        path, last = f"storage/{collection}?batch={quote(batch, safe='')}", number == posts - 1
        answer = await client.call(
            "POST of 100", "POST", path + ("&commit=true" if last else ""),
            records(number), expect=(200 if last else 202,), headers=since(known))
        if answer.json["failed"]:
            raise Failed("a POST stored less than it was given")
        batch = answer.json.get("batch")
        known = client.last = answer.headers["x-last-modified"]


async def first(client, collections, records):
    """collections are (name, number of POSTs); records(client, number) those of a POST."""
    await begin(client)
    await client.call("meta/global", "GET", "storage/meta/global", expect=(200, 404))
    await client.call("DELETE", "DELETE", "storage")
    for path in ("meta/global", "crypto/keys"):
        await client.call("PUT", "PUT", f"storage/{path}", {"payload": "{}"},
                          headers=since("0"))
    answer = await client.call("info/collections", "GET", "info/collections")
    client.times = answer.json
    await client.call("crypto/keys", "GET", "storage/crypto/keys")
    await client.call("POST of 1", "POST", "storage/clients?batch=true&commit=true",
                      [{"id": "one", "payload": "{}", "ttl": 15552000}], headers=since("0"))
    for collection, posts in collections:
        await upload(client, collection, posts,
                     lambda number: records(client, number))


async def post_one(client, collection, record):
    answer = await client.call(
        "POST of 1", "POST", f"storage/{collection}?batch=true&commit=true", [record],
        headers=since(client.times.get(collection, 0)))
    client.times[collection] = answer.json["modified"]
    return answer


async def idle(client):
    await begin(client)
    await client.call("clients", "GET", "storage/clients?full=1&limit=1000")
    return await post_one(client, "tabs", {"id": "one", "payload": "{}" * 100})


async def change(client, record):
    """record() is the bookmark."""
    await begin(client)
    await client.call("clients", "GET", "storage/clients?full=1&limit=1000")
    for collection, more in (("bookmarks", "&sort=oldest"), ("history", "&sort=newest"),
                             ("forms", "")):
        answer = await client.call(
            "newer", "GET", f"storage/{collection}?newer={client.last}&full=1&limit=1000{more}")
        if len(answer.json) != int(answer.headers["x-weave-records"]):
            raise Failed("X-Weave-Records is not the number of records")
    await post_one(client, "tabs", {"id": "one", "payload": "{}" * 100})
    answer = await post_one(client, "bookmarks", record(random.randrange(1000)))
    client.last = answer.headers["x-last-modified"]
