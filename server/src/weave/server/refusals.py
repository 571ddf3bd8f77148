# SPDX-License-Identifier: Apache-2.0
"""Why a request was refused: one line in the log for each 4xx and 5xx.

It has the id that httpd's logs have for the request, and never what the client
has sent but for method and path: no password, no payload. What belongs to the
protocol (a record that is not there, a precondition that does not hold, a token
that has expired) is said at level info. So is a line that exceeds an Allowance:
a client that sends many requests cannot fill the log at the levels above.
"""

import logging
import threading
import time

import falcon

log = logging.getLogger(__name__)

MAX_PATH_CHARS = 200

# Clients that get one of these have done nothing wrong.
_OF_THE_PROTOCOL = (404, 412)

_REASONS = {
    404: "there is nothing of that name",
    405: "this method is not for this path",
    412: "X-If-Unmodified-Since does not hold: a later change is there",
    413: "the body is too long",
}


class Allowance:
    """So many lines at once, and one more after each `seconds`; thread-safe."""

    def __init__(self, lines=30, seconds=10, clock=time.monotonic):
        self._lines = lines
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._empty_at = 0
        self._left_out = 0

    def take(self):
        """How many lines were left out since the last one; None: leave this one out."""
        now = self._clock()
        with self._lock:
            empty_at = max(self._empty_at, now) + self._seconds
            if empty_at > now + self._lines * self._seconds:
                self._left_out += 1
                return None
            self._empty_at = empty_at
            left_out, self._left_out = self._left_out, 0
        return left_out


class Expired(falcon.HTTPUnauthorized):
    """A 401 that each client meets now and then: its token is over, and it fetches another."""


def note(req, why, exception=None, is_fault=False):
    """Says why the request is refused.

    is_fault: it is no client's doing. Of an exception, the traceback is logged.
    """
    req.context.refusal = (why, exception, is_fault)


def note_error(req, error):
    """The same for a falcon.HTTPError."""
    note(req, error.description or _reason(_number(error.status)))
    req.context.is_routine = isinstance(error, Expired)


class Refusals:
    """Middleware that writes the line."""

    def __init__(self):
        self._of_clients = Allowance()
        self._of_faults = Allowance()

    def process_response(self, req, resp, _resource, _succeeded):
        status = _number(resp.status)
        if status >= 400:
            default = (_reason(status), None, False)
            self._log(req, status, *getattr(req.context, "refusal", default))

    def _log(self, req, status, why, exception, is_fault):
        level, left_out = logging.INFO, None
        is_routine = getattr(req.context, "is_routine", False)
        if status not in _OF_THE_PROTOCOL and not is_routine:
            left_out = (self._of_faults if is_fault else self._of_clients).take()
        if left_out is not None:
            level = logging.ERROR if is_fault else logging.WARNING
        log.log(
            level,
            "%s %s is answered %d: %s (request %s%s)",
            ascii(req.method)[1:-1][:MAX_PATH_CHARS],
            ascii(req.path)[:MAX_PATH_CHARS],
            status,
            why,
            req.env.get("weave.request_id") or req.env.get("UNIQUE_ID") or "without id",
            "; %d before it are at level info only" % left_out if left_out else "",
            exc_info=exception if level == logging.ERROR else None,
        )


def _reason(status):
    return _REASONS.get(status, "it is refused")


def _number(status):
    return falcon.http_status_to_code(status)
