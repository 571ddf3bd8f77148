# SPDX-License-Identifier: Apache-2.0
"""weave-server doctor with the secret: how requests arrive, and a small sync."""

import os
import re
import signal
import subprocess
import sys
from urllib.parse import unquote

import pytest
from client15 import ask_for_token

import proxies
from conftest import SOURCES, eventually
from doctoring import KEY, doctor, notes, wrongs
from weave.server import __main__ as admin
from weave.server.app import Site, create_application
from weave.server.doctor import visitor
from weave.server.settings import load

HOST = "sync.example.org"


# ---- how requests arrive ----


@pytest.mark.sqlite_only
def test_host_is_lost(serve, capsys):
    served = serve(None)
    served.front.application = proxies.with_environ(served.app, HTTP_HOST="127.0.0.1:8080")
    status, said = served.doctor(capsys)
    (wrong,) = wrongs(said)
    assert status == 1
    assert wrong.startswith(
        "the server sees itself as http://127.0.0.1:8080/, and sends clients there: Host, "
        "scheme or path are lost on the way: set public_url = %s in [sync15] of the sync.ini"
        % served.url
    )


@pytest.mark.sqlite_only
def test_scheme_is_lost(serve, capsys):
    served = serve(None)
    served.front.application = proxies.with_environ(served.app, **{"wsgi.url_scheme": "https"})
    (wrong,) = wrongs(served.doctor(capsys)[1])
    assert "the server sees itself as https://127.0.0.1" in wrong


@pytest.mark.sqlite_only
def test_the_path_of_the_mount_is_lost(serve, capsys):
    served = serve(None)
    served.url += "/our/sync"
    served.front.application = proxies.mounted("/our/sync", served.app, is_told=False)
    (wrong,) = wrongs(served.doctor(capsys)[1])
    assert wrong.startswith("the server sees itself as %s/, and sends" % served.front.url)
    assert wrong.endswith("set public_url = %s in [sync15] of the sync.ini" % served.url)


@pytest.mark.sqlite_only
def test_host_is_lost_with_public_url(served, capsys):
    """HAWK has the URL from the token; nothing is wrong."""
    served.front.application = proxies.with_environ(served.app, HTTP_HOST="127.0.0.1:8080")
    status, said = served.doctor(capsys)
    assert status == 0, said
    assert "the server sees itself as http://127.0.0.1:8080/; public_url makes that harm" in said
    served.site.ini.write_text(served.site.ini.read_text() + "[nodes]\nfallback_node = " + HOST)
    assert "the server sees itself" not in served.doctor(capsys)[1]


@pytest.mark.sqlite_only
def test_public_url_is_another_one(serve, capsys):
    served = serve(node="https://%s/" % HOST)
    status, said = served.doctor(capsys)
    (wrong,) = wrongs(said)
    assert wrong == (
        "public_url in [sync15] of the sync.ini is https://%s/, and clients are sent there and "
        "not to %s: mend it, or call the doctor with that URL" % (HOST, served.url)
    )
    assert status == 1


@pytest.mark.sqlite_only
def test_a_host_with_settings_of_its_own(serve, capsys):
    served = serve("https://%s/" % HOST)
    host, ini = served.url.split("//")[1], served.site.ini
    with ini.open("a") as file:
        file.write("\n[host:%s]\nsync15.public_url = %s\n" % (host, served.url))
    served.front.application = proxies.drained(create_application(str(ini)))
    status, said = served.doctor(capsys)
    assert status == 0, said
    assert "ok    clients are sent to %s/" % served.url in said


@pytest.mark.sqlite_only
def test_the_file_has_changed_since_the_start(served, capsys):
    ini = served.site.ini
    ini.write_text(ini.read_text().replace("public_url = http", "public_url = https"))
    said = served.doctor(capsys)[1]
    assert wrongs(said)[0].startswith(
        "the server has another public_url in [sync15] of the sync.ini than the file: let the "
        "workers read the file (`apachectl graceful && weavectl reload`)"
    )


@pytest.mark.sqlite_only
def test_braces_are_decoded(served, capsys):
    """HAWK makes up for it; a proxy that does more is named."""
    served.front.application = proxies.targets(
        served.app, lambda target: target.replace("%7B", "{").replace("%7D", "}")
    )
    status, said = served.doctor(capsys)
    assert status == 0, said
    text = "the web server, or a proxy, decodes %7B in paths, which logins have in their ids; the"
    assert any(note.startswith(text) for note in notes(said)), said


@pytest.mark.sqlite_only
def test_paths_are_written_anew(served, capsys):
    served.front.application = proxies.targets(
        served.app, lambda target: target.replace("%7B", "(").replace("%7D", ")")
    )
    status, said = served.doctor(capsys)
    (wrong,) = wrongs(said)
    assert wrong.startswith(
        "the web server, or a proxy, decodes %7B in paths, which logins have in their ids, "
        "so that signatures do "
        "not match (401): let it pass the path on as it is (Apache: ProxyPass with nocanon"
    )
    assert status == 1


@pytest.mark.sqlite_only
def test_queries_are_written_anew(served, capsys):
    served.front.application = proxies.targets(
        served.app, lambda target: target.replace("{", "%7B").replace("}", "%7D")
    )
    (wrong,) = wrongs(served.doctor(capsys)[1])
    text = "the web server, or a proxy, writes queries anew, so that signatures do not match (401)"
    assert wrong.startswith(text)


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    "write_anew, note",
    [
        (lambda target: re.sub("/+", "/", target), "merges slashes in paths"),
        (lambda target: target.replace("%2F", "/"), "decodes or refuses %2F in paths"),
    ],
)
def test_slashes_are_changed(write_anew, note, served, capsys):
    served.front.application = proxies.targets(served.app, write_anew)
    status, said = served.doctor(capsys)
    assert status == 0, said
    text = "the web server %s; no browser sends that, and nothing has to be done"
    assert text % note in notes(said)


@pytest.mark.sqlite_only
def test_an_encoded_slash_is_refused(served, capsys):
    """httpd does so by default."""
    served.front.application = proxies.at_paths(
        served.app, lambda target: "%2F" in target, proxies.answer(404)
    )
    status, said = served.doctor(capsys)
    assert status == 0, said
    assert any("decodes or refuses %2F in paths; no browser" in note for note in notes(said))


@pytest.mark.sqlite_only
def test_everything_is_decoded(served, capsys):
    """A proxy decodes, and the WSGI server behind it keeps no raw path."""
    served.front.application = proxies.targets(served.app, unquote)
    said = served.doctor(capsys)[1]
    assert any("writes queries anew" in each for each in wrongs(said) + notes(said))


@pytest.mark.sqlite_only
def test_a_body_is_cut(served, capsys):
    def cut(environ):
        if int(environ.get("CONTENT_LENGTH") or 0) > 1024 * 1024:
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            environ["CONTENT_LENGTH"] = "0"

    served.front.application = proxies.changed(served.app, cut)
    (wrong,) = wrongs(served.doctor(capsys)[1])
    assert wrong.startswith("of a body of 2625536 bytes, none arrive (200, application/json): ")


@pytest.mark.sqlite_only
def test_a_long_body_ends_the_connection(served, capsys):
    def cut(environ):
        long = int(environ.get("CONTENT_LENGTH") or 0) > 1024 * 1024
        return proxies.hanging_up if long else None

    served.front.application = proxies.changed(served.app, cut)
    (wrong,) = wrongs(served.doctor(capsys)[1])
    assert wrong.startswith("a body of 2625536 bytes is cut off on the way to the application: ")
    said = served.doctor(capsys, ini=False)[1]
    assert "-     not checked: a body of 2625536 bytes (the server closes before it has" in said


# ---- secrets and keys ----


def other_node(served, tmp_path):
    """The application of a node with another secret, on the same database."""
    secret = tmp_path / "other"
    secret.write_text("0" * 64)
    secret.chmod(0o600)
    ini = tmp_path / "other.ini"
    text = served.site.ini.read_text()
    ini.write_text(text.replace("%(here)s/secrets", str(secret)))
    return proxies.drained(create_application(str(ini)))


@pytest.mark.sqlite_only
def test_nodes_with_different_secrets(served, capsys, tmp_path):
    other = other_node(served, tmp_path)
    served.front.application = proxies.in_turns(served.app, other, served.app)
    status, said = served.doctor(capsys)
    (wrong,) = wrongs(said)
    assert re.match(
        r"[67] of 20 requests met a process that has another secret than this sync\.ini: take "
        r"the sync\.ini that the server has, and give each node the same file of secrets",
        wrong,
    )
    assert status == 1


@pytest.mark.sqlite_only
def test_another_secret(served, capsys, tmp_path):
    served.front.application = other_node(served, tmp_path)
    (wrong,) = wrongs(served.doctor(capsys)[1])
    assert wrong.startswith("the server has another secret than this sync.ini: take the")


@pytest.mark.sqlite_only
def test_an_older_release(served, capsys):
    served.front.application = proxies.at_paths(
        served.app, lambda target: target.startswith("/__doctor__"), proxies.answer(404)
    )
    (wrong,) = wrongs(served.doctor(capsys)[1])
    assert wrong.startswith("the page /__doctor__ is not there (404, text/html): let the proxy")


@pytest.mark.sqlite_only
def test_public_keys(served, capsys):
    served.account_server.application = proxies.answer(406)
    status, said = served.doctor(capsys)
    (wrong,) = wrongs(said)
    url = served.account_server.url + "/jwks"
    assert wrong == (
        "the server has no public keys of the account server, and %s cannot be fetched from "
        "this machine (the server answers 406): open %s with a browser on any machine, save it "
        "to a file, copy that file here, and run `weave-server fetch-keys %s FILE`"
        % (url, url, served.site.ini)
    )
    served.account_server.application = proxies.answer(200, KEY.jwks(), "application/json")
    admin.main(["fetch-keys", str(served.site.ini)])
    assert "the public keys of the account server are there, 0 days old" in served.doctor(capsys)[1]
    served.account_server.application = proxies.answer(200, b"<html>")
    status, said = served.doctor(capsys)
    assert status == 0
    text = "the public keys of the account server are 0 days old, and %s cannot be fetched" % url
    assert any(note.startswith(text) for note in notes(said))


# ---- the small sync ----


def refuse(*methods):
    def change(environ):
        return proxies.answer(405) if environ["REQUEST_METHOD"] in methods else None

    return lambda app: proxies.changed(app, change)


SYNC = {
    "PUT is refused": (
        refuse("PUT"),
        r"PUT /storage/meta/global is answered 405, text/html, not 200: let the web server pass "
        r"on GET, PUT, POST and DELETE",
    ),
    "DELETE is refused": (
        refuse("DELETE"),
        r"DELETE /storage/doctor is answered 405, text/html, not 200: let the web server pass",
    ),
    "a firewall": (
        lambda app: proxies.at_paths(
            app, lambda target: "global" in target, proxies.answer(403)
        ),
        r"GET /storage/meta/global is answered 403, text/html, not 404: let the web server pass "
        r"it on \(LimitExcept",
    ),
    "no X-Last-Modified": (
        lambda app: proxies.without_answered(app, "X-Last-Modified"),
        r"GET /info/collections comes without X-Last-Modified: let the web server pass answers",
    ),
    "no X-Weave-Next-Offset": (
        lambda app: proxies.without_answered(app, "X-Weave-Next-Offset"),
        r"X-Weave-Next-Offset is missing in a list: let the web server pass answers on",
    ),
    "no X-If-Unmodified-Since": (
        lambda app: proxies.without(app, "HTTP_X_IF_UNMODIFIED_SINCE"),
        r"the header X-If-Unmodified-Since does not arrive: let the proxy pass on all headers",
    ),
    "no X-If-Modified-Since": (
        lambda app: proxies.without(app, "HTTP_X_IF_MODIFIED_SINCE"),
        r"the header X-If-Modified-Since does not arrive: let the proxy pass on all headers",
    ),
    "a batch of another server": (
        lambda app: proxies.at_paths(
            app,
            lambda target: target.endswith("?batch=true"),
            proxies.answer(202, b'{"batch": "\\u20ac"}', "application/json"),
        ),
        r"POST /storage/doctor\?batch=%E2%82%AC&commit=true is answered 400",
    ),
    "a list of another server": (
        lambda app: proxies.at_paths(
            app,
            lambda target: "limit=2" in target,
            proxies.answer(200, b'{"id": 1}', "application/json", X_Weave_Next_Offset="a b"),
        ),
        r"a list of 3 records has 0 in its pages",
    ),
    "another path": (
        lambda app: proxies.targets(
            app, lambda target: target.replace("/info/collections", "/info/collections/")
        ),
        r"GET /info/collections is answered 401, application/json, not 200: the log of the server",
    ),
}


@pytest.mark.sqlite_only
@pytest.mark.parametrize("what", SYNC)
def test_a_sync_fails(what, served, capsys):
    change, sentence = SYNC[what]
    served.front.application = change(served.app)
    status, said = served.doctor(capsys)
    (wrong,) = wrongs(said)
    assert status == 1 and re.match(sentence, wrong), said


# ---- its user ----


def visitors(site):
    return site.sql("select user_id from weave_fxa_users where fxa_uid like 'doctor:%'")


def hold(served):
    """Lets the doctor wait in the middle of its sync."""

    def change(environ):
        if environ["REQUEST_METHOD"] == "PUT":
            eventually(lambda: not visitors(served.site), "the end of the doctor")
        return None

    served.front.application = proxies.changed(served.app, change)


@pytest.mark.sqlite_only
def test_a_doctor_that_is_ended(served):
    before = served.site.digest(but=())
    hold(served)
    process = subprocess.Popen(
        [sys.executable, "-m", "weave.server", "doctor", served.url, "--ini", served.site.ini],
        env=dict(os.environ, PYTHONPATH=SOURCES),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    eventually(lambda: visitors(served.site), "the doctor's user")
    process.send_signal(signal.SIGTERM)
    _, wrong = process.communicate()
    assert (process.returncode, wrong) == (1, b"weave-server: given up\n")
    assert served.site.digest(but=()) == before


def test_a_doctor_that_was_killed(served, capsys):
    """The next one removes what it has left, and purge does."""
    site = served.site
    before = site.digest(but=())
    for clean in (lambda: served.front and doctor(capsys, served.url, "--ini", str(site.ini)),
                  lambda: admin.main(["purge", str(site.ini)])):  # fmt: skip
        site.add_member(77, fxa_uid="doctor:0123456789abcdef", created=1)
        site.add_member(78, fxa_uid="doctor:fedcba9876543210")
        clean()
        # the second one may be at work
        assert visitors(site) == [(78,)]
        site.sql("delete from weave_fxa_users where user_id = 78")
        site.sql("delete from weave_users where user_id = 78")
        assert site.digest(but=()) == before


@pytest.mark.sqlite_only
def test_it_takes_nobodys_place(served, capsys):
    """allow_new_users = first: the first account is still let in."""
    served.doctor(capsys)
    site = served.site
    storage = Site(load(site.ini)[0], site.databases, None).sync15.storage
    with visitor.visitor(storage) as (user_id, _):
        assert visitors(site) == [(user_id,)]
        answer = ask_for_token(site.transport, "/1.0/sync/1.5", KEY.jwt())
    assert answer.status == 200


# ---- its page ----


@pytest.mark.sqlite_only
def test_the_page_is_for_the_secret_alone(served, site15):
    for path in ("/__doctor__", "/__doctor__/", "/__doctor__/x/y?token=", "/__doctor__?token=abc"):
        assert site15.app.get(path, status=401).json == "401 Unauthorized"
    user_token = site15.device(5).id
    assert site15.app.get("/__doctor__?token=" + user_token, status=401)


@pytest.mark.sqlite_only
@pytest.mark.parametrize("name", ["doctor", "doctor-0123456789abcdef"])
def test_an_account_with_such_a_name_is_no_doctor(name, site15, capsys):
    """Other account servers than Mozilla's may give ids such as this one."""
    site15.load_keys()
    answer = ask_for_token(site15.transport, "/1.0/sync/1.5", KEY.jwt(sub=name)).json
    site15.sql("update weave_fxa_users set created = 1")
    admin.main(["purge", str(site15.ini)])
    assert site15.sql("select user_id from weave_fxa_users") == [(answer["uid"],)]
    assert site15.app.get("/__doctor__?token=" + answer["id"], status=401)
