# SPDX-License-Identifier: Apache-2.0
"""Authenticates requests to storage 1.5: by a token, and a signature with its key."""

import re
import time

import falcon

from weave.server import hawk, http, refusals
from weave.server.tokens import TokenError

# The first request of a sync is answered for so long after its token has expired.
# Otherwise a browser that has just begun would have to begin again.
GRACE_SECONDS = 2 * 3600
OF_GRACE = ("GET", "/info/collections")

MAX_URL_CHARS = 200

# A segment of a path that servers take out, with the one before it.
_DOTS = re.compile(r"(?:/|%2f)(?:\.|%2e){1,2}(?=/|%2f|$)", re.IGNORECASE)


def unauthorized(why, kind=falcon.HTTPUnauthorized):
    """Makes a 401 of a kind; why is for the log."""
    return kind(description=why, challenges=["Hawk"])


class HawkAuthenticator:
    """Tells whose request it is. secrets: tokens.Secrets. Thread-safe.

    is_current(connection, user_id) says whether tokens of this user are still good.
    The time of the client (ts), which is in each header, is not compared: the clocks of
    phones are often wrong by hours, and a token expires by the clock of the server.
    """

    def __init__(self, secrets, public_url, is_current, clock=time.time):
        self._secrets = secrets
        self._public_url = public_url
        self._is_current = is_current
        self._clock = clock

    def claim(self, req, uid_text):
        """Returns the user id of the token; uid_text is the one in the path. 401, 400.

        No database is asked: check() tells whether the user is still there.
        """
        try:
            header = hawk.parse(req.get_header("Authorization"))
            token = self._secrets.read(header.id)
        except (hawk.HawkError, TokenError) as error:
            raise unauthorized(str(error)) from None
        if str(token.uid) != uid_text:
            raise unauthorized("the token is of user %d, and the path of another" % token.uid)
        self._check_mac(req, header, token)
        self._check_time(req, token)
        _check_path(req)
        return token.uid

    def check(self, connection, user_id):
        """Raises a 401 where the user was deleted or replaced, as this transaction sees it."""
        if not self._is_current(connection, user_id):
            raise unauthorized(
                "the token's user %d was deleted, or replaced when the key of the account "
                "changed: the client gets a new token" % user_id
            )

    def _check_mac(self, req, header, token):
        tried = []
        for url in hawk.candidates(
            req.env, "/1.5/%d" % token.uid, token.node, self._public_url
        ):
            if hawk.is_signed(header, token.key, req.method, url):
                return
            tried.append(url)
        raise unauthorized(_mismatch(req.method, tried))

    def _check_time(self, req, token):
        late = self._clock() - token.expires
        if late < 0:
            return
        path = req.path.partition("/1.5/%d" % token.uid)[2].rstrip("/")
        if (req.method, path) == OF_GRACE and late < GRACE_SECONDS:
            return
        raise unauthorized(
            "the token has expired %d s ago: the client gets a new one" % late,
            refusals.Expired,
        )


def _check_path(req):
    """400 where httpd has taken `.` or `..` out of the path, which names something else then:
    to delete the record `..` would be to delete everything."""
    path = hawk.raw_target(req.env).partition("?")[0]
    if _DOTS.search(path) and not _DOTS.search(req.env.get("PATH_INFO", "")):
        raise http.bad_request(http.BAD_PROTOCOL, "the path has a segment of dots")


def _mismatch(method, urls):
    """The reason for the log where the MAC is right for none of the URLs."""
    tried = list(dict.fromkeys(_shown(url) for url in urls))
    return (
        "the MAC does not match for %s at any of %s: a proxy in front has changed the "
        "path, the query or the method (let it hand on the request line as it is), or "
        "the client does not have the key of its token"
        % (ascii(method)[1:-1][:20], ", ".join(tried))
    )


def _shown(url):
    """The URL for the log, with the names in its query, and not their private values."""
    path, mark, query = url.target.partition("?")
    names = [part.partition("=")[0] for part in query.split("&")]
    text = "%s:%d%s%s%s" % (url.host, url.port, path, mark, "&".join(names))
    return ascii(text)[1:-1][:MAX_URL_CHARS]
