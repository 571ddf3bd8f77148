# SPDX-License-Identifier: Apache-2.0
"""Requests to the storage that are signed, as a browser does it."""

import itertools
import time

from weave.server import hawk

_nonces = itertools.count(1)


class Signer:
    """Signs the requests of a user; its token is made by secrets, and lasts seconds."""

    def __init__(self, wire, secrets, user_id, fxa_uid, seconds=600):
        now = time.time()
        claims = {
            "uid": user_id,
            "node": wire.url,
            "expires": int(now) + seconds,
            "fxa_uid": fxa_uid,
            "fxa_kid": "",
        }
        self._id, key = secrets.make(claims, now)
        self._key = key.encode("ascii")
        self._wire = wire
        self.endpoint = "/1.5/%d" % user_id

    def headers(self, method, path):
        """{"Authorization": …} of a request for a path below the endpoint."""
        wire = self._wire
        url = hawk.Url(wire.host, wire.port, wire.prefix + self.endpoint + path)
        header = hawk.Header(self._id, str(int(time.time())), "d%d" % next(_nonces), "", "", "")
        mac = hawk.mac(header, self._key, method, url).decode("ascii")
        text = 'Hawk id="%s", ts="%s", nonce="%s", mac="%s"'
        return {"Authorization": text % (header.id, header.ts, header.nonce, mac)}
