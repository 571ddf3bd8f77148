# SPDX-License-Identifier: Apache-2.0
"""HAWK: whose request it is, behind any proxy; what is refused, and what the log says."""

import base64
import hashlib
import hmac
import re

import falcon
import pytest

from test_tokens import CLAIMS, NOW, OTHER, SECRET, VECTOR_SECRET, vector_id
from weave.server import hawk
from weave.server.hawk_authenticator import HawkAuthenticator
from weave.server.tokens import Secrets

PATH = "/1.5/42/info/collections"


class Clock:
    now = NOW + 60

    def __call__(self):
        return self.now


def sign(key, method, target, host, port, **fields):
    """The MAC by the description of HAWK, and not by the server's code."""
    lines = ["hawk.1.header", fields["ts"], fields["nonce"], method, target, host, str(port)]
    lines += [fields.get("hash", ""), fields.get("ext", ""), ""]
    digest = hmac.new(key.encode(), "\n".join(lines).encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class Browser:
    """Signs requests for the endpoint that it was given: node, and /1.5/42."""

    def __init__(self, node=CLAIMS["node"], secret=SECRET, **claims):
        claims = dict(CLAIMS, node=node, **claims)
        self.id, self.key = Secrets([secret]).make(claims, NOW)
        self.node = node

    def fields(self, method="GET", path=PATH, **changes):
        """The attributes of a header, in their order."""
        scheme, _, rest = self.node.partition("://")
        origin, slash, prefix = rest.partition("/")
        host, colon, port = origin.rpartition(":")
        if not colon or "]" in port:
            host, port = origin, {"https": "443", "http": "80"}[scheme]
        fields = {"id": self.id, "ts": str(NOW), "nonce": "aB3+/=", **changes}
        target = (slash + prefix).rstrip("/") + path
        fields["mac"] = sign(self.key, method, target, host.lower(), port, **fields)
        return fields

    def header(self, method="GET", path=PATH, **changes):
        return header(self.fields(method, path, **changes))


def header(fields):
    return "Hawk " + ", ".join('%s="%s"' % item for item in fields.items())


def request(authorization, method="GET", path=PATH, host="sync.example.org", **environ):
    """The request as it comes to the application; path is the raw one."""
    path, _, query = path.partition("?")
    decoded = path.replace("%7B", "{").replace("%7D", "}").replace("%20", " ")
    found = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": decoded.encode().decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": path.encode().decode("latin-1") + ("?" + query if query else ""),
        "SERVER_NAME": "backend",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.errors": None,
        "wsgi.input": None,
        "HTTP_HOST": host,
        "HTTP_AUTHORIZATION": authorization,
    }
    found.update(environ)
    for name, value in list(found.items()):
        if value is None and not name.startswith("wsgi."):
            del found[name]
    return falcon.Request(found)


def authenticator(secrets=(SECRET,), public_url=None, is_current=lambda *_: True, clock=None):
    return HawkAuthenticator(Secrets(secrets), public_url, is_current, clock or Clock())


def claimed(*arguments, uid="42", **environ):
    return authenticator().claim(request(*arguments, **environ), uid)


def why_refused(authorization, *arguments, by=None, uid="42", **environ):
    """The reason in the log of a 401."""
    with pytest.raises(falcon.HTTPUnauthorized) as caught:
        (by or authenticator()).claim(request(authorization, *arguments, **environ), uid)
    assert caught.value.headers["WWW-Authenticate"] == "Hawk"
    assert not hmac_texts(authorization) & set(caught.value.description.split('"'))
    return caught.value.description


def hmac_texts(authorization):
    """The parts of a header that must not get into the log."""
    return {text for text in (authorization or "").split('"') if len(text) > 30}


# The published MACs of the vector's token.
VECTORS = [
    ("GET", "/storage/1.5/1/storage/col2", "h1Ch4vo=",
     "UwDpC+DSrHCSTQSfMOWlueB6kM6gHb0Hsv8eU9ZcTVs="),
    ("POST", "/storage/1.5/1/storage/col2?batch=MTUzNjE5ODk3NjkyMQ==&commit=true",
     "4Rj7c+0=", "E7j1UjN7//mh7pYXsgGi3n0KGR+sUPpuyogDVzJWaHg="),
]  # fmt: skip


@pytest.mark.parametrize("method, path, nonce, mac", VECTORS)
def test_the_published_vectors(method, path, nonce, mac):
    text = header({"id": vector_id(), "ts": "1569608439", "nonce": nonce, "mac": mac})
    asked = request(text, method, path, host="localhost:5000")
    assert authenticator([VECTOR_SECRET]).claim(asked, "1") == 1


@pytest.mark.parametrize(
    "authorization",
    [
        lambda fields: header(fields),
        lambda fields: header(dict(reversed(list(fields.items())))),
        lambda fields: header(fields).replace("Hawk", "hAWK"),
        lambda fields: header(fields).replace(", ", ","),
        lambda fields: header(fields).replace(", ", " ,  "),
        lambda fields: header(fields).replace("Hawk ", "Hawk   "),
    ],
)
def test_spellings_of_the_header(authorization):
    assert claimed(authorization(Browser().fields())) == 42


def test_optional_attributes_are_signed():
    browser = Browser()
    fields = browser.fields(hash="bm90aGluZw==", ext="some text; a=b [c] {d}")
    assert claimed(header(fields)) == 42
    for name in ("hash", "ext"):
        assert "does not match" in why_refused(header(dict(fields, **{name: "other"})))
        assert "does not match" in why_refused(
            header({n: v for n, v in fields.items() if n != name})
        )


TARGETS = [
    "/1.5/42/info/collections?v=1.155.0",
    "/1.5/42/storage/passwords/%7Baa2e-4b%7D",
    "/1.5/42/storage/passwords?ids={x},y%20z,a%2Fb",
    "/1.5/42/storage/col?full=1&newer=1700000000.12&limit=1000&offset=ab_-",
    "/1.5/42/storage/col?batch=true&commit=true",
    "/1.5/42/storage/col?",
    "/1.5/42",
    "/1.5/42/",
    "/1.5/42?x=/1.5/42/",
    "/1.5/42/storage//x",
]


@pytest.mark.parametrize("target", TARGETS)
def test_the_raw_target_is_what_counts(target):
    browser = Browser("https://sync.example.org/deep/mount/")
    text = browser.header(path=target)
    raw = {"REQUEST_URI": "/mount" + target, "SCRIPT_NAME": "/mount"}
    assert claimed(text, "GET", target, **raw) == 42
    assert claimed(text, "GET", target, REQUEST_URI=None, RAW_URI=target) == 42
    whole = "http://inside:8080/mount" + target
    assert claimed(text, "GET", target, REQUEST_URI=whole) == 42
    for other in ("/1.5/42/storage/other", target + "&x=1", target + "x"):
        assert "does not match" in why_refused(text, "GET", target, REQUEST_URI=other)


def test_a_server_that_has_no_raw_target():
    for target in TARGETS[:2] + TARGETS[3:5] + TARGETS[6:7]:
        text = Browser("https://a.example/x").header(path=target)
        assert claimed(text, "GET", target, REQUEST_URI=None) == 42
        assert claimed(text, "GET", target, REQUEST_URI="", SCRIPT_NAME="/sync") == 42


# What a browser was told, and the Host and the path before 1.5 that the server sees.
PROXIES = [
    ("https://sync.example.org", "sync.example.org", ""),
    ("https://sync.example.org", "127.0.0.1:8080", ""),
    ("https://sync.example.org", None, ""),
    ("https://sync.example.org", "", ""),
    ("https://sync.example.org", "[::1]:8080", "/prefix/added"),
    ("https://sync.example.org/sync", "backend", ""),
    ("https://sync.example.org/sync/", "backend", "/sync"),
    ("https://sync.example.org:8443/a/b%20c", "sync.example.org", "/a/b%20c"),
    ("http://sync.example.org", "sync.example.org:8080", ""),
    ("http://SYNC.example.org:5000/x/storage", "localhost", "/x/storage"),
    ("https://sync.example.org/sync", "backend", "/1.5/421"),
    ("http://192.0.2.7:81", "backend", ""),
    ("https://[2001:DB8::7]:444/s", "backend", ""),
]


@pytest.mark.parametrize("node, host, prefix", PROXIES)
def test_behind_any_proxy(node, host, prefix):
    for path in (PATH, "/1.5/42/storage/col/a?x=1"):
        text = Browser(node).header(path=path)
        assert claimed(text, "GET", path, host=host, REQUEST_URI=prefix + path) == 42


def test_an_ipv6_address_without_brackets():
    browser = Browser("https://[2001:db8::7]:444")
    fields = browser.fields()
    fields["mac"] = sign(browser.key, "GET", PATH, "2001:db8::7", 444, **fields)
    assert claimed(header(fields)) == 42


@pytest.mark.parametrize(
    "host, signed",
    [
        ("sync.example.org:8000", ("sync.example.org", 8000)),
        ("Sync.Example.ORG", ("sync.example.org", 443)),
        ("sync.example.org", ("sync.example.org", 80)),
        ("sync.example.org:8000", ("sync.example.org", 443)),
        ("[2001:DB8::7]:444", ("[2001:db8::7]", 444)),
        ("[2001:DB8::7]:444", ("2001:db8::7", 444)),
    ],
)
@pytest.mark.parametrize("node", ["https://old.example.org/sync", "", "https://[", "x://y:z/"])
def test_the_host_header_where_the_node_is_another(node, host, signed):
    browser = Browser()
    browser.id, browser.key = Secrets([SECRET]).make(dict(CLAIMS, node=node), NOW)
    fields = browser.fields()
    fields["mac"] = sign(browser.key, "GET", "/s" + PATH, *signed, **fields)
    for uri in ("/s" + PATH, "http://inside:8080/s" + PATH):
        assert claimed(header(fields), "GET", PATH, host=host, REQUEST_URI=uri) == 42


def test_the_public_url_where_all_else_is_another():
    browser = Browser("https://old.example.org")
    fields = browser.fields()
    fields["mac"] = sign(browser.key, "GET", "/sync" + PATH, "new.example.org", 444, **fields)
    by = authenticator(public_url="https://new.example.org:444/sync/")
    assert by.claim(request(header(fields), host="backend"), "42") == 42
    assert "does not match" in why_refused(header(fields), host="backend")


def test_a_proxy_that_writes_the_path_anew():
    target = "/1.5/42/storage/passwords/%7Baa2e-4b%7D?full=1"
    text = Browser("https://a.example/x").header(path=target)
    for seen in (target.replace("%7B", "{").replace("%7D", "}"), target.replace("-", "%2D")):
        assert claimed(text, "GET", target, REQUEST_URI=seen) == 42


def test_names_in_other_alphabets():
    browser = Browser("https://b\xfccher.example/\xfc")
    fields = browser.fields()
    fields["mac"] = sign(
        browser.key, "GET", "/%C3%BC" + PATH, "xn--bcher-kva.example", 443, **fields
    )
    assert claimed(header(fields), host="b\xc3\xbccher") == 42


def test_each_of_several_secrets():
    both = authenticator([SECRET, OTHER])
    for secret in (SECRET, OTHER):
        assert both.claim(request(Browser(secret=secret).header()), "42") == 42
    why = why_refused(Browser(secret="c" * 64).header(), by=both)
    assert "none of the secrets in sync15.secret_file" in why


@pytest.mark.parametrize("uid", ["43", "4", "421", "042", "42.0", "+42", " 42", "x", "", "٤٢"])
def test_the_path_of_another_user(uid):
    path = "/1.5/%s/info/collections" % uid
    text = Browser().header(path="/1.5/43/info/collections")
    assert why_refused(text, "GET", path, uid=uid) == (
        "the token is of user 42, and the path of another"
    )


def test_an_expired_token():
    clock = Clock()
    by = authenticator(clock=clock)
    clock.now = NOW + 3599
    assert by.claim(request(Browser().header()), "42") == 42
    clock.now = NOW + 3600 + 7199
    # The first request of a sync, and no other, two hours later.
    for path in (PATH, PATH + "?v=1.155.0", PATH + "/"):
        assert by.claim(request(Browser().header(path=path), "GET", path), "42") == 42
    for path in ("/1.5/42/info/quota", "/1.5/42/storage/info", "/1.5/42"):
        why = why_refused(Browser().header(path=path), "GET", path, by=by)
        assert why == "the token has expired 7199 s ago: the client gets a new one"
    for method in ("PUT", "POST", "DELETE"):
        assert "expired" in why_refused(Browser().header(method), method, by=by)
    clock.now = NOW + 3600 + 7200
    assert "expired 7200 s ago" in why_refused(Browser().header(), by=by)
    clock.now = NOW + 3600
    assert "expired 0 s ago" in why_refused(
        Browser().header(path="/1.5/42/info/quota"), "GET", "/1.5/42/info/quota", by=by
    )


def test_a_user_who_is_gone():
    asked = []

    def is_current(connection, user_id):
        asked.append((connection, user_id))
        return user_id == 42

    by = authenticator(is_current=is_current)
    assert by.check("a connection", 42) is None
    with pytest.raises(falcon.HTTPUnauthorized) as caught:
        by.check("a connection", 43)
    assert asked == [("a connection", 42), ("a connection", 43)]
    assert "user 43 was deleted, or replaced" in caught.value.description
    # No database is asked for the rest.
    by.claim(request(Browser().header()), "42")
    assert len(asked) == 2


@pytest.mark.parametrize("ts", ["0", "1", str(NOW - 86400 * 400), str(NOW * 3), "9" * 15])
def test_no_clock_of_a_client_is_too_wrong(ts):
    assert claimed(Browser().header(ts=ts)) == 42


def test_what_the_log_says_of_a_mac():
    path = "/1.5/42/storage/col?ids=private,secret&full=1"
    text = Browser("https://a.example/sync").header(path=path)
    why = why_refused(text, "POST", path, host="b.example:81")
    assert why == (
        "the MAC does not match for POST at any of "
        "a.example:443/sync/1.5/42/storage/col?ids&full, "
        "b.example:81/1.5/42/storage/col?ids&full, "
        "b.example:443/1.5/42/storage/col?ids&full, "
        "b.example:80/1.5/42/storage/col?ids&full: a proxy in front has changed the path, "
        "the query or the method (let it hand on the request line as it is), or the "
        "client does not have the key of its token"
    )
    long = "/1.5/42/storage/col/" + "\xe9" * 8000
    assert len(why_refused(Browser().header(), "GET", long)) < 2000


def without(name):
    return lambda fields: header({n: v for n, v in fields.items() if n != name})


def with_(name, value):
    return lambda fields: header(dict(fields, **{name: value}))


MALFORMED = 'the header Authorization is no list of name="value" after Hawk'
UNKNOWN = "the scheme of the authorization is an unknown one, and not Hawk"
NOT_ASCII = "the header Authorization has more than printable ASCII"

BAD_HEADERS = [
    (lambda fields: None, "the request has no header Authorization"),
    (lambda fields: "", UNKNOWN),
    (lambda fields: "Basic YTpi", "the scheme of the authorization is Basic, and not Hawk"),
    (lambda fields: "Bearer " + fields["id"], "is Bearer, and not Hawk"),
    (lambda fields: "x" * 3000, UNKNOWN),
    (lambda fields: header(fields)[5:], UNKNOWN),
    (lambda fields: "Hawk" + header(fields)[5:], UNKNOWN),
    (lambda fields: "Hawk", MALFORMED),
    (lambda fields: "Hawk ", MALFORMED),
    (lambda fields: "Hawk ,", MALFORMED),
    (lambda fields: header(fields) + ",", MALFORMED),
    (lambda fields: header(fields).replace(", ", ",, "), MALFORMED),
    (lambda fields: header(fields).replace(", ", " "), MALFORMED),
    (lambda fields: header(fields).replace(", ", "; "), MALFORMED),
    (lambda fields: header(fields).replace('"', "'"), MALFORMED),
    (lambda fields: header(fields).replace('="', '=').replace('"', ""), MALFORMED),
    (lambda fields: header(fields).replace('="', ' = "'), MALFORMED),
    (lambda fields: header(fields)[:-1], MALFORMED),
    (lambda fields: header(fields) + " x", MALFORMED),
    (lambda fields: header(fields) + "\n", NOT_ASCII),
    (lambda fields: header(fields) + ", " + header(fields), MALFORMED),
    (lambda fields: header(fields) + ", =\"\"", MALFORMED),
    (lambda fields: header(fields) + ", " + "x" * 21 + '=""', MALFORMED),
    (lambda fields: header(fields) + " " * 4096, "has over 4096 characters"),
    (lambda fields: header(fields).replace("Hawk ", "Hawk\t"), UNKNOWN),
    (lambda fields: header(fields) + ', app="x"', "the Hawk attribute app is unknown"),
    (lambda fields: header(fields) + ', dlg="x"', "the Hawk attribute dlg is unknown"),
    (lambda fields: header(fields).replace("mac=", "MAC="), "attribute MAC is unknown"),
    (with_("ts", "-1"), "ts is no number of whole seconds"),
    (with_("ts", "1.5"), "ts is no number of whole seconds"),
    (with_("ts", "1e9"), "ts is no number of whole seconds"),
    (with_("ts", "now"), "ts is no number of whole seconds"),
    (with_("ts", " 1"), "ts is no number of whole seconds"),
    (with_("mac", "A" * 43), "mac is no base64 of 32 bytes"),
    (with_("mac", "A" * 44), "mac is no base64 of 32 bytes"),
    (with_("mac", "A" * 42 + "=="), "mac is no base64 of 32 bytes"),
    (with_("mac", "_" * 43 + "="), "mac is no base64 of 32 bytes"),
    (with_("mac", "A" * 43 + "="), "the MAC does not match"),
    (with_("nonce", "other"), "the MAC does not match"),
    (with_("ts", str(NOW + 1)), "the MAC does not match"),
    (with_("hash", "x"), "the MAC does not match"),
    (with_("ext", "x"), "the MAC does not match"),
    (with_("id", "AAAA"), "the token is shorter than a signature"),
    (with_("id", "A" * 2048), "none of the secrets"),
    (with_("id", "not base64!"), "the token is not the urlsafe base64"),
]
for name in hawk.MAX_CHARS:
    most = hawk.MAX_CHARS[name]
    BAD_HEADERS += [
        (with_(name, "1" * (most + 1)), "attribute %s has over %d characters" % (name, most)),
        (with_(name, 'a\\"b'), MALFORMED),
        (with_(name, "a\\b"), MALFORMED),
        (with_(name, "a\xe9"), NOT_ASCII),
        (with_(name, "a\0"), NOT_ASCII),
        (with_(name, "a\x7f"), NOT_ASCII),
        (with_(name, "a\tb"), MALFORMED),
        (lambda fields, name=name: header(dict(fields, **{name: fields.get(name, "x")}))
         + ', %s="%s"' % (name, fields.get(name, "x")),
         "the Hawk attribute %s comes twice" % name),
    ]  # fmt: skip
for name in hawk.NEEDED:
    BAD_HEADERS += [
        (without(name), "the Hawk attribute %s is missing or empty" % name),
        (with_(name, ""), "the Hawk attribute %s is missing or empty" % name),
    ]


@pytest.mark.parametrize("number", range(len(BAD_HEADERS)))
def test_bad_headers(number):
    spoil, message = BAD_HEADERS[number]
    assert message in why_refused(spoil(Browser().fields()))


def test_each_character_of_the_mac_counts():
    fields = Browser().fields()
    for position in range(43):
        other = fields["mac"][position] == "A" and "B" or "A"
        mac = fields["mac"][:position] + other + fields["mac"][position + 1 :]
        assert "does not match" in why_refused(header(dict(fields, mac=mac)))


def test_another_method_host_or_key():
    text = Browser().header()
    for method in ("POST", "PUT", "DELETE", "HEAD", "get\n"):
        assert "does not match for" in why_refused(text, method)
    fields = Browser().fields()
    fields["mac"] = sign(Browser().key, "GET", PATH, "sync.example.org", 443, **fields)
    assert "does not match" in why_refused(header(fields))
    # The 32 bytes that the key encodes are not what signs.
    browser = Browser()
    fields = browser.fields()
    lines = "hawk.1.header\n%s\n%s\nGET\n%s\nsync.example.org\n443\n\n\n"
    text = lines % (fields["ts"], fields["nonce"], PATH)
    raw = hmac.new(base64.urlsafe_b64decode(browser.key), text.encode(), hashlib.sha256)
    fields["mac"] = base64.b64encode(raw.digest()).decode()
    assert "does not match" in why_refused(header(fields))


def outcome(text):
    try:
        return hawk.parse(text)
    except hawk.HawkError as error:
        return str(error)


def test_the_quick_way_reads_what_the_other_reads(monkeypatch):
    fields = Browser().fields()
    texts = [header(fields), header(fields).replace("Hawk", "hawk")]
    texts += [spoil(fields) for spoil, _ in BAD_HEADERS]
    texts += [with_(name, character * 44)(fields) for name in hawk.NEEDED
              for character in "a =,\\\"'\n\t\x7f\xe9٤ "]  # fmt: skip
    quickly = [outcome(text) for text in texts]
    assert isinstance(quickly[0], hawk.Header) and quickly[0] == quickly[1]
    monkeypatch.setattr(hawk, "_USUAL", re.compile("(?!)"))
    assert [outcome(text) for text in texts] == quickly
