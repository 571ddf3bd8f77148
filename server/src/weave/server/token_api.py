# SPDX-License-Identifier: Apache-2.0
"""The token server 1.0 for Sync 1.5: it takes an access token of the account server, and
answers with a token of ours and the URL of the records.

Every answer is a JSON object, since clients take anything else for a broken server. A
client whose access token is at fault gets a 401, and fetches another one; an account that
is not admitted gets a 403; where the token cannot be checked now, it is a 503.
"""

import re
import time

import falcon

from weave.server import base64url, http, jwks, oauth, refusals
from weave.server.claims import Claims, Refused
from weave.server.members import endpoint_of

# Today's guides name the first path, older ones the second.
PATHS = ("/1.0/sync/1.5", "/token/1.0/sync/1.5")
BELOW = "/token/"

# The Retry-After of a 503 for which the database is not the reason.
RETRY_SECONDS = 60

# The length of the fingerprint of a key.
STATE_BYTES = 16

_KEY_ID = re.compile(r"([0-9]{1,16})-([A-Za-z0-9_-]{0,22})=*", re.ASCII)
_CLIENT_STATE = re.compile(r"[A-Za-z0-9._-]{1,32}", re.ASCII)
_DURATION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?", re.ASCII)

MAX_NODE_CHARS = 400


def _unauthorized(description, why):
    return Refused(why, "error", description)


def _invalid(status, why):
    return Refused(why, status)


def _bearer(req):
    """The access token of the request; Refused."""
    header = req.get_header("Authorization")
    if not header:
        raise _unauthorized("Unauthorized", "there is no Authorization header")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        raise _unauthorized("Unsupported", "the Authorization header is none of OAuth (Bearer)")
    return token.strip()


def _key_id(req):
    """(keys_changed_at in ms, client_state in hexadecimal digits) of X-KeyID; Refused."""
    found = _KEY_ID.fullmatch(req.get_header("X-KeyID") or "")
    try:
        keys_changed_at, text = int(found.group(1)), found.group(2)
        state = base64url.decode(text) if text else b""
    except (AttributeError, ValueError):
        raise _invalid("invalid-key-id", "X-KeyID is missing or malformed") from None
    if keys_changed_at > oauth.MAX_NUMBER or len(state) not in (0, STATE_BYTES):
        raise _invalid("invalid-key-id", "X-KeyID is no time and fingerprint of a key")
    return keys_changed_at, state.hex()


def _check_client_state(req, client_state):
    given = req.get_header("X-Client-State")
    if given is None:
        return
    place = {"location": "header", "name": "X-Client-State"}
    if not _CLIENT_STATE.fullmatch(given):
        raise Refused(
            "X-Client-State is malformed",
            "error",
            "Invalid client state value",
            http_status=400,
            **place,
        )
    if given.lower() != client_state:
        why = "X-Client-State is of another key than X-KeyID"
        raise Refused(why, "invalid-client-state", **place)


def _node(req):
    """The URL by which the client came, without a slash at its end; Refused."""
    if not _HOST.fullmatch(req.netloc):
        raise Refused(
            "the Host header is no name of a host: set sync15.public_url, which is used "
            "in its place",
            "error",
            "Invalid Host",
            "header",
            "Host",
            400,
        )
    node = http.site_url(req).rstrip("/")
    if len(node) > MAX_NODE_CHARS:
        raise Refused("the URL of the request is too long", "error", http_status=400)
    return node.replace(req.netloc, req.netloc.lower(), 1)


def _key_name(claims):
    """The name of the account's key, as in X-KeyID."""
    state = base64url.encode(bytes.fromhex(claims.client_state))
    return "%013d-%s" % (claims.keys_changed_at, state)


class Tokens:
    """Gives out tokens. duration is in seconds."""

    def __init__(self, members, keys, secrets, public_url, duration, clock=time.time):
        self._members = members
        self._keys = keys
        self._secrets = secrets
        self._public_url = public_url
        self._duration = duration
        self._clock = clock

    def on_get(self, req, resp):
        claims = self._claims(req)
        node = self._public_url or _node(req)
        entered = self._members.enter(claims, node)
        http.send_json(resp, self._answer(claims, entered, self._seconds(req)))

    def _claims(self, req):
        """Verifies the access token; returns the Claims of the request. Refused, NoKeys."""
        token = _bearer(req)
        keys_changed_at, client_state = _key_id(req)
        _check_client_state(req, client_state)
        try:
            identity = oauth.verify(token, self._keys.find, self._clock())
        except oauth.NotYet as error:
            # A 401 would have Firefox ask for the password, and the next token is no better.
            raise Refused(str(error), *_ERRORS[503], http_status=503) from None
        except oauth.BadToken as error:
            raise _invalid("invalid-credentials", str(error)) from None
        return Claims(
            identity.fxa_uid, client_state, identity.generation, keys_changed_at
        )

    def _seconds(self, req):
        """The life of the token: clients may ask for a shorter one."""
        wanted = req.get_param("duration") or ""
        if _DURATION.fullmatch(wanted):
            return min(self._duration, int(wanted))
        return self._duration

    def _answer(self, claims, entered, seconds):
        now = self._clock()
        id_, key = self._secrets.make(
            {
                "uid": entered.user_id,
                "node": entered.node,
                "expires": int(now) + seconds,
                "fxa_uid": claims.fxa_uid,
                "fxa_kid": _key_name(claims),
            },
            now,
        )
        return {
            "id": id_,
            "key": key,
            "uid": entered.user_id,
            "api_endpoint": endpoint_of(entered.node, entered.user_id),
            "duration": seconds,
            "hashalg": "sha256",
            "hashed_fxa_uid": self._secrets.pseudonym(claims.fxa_uid),
            "node_type": "weave",
        }


class Unsupported:
    """Refuses tokens for other applications, and other versions."""

    def on_get(self, _req, _resp, application, version):
        what = "version" if application == "sync" else "application"
        raise Refused(
            "there are tokens for sync 1.5 only",
            "error",
            "Unsupported " + what,
            "url",
            what,
            404,
        )


# {HTTP status: (status, description) of the error} for errors that are no Refused.
_ERRORS = {
    404: ("error", "Not Found"),
    500: ("internal-error", "Internal error"),
    503: ("error", "Resource is not available"),
}


def _error(status, description, location="body", name=""):
    error = {"location": location, "name": name, "description": description}
    return {"status": status, "errors": [error]}


def error_of_token_server(status, _code, text):
    """The body of an error that is no Refused; see http.Errors.add()."""
    return _error(*_ERRORS.get(status, ("error", text)))


def _on_refused(req, resp, error, _params):
    is_fault = error.http_status == 503
    refusals.note(req, str(error), is_fault=is_fault)
    resp.status = falcon.code_to_http_status(error.http_status)
    if is_fault:
        resp.set_header("Retry-After", str(RETRY_SECONDS))
    if error.http_status == 401:
        resp.set_header("WWW-Authenticate", "Bearer")
    http.send_json(
        resp, _error(error.status, error.description, error.location, error.name)
    )


def _on_no_keys(req, resp, error, _params):
    _on_refused(req, resp, Refused(str(error), *_ERRORS[503], http_status=503), None)


class Headers:
    """Middleware: sets the headers that each answer of the token server has."""

    def process_response(self, req, resp, _resource, _succeeded):
        if req.path in PATHS or req.path.startswith(BELOW):
            resp.set_header("X-Timestamp", "%d" % time.time())
            resp.set_header("X-Content-Type-Options", "nosniff")
            resp.set_header("Cache-Control", "no-store")


def add_routes(app, errors, tokens):
    """errors: the http.Errors of app."""
    for path in PATHS:
        app.add_route(path, tokens)
        errors.add(path, error_of_token_server)
    # Below /1.0/ alone, there are the users of Sync 1.0.
    app.add_route(BELOW + "1.0/{application}/{version}", Unsupported())
    errors.add(BELOW.rstrip("/"), error_of_token_server)
    app.add_middleware(Headers())
    app.add_error_handler(Refused, _on_refused)
    app.add_error_handler(jwks.NoKeys, _on_no_keys)
