# SPDX-License-Identifier: Apache-2.0
"""A page for `weave-server doctor`: how a request arrives at the application.

It shows a request to its sender, who must know the secret of the tokens: the argument
`token` is a token of the doctor, which is of no user.
"""

import os
import time

from weave.server import hawk, http
from weave.server.hawk_authenticator import unauthorized
from weave.server.tokens import MAX_USER_ID, TokenError

PATH = "/__doctor__"

# In the place of an account's id, which has no colon (oauth.py).
FXA_UID = "doctor:"
USER_ID = MAX_USER_ID
TOKEN_SECONDS = 600


def make_token(secrets, now):
    """The text of `token`; now is in seconds since 1970."""
    claims = {
        "uid": USER_ID,
        "node": "",
        "expires": int(now) + TOKEN_SECONDS,
        "fxa_uid": FXA_UID,
        "fxa_kid": "",
    }
    return secrets.make(claims, now)[0]


class Echo:
    """Answers any method at any path below PATH. public_url is that of the settings."""

    def __init__(self, secrets, public_url, max_bytes):
        self._secrets = secrets
        self._public_url = public_url
        self._max_bytes = max_bytes

    def __call__(self, req, resp, **_params):
        self._check(req)
        http.send_json(
            resp,
            {
                "host": req.env.get("HTTP_HOST", ""),
                "site_url": http.site_url(req),
                "target": hawk.raw_target(req.env),
                "bytes": len(http.read_body(req, self._max_bytes)),
                "public_url": self._public_url or "",
                "pid": os.getpid(),
            },
        )

    def _check(self, req):
        try:
            token = self._secrets.read(req.get_param("token") or "")
        except TokenError as error:
            raise unauthorized(str(error)) from None
        if token.fxa_uid != FXA_UID or token.expires < time.time():
            raise unauthorized("the token is none of `weave-server doctor`, or is over")

    def install(self, app):
        app.add_sink(self, PATH + "(/|$)")
