# SPDX-License-Identifier: Apache-2.0
"""How requests arrive at the application: Host, scheme, path, length, and the secret."""

import time
from urllib.parse import quote, urlsplit

from weave.server import doctor_api
from weave.server.doctor.outside import ask, check_body
from weave.server.doctor.report import RELOAD, Stop
from weave.server.hawk import PORTS

# Enough connections that each process and each node answers at least one, most likely.
CONNECTIONS = 20

# Paths, what a proxy may do to them, and whether browsers send such ones.
_PATHS = (
    ("/%7Ba%7D", "decodes %7B in paths, which logins have in their ids", True),
    ("/?ids={a},b%20c", "writes queries anew", True),
    ("/a%2Fb", "decodes or refuses %2F in paths", False),
    ("/a//b", "merges slashes in paths", False),
)
PATH_CURE = (
    "let it pass the path on as it is (Apache: ProxyPass with nocanon, AllowEncodedSlashes "
    "NoDecode; nginx: proxy_pass without a path)"
)
_SECRET_CURE = (
    "take the sync.ini that the server has, and give each node the same file of secrets; "
    "after a change, let the workers read it (%s)" % RELOAD
)
_PUBLIC = "public_url in [sync15] of the sync.ini"


class Arrival:
    """Asks the page of doctor_api with the secrets of the sync.ini."""

    def __init__(self, report, wire, secrets, settings):
        self._report, self._wire, self._settings = report, wire, settings
        self._token = quote(doctor_api.make_token(secrets, time.time()), safe="")

    def check(self):
        """Reports; returns [(path, what the proxy does to it)], of those that browsers send."""
        self._check_url(self._first())
        changed = [what for what in _PATHS if not self._arrives(what[0])]
        for _, what, is_sent in changed:
            if not is_sent:
                text = "the web server %s; no browser sends that, and nothing has to be done"
                self._report.note(text % what)
        changed = [(path, what) for path, what, is_sent in changed if is_sent]
        if not changed:
            self._report.ok("paths and queries arrive as browsers send them")
        self._check_body()
        return changed

    def _path(self, path):
        return doctor_api.PATH + path + ("&" if "?" in path else "?") + "token=" + self._token

    def _first(self):
        """Returns the page's answer, once all processes have given one; Stop."""
        good, bad, pids = None, [], set()
        for _ in range(CONNECTIONS):
            answer = ask(self._report, self._wire, "GET", self._path("/"))
            said = answer.json
            if answer.status == 200 and isinstance(said, dict) and "target" in said:
                good = said
                pids.add(said.get("pid"))
            else:
                bad.append(answer)
        if bad:
            self._report.wrong(*_not_there(bad))
            raise Stop
        text = "all processes that answered know the secret of the sync.ini (%d)"
        self._report.ok(text % len(pids))
        return good

    def _check_url(self, said):
        report, url = self._report, self._wire.url
        public = self._settings["sync15.public_url"]
        if said["public_url"].rstrip("/") != (public or "").rstrip("/"):
            report.wrong(
                "the server has another %s than the file" % _PUBLIC,
                "let the workers read the file (%s), or name the server's own" % RELOAD,
            )
        arrived = said["site_url"]
        if public:
            if not is_same(public, url):
                report.wrong(
                    "%s is %s, and clients are sent there and not to %s"
                    % (_PUBLIC, public, url),
                    "mend it, or call the doctor with that URL",
                )
            else:
                report.ok("clients are sent to %s" % public)
            if not is_same(arrived, url) and not self._settings["nodes.fallback_node"]:
                report.note(
                    "the server sees itself as %s; public_url makes that harmless for "
                    "Firefox, and for Sync 1.1 nodes.fallback_node does" % arrived
                )
        elif is_same(arrived, url):
            report.ok("Host and scheme arrive; clients are sent to %s" % arrived)
        else:
            report.wrong(
                "the server sees itself as %s, and sends clients there: Host, scheme or "
                "path are lost on the way" % arrived,
                "set public_url = %s in [sync15] of the sync.ini" % url,
            )

    def _arrives(self, path):
        """Whether the application sees a path as it was sent."""
        asked = self._path(path)
        said = ask(self._report, self._wire, "GET", asked).json
        target = said.get("target", "") if isinstance(said, dict) else ""
        # what stands before it is the prefix, which has a sentence of its own
        return target.endswith(asked)

    def _check_body(self):
        size = self._settings["sync15.max_request_bytes"]
        answer = check_body(self._report, self._wire, self._path("/"), size, True)
        if answer is None:
            return
        said = answer.json
        arrived = said.get("bytes") if isinstance(said, dict) else None
        if arrived == size:
            self._report.ok("a body of %d bytes arrives" % size)
        else:
            self._report.wrong(
                "of a body of %d bytes, %s arrive (%s)" % (size, arrived or "none", answer.told),
                "look at the limits of the proxy, and let it pass on bodies as they are",
            )


def _not_there(answers):
    """A sentence, and its cure, where some of CONNECTIONS were answered otherwise."""
    others = [answer for answer in answers if answer.status != 401]
    if others:
        return (
            "the page %s is not there (%s)" % (doctor_api.PATH, others[0].told),
            "let the proxy pass on all paths below the URL, and let the server have this "
            "sync.ini and the release of this program (%s)" % RELOAD,
        )
    if len(answers) == CONNECTIONS:
        return "the server has another secret than this sync.ini", _SECRET_CURE
    return (
        "%d of %d requests met a process that has another secret than this sync.ini"
        % (len(answers), CONNECTIONS),
        _SECRET_CURE,
    )


def is_same(url, other):
    """Whether two URLs are of one server, by scheme, host, port and path."""
    return _parts(url) == _parts(other)


def _parts(url):
    parts = urlsplit(url)
    port = parts.port or PORTS.get(parts.scheme)
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/")
