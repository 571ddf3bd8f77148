# SPDX-License-Identifier: Apache-2.0
"""Whether a server is as browsers need it, seen from outside."""

import signal
import sys
import time
from urllib.parse import urlsplit

from weave.server import jwks
from weave.server.clients import node_url
from weave.server.commands.command import Command, Failed, argument, sync15_of
from weave.server.commands.fetch_keys import BY_HAND
from weave.server.doctor import outside, tls
from weave.server.doctor.arrival import Arrival
from weave.server.doctor.report import Report, Stop
from weave.server.doctor.signer import Signer
from weave.server.doctor.sync import Sync
from weave.server.doctor.visitor import visitor
from weave.server.doctor.wire import Wire
from weave.server.fetch import FetchError, fetch

_WITHOUT_INI = "it needs --ini, on the server"
_WITHOUT_TOKEN = (
    "Host and scheme, as they arrive",
    "paths and queries, as they arrive",
    "the secret of all processes",
    "the public keys of the account server",
    "a whole sync",
)
DAY_SECONDS = 24 * 3600


def doctor(arguments, sites):
    try:
        wire = Wire(node_url(arguments.url))
    except ValueError as error:
        raise Failed("%r %s" % (arguments.url, error)) from None
    report = Report()
    # SIGTERM raises KeyboardInterrupt, so that the doctor's user is removed then, too.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _look(report, wire, sites, arguments.ini)
    except Stop:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
    report.end()
    if report.wrong_count:
        sys.stdout.flush()
        sys.exit(1)


def _look(report, wire, sites, ini):
    """ini is the path of the sync.ini, or None where sites is."""
    site = None if sites is None else _site_at(wire, sites)
    if site is not None:
        sync15_of(site)  # or fails, before anything is asked
    tls.check(report, wire)
    can_sign = outside.check(report, wire)
    if site is None:
        path = "/1.5/1/storage/doctor"
        size = outside.MAX_REQUEST_BYTES
        if outside.check_body(report, wire, path, size, False) is not None:
            report.ok("a body of %d bytes arrives" % size)
        for what in _WITHOUT_TOKEN:
            report.unknown(what, _WITHOUT_INI)
        return
    _check_keys(report, site, ini)
    changed = Arrival(report, wire, site.sync15.secrets, site.settings).check()
    if not can_sign:
        report.unknown("a whole sync", "the header Authorization must arrive first")
        return
    with visitor(site.sync15.storage) as (user_id, fxa_uid):
        Sync(report, wire, Signer(wire, site.sync15.secrets, user_id, fxa_uid)).run(changed)


def _site_at(wire, sites):
    """The Site that requests for the URL get."""
    return sites.get(urlsplit(wire.url).netloc.lower(), sites[None])


def _check_keys(report, site, ini):
    """Reports whether the server has the account server's keys, or can fetch them."""
    url, stored = site.settings["sync15.jwks_url"], site.sync15.keys.stored()
    age = "from a file"
    if stored.since:
        age = "%d days old" % ((time.time() - stored.since) // DAY_SECONDS)
    try:
        jwks.read_document(fetch(url, jwks.MAX_BYTES))
        why = None
    except (FetchError, jwks.KeysError) as error:
        why = "%s cannot be fetched from this machine (%s)" % (url, error)
    if why and not stored.keys:
        report.wrong(
            "the server has no public keys of the account server, and " + why,
            BY_HAND % (url, ini),
        )
    elif why:
        report.note("the public keys of the account server are %s, and %s" % (age, why))
    elif stored.keys:
        report.ok("the public keys of the account server are there, %s" % age)
    else:
        report.ok("the public keys of the account server can be fetched")


COMMANDS = (
    Command(
        ("doctor",),
        "check a server from outside, and say what to mend (exit status 1)",
        doctor,
        (
            argument(
                "url",
                metavar="URL",
                help="what browsers have, without 1.0/sync/1.5: https://sync.example.org/",
            ),
            argument(
                "--ini",
                help="the sync.ini, on the server: it makes a user, syncs, and removes it",
            ),
        ),
        needs_ini=False,
    ),
)
