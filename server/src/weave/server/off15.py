# SPDX-License-Identifier: Apache-2.0
"""Sync 1.5 where it is off: a 503 for the URLs that a token server has given out.

Other nodes with the same database may serve it. A 404 from here would be a store without
records for Firefox, which then deletes all of them there.
"""

import falcon

PATHS = r"/(storage/)?1\.5/[0-9]+(/|$)"


def add_routes(app, retry_after):
    """Adds an answer to any method; retry_after is told to clients, in seconds."""

    def refuse(_req, _resp, **_params):
        raise falcon.HTTPServiceUnavailable(
            description="Sync 1.5 is off here, and a browser was sent here by a server "
            "where it is on: set sync15.secret_file on both, or on none",
            retry_after=retry_after,
        )

    app.add_sink(refuse, PATHS)
