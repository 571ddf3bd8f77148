# SPDX-License-Identifier: Apache-2.0
"""The connection: whether there is a server, and whether its certificate is good."""

import socket
import ssl
import time

from weave.server.clients import is_this_machine
from weave.server.doctor.report import Stop
from weave.server.doctor.wire import TIMEOUT_SECONDS

# A certificate that a program renews is renewed earlier than that.
SOON_SECONDS = 7 * 24 * 3600
DAY_SECONDS = 24 * 3600

_OTHER_CHAIN = (
    "give the whole chain to the web server (Apache: SSLCertificateFile, nginx: "
    "ssl_certificate, with `fullchain.pem` of an ACME client), or take a certificate of a "
    "CA that browsers know; an own CA must be installed in each of them, and here"
)
# By X509_V_ERR_ of OpenSSL: what is wrong, and the cure.
_CERTIFICATES = {
    9: ("is not valid yet", "set the clock of this machine, or wait until it is"),
    10: ("has expired", "renew it, and let the web server read the new one"),
    18: ("is signed by itself", _OTHER_CHAIN),
    19: ("is signed by a CA that this machine does not know", _OTHER_CHAIN),
    20: ("leads to no CA that this machine knows", _OTHER_CHAIN),
    21: ("leads to no CA that this machine knows", _OTHER_CHAIN),
    62: (
        "is for another name",
        "take a certificate that has this name, or the URL whose name it has",
    ),
    64: (
        "is for another address",
        "take a URL with the name that the certificate has",
    ),
}


def check(report, wire):
    """Reports on the connection; Stop where there is none."""
    try:
        with socket.create_connection((wire.host, wire.port), TIMEOUT_SECONDS) as plain:
            if wire.scheme == "https":
                _check_tls(report, wire, plain)
            else:
                _note_http(report, wire)
    except OSError as error:
        report.wrong(*_no_connection(wire, error))
        raise Stop from None


def _check_tls(report, wire, plain):
    context = ssl.create_default_context()
    try:
        with context.wrap_socket(plain, server_hostname=wire.host) as secure:
            certificate, version = secure.getpeercert(), secure.version()
    except ssl.SSLCertVerificationError as error:
        what, cure = _CERTIFICATES.get(
            error.verify_code, ("is refused: %s" % error.verify_message, _OTHER_CHAIN)
        )
        report.wrong("TLS: the certificate of %s %s" % (wire.host, what), cure)
        wire.verifies = False
        return
    except ssl.SSLError as error:
        report.wrong(*_no_tls(wire, error))
        raise Stop from None
    left = ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()
    text = "TLS: the certificate is good for %s, for %d days more (%s)"
    report.ok(text % (wire.host, left // DAY_SECONDS, version))
    if left < SOON_SECONDS:
        report.note("TLS: the certificate ends soon: look whether its renewal works")


def _no_tls(wire, error):
    if error.reason in ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST"):
        return (
            "TLS: what answers at port %d speaks no TLS" % wire.port,
            "switch it on there (SSLEngine on), or take the port or the scheme that is meant",
        )
    return (
        "TLS: no secure connection to %s:%d (%s)" % (wire.host, wire.port, error.reason),
        "let the web server speak TLS 1.2 or 1.3",
    )


def _note_http(report, wire):
    if is_this_machine(wire.url):
        report.note("the URL is of this machine alone: clients elsewhere cannot use it")
    else:
        report.note(
            "the URL is without TLS: phones refuse it, and whoever listens on the way can "
            "use the token of a browser for an hour; take https:// where people are to use it"
        )


def _no_connection(wire, error):
    where = "%s:%d" % (wire.host, wire.port)
    if isinstance(error, socket.gaierror):
        return (
            "the name %s has no address (%s)" % (wire.host, error.strerror),
            "mend the URL, or make the record in the DNS",
        )
    if isinstance(error, ConnectionRefusedError):
        return (
            "nothing listens at %s" % where,
            "start the web server, mend the port, or forward it in the router",
        )
    if isinstance(error, socket.timeout):
        return (
            "%s does not answer in %d s" % (where, TIMEOUT_SECONDS),
            "open the port in the firewall, or forward it in the router",
        )
    if isinstance(error, ssl.SSLError):
        return _no_tls(wire, error)
    return (
        "no connection to %s (%s)" % (where, error.strerror or error),
        "look at the web server and the firewall",
    )
