# SPDX-License-Identifier: Apache-2.0
"""HAWK: reads who claims to have sent a request, and checks the signature.

The client signs the method and the URL as *it* knows them, and the server sees what
proxies have made of them: another host, port or scheme, with a path in front or without
it. So the MAC is compared for each URL that the client may have signed. That is safe: only
a client that has the key can make a MAC that is right for any of them.

The body is not signed, and a nonce may come again: TLS is what protects both.
"""

import functools
import hmac
import re
from base64 import b64encode
from collections import namedtuple
from urllib.parse import quote, unquote_to_bytes, urlsplit

# {attribute: its longest value, in characters}
MAX_CHARS = {"id": 2048, "ts": 15, "nonce": 128, "mac": 44, "hash": 128, "ext": 512}
NEEDED = ("id", "ts", "nonce", "mac")
MAX_HEADER_CHARS = 4096
OTHER_SCHEMES = ("basic", "bearer", "browserid", "digest")

# Printable ASCII without the quotation mark and the backslash.
_VALUE = r"[ !#-\[\]-~]"
_ATTRIBUTE = re.compile(r'[ \t]*([A-Za-z_-]{1,20})="(%s*)"[ \t]*(,|\Z)' % _VALUE)
# The header as browsers write it, which is read in one step.
_USUAL = re.compile(
    r'[Hh]awk id="(%s{1,2048})", ts="([0-9]{1,15})", nonce="(%s{1,128})", '
    r'mac="([A-Za-z0-9+/]{43}=)"' % (_VALUE, _VALUE),
    re.ASCII,
)
_NOT_PRINTABLE = re.compile(r"[^\t -~]")
_SECONDS = re.compile(r"[0-9]+", re.ASCII)
_MAC = re.compile(r"[A-Za-z0-9+/]{43}=", re.ASCII)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/]+)(?::([0-9]{1,5}))?", re.ASCII)

PORTS = {"https": 443, "http": 80}

# The characters that browsers leave as they are in a path; they write all others as %XX.
_SAFE = "!$&'()*+,-./:;=@[\\]|~"

Header = namedtuple("Header", MAX_CHARS)
# A URL that the client may have signed. host is without port.
Url = namedtuple("Url", "host port target")


class HawkError(Exception):
    """The header is none that a client of Sync sends; str() is for the log."""


def parse(text):
    """The Header in the value of `Authorization` (None: it is missing); HawkError."""
    if text is None:
        raise HawkError("the request has no header Authorization")
    usual = _USUAL.fullmatch(text)
    if usual:
        return Header(*usual.groups(), hash="", ext="")
    if len(text) > MAX_HEADER_CHARS:
        raise HawkError("the header Authorization has over %d characters" % MAX_HEADER_CHARS)
    scheme, _, rest = text.partition(" ")
    if scheme.lower() != "hawk":
        # An unknown word is not logged: it may be a password.
        known = scheme if scheme.lower() in OTHER_SCHEMES else "an unknown one"
        raise HawkError("the scheme of the authorization is %s, and not Hawk" % known)
    found = _attributes(rest)
    for name in NEEDED:
        if not found.get(name):
            raise HawkError("the Hawk attribute %s is missing or empty" % name)
    if not _SECONDS.fullmatch(found["ts"]):
        raise HawkError("the Hawk attribute ts is no number of whole seconds")
    if not _MAC.fullmatch(found["mac"]):
        raise HawkError("the Hawk attribute mac is no base64 of 32 bytes")
    return Header(*[found.get(name, "") for name in MAX_CHARS])


def _attributes(text):
    """{name: value} of what follows the scheme."""
    found, position, more = {}, 0, ","
    while more:
        match = _ATTRIBUTE.match(text, position)
        if not match:
            raise HawkError(_malformed(text))
        name, value, more = match.groups()
        if name not in MAX_CHARS:
            raise HawkError("the Hawk attribute %s is unknown" % name)
        if name in found:
            raise HawkError("the Hawk attribute %s comes twice" % name)
        if len(value) > MAX_CHARS[name]:
            raise HawkError(
                "the Hawk attribute %s has over %d characters" % (name, MAX_CHARS[name])
            )
        found[name] = value
        position = match.end()
    return found


def _malformed(text):
    if _NOT_PRINTABLE.search(text):
        return "the header Authorization has more than printable ASCII"
    return 'the header Authorization is no list of name="value" after Hawk'


def is_signed(header, key, method, url):
    """Whether the MAC in the Header was made with the key, for this method and Url."""
    return hmac.compare_digest(mac(header, key, method, url), header.mac.encode("ascii"))


def mac(header, key, method, url):
    """The MAC (base64) of a request whose client knows it under this Url.

    A hash of the body is signed where the client sent one, but it is not compared with the
    body.
    """
    items = (
        "hawk.1.header",
        header.ts,
        header.nonce,
        method.upper(),
        url.target,
        url.host,
        str(url.port),
        header.hash,
        header.ext,
        "",
    )
    # WSGI has bytes as characters of Latin-1; nothing else is in a Url.
    text = "\n".join(items).encode("latin-1")
    return b64encode(hmac.digest(key, text, "sha256"))


def raw_target(environ):
    """Path and query as they stand in the request line, escapes and all."""
    raw = environ.get("REQUEST_URI") or environ.get("RAW_URI")
    if raw:
        # Some proxies send the whole URL in the request line.
        return raw if raw.startswith("/") else _ABSOLUTE.sub("", raw, 1)
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    path = quote(path.encode("latin-1"), safe=_SAFE)
    query = environ.get("QUERY_STRING", "")
    return path + "?" + query if query else path


def candidates(environ, endpoint, node, public_url=None):
    """Yields each Url that the client may have signed, the likeliest first.

    endpoint is the part of the path that all URLs of the client have, such as /1.5/42.
    node is the URL in the token, which the client was told; public_url is that of the
    settings. The last candidate is for proxies that have changed the escapes of the path.
    """
    target = raw_target(environ)
    below = _below(target, endpoint)
    yield from _below_node(node, below)
    yield from _of_host(environ.get("HTTP_HOST", ""), target)
    if public_url:
        yield from _below_node(public_url, below)
    path, mark, query = below.partition("?")
    written = quote(unquote_to_bytes(path.encode("latin-1")), safe=_SAFE)
    if written != path:
        yield from _below_node(node, written + mark + query)


def _below(target, endpoint):
    """The part of the target that begins with the endpoint, without our mount."""
    path = target.partition("?")[0] + "/"
    return target[max(0, path.find(endpoint + "/")) :]


def _below_node(node, below):
    hosts, port, path = _parts(node)
    return [Url(host, port, path + below) for host in hosts]


@functools.lru_cache(maxsize=64)
def _parts(node):
    """(hosts, port, path) of a URL; no hosts where it is none."""
    try:
        parts = urlsplit(node)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 443)
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
    except ValueError:
        return (), 443, ""
    path = quote(parts.path.rstrip("/"), safe=_SAFE + "%")
    return _spellings(host), port, path


def _of_host(text, target):
    match = _HOST.fullmatch(text)
    if not match:
        return
    ports = [int(match.group(2))] if match.group(2) else []
    ports += [port for port in PORTS.values() if port not in ports]
    for port in ports:
        for host in _spellings(match.group(1).strip("[]").lower()):
            yield Url(host, port, target)


def _spellings(host):
    """The ways to sign a host: Firefox on phones puts an IPv6 address in brackets."""
    if not host:
        return ()
    return ("[%s]" % host, host) if ":" in host else (host,)
