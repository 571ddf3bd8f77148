# SPDX-License-Identifier: Apache-2.0
"""A small client of Sync 1.5, with its token server; standard library and client.py only.

Its HAWK, its tokens and its JWTs are its own, by the specifications, and share no line
with the server: what both agree on is right, or both have read it wrong.

    answer = ask_for_token(transport, "/1.0/sync/1.5", KEY.jwt(sub="ab" * 16), KEY_ID)
    client = Client(transport, **endpoint_of(answer.json))
    client.put("storage/bookmarks/a", {"payload": "x"}, X_If_Unmodified_Since="0")

A transport is a client.Connection to the root of a server, or an InProcess.
"""

import base64
import hashlib
import hmac
import itertools
import json
import pathlib
import secrets
import time
from urllib.parse import quote, urlsplit

from client import Verbs, hundredths

LIFE_SECONDS = 3600

SCOPE = "https://identity.mozilla.com/apps/oldsync"
DESKTOP = "5882386c6d801776"

# The path of a small upload of desktop.
BATCH_OF_DESKTOP = "storage/%s?batch=true&commit=true"

_nonces = itertools.count(1)


def b64url(data, padded=False):
    text = base64.urlsafe_b64encode(data).decode("ascii")
    return text if padded else text.rstrip("=")


def from_b64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# ---- tokens: tokenlib 2.0 ----


def hkdf(secret, salt, info):
    """32 bytes by RFC 5869 with SHA-256; salt None is a block of zeros."""
    extracted = hmac.new(salt or b"\0" * 32, secret, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\1", hashlib.sha256).digest()


def token_id(secret, claims):
    """The id of a token that a server with this secret (text) may have made."""
    shown = claims if isinstance(claims, bytes) else json.dumps(claims).encode("utf-8")
    key = hkdf(secret.encode("utf-8"), None, b"services.mozilla.com/tokenlib/v1/signing")
    return b64url(shown + hmac.new(key, shown, hashlib.sha256).digest(), padded=True)


def token_key(secret, id_, salt):
    """The key that a client signs with: 44 characters of ASCII, not the 32 bytes they encode."""
    info = b"services.mozilla.com/tokenlib/v1/derive/" + id_.encode("ascii")
    return b64url(hkdf(secret.encode("utf-8"), salt.encode("ascii"), info), padded=True)


def make_token(secret, uid, node, /, now=None, duration=LIFE_SECONDS, salt=None, **claims):
    """(id, key) as the token server hands them out; claims are added to P or replaced.

    node is the server's URL without /1.5/UID; now is in Unix seconds.
    """
    salt = secrets.token_hex(3) if salt is None else salt
    inner = {
        "uid": uid,
        "node": node,
        "expires": (time.time() if now is None else now) + duration,
        "salt": salt,
        "fxa_uid": "%032x" % uid,
        "fxa_kid": KEY_ID,
    }
    inner.update(claims)
    id_ = token_id(secret, inner)
    return id_, token_key(secret, id_, salt)


def open_token(secret, id_):
    """The claims of a token; AssertionError unless the secret has signed it."""
    raw = from_b64url(id_)
    claims = json.loads(raw[:-32].decode("utf-8"))
    assert token_id(secret, raw[:-32]) == id_
    return claims


# ---- HAWK ----


def hawk_mac(key, method, url, ts, nonce, hash_="", ext=""):
    """The MAC of a request to a whole URL, whose escapes stay as they are."""
    parts = urlsplit(url)
    target = url.split("://", 1)[1]
    target = target[len(parts.netloc) :].split("#")[0] or "/"
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    items = ["hawk.1.header", ts, nonce, method.upper(), target, parts.hostname, port, hash_, ext]
    text = "".join("%s\n" % item for item in items)
    mac = hmac.new(key.encode("ascii"), text.encode("utf-8"), hashlib.sha256).digest()
    return base64.b64encode(mac).decode("ascii")


def hawk_header(id_, key, method, url, ts=None, nonce=None, hash_="", ext=""):
    """The Authorization header of a request, in the order of Firefox."""
    ts = str(int(time.time())) if ts is None else str(ts)
    nonce = "n%d+/=" % next(_nonces) if nonce is None else nonce
    fields = [("id", id_), ("ts", ts), ("nonce", nonce)]
    fields += [("hash", hash_)] if hash_ else []
    fields += [("ext", ext)] if ext else []
    fields += [("mac", hawk_mac(key, method, url, ts, nonce, hash_, ext))]
    return "Hawk " + ", ".join('%s="%s"' % field for field in fields)


# ---- the account server's access tokens ----

# Of EMSA-PKCS1-v1_5 with SHA-256, RFC 8017 section 9.2.
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")

CLIENT_STATE = "0123456789abcdef" * 2
KEYS_CHANGED_AT = 1700000000000


def key_id(keys_changed_at, client_state):
    """The header X-KeyID; client_state is in hexadecimal digits."""
    return "%s-%s" % (keys_changed_at, b64url(bytes.fromhex(client_state)))


KEY_ID = key_id(KEYS_CHANGED_AT, CLIENT_STATE)


class RsaKey:
    """A private key that stands for the account server's."""

    def __init__(self, jwk):
        self.kid = jwk["kid"]
        self._jwk = jwk
        self._n, self._d = (int.from_bytes(from_b64url(jwk[name]), "big") for name in "nd")
        self._size = (self._n.bit_length() + 7) // 8

    @classmethod
    def of_tests(cls):
        path = pathlib.Path(__file__).resolve().parent / "rsa15.json"
        return cls(json.loads(path.read_text()))

    def jwk(self, **changes):
        """Its public half, as in a JWKS."""
        return dict({name: self._jwk[name] for name in self._jwk if name != "d"}, **changes)

    def jwks(self):
        """The document of the account server, as bytes."""
        return json.dumps({"keys": [self.jwk()]}).encode("ascii")

    def sign(self, data):
        """The signature RS256 of bytes."""
        block = DIGEST_INFO + hashlib.sha256(data).digest()
        block = b"\0\1" + b"\xff" * (self._size - len(block) - 3) + b"\0" + block
        signed = pow(int.from_bytes(block, "big"), self._d, self._n)
        return signed.to_bytes(self._size, "big")

    def jwt(self, header=None, **claims):
        """An access token; header and claims replace what a real one has, or with None
        leave it out. A claim `fxa-generation` is written fxa_generation."""
        now = int(time.time())
        top = {"alg": "RS256", "typ": "at+JWT", "kid": self.kid}
        body = {
            "iss": "https://accounts.firefox.com",
            "aud": "https://token.services.mozilla.com",
            "client_id": DESKTOP,
            "sub": "ab" * 16,
            "scope": SCOPE,
            "iat": now,
            "exp": now + 21600,
            "jti": secrets.token_hex(8),
            "fxa_generation": KEYS_CHANGED_AT,
            "fxa_profileChangedAt": KEYS_CHANGED_AT,
        }
        top.update(header or {})
        body.update(claims)
        body = {name.replace("fxa_", "fxa-"): value for name, value in body.items()}
        return self.signed(_present(top), _present(body))

    def signed(self, top, body):
        """A JWT of any header and body: objects, or bytes as they are."""
        parts = [part if isinstance(part, bytes) else json.dumps(part).encode("utf-8")
                 for part in (top, body)]  # fmt: skip
        text = ".".join(map(b64url, parts))
        return text + "." + b64url(self.sign(text.encode("ascii")))


def _present(fields):
    return {name: value for name, value in fields.items() if value is not None}


# The key of the tests; servers of the tests believe it as one of the account server.
KEY = RsaKey.of_tests()


# ---- requests ----


class Answer:
    """An answer. Names in `headers` have no case."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return "<%d %r>" % (self.status, self.body[:200])


def time_of(answer):
    """When the resource was modified, in hundredths of a second."""
    return hundredths(answer.headers["X-Last-Modified"])


class InProcess:
    """A transport to a webtest.TestApp; with the target as it was sent, as httpd's module
    gives it to the application."""

    def __init__(self, app, **environ):
        self._app = app
        self._environ = environ

    def request(self, method, path, body=None, headers=None):
        environ = dict(self._app.extra_environ, REQUEST_URI=path, **self._environ)
        request = self._app.RequestClass.blank(
            path, environ, method=method, body=body or b"", headers=headers or {}
        )
        answer = self._app.do_request(request, status="*")
        return Answer(answer.status_int, answer.headers, answer.body)


def ask_for_token(transport, path, jwt, kid=KEY_ID, **headers):
    """The Answer of the token server at a path; jwt or kid None are not sent."""
    sent = {"Accept": "application/json"}
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    if jwt is not None:
        sent["Authorization"] = "Bearer " + jwt
    if kid is not None:
        sent["X-KeyID"] = kid
    return transport.request("GET", path, None, sent)


def endpoint_of(token):
    """The arguments of Client in the answer of a token server."""
    return {"endpoint": token["api_endpoint"], "id_": token["id"], "key": token["key"]}


class Client(Verbs):
    """A device with a token. It signs the URLs that it was given, whatever the
    transport makes of them, as a browser behind a proxy does."""

    def __init__(self, transport, endpoint, id_, key):
        self.transport = transport
        self.endpoint = endpoint.rstrip("/")
        self.id = id_
        self.key = key

    @property
    def uid(self):
        return int(self.endpoint.rpartition("/")[2])

    def sign(self, method, url):
        """The Authorization header of a request."""
        return hawk_header(self.id, self.key, method, url)

    def call(self, method, path, body=None, status=200, **headers):
        """The Answer, whose status must be that, unless it is None.

        path is below the endpoint and goes out as it is; None is the endpoint itself
        without a slash. body is encoded as JSON, as a browser does, unless it is bytes.
        The X_Headers are written with underscores; those that are None are not sent.
        """
        url = self.endpoint + ("" if path is None else "/" + path)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode("utf-8")
        sent = {"Accept": "application/json;q=0.9,*/*;q=0.2"}
        if body is not None:
            sent["Content-Type"] = "text/plain"
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        sent.setdefault("Authorization", self.sign(method, url))
        parts = urlsplit(self.endpoint)
        target = parts.path + url[len(self.endpoint) :]
        answer = self.transport.request(method, target, body, _present(sent))
        assert status is None or answer.status == status, (method, target, answer)
        return answer

    def upload(self, collection, records, since=None, size=100):
        """Sends records as one batch, as Firefox does; the Answer of the commit."""
        path, batch = "storage/%s?batch=" % quote(collection, safe=""), "true"
        for start in range(0, max(1, len(records)), size):
            part, is_last = records[start : start + size], start + size >= len(records)
            asked = path + quote(batch, safe="") + ("&commit=true" if is_last else "")
            headers = {} if since is None else {"X_If_Unmodified_Since": since}
            answer = self.post(asked, part, 200 if is_last else 202, **headers)
            if not is_last:
                batch = answer.json["batch"]
        return answer
