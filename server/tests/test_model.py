# SPDX-License-Identifier: Apache-2.0
"""Any requests of one client, one after the other, and what a model of storage 1.1
says of them: each answer is the same, and so is all that can be read afterwards.
"""

import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client import hundredths, seconds
from conftest import KIND, THROUGH_HTTPD, basic

# Far from each other, so that a slow machine is never in doubt.
TTL_SECONDS = 1000
JUMP_SECONDS = 600

COLLECTIONS = ("col", "bookmarks", "Col")
# Alike where a database pads, folds or normalises.
IDS = ("a", "A", "a ", "\u00e4", "a\u0308", "\U0001d11e" * 64, "{x-1}", "a'\"\\%_", "5")
NO_IDS = ("", "i" * 65, "\ud800", None, True, ["a"])


class Model:
    """What one user has. Stamps are hundredths of a second, as the server gave them."""

    def __init__(self):
        self.items = {}
        self.moved = {}
        self.last = 0
        self.now = 0

    def live(self, name):
        """{id: record} that has not expired."""
        return {id_: r for id_, r in self.items.get(name, {}).items() if r["until"] > self.now}

    def put(self, name, changes, stamp):
        """{id: stamp or None}"""
        found, live = {}, self.live(name)
        self.moved.setdefault(name, 0)
        for id_, fields in changes.items():
            record = dict(live.get(id_, {"payload": "", "modified": 0}))
            record.update({k: v for k, v in fields.items() if k not in ("id", "ttl")})
            ttl = fields.get("ttl")
            record["until"] = float("inf") if ttl is None else self.now + ttl
            if "payload" in fields:
                record["modified"] = self.moved[name] = stamp
            self.items.setdefault(name, {})[id_] = record
            found[id_] = record["modified"] or None
        return found

    def select(self, name, args):
        """[(id, record)] in the order of the arguments."""
        found = list(self.live(name).items())
        tests = {
            "ids": lambda id_, r, v: id_ in v,
            "newer": lambda id_, r, v: r["modified"] > v,
            "older": lambda id_, r, v: r["modified"] < v,
            "index_above": lambda id_, r, v: r.get("sortindex") is not None
            and r["sortindex"] > v,
            "index_below": lambda id_, r, v: r.get("sortindex") is not None
            and r["sortindex"] < v,
            "parentid": lambda id_, r, v: r.get("parentid") == v,
            "predecessorid": lambda id_, r, v: r.get("predecessorid") == v,
        }
        for key, value in args.items():
            if key in tests:
                found = [pair for pair in found if tests[key](*pair, value)]
        order = args.get("sort")
        if order == "newest":
            found.sort(key=lambda pair: (pair[1]["modified"], pair[0]), reverse=True)
        elif order == "index":
            found.sort(key=lambda pair: self.weight(*pair), reverse=True)
        elif order == "oldest" or {"newer", "older"} & set(args):
            found.sort(key=lambda pair: (pair[1]["modified"], pair[0]))
        else:
            found.sort(key=lambda pair: pair[0])
        if "limit" in args:
            offset = args.get("offset", 0)
            found = found[offset : offset + args["limit"]]
        return found

    @staticmethod
    def weight(id_, record):
        index = record.get("sortindex")
        return index is not None, index or 0, id_

    def delete(self, name, args, stamp):
        doomed = self.live(name) if args is None else dict(self.select(name, args))
        for id_ in doomed:
            del self.items[name][id_]
        if doomed:
            self.moved[name] = stamp

    def is_newer(self, name, since):
        return (self.last if name is None else self.moved.get(name, 0)) > since


class Client:
    """Does the same to the server and to the model."""

    def __init__(self, user, clock):
        self.user = user
        self.clock = clock
        self.model = Model()
        self.stamps = [0]

    def write(self, method, path, body, name, since):
        """(whether it was done, the answer); its stamp is in stamps."""
        headers = {}
        if since is not None:
            since = self.stamps[since % len(self.stamps)]
            headers["X_If_Unmodified_Since"] = seconds(since)
        if path == "storage":
            headers["X_Confirm_Delete"] = "1"
        refused = since is not None and self.model.is_newer(name, since)
        answer = self.user.call(method, path, body, 412 if refused else 200, **headers)
        if not refused:
            stamp = hundredths(answer.headers["X-Weave-Timestamp"])
            assert stamp > self.model.last
            self.model.last = stamp
            self.stamps.append(stamp)
        return not refused, answer

    def put(self, name, id_, fields, since, how):
        if how == "item":
            done, answer = self.write(
                "PUT", "storage/%s/%s" % (name, quote(id_, safe="")), fields, name, since
            )
        else:
            body = dict(fields, id=id_)
            done, answer = self.write(how, "storage/" + name, body, name, since)
        if done:
            modified = self.model.put(name, {id_: fields}, self.model.last)[id_]
            assert answer.text == ("null" if modified is None else seconds(modified))

    def post(self, name, batch, since):
        done, answer = self.write("POST", "storage/" + name, batch, name, since)
        if not done:
            return
        changes = {}
        for record in batch:
            if record["id"] in IDS:
                before = changes.pop(record["id"], {})
                before.pop("ttl", None)
                changes[record["id"]] = dict(before, **record)
        if changes:
            self.model.put(name, changes, self.model.last)
        assert set(answer.json["success"]) == set(changes)
        bad = [record["id"] for record in batch if record["id"] not in IDS]
        assert len(answer.json["failed"]) <= len(bad) and bool(answer.json["failed"]) == bool(bad)
        assert '"modified":' + seconds(self.model.last) in answer.text

    def refused_put(self, name, fields, how):
        body = dict(fields, payload=5)
        path = "storage/" + name + ("/a" if how == "item" else "")
        method = "PUT" if how == "item" else how
        assert self.user.call(method, path, dict(body, id="a"), 400).body == b"8"

    def delete(self, name, args, since):
        path = "storage/" + name
        if args is not None:
            path += "?" + self.query(args)
        done, answer = self.write("DELETE", path, None, name, since)
        if done:
            self.model.delete(name, args, self.model.last)
            assert answer.text == seconds(self.model.last)

    def delete_item(self, name, id_, since):
        path = "storage/%s/%s" % (name, quote(id_, safe=""))
        done, _ = self.write("DELETE", path, None, name, since)
        if done:
            self.model.delete(name, {"ids": [id_]}, self.model.last)

    def wipe(self, since):
        done, _ = self.write("DELETE", "storage", None, None, since)
        if done:
            self.model.items.clear()
            self.model.moved.clear()

    def pass_time(self):
        self.model.now += JUMP_SECONDS
        self.clock.forward(self.model.now)

    def query(self, args):
        """Stamps in args are numbers of self.stamps; they are replaced there, too."""
        parts = []
        for key, value in args.items():
            if key in ("newer", "older"):
                args[key] = value = self.stamps[value % len(self.stamps)]
                value = seconds(value)
            elif key == "ids":
                value = ",".join(value)
            parts.append("%s=%s" % (key, quote(str(value), safe=",")))
        return "&".join(parts)

    def read(self, name, args, accept):
        query = self.query(args)
        expected = self.model.select(name, args)
        answer = self.user.get("storage/%s?%s&full=1" % (name, query), Accept=accept)
        if accept == "application/newlines":
            found = [json.loads(line) for line in answer.body.splitlines()]
        else:
            found = answer.json
        assert found == [self.shown(id_, record) for id_, record in expected], query
        assert answer.headers["X-Weave-Records"] == str(len(expected))
        assert hundredths(answer.headers["X-Weave-Timestamp"]) == self.model.last
        ids = self.user.get("storage/%s?%s" % (name, query)).json
        assert ids == [id_ for id_, _ in expected]

    @staticmethod
    def shown(id_, record):
        shown = {key: value for key, value in record.items() if key != "until"}
        return dict(shown, id=id_, modified=record["modified"] / 100)

    def read_item(self, name, id_):
        record = self.model.live(name).get(id_)
        path = "storage/%s/%s" % (name, quote(id_, safe=""))
        answer = self.user.get(path, 404 if record is None else 200)
        if record is not None:
            assert answer.json == self.shown(id_, record)

    def read_info(self):
        live = {name: self.model.live(name) for name in self.model.items}
        live = {name: items for name, items in live.items() if items}
        answer = self.user.get("info/collections")
        assert answer.json == {name: self.model.moved[name] / 100 for name in live}
        assert answer.headers["X-Weave-Records"] == str(len(live))
        counts = {name: len(items) for name, items in live.items()}
        assert self.user.get("info/collection_counts").json == counts
        usage = {
            name: sum(len(r["payload"].encode()) for r in items.values()) / 1024
            for name, items in live.items()
        }
        assert self.user.get("info/collection_usage").json == usage
        assert self.user.get("info/quota").json == [sum(usage.values()), None]


NAME = st.sampled_from(COLLECTIONS)
ID = st.sampled_from(IDS)
SINCE = st.none() | st.integers(0, 20)
TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "payload": TEXT,
        "sortindex": st.integers(-999999999, 999999999) | st.integers(-3, 3),
        "parentid": ID | TEXT,
        "predecessorid": ID,
        "ttl": st.sampled_from([0, TTL_SECONDS, 31536000]),
    },
)
ARGS = st.fixed_dictionaries(
    {},
    optional={
        "ids": st.lists(ID, min_size=1, max_size=4),
        "newer": st.integers(0, 20),
        "older": st.integers(0, 20),
        "index_above": st.integers(-4, 4),
        "index_below": st.integers(-4, 4) | st.just(10**9),
        "parentid": ID,
        "predecessorid": ID,
        "sort": st.sampled_from(["oldest", "newest", "index", "other"]),
        "limit": st.integers(1, 5),
        "offset": st.integers(0, 4),
    },
).filter(lambda args: "limit" in args or "offset" not in args)
HOW = st.sampled_from(["item", "PUT", "POST"])
BATCH = st.lists(
    st.tuples(FIELDS, ID | st.sampled_from(NO_IDS)).map(lambda pair: dict(pair[0], id=pair[1])),
    max_size=5,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAME, ID, FIELDS, SINCE, HOW),
        st.tuples(st.just("put"), NAME, ID, FIELDS, st.none(), HOW),
        st.tuples(st.just("post"), NAME, BATCH, SINCE),
        st.tuples(st.just("post"), NAME, BATCH, st.none()),
        st.tuples(st.just("refused_put"), NAME, FIELDS, HOW),
        st.tuples(st.just("delete"), NAME, st.none() | ARGS, SINCE),
        st.tuples(st.just("delete_item"), NAME, ID, SINCE),
        st.tuples(st.just("wipe"), SINCE),
        st.tuples(st.just("pass_time")),
        st.tuples(st.just("read"), NAME, ARGS, st.sampled_from(["*/*", "application/newlines"])),
        st.tuples(st.just("read_item"), NAME, ID),
        st.tuples(st.just("read_info")),
    ),
    max_size=25,
)


@settings(max_examples=60 if KIND == "sqlite" and not THROUGH_HTTPD else 20)
@given(steps=STEPS)
def check_steps(user, clock, steps):
    clock.forward(0)
    client = Client(user, clock)
    client.wipe(None)
    for what, *arguments in steps:
        getattr(client, what)(*arguments)
    for name in COLLECTIONS:
        client.read(name, {}, "*/*")
    client.read_info()


def test_any_requests(user, clock):
    check_steps(user, clock)


def test_strange_ids_are_different(user):
    """Each is found, changed and deleted without the others."""
    ids = [
        "a", "A", "a ", " a", "a  ", "a\t", "\u00e4", "a\u0308", "\u00e5", "\u212b", "\u00c5",
        "ss", "\u00df", "SS", "\uff41", "\u0131", "i", "I", "\u0130", "\ufb01", "fi", "1", "01",
        "\u0661", "1.0", "1e0", "\U0001d11e" * 64, "\U0001d11e" * 63, "\U0001f600", "\U0001f601",
        "\u200d", "\u200c", "\ufeff", "a\u200b", "%", "_", "%%", "\\", "\\\\", "'", "''", '"',
        "`", ";", "--", "a\x01", "a\x7f", "\r\n", "\n", "a%00", "NULL", "null", "None", "?",
        ":x", "%s", "%(x)s", "{}", "$1",
    ]  # fmt: skip
    batch = [{"id": id_, "payload": "of " + id_, "parentid": id_} for id_ in ids]
    assert user.post("storage/col", batch).json["success"] == ids
    assert user.get("storage/col").json == sorted(ids)
    assert user.get("info/collection_counts").json == {"col": len(ids)}
    for id_ in ids:
        asked = quote(id_, safe="")
        for key in ("ids", "parentid"):
            found = user.get("storage/col?full=1&%s=%s" % (key, asked)).json
            assert [(r["id"], r["payload"]) for r in found] == [(id_, "of " + id_)]
    for id_ in ids[::2]:
        user.post("storage/col", [{"id": id_, "payload": "new"}])
    found = {r["id"]: r["payload"] for r in user.get("storage/col?full=1").json}
    assert found == {i: "of " + i if ids.index(i) % 2 else "new" for i in ids}
    for position, id_ in enumerate(ids):
        user.delete("storage/col?ids=" + quote(id_, safe=""))
        assert user.get("storage/col").json == sorted(ids[position + 1 :])


def test_names_of_collections_are_different(user):
    names = ["col", "Col", "COL", "col.", "co_l", "co-l", "0", "00", "c" * 64, "C" * 64]
    for name in names:
        user.put("storage/%s/a" % name, {"payload": name})
    assert sorted(user.get("info/collections").json) == sorted(names)
    for name in names:
        assert user.get("storage/%s/a" % name).json["payload"] == name
    user.delete("storage/col")
    assert sorted(user.get("info/collections").json) == sorted(names[1:])


# Where a value becomes a part of a statement or of a header, these show it.
INJECTIONS = [
    "'", '"', "\\", "\\'", "';DROP TABLE weave_records;--", "' OR '1'='1", "\") OR 1=1 --",
    "%", "%s", "%(payload)s", ":payload", "?", "$1", "${x}", "x\r\nX-Evil: 1", "\x1a", "/*", "*/",
    "a\nb", "\\0", "\\n", "\u2028", "\ufffe", "\ufdd0", "\U0010ffff",
]  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
def test_values_stay_values(user, text):
    user.put("storage/col/other", {"payload": "x"})
    record = {"id": text, "payload": text, "parentid": text, "predecessorid": text}
    assert user.post("storage/col", [record] * 2).json["success"] == [text]
    single = "?ids=%s" % quote(text, safe="")
    for path in (single, "?parentid=%s" % quote(text), "?predecessorid=%s" % quote(text)):
        (found,) = user.get("storage/col%s&full=1" % path.replace("+", "%2B")).json
        assert {key: found[key] for key in record} == record
    for key in ("ids", "parentid", "predecessorid", "sort", "unknown"):
        answer = user.get("storage/col?%s=%s" % (key, quote("x" + text, safe="")))
        assert "X-Evil" not in answer.headers
    user.delete("storage/col" + single)
    assert user.get("storage/col").json == ["other"]


@pytest.mark.parametrize("text", INJECTIONS)
def test_values_of_accounts_stay_values(site, user, text):
    before = site.digest()
    password = "long enough " + text
    name = quote(text, safe="")
    assert site.app.get("/user/1.0/" + name, status="*").status_int in (200, 400, 404)
    body = {"email": text, "password": password}
    assert site.app.put_json("/user/1.0/bob", body, status=400).body == b"12"
    user.call("GET", "info/collections", None, 401, Authorization=basic(text, password))
    assert site.digest() == before
    headers = {"Authorization": basic("alice", user.password)}
    site.app.post("/user/1.0/alice/password", password.encode(), headers=headers)
    user.password = password
    assert user.get("info/collections").json == {}


NUMBERS = ["-0", "0", "1e308", "-1e308", "1e-320", "99999999999999999999", "-99999999999999999999",
           "9" * 64, "0." + "0" * 61 + "1", "+1", "1e5", "-.5", "5."]  # fmt: skip
NO_NUMBERS = ["1e309", "-1e309", "nan", "inf", "-Infinity", "0x10", "1_0", "1,5", "1 2", "'1'",
              "1;2", "1--", "1/1", "\u0661", "\uff11", "", "9" * 65]  # fmt: skip


def test_numbers_in_arguments(site, user):
    stamp = user.put("storage/col/a", {"payload": "x", "sortindex": 2}).json
    before = site.digest()
    for name in ("newer", "older", "index_above", "index_below"):
        value = 2 if name.startswith("index") else stamp
        for text in NUMBERS:
            answer = user.get("storage/col?%s=%s" % (name, quote(text))).json
            low = name in ("newer", "index_above")
            assert answer == (["a"] if (float(text) < value) == low else []), (name, text)
        for text in NO_NUMBERS:
            for call in (user.get, user.delete):
                answer = call("storage/col?%s=%s" % (name, quote(text)), status=400)
                assert answer.body == b"1", (name, text)
    for text in NO_NUMBERS:
        for name in ("limit", "offset"):
            if text != "9" * 65:
                path = "storage/col?limit=1&%s=%s" % (name, quote(text))
                assert user.get(path, status=400).body == b"1", (name, text)
    assert site.digest() == before


def test_numbers_in_the_precondition(site, user):
    user.put("storage/col/a", {"payload": "x"})
    before = site.digest()
    for text in NO_NUMBERS:
        if text.isascii():
            answer = user.put("storage/col/a", {"payload": "y"}, 400, X_If_Unmodified_Since=text)
            assert answer.body == b"1", text
    for text in ("0", "-1", "1e-5", "-1e308"):
        user.put("storage/col/a", {"payload": "y"}, 412, X_If_Unmodified_Since=text)
    assert site.digest() == before
    user.put("storage/col/a", {"payload": "y"}, X_If_Unmodified_Since="1e308")


def test_members_that_come_twice(site, user):
    """Which of them counts would be a guess."""
    user.put("storage/col/a", {"payload": "x"})
    before = site.digest()
    for body in (
        b'{"id": "a", "payload": "1", "payload": "2"}',
        b'{"id": "a", "id": "b", "payload": "1"}',
        b'{"id": "a", "payload": "1", "other": {"x": 1, "x": 2}}',
        b'{"id": "a", "payload": "1", "p\\u0061yload": "2"}',
    ):
        assert user.call("POST", "storage/col", body, 400).body == b"6"
        assert user.call("PUT", "storage/col", body, 400).body == b"6"
        assert user.call("PUT", "storage/col/a", body, 400).body == b"6"
        assert user.call("POST", "storage/col", b"[" + body + b"]", 400).body == b"6"
    twice = b'{"email": "b@example.org", "password": "long enough", "password": "long enouhg"}'
    assert site.app.put("/user/1.0/bob", twice, status=400).body == b"6"
    assert site.digest() == before
