# SPDX-License-Identifier: Apache-2.0
"""Anything at all that is sent to Sync 1.5: no answer is a fault of the server's, what is
not a success changes nothing, and nothing of another user is shown.
"""

import json
import string
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client15 import hawk_header, make_token
from conftest import KIND, THROUGH_HTTPD, Site15, sites
from test_garbage import BODIES, HEADER, NO_CONTROLS

SECRET_PAYLOAD = "of somebody else"

FUZZ = settings(max_examples=150 if KIND == "sqlite" and not THROUGH_HTTPD else 30)


class Fuzzed:
    def __init__(self, site):
        self.site = site
        other = site.device(777)
        other.put("storage/col/a", {"payload": SECRET_PAYLOAD})
        self.batch = quote(other.post("storage/col?batch=true", [], 202).json["batch"], safe="")
        self.device = site.device()
        self.device.put("storage/col/a", {"payload": "x"})
        self.look()

    def look(self):
        self.digest = self.site.digest(("weave_settings",))

    def check(self, answer, *statuses):
        """Checks that the status is one of these, that only a 2xx has changed
        anything, and that no answer shows another user's payload."""
        assert answer.status in statuses, answer
        assert "X-Weave-Timestamp" in answer.headers
        assert SECRET_PAYLOAD.encode() not in answer.body
        if answer.status in (200, 202):
            answer.json
            self.look()
        else:
            assert answer.status == 304 or answer.json in (0, 1, 6, 8, 13, 14, 17), answer
            assert self.site.digest(("weave_settings",)) == self.digest


@pytest.fixture(scope="module")
def fuzzed(database_server, tmp_path_factory):
    with sites(database_server, tmp_path_factory.mktemp("fuzz15")) as make_site:
        yield Fuzzed(make_site(Site15))


@FUZZ
@given(
    body=BODIES,
    to=st.sampled_from([("PUT", "col/a"), ("POST", "col"), ("POST", "col?batch")]),
    kind=st.sampled_from(["application/json", "text/plain", "application/newlines", None]),
)
def test_any_body(fuzzed, body, to, kind):
    answer = fuzzed.device.call(to[0], "storage/" + to[1], body, None, Content_Type=kind)
    fuzzed.check(answer, 200, 202, 400, 415)
    listed = fuzzed.device.get("storage/col?full=1").json
    assert all(set(record) <= {"id", "modified", "payload", "sortindex"} for record in listed)


VALUE = st.text(string.printable.strip() + "\u00e9\0", max_size=20) | st.sampled_from(
    ["true", "1", "0", "a", "a,b", "newest", "index", "MS4x"]
)
QUERY = st.dictionaries(
    st.sampled_from("ids newer older full sort limit offset batch commit Ids IDS".split()),
    VALUE, max_size=5,
)  # fmt: skip


def written(arguments):
    return "&".join("%s=%s" % (name, quote(value, safe="")) for name, value in arguments.items())


@FUZZ
@given(arguments=QUERY)
def test_any_query(fuzzed, arguments):
    path = "storage/col?" + written(arguments)
    fuzzed.check(fuzzed.device.get(path, None), 200, 400)
    fuzzed.check(fuzzed.device.post(path, [{"id": "a", "payload": "x"}], None), 200, 202, 400)
    if "ids" in arguments:
        fuzzed.check(fuzzed.device.delete(path, None), 200, 400)


RAW = string.ascii_letters + string.digits + "%&=;+,/?:@!$'()*-._~{}|\"<>^`\\[]"


@pytest.mark.sqlite_only
@FUZZ
@given(raw=st.text(RAW, max_size=40))
def test_any_raw_query(fuzzed, raw):
    """The query is sent as it is, also with malformed escapes."""
    fuzzed.check(fuzzed.device.get("storage/col?" + raw, None), 200, 400)


HEADERS = st.dictionaries(
    st.sampled_from([
        "X-If-Modified-Since", "X-If-Unmodified-Since", "X-Weave-Records", "X-Weave-Bytes",
        "X-Weave-Total-Records", "X-Weave-Total-Bytes", "Accept", "Content-Type",
    ]),
    HEADER | st.sampled_from(["0", "1", "application/json", "text/plain"]),
    max_size=3,
)  # fmt: skip


@FUZZ
@given(headers=HEADERS)
def test_any_headers(fuzzed, headers):
    device = fuzzed.device
    fuzzed.check(device.get("storage/col", None, **headers), 200, 304, 400, 406, 412)
    fuzzed.check(device.get("storage/col/a", None, **headers), 200, 304, 400, 404, 406, 412)
    fuzzed.check(device.get("info/collections", None, **headers), 200, 304, 400, 406, 412)
    for path in ("storage/col", "storage/col?batch=true"):
        answer = device.post(path, [{"id": "a", "payload": "x"}], None, **headers)
        fuzzed.check(answer, 200, 202, 400, 406, 412, 415)
    device.put("storage/col/a", {"payload": "x"})
    fuzzed.look()


SEGMENT = st.text(string.ascii_letters + string.digits + "%/{}._-&=;\\\"' ", max_size=20)


@pytest.mark.sqlite_only
@FUZZ
@given(path=SEGMENT, method=st.sampled_from(["GET", "PUT", "DELETE", "POST"]))
def test_any_path(fuzzed, path, method):
    if method == "DELETE" and not path.strip("/"):
        return
    answer = fuzzed.device.call(method, quote(path), b"nonsense", None)
    fuzzed.check(answer, 200, 400, 404, 405)


@pytest.mark.sqlite_only
@FUZZ
@given(data=st.data())
def test_any_credentials(fuzzed, data):
    """A header that is changed anywhere is good for nothing."""
    url = fuzzed.device.endpoint + "/storage/col"
    true = hawk_header(fuzzed.device.id, fuzzed.device.key, "GET", url)
    start = data.draw(st.integers(5, len(true) - 1))
    length = data.draw(st.integers(0, 3))
    new = data.draw(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=3))
    changed = true[:start] + new + true[start + length :]
    if "".join(changed.split()) == "".join(true.split()):
        return
    fuzzed.check(fuzzed.device.get("storage/col", None, Authorization=changed), 401)


def as_latin1(text):
    return text.encode().decode("latin-1")


@pytest.mark.sqlite_only
@FUZZ
@given(header=st.text(NO_CONTROLS, max_size=40).map(as_latin1),
       scheme=st.sampled_from(["Hawk ", "hawk ", "", "Basic ", "Bearer "]))  # fmt: skip
def test_any_authorization(fuzzed, header, scheme):
    for path in ("info/collections", "storage/col", "storage/meta/global"):
        fuzzed.check(fuzzed.device.get(path, None, Authorization=scheme + header), 401)


CLAIMS = st.dictionaries(
    st.sampled_from(["uid", "node", "expires", "salt", "fxa_uid", "fxa_kid"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.lists(st.integers(), max_size=2),
    min_size=1, max_size=3,
)  # fmt: skip


@pytest.mark.sqlite_only
@FUZZ
@given(claims=CLAIMS)
def test_any_claims_of_a_token(fuzzed, claims):
    """Even where our own secret has signed nonsense."""
    if set(claims) <= {"fxa_uid", "fxa_kid", "node", "salt", "expires"}:
        return
    secret, uid = fuzzed.site.secret, fuzzed.device.uid
    claims = {key: value for key, value in claims.items() if key != "salt"}
    if claims.get("uid") in (uid, str(uid)):
        return
    id_, key = make_token(secret, uid, fuzzed.site.node, **claims)
    header = hawk_header(id_, key, "GET", fuzzed.device.endpoint + "/storage/col")
    fuzzed.check(fuzzed.device.get("storage/col", None, Authorization=header), 401)


@pytest.mark.sqlite_only
@FUZZ
@given(body=st.recursive(st.none() | st.text(max_size=3),
                         lambda inner: st.lists(inner, max_size=3)
                         | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=20),
       depth=st.integers(0, 3000))  # fmt: skip
def test_any_nesting(fuzzed, body, depth):
    text = json.dumps([{"id": "a", "payload": body}])
    text = text.replace('"payload": ', '"payload": ' + "[" * depth, 1)[:-2] + "]" * depth + "}]"
    fuzzed.check(fuzzed.device.post("storage/col", text.encode(), None), 200, 400)
