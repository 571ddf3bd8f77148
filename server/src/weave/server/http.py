# SPDX-License-Identifier: Apache-2.0
"""The common part of all resources: bodies, times and errors.

Answers that are not 2xx have a JSON body. For a 400 of Sync 1.0 to 1.5 it is a number, one
of the codes below (published as "Response codes" with the protocol).
"""

import contextlib

import falcon
from sqlalchemy.exc import SQLAlchemyError

from weave.server import formats, refusals
from weave.server.config import ConfigError
from weave.server.cures import told
from weave.server.retries import is_locked
from weave.server.spool import Spool, SpoolError
from weave.server.stamps import Stamp
from weave.server.turns import RETRY_SECONDS, Busy, Turns

VERSIONS = ("1", "1.0", "1.1")

UNKNOWN = 0
BAD_PROTOCOL = 1
BAD_NAME = 3
EXISTS = 4
BAD_JSON = 6
NO_PASSWORD = 7
BAD_OBJECT = 8
WEAK_PASSWORD = 9
BAD_RESET_KEY = 10
UNSUPPORTED = 11
BAD_EMAIL = 12
BAD_COLLECTION = 13
OVER_QUOTA = 14
NAME_IS_NOT_EMAIL = 15
OVER_LIMIT = 17

# The sign-up form reads a body of 0 or 1 as "taken" or "free", so that
# anything we have no code for is called a bad object.
DEFAULT_CODE = BAD_OBJECT

# A body over this takes a turn. Clients post 1 MiB at once unless they are told
# that they may send more.
LARGE_BODY_BYTES = 2 * 1024 * 1024

# Reading, decoding and storing one takes up to ten times its size in memory, for
# a second or two.
large_bodies = Turns("the place of a large body", running=2, waiting=2, seconds=10)

# Mozilla's servers tell clients how much is left from there on.
QUOTA_WARNING_KB = 1024

# For the log, where nothing more is known.
_REASONS = {
    BAD_PROTOCOL: "an argument or a header is malformed",
    BAD_NAME: "the path has no user name",
    EXISTS: "the name is taken",
    BAD_JSON: "the body is incomplete, or no JSON that is taken",
    NO_PASSWORD: "there is no password",
    BAD_OBJECT: "the path or the record is malformed",
    WEAK_PASSWORD: "the new password is weak",
    BAD_RESET_KEY: "no reset key was given out",
    UNSUPPORTED: "this is not offered, or closed (auth.allow_new_users)",
    BAD_EMAIL: "there is no e-mail address",
    BAD_COLLECTION: "the name of the collection is malformed",
    OVER_QUOTA: "the user is over the quota",
    NAME_IS_NOT_EMAIL: "the name is not that of the e-mail address",
    OVER_LIMIT: "the client announces more than info/configuration allows",
}


def bad_request(code, why=None):
    """400; why is for the log."""
    return falcon.HTTPBadRequest(code=code, description=why or _REASONS[code])


def unauthorized(why, challenge=False):
    """401; browsers ask for a password only where there is a challenge.

    why is for the log.
    """
    challenges = ['Basic realm="Sync"'] if challenge else None
    return falcon.HTTPUnauthorized(description=why, challenges=challenges)


def too_large(why=None):
    """413, by its number: Falcon 4 has another class for it than Falcon 3. why is for the log."""
    return falcon.HTTPError(falcon.HTTP_413, description=why)


def _body_parts(req, max_bytes):
    """Yields the body; 413 when it is too long, 400 when it ends too early."""
    length = req.content_length
    if length is None and not req.env.get("wsgi.input_terminated"):
        return
    if length is not None and length > max_bytes:
        raise too_large()
    left = max_bytes + 1 if length is None else length
    while left > 0:
        try:
            part = req.env["wsgi.input"].read(min(left, 1024 * 1024))
        except OSError:
            raise bad_request(BAD_JSON, "the body breaks off") from None
        if not part:
            break
        left -= len(part)
        yield part
    if length is not None and left:
        raise bad_request(BAD_JSON, "the body breaks off")
    if length is None and not left:
        raise too_large()


def read_body(req, max_bytes):
    """The whole body; 413 when it is too long, 400 when it ends too early."""
    return b"".join(_body_parts(req, max_bytes))


@contextlib.contextmanager
def json_body(
    req, max_bytes, max_marks=formats.MAX_MARKS, owner=None, decode=formats.decode
):
    """The decoded body, for a block; 400 with BAD_JSON when it is none.

    What a large one takes is bounded until the block ends, or Busy is raised;
    owner is whose it is. decode(body, max_marks) raises ValueError.
    """
    length = max_bytes if req.content_length is None else req.content_length
    if not LARGE_BODY_BYTES < length <= max_bytes:
        yield _decode(read_body(req, max_bytes), max_marks, decode)
        return
    with contextlib.closing(Spool(owner)) as spool:
        # A client that sends slowly keeps nobody from having a turn.
        for part in _body_parts(req, max_bytes):
            spool.write(part)
        with large_bodies.taken():
            yield _decode(spool.read(), max_marks, decode)


def _decode(body, max_marks, decode):
    try:
        return decode(body, max_marks)
    except ValueError:
        raise bad_request(BAD_JSON) from None


def send_json(resp, value):
    resp.content_type = formats.JSON
    resp.data = formats.encode(value).encode("ascii")


def send_quota_left(resp, left_kb):
    """X-Weave-Quota-Remaining, in KB, where little is left. None: there is no quota."""
    if left_kb is not None and left_kb < QUOTA_WARNING_KB:
        resp.set_header("X-Weave-Quota-Remaining", "%.2f" % left_kb)


def send_text(resp, text):
    resp.content_type = "text/plain; charset=utf-8"
    resp.data = text.encode("utf-8")


def site_url(req):
    """The URL of this application, as the request has it."""
    # netloc is the Host header, with its port.
    return "%s://%s%s/" % (req.scheme, req.netloc, req.root_path.rstrip("/"))


def may_stream(req):
    """Whether the client notices that a body is cut; in HTTP/1.0 it ends with the connection."""
    return req.env.get("SERVER_PROTOCOL") != "HTTP/1.0"


def stamp_of(req):
    """When the request came in; fixed at the first call."""
    if not hasattr(req.context, "stamp"):
        req.context.stamp = Stamp.now()
    return req.context.stamp


class Stamps:
    """Middleware: X-Weave-Timestamp on every answer, and paths that are text."""

    def process_request(self, req, _resp):
        stamp_of(req)
        try:
            req.env.get("PATH_INFO", "").encode("latin-1").decode("utf-8")
        except UnicodeError:
            raise bad_request(DEFAULT_CODE) from None
        if req.method not in falcon.COMBINED_METHODS:
            raise falcon.HTTPMethodNotAllowed([])

    def process_resource(self, req, _resp, resource, _params):
        if req.method == "OPTIONS" and resource is not None:
            methods = [
                m for m in falcon.HTTP_METHODS if hasattr(resource, "on_" + m.lower())
            ]
            raise falcon.HTTPMethodNotAllowed(methods)

    def process_response(self, req, resp, _resource, _succeeded):
        resp.set_header("X-Weave-Timestamp", stamp_of(req).text)


def error_of_11(status, code, text):
    """The body of an error at paths without a body function of their own, such as 1.1's."""
    if status == 400:
        return DEFAULT_CODE if code is None else code
    return text


def error_of_15(status, code, _text):
    """The body of an error of the storage of Sync 1.5: always a number."""
    return code if status == 400 and code is not None else UNKNOWN


class Errors:
    """Error handlers of a falcon.App: install() adds them."""

    def __init__(self, retry_after):
        self._retry_after = retry_after
        self._bodies = {}

    def add(self, prefix, body):
        """Makes body(status, code, text) give the JSON of errors below a path prefix.

        code is that of a 400, or None; text is one line for people.
        """
        self._bodies[prefix] = body

    def install(self, app):
        app.set_error_serializer(self.serialize)
        app.add_error_handler(Exception, self.on_unexpected)
        app.add_error_handler(SQLAlchemyError, self.on_database)
        app.add_error_handler(ConfigError, self.on_database)
        app.add_error_handler(SpoolError, self.on_full)
        app.add_error_handler(Busy, self.on_busy)

    def serialize(self, req, resp, error):
        refusals.note_error(req, error)
        self._send(req, resp, error.status, error.code, error.title)

    def on_database(self, req, resp, error, _params):
        """The database is full, locked, broken or away, or lacks its tables."""
        refusals.note(req, told(error), is_fault=True)
        seconds = self._retry_after
        if is_locked(error):
            # Another user's upload, most likely: it is over long before that.
            seconds = min(seconds, RETRY_SECONDS)
        self._send_unavailable(req, resp, seconds, "database")

    def on_full(self, req, resp, error, _params):
        """The temporary folder has no room for a large body or a long list."""
        refusals.note(req, "the temporary folder cannot be written: %s" % error, is_fault=True)
        self._send_unavailable(req, resp, self._retry_after, "temporary folder")

    def on_busy(self, req, resp, error, _params):
        """The request costs more than the server can give just now."""
        refusals.note(req, str(error))
        self._send_unavailable(req, resp, error.seconds, "busy")

    def on_unexpected(self, req, resp, error, _params):
        refusals.note(req, "unexpected exception", error, is_fault=True)
        resp.status = falcon.HTTP_500
        self._send(req, resp, resp.status, None, "server issue: unexpected error")

    def _send_unavailable(self, req, resp, seconds, issue):
        """The 503 that clients know how to take."""
        resp.status = falcon.HTTP_503
        for name in ("Retry-After", "X-Weave-Backoff", "X-Backoff"):
            resp.set_header(name, str(seconds))
        resp.set_header("Cache-Control", "no-store")
        self._send(req, resp, resp.status, None, "server issue: " + issue)

    def _send(self, req, resp, status, code, text):
        body = error_of_11
        for prefix, other in self._bodies.items():
            if (req.path + "/").startswith(prefix + "/"):
                body = other
        send_json(resp, body(falcon.http_status_to_code(status), code, text))
