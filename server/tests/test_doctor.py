# SPDX-License-Identifier: Apache-2.0
"""weave-server doctor: a server is right, or wrong in a way that is seen without a user."""

import re
import socket
import time

import pytest

import proxies
from doctoring import doctor, notes, wrongs
from weave.server import __main__ as admin
from weave.server.doctor.wire import Wire


# ---- a server that is right ----


def test_all_is_well(served, capsys):
    status, said = served.doctor(capsys)
    assert (status, wrongs(said)) == (0, []), said
    expected = (
        "a weave server answers at " + served.url,
        "the token server answers at /1.0/sync/1.5, and below /token",
        "the clocks of the server and of this machine agree",
        "the header Authorization arrives",
        "the storage answers 401 to a request without a token",
        "the public keys of the account server can be fetched",
        "all processes that answered know the secret of the sync.ini (1)",
        "clients are sent to %s/" % served.url,
        "paths and queries arrive as browsers send them",
        "a body of 2625536 bytes arrives",
        "a small sync, from the first request to the last, is as it must be",
    )
    assert re.findall("^ok    (.*)$", said, re.M) == list(expected)
    assert len(notes(said)) == 1  # http
    assert said.endswith("\n11 ok, 0 wrong, 0 not checked\n")


@pytest.mark.sqlite_only
def test_all_is_well_without_a_sync_ini(served, capsys):
    status, said = served.doctor(capsys, ini=False)
    assert (status, wrongs(said)) == (0, []), said
    assert "ok    a body of 2625536 bytes arrives" in said
    unknown = re.findall(r"^-     not checked: (.*) \(it needs --ini, on the server\)$", said, re.M)
    assert "the secret of all processes" in unknown and "a whole sync" in unknown
    assert said.endswith("\n6 ok, 0 wrong, 5 not checked\n")


@pytest.mark.sqlite_only
def test_below_a_path(serve, capsys):
    """The server is mounted there, or a proxy takes the path away."""
    with proxies.Front() as front:
        served = serve(node=front.url + "/our/sync")
        served.url = front.url + "/our/sync"
        front.application = proxies.mounted("/our/sync", served.app)
        assert served.doctor(capsys)[0] == 0
        front.application = proxies.mounted("/our/sync", served.app, is_told=False)
        status, said = served.doctor(capsys)
        assert status == 0, said
        assert "the server sees itself as %s/; public_url makes" % front.url in said


@pytest.mark.sqlite_only
def test_without_public_url(serve, capsys):
    served = serve(None)
    status, said = served.doctor(capsys)
    assert status == 0, said
    assert "ok    Host and scheme arrive; clients are sent to %s/" % served.url in said


# ---- one thing is wrong, and seen without a sync.ini, too ----


def token_paths(is_other, other):
    return lambda app: proxies.at_paths(app, is_other, other)


def is_token_path(target):
    return "/sync/1.5" in target


def unless_alive(**headers):
    """mod_weave answers for an application that it does not ask."""
    body = b'"server issue: not available"'
    unavailable = proxies.answer(503, body, "application/json", **headers)
    return token_paths(lambda target: target != "/__lbheartbeat__", unavailable)


PAGE = proxies.answer(401)
# Each row has a fault and the sentences that the doctor says of it; @ stands for the URL.
OUTSIDE = {
    "another server": (
        lambda app: proxies.answer(404),
        r"at @ there is another server, or another path \(404, text/html\): take the URL with "
        r"https:// where the server has one, or mend the path",
    ),
    "a server that is no weave server": (
        lambda app: proxies.answer(200, b'{"status": "fine"}', "application/json"),
        r"at @ there is another server, or another path \(200, application/json\)",
    ),
    "JSON that nobody can read": (
        lambda app: proxies.answer(200, b"[" * 100_000, "application/json"),
        r"at @ there is another server, or another path \(200, application/json\)",
    ),
    "a redirection": (
        lambda app: proxies.answer(301, Location="https://sync.example.org/__lbheartbeat__"),
        r"@ leads to another URL: take https://sync\.example\.org/ in browsers and here",
    ),
    "a login": (
        lambda app: proxies.answer(302, Location="https://sync.example.org/login?to=x"),
        r"@ leads to another page, https://sync\.example\.org/login\?to=x: mend the URL, or let "
        r"the web server pass requests below it on without a login",
    ),
    "no application": (
        lambda app: proxies.answer(502),
        r"the proxy at @ does not reach the application \(502, text/html\): start",
    ),
    "an error of the web server": (
        lambda app: proxies.answer(503),
        r"the server at @ answers 503: end the maintenance \(weavectl status\)",
    ),
    "maintenance": (
        unless_alive(X_Weave_Maintenance="1"),
        r"the server is in maintenance, and clients come again later: end it with `weavectl",
    ),
    "no application in mod_weave": (
        unless_alive(),
        r"the web server is there, but the application does not run: `weavectl status`",
    ),
    "a password of the web server": (
        lambda app: proxies.answer(401, WWW_Authenticate='Basic realm="x"'),
        r"the web server asks for a password of its own \(basic\): take that away",
    ),
    "a password for the token server": (
        token_paths(is_token_path, proxies.answer(401, WWW_Authenticate="Basic")),
        r"the token server at @/1\.0/sync/1\.5 is not reached: the web server asks for a",
        r"the token server at @/token/1\.0/sync/1\.5 is not reached: the web server asks",
    ),
    "no database": (
        token_paths(
            lambda target: target == "/__heartbeat__",
            proxies.answer(503, b'"server issue: database"', "application/json"),
        ),
        r"the server is there, but its database does not answer: run `weave-server check`",
    ),
    "no /token": (
        token_paths(lambda target: target.startswith("/token"), proxies.answer(404)),
        r"the token server at @/token/1\.0/sync/1\.5 is not there \(404\): set secret_file",
    ),
    "no token server": (
        token_paths(is_token_path, proxies.answer(404)),
        r"the token server at @/1\.0/sync/1\.5 is not there \(404\)",
        r"the token server at @/token/1\.0/sync/1\.5 is not there \(404\)",
    ),
    "a token server with an error": (
        token_paths(lambda target: target.startswith("/token"), proxies.answer(500)),
        r"the token server at @/token/\S* answers 500, text/html, not 401, to a request",
    ),
    "an error page": (
        token_paths(lambda target: target.startswith("/token"), PAGE),
        r"the token server at @/token/\S* answers 401, but no JSON object \(401, text/html\): let "
        r"the web server pass answers on as they are \(Apache: no ErrorDocument",
    ),
    "JSON of another one": (
        token_paths(
            lambda target: target.startswith("/token"),
            proxies.answer(401, b'{"code": 401}', "application/json"),
        ),
        r"the token server at @/token/\S* answers 401 with JSON that is not its own: mend",
    ),
    "no X-Timestamp": (
        lambda app: proxies.without_answered(app, "X-Timestamp"),
        r"the token server at @/1\.0/\S* answers without X-Timestamp, which phones need",
        r"the token server at @/token/\S* answers without X-Timestamp, which phones need",
    ),
    "an X-Timestamp that is no number": (
        lambda app: proxies.answers(app, lambda status, headers: (status, told(headers, "\xb2"))),
        r"the token server at @/1\.0/\S* answers without X-Timestamp, which phones need",
        r"the token server at @/token/\S* answers without X-Timestamp, which phones need",
    ),
    "a clock behind": (
        lambda app: proxies.answers(app, lambda status, headers: (status, later(headers, -7200))),
        r"the clock of the server is 7\d\d\d s behind that of this machine: set both by NTP",
    ),
    "a clock ahead": (
        lambda app: proxies.answers(app, lambda status, headers: (status, later(headers, 7200))),
        r"the clock of the server is 7\d\d\d s ahead of that of this machine: set both by NTP",
    ),
    "an error for tokens": (
        lambda app: proxies.changed(
            app, lambda environ: proxies.answer(400) if "bearer" in authorization(environ) else None
        ),
        r"a token that is none is answered with 400, text/html: look at the log",
    ),
    "no storage": (
        token_paths(lambda target: target.startswith("/1.5/"), proxies.answer(404)),
        r"the storage answers 404, text/html, not 401 with JSON, to a request without a token: "
        r"mend the path",
    ),
    "error pages of the storage": (
        token_paths(lambda target: target == "/1.5/1/info/collections", PAGE),
        r"the storage answers 401, text/html, not 401 with JSON.*: let the web server pass",
    ),
    "a limit for bodies": (
        lambda app: proxies.changed(app, refuse_long),
        r"a body of 2625536 bytes is refused on the way to the application \(413\): raise its "
        r"limit to 2625536 bytes at least \(nginx: client_max_body_size 4m; Apache: LimitReq",
    ),
}


def later(headers, seconds):
    """Headers of an answer by another clock."""
    return told(headers, "%d" % (time.time() + seconds))


def told(headers, when):
    """Headers of an answer with another X-Timestamp."""
    return {key: when if key.lower() == "x-timestamp" else headers[key] for key in headers}


def authorization(environ):
    return environ.get("HTTP_AUTHORIZATION", "").lower()


def refuse_long(environ):
    if int(environ.get("CONTENT_LENGTH") or 0) > 1024 * 1024:
        return proxies.drained(proxies.answer(413))
    return None


@pytest.mark.sqlite_only
@pytest.mark.parametrize("what", OUTSIDE)
def test_one_thing_is_wrong(what, served, capsys):
    change, *sentences = OUTSIDE[what]
    served.front.application = change(served.app)
    for ini in (False, True):
        status, said = served.doctor(capsys, ini)
        # what follows from it may be wrong as well
        assert status == 1 and len(wrongs(said)) >= len(sentences), said
        for sentence, wrong in zip(sentences, wrongs(said)):
            assert re.match(sentence.replace("@", re.escape(served.url)), wrong), said
        if not ini:
            assert len(wrongs(said)) == len(sentences), said


@pytest.mark.sqlite_only
def test_an_answer_before_the_body_was_read():
    """Some servers answer so, and close the connection then."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse():
            connection, _ = server.accept()
            while b"\r\n\r\n" not in connection.recv(65536):
                pass
            connection.sendall(b"HTTP/1.1 413 .\r\nContent-Length: 2\r\n\r\nno")
            connection.close()

        with proxies.running(refuse):
            wire = Wire("http://127.0.0.1:%d" % server.getsockname()[1])
            assert wire.request("POST", "/", b" " * 30_000_000).status == 413


@pytest.mark.sqlite_only
def test_authorization_is_lost(served, capsys):
    served.front.application = proxies.without(served.app, "HTTP_AUTHORIZATION")
    for ini in (False, True):
        status, said = served.doctor(capsys, ini)
        (wrong,) = wrongs(said)
        assert wrong == (
            "the header Authorization does not arrive: pass the header on (mod_wsgi: "
            "WSGIPassAuthorization On; CGI and FastCGI: CGIPassAuth On; nginx: no "
            "`proxy_set_header Authorization` that is empty)"
        )


@pytest.mark.sqlite_only
def test_a_server_that_hangs_up(capsys):
    with proxies.Front() as front:
        front.application = proxies.hanging_up
        _, said = doctor(capsys, front.url)
    (wrong,) = wrongs(said)
    assert wrong.startswith("GET %s/__lbheartbeat__ is not answered (" % front.url)
    assert wrong.endswith("): look at the log of the web server, and of the proxy before it")


@pytest.mark.sqlite_only
def test_sync_15_is_off(make_site, capsys):
    site = make_site()
    with proxies.Front() as front:
        front.application = site.application
        _, said = doctor(capsys, front.url)
        assert "/1.0/sync/1.5 is not there (404): set secret_file" in wrongs(said)[0]
        with pytest.raises(SystemExit, match="Sync 1.5 is off: set secret_file"):
            admin.main(["doctor", front.url, "--ini", str(site.ini)])


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    "url", ["ftp://x/", "https://x y/", "https://", "https://%s/" % ("a" * 70)]
)
def test_what_is_no_url(url):
    with pytest.raises(SystemExit, match="^weave-server: .*must be a URL|label"):
        admin.main(["doctor", url])
