# SPDX-License-Identifier: Apache-2.0
"""The checks that need no user: whether this server answers, and whether requests and
answers arrive complete."""

import http.client
import re

from weave.server.doctor.report import RELOAD, Stop
from weave.server.fetch import reason
from weave.server.rules import Limits
from weave.server.token_api import PATHS as TOKEN_PATHS

# A larger difference is reported.
CLOCK_SECONDS = 60

# The body that is tried where the settings are not known.
MAX_REQUEST_BYTES = Limits.max_request_bytes

_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
# The body of a 503 of the application itself; that of mod_weave in its place is another one.
_NO_DATABASE = "server issue: database"

# The page that tells whether the server is there; mod_weave answers it in maintenance, too.
_ALIVE = "/__lbheartbeat__"

_REDIRECTS = (301, 302, 303, 307, 308)
_GATEWAY = (502, 504)

HEADERS_CURE = (
    "let the web server pass answers on as they are (Apache: no ErrorDocument and no "
    "`Header unset` for this path; nginx: proxy_intercept_errors off)"
)
_MOUNT_CURE = (
    "mend the path of the URL, or where the application is mounted (WeaveApp, or the "
    "location of the proxy)"
)
_AUTHORIZATION_CURE = (
    "pass the header on (mod_wsgi: WSGIPassAuthorization On; CGI and FastCGI: CGIPassAuth "
    "On; nginx: no `proxy_set_header Authorization` that is empty)"
)
_BODY_CURE = (
    "raise its limit to %d bytes at least (nginx: client_max_body_size 4m; Apache: "
    "LimitRequestBody, and SecRequestBodyLimit of mod_security)"
)


def ask(report, wire, method, path, body=None, headers=None):
    """The Answer; Stop, with a sentence in the report, where there is none."""
    try:
        return wire.request(method, path, body, headers)
    except (OSError, http.client.HTTPException) as error:
        report.wrong(
            "%s %s%s is not answered (%s)" % (method, wire.url, path, reason(error)),
            "look at the log of the web server, and of the proxy before it",
        )
        raise Stop from None


def check(report, wire):
    """All that needs no user; whether signed requests can be understood.

    Stop where the server is not there, or another one.
    """
    _check_alive(report, wire)
    first = _check_token_paths(report, wire)
    if first is None:
        raise Stop
    _check_clock(report, first)
    arrives = _check_authorization(report, wire)
    _check_storage(report, wire)
    return arrives


def _check_alive(report, wire):
    answer = ask(report, wire, "GET", _ALIVE)
    said = answer.json
    if answer.status == 200 and isinstance(said, dict) and said.get("status") == "ok":
        _check_database(report, wire)
        return
    report.wrong(*_not_alive(wire, answer))
    raise Stop


def _not_alive(wire, answer):
    if answer.status in _REDIRECTS:
        return _leads_away(wire, answer.headers.get("Location", ""))
    if answer.status in _GATEWAY:
        return (
            "the proxy at %s does not reach the application (%s)" % (wire.url, answer.told),
            "start the application, or mend its address in the proxy",
        )
    if answer.status == 503:
        return (
            "the server at %s answers 503" % wire.url,
            "end the maintenance (weavectl status), or look at its log",
        )
    asked = _asked_for_password(answer)
    if asked:
        return asked
    cure = _MOUNT_CURE
    if wire.scheme == "http":
        cure = "take the URL with https:// where the server has one, or " + cure
    return "at %s there is another server, or another path (%s)" % (wire.url, answer.told), cure


def _leads_away(wire, location):
    """A sentence and its cure, where the answer to _ALIVE is a redirection to a URL."""
    if location.endswith(_ALIVE):
        base = location[: -len(_ALIVE)]
        return (
            "%s leads to another URL" % wire.url,
            "take %s/ in browsers and here, since clients do not follow everywhere" % base,
        )
    return (
        "%s leads to another page, %s" % (wire.url, location or "without a URL"),
        "mend the URL, or let the web server pass requests below it on without a login",
    )


def _asked_for_password(answer):
    """A sentence and its cure, where the web server has a password of its own."""
    scheme = answer.headers.get("WWW-Authenticate", "").split(" ")[0].lower()
    if answer.status == 401 and scheme in ("basic", "digest", "negotiate"):
        return (
            "the web server asks for a password of its own (%s)" % scheme,
            "take that away for this path (Apache: Require all granted; nginx: "
            "auth_basic off): browsers send their token in that header",
        )
    return None


def _check_database(report, wire):
    answer = ask(report, wire, "GET", "/__heartbeat__")
    if answer.status == 503 and answer.headers.get("X-Weave-Maintenance"):
        report.wrong(
            "the server is in maintenance, and clients come again later",
            "end it with `weavectl maintenance off`, and call the doctor again",
        )
        raise Stop
    if answer.status == 503 and answer.json != _NO_DATABASE:
        report.wrong(
            "the web server is there, but the application does not run",
            "`weavectl status` and the error log say why",
        )
        raise Stop
    if answer.status == 503:
        report.wrong(
            "the server is there, but its database does not answer",
            "run `weave-server check` with its sync.ini",
        )
    else:
        report.ok("a weave server answers at %s" % wire.url)


def _check_token_paths(report, wire):
    """The answer of one of the paths; None where neither is as it must be."""
    good = []
    for path in TOKEN_PATHS:
        answer = ask(report, wire, "GET", path)
        wrong = _token_problem(answer)
        if wrong:
            report.wrong("the token server at %s%s %s" % (wire.url, path, wrong[0]), wrong[1])
        else:
            good.append(answer)
    if len(good) == len(TOKEN_PATHS):
        report.ok("the token server answers at %s, and below /token" % TOKEN_PATHS[0])
    return good[0] if good else None


def _token_problem(answer):
    """(problem, cure) of an answer to a request without a token; None where it is right."""
    asked = _asked_for_password(answer)
    if asked:
        return "is not reached: " + asked[0], asked[1]
    if answer.status == 404:
        return (
            "is not there (404)",
            "set secret_file in [sync15] of the sync.ini (`weavectl init`, or `weave-server "
            "init`, makes the file), and let the workers read it (%s); or let the proxy pass "
            "on this path, too" % RELOAD,
        )
    if answer.status != 401:
        return (
            "answers %s, not 401, to a request without a token" % answer.told,
            "look at the log of the server and of the proxy",
        )
    said = answer.json
    if answer.content_type != "application/json" or not isinstance(said, dict):
        return "answers 401, but no JSON object (%s)" % answer.told, HEADERS_CURE
    if not isinstance(said.get("errors"), list):
        return "answers 401 with JSON that is not its own", _MOUNT_CURE
    if not _SECONDS.fullmatch(answer.headers.get("X-Timestamp", "")):
        return "answers without X-Timestamp, which phones need", HEADERS_CURE
    return None


def _check_clock(report, answer):
    """X-Timestamp is in whole seconds, of some moment between request and answer."""
    theirs = int(answer.headers["X-Timestamp"])
    ahead = max(theirs - answer.came, answer.sent - 1 - theirs, 0)
    if ahead > CLOCK_SECONDS:
        which = "ahead of" if theirs > answer.came else "behind"
        report.wrong(
            "the clock of the server is %d s %s that of this machine" % (ahead, which),
            "set both by NTP (timedatectl set-ntp true); if they are right, a cache stands "
            "before the server and gives old answers",
        )
    else:
        report.ok("the clocks of the server and of this machine agree")


def _check_authorization(report, wire):
    """A token that is none is named so, unless the header is lost on the way; whether it
    arrives."""
    answer = ask(
        report, wire, "GET", TOKEN_PATHS[0], headers={"Authorization": "Bearer doctor"}
    )
    said = answer.json
    status = said.get("status") if isinstance(said, dict) else None
    if answer.status == 503:
        report.note(
            "the token server cannot judge tokens now (503): its public keys are missing; "
            "run `weave-server fetch-keys` on it"
        )
    elif status == "error":
        report.wrong("the header Authorization does not arrive", _AUTHORIZATION_CURE)
        return False
    elif answer.status != 401:
        report.wrong(
            "a token that is none is answered with %s" % answer.told,
            "look at the log of the server and of the proxy",
        )
    else:
        report.ok("the header Authorization arrives")
    return True


def _check_storage(report, wire):
    """Firefox takes a page of a web server for an answer of its storage."""
    answer = ask(report, wire, "GET", "/1.5/1/info/collections")
    if answer.status == 401 and answer.json is not None:
        report.ok("the storage answers 401 to a request without a token")
        return
    report.wrong(
        "the storage answers %s, not 401 with JSON, to a request without a token"
        % answer.told,
        HEADERS_CURE if answer.status == 401 else _MOUNT_CURE,
    )


def check_body(report, wire, path, body_bytes, is_read):
    """Sends a body of a size; the Answer, or None where it does not get through.

    is_read: whether the application reads it before it answers.
    """
    what = "a body of %d bytes" % body_bytes
    try:
        answer = wire.request("POST", path, b" " * body_bytes)
    except (OSError, http.client.HTTPException):
        if is_read:
            said = what + " is cut off on the way to the application"
            report.wrong(said, _BODY_CURE % body_bytes)
        else:
            report.unknown(what, "the server closes before it has read it")
        return None
    if answer.status == 413:
        said = what + " is refused on the way to the application (413)"
        report.wrong(said, _BODY_CURE % body_bytes)
        return None
    return answer
