# SPDX-License-Identifier: Apache-2.0
"""The user API, and who is let in."""

import base64
import functools
import threading

import pytest
import webtest
from argon2 import PasswordHasher

from conftest import PASSWORD, User, basic
from weave.server.accounts import Accounts, canonical_name
from weave.server.app import create_application
from weave.server.passwords import Passwords

EMAIL = "Zoë@Example.org"
NAME = canonical_name(EMAIL)


@pytest.fixture
def make_strict(make_site):
    """Makes a site with the default of auth.strict_usernames."""
    return functools.partial(make_site, strict=True)


def sign_up(app, name, status=200, **body):
    return app.put_json("/user/1.0/" + name, body, status=status)


def test_names_of_email_addresses():
    # Computed with: printf %s me@example.org | sha1sum, then base32.
    assert canonical_name("me@example.org") == "fozjebipsvv3xkfzk5beaw3ftazr64t3"
    assert canonical_name("ME@Example.ORG") == canonical_name("me@example.org")
    assert canonical_name("Bob.X_-9") == "bob.x_-9"
    for bad in ("", "a b", "a/b", "ü", "a\0", "x" * 129, "@", "a@"):
        with pytest.raises(ValueError):
            canonical_name(bad)


def test_sign_up(site):
    app = site.app
    assert app.get("/user/1.0/bob").body == b"0"
    response = sign_up(app, "Bob", email="b@example.org", password=PASSWORD)
    assert response.body == b"bob"
    assert response.content_type == "text/plain"
    assert app.get("/user/1.0/bob").body == b"1"
    assert app.get("/user/1.0/BOB").body == b"1"
    assert (
        sign_up(app, "bob", 400, email="b@example.org", password=PASSWORD).body == b"4"
    )
    User(app, "bob").get("info/collections")


def test_password_is_not_stored(site):
    site.user()
    assert PASSWORD not in str(site.sql("select * from weave_accounts"))


def test_order_of_the_checks(make_strict):
    app = make_strict().app
    put = lambda name, body: app.put(
        "/user/1.0/" + name, body, status="*"
    ).body  # noqa: E731
    assert put(NAME, b"{") == b"6"
    assert put(NAME, b"[]") == b"6"
    assert put(NAME, b"{}") == b"12"
    assert put(NAME, b'{"email": "nonsense"}') == b"12"
    assert put(NAME, b'{"email": 5}') == b"12"
    assert put(NAME, b'{"email": "other@example.org"}') == b"15"
    body = {"email": EMAIL}
    assert sign_up(app, NAME, 400, **body).body == b"7"
    assert sign_up(app, NAME, 400, password="", **body).body == b"7"
    assert sign_up(app, NAME, 400, password=12345678, **body).body == b"7"
    assert sign_up(app, NAME, 400, password="short67", **body).body == b"9"
    assert sign_up(app, NAME, 400, password=NAME.upper(), **body).body == b"9"
    assert app.get("/user/1.0/" + NAME).body == b"0"
    assert sign_up(app, NAME, password=PASSWORD, **body).body == NAME.encode()
    assert put(NAME, b"{") == b"4"
    assert put("a%20b", b"{") == b"3"


def test_email_address_instead_of_name(make_strict):
    app = make_strict().app
    sign_up(app, NAME, email=EMAIL, password=PASSWORD)
    headers = {"Authorization": basic(EMAIL, PASSWORD)}
    app.get("/1.1/%s/info/collections" % NAME, headers=headers)


def test_registration_can_be_closed(make_site):
    app = make_site(auth="allow_new_users = false").app
    response = sign_up(app, "bob", 400, email="b@example.org", password=PASSWORD)
    assert response.body == b"11"
    assert app.get("/user/1.0/bob").body == b"0"


@pytest.mark.parametrize(
    "environ, expected",
    [
        ({"HTTP_HOST": "sync.example.org:8443"}, "http://sync.example.org:8443/"),
        ({"HTTP_HOST": "h", "SCRIPT_NAME": "/sync"}, "http://h/sync/"),
        ({"HTTP_HOST": "h:443", "wsgi.url_scheme": "https"}, "https://h:443/"),
    ],
)
def test_node_is_where_the_request_came_to(site, environ, expected):
    site.user("bob")
    response = site.app.get("/user/1.0/bob/node/weave", extra_environ=environ)
    assert response.text == expected
    assert response.content_type == "text/plain"


@pytest.mark.parametrize(
    "fallback, expected",
    [
        ("https://s.example.org/x", "https://s.example.org/x/"),
        ("s.example.org:8080", "https://s.example.org:8080/"),
        ("http://s.example.org/", "http://s.example.org/"),
    ],
)
def test_fallback_node(make_site, fallback, expected):
    site = make_site(more="[nodes]\nfallback_node = " + fallback)
    site.user("bob")
    assert site.app.get("/user/1.0/bob/node/weave").text == expected


def test_node_of_a_stranger(site):
    site.app.get("/user/1.0/bob/node/weave", status=404)


def test_no_credentials_are_asked_for(user):
    for headers in ({}, {"Authorization": "Bearer x"}):
        response = user.app.get(
            "/1.1/alice/info/collections", headers=headers, status=401
        )
        assert response.headers["WWW-Authenticate"] == 'Basic realm="Sync"'


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"alice").decode(),
        "Basic " + base64.b64encode(b"alice:\xff\xfe").decode(),
        basic("alice", "wrong"),
        basic("alice", ""),
        basic("bob", PASSWORD),
        basic("", PASSWORD),
        basic("al ice", PASSWORD),
        basic("nobody", PASSWORD),
    ],
)
def test_bad_credentials(site, user, authorization):
    site.user("bob")
    response = user.get("info/collections", 401, Authorization=authorization)
    assert "WWW-Authenticate" not in response.headers


def test_name_that_cannot_be_one(user):
    user.app.get(
        "/1.1/al%20ice/info/collections",
        headers={"Authorization": basic("al ice", PASSWORD)},
        status=401,
    )


def test_names_are_lower_cased_everywhere(user):
    user.name = "ALICE"
    assert user.get("info/collections").json == {}


@pytest.mark.parametrize("method, path", [
    ("GET", "info/collections"), ("GET", "info/collection_counts"), ("GET", "info/quota"),
    ("GET", "info/collection_usage"), ("GET", "storage/c"), ("GET", "storage/c/i"),
    ("PUT", "storage/c"), ("PUT", "storage/c/i"), ("POST", "storage/c"),
    ("DELETE", "storage/c"), ("DELETE", "storage/c/i"), ("DELETE", "storage"),
])  # fmt: skip
def test_everything_wants_credentials(site, user, method, path):
    before = site.digest()
    user.call(method, path, b"[]", 401, Authorization=basic("alice", "wrong password"))
    assert site.digest() == before


def account(user, method, what, body=b"", status=200, **headers):
    headers.setdefault("Authorization", basic(user.name, user.password))
    return user.app.request(
        "/user/1.0/%s%s" % (user.name, what),
        method=method,
        body=body,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        status=status,
    )


def test_new_password(site, user):
    user.get("info/collections")
    renewed = "neu:ß𝄞 password"
    assert account(user, "POST", "/password", renewed.encode()).body == b"success"
    user.get("info/collections", status=401)
    user.password = renewed
    user.get("info/collections")


@pytest.mark.parametrize("body", [b"short67", b"", b"\xff" * 10])
def test_bad_new_password(site, user, body):
    before = site.digest()
    assert account(user, "POST", "/password", body, 400).body == b"9"
    assert site.digest() == before


def test_changes_want_credentials(site, user):
    before = site.digest()
    wrong = {"Authorization": basic("alice", "wrong password")}
    account(user, "POST", "/password", b"some new password", 401, **wrong)
    account(user, "POST", "/email", b"new@example.org", 401, **wrong)
    account(user, "DELETE", "", b"", 401, **wrong)
    assert site.digest() == before


def test_password_reset_is_not_offered(site, user):
    reset = {"X_Weave_Password_Reset": "some key"}
    assert account(user, "POST", "/password", b"x" * 10, 400, **reset).body == b"10"
    assert account(user, "GET", "/password_reset", status=400).body == b"11"
    stranger = User(site.app, "nobody")
    account(stranger, "POST", "/password", b"x" * 10, 404, **reset)
    for page in (
        "/weave-password-reset",
        "/weave-delete-account",
        "/misc/1.0/captcha_html",
    ):
        site.app.get(page, status=404)


def test_new_email(site, user):
    assert (
        account(user, "POST", "/email", b"new@example.org").body == b"new@example.org"
    )
    assert site.sql("select email from weave_accounts") == [("new@example.org",)]
    for bad in (b"nonsense", b"", b"\xff@x", b"a@b@c", b"a b@c", b"x" * 300 + b"@c"):
        assert account(user, "POST", "/email", bad, 400).body == b"12"


def test_delete_account(site, user):
    other = site.user("bob")
    for somebody in (user, other):
        somebody.put("storage/col/a", {"payload": "x"})
    assert account(user, "DELETE", "").body == b"1"
    assert site.app.get("/user/1.0/alice").body == b"0"
    user.get("info/collections", status=401)
    assert len(site.sql("select * from weave_records")) == 1
    user.sign_up()
    assert user.get("info/collections").json == {}
    assert other.get("storage/col").json == ["a"]


def test_outdated_hashes_are_renewed(site, user):
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    site.sql("update weave_accounts set password_hash = ?", (weak,))
    user.get("info/collections")
    assert site.sql("select password_hash from weave_accounts") != [(weak,)]
    user.get("info/collections")


@pytest.mark.in_process
def test_delete_account_with_what_is_written_meanwhile(site, user, monkeypatch):
    user.put("storage/col/a", {"payload": "x"})
    delete = Accounts.delete

    def write_and_delete(self, gone):
        user.put("storage/col/b", {"payload": "y"})
        return delete(self, gone)

    monkeypatch.setattr(Accounts, "delete", write_and_delete)
    assert account(user, "DELETE", "").body == b"1"
    for table in ("weave_records", "weave_collections", "weave_users"):
        assert site.sql("select * from " + table) == []


@pytest.fixture
def outdated(site, user):
    """Alice's password is hashed with parameters of once."""
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    site.sql("update weave_accounts set password_hash = ?", (weak,))
    return user


def meanwhile(monkeypatch, happens):
    """Something happens while a new hash is made, once."""
    make, left = Passwords.hash, [happens]

    def slowly(self, password):
        made = make(self, password)
        if left:
            left.pop()()
        return made

    monkeypatch.setattr(Passwords, "hash", slowly)


@pytest.mark.in_process
def test_renewal_does_not_undo_a_change(site, outdated, monkeypatch):
    changed = PasswordHasher(time_cost=1, memory_cost=1024).hash("a new password")

    def change():
        site.sql("update weave_accounts set password_hash = ?", (changed,))

    meanwhile(monkeypatch, change)
    outdated.get("info/collections")
    assert site.sql("select password_hash from weave_accounts") == [(changed,)]
    outdated.get("info/collections", 401)


@pytest.mark.in_process
def test_renewal_does_not_bring_back_the_deleted(site, outdated, monkeypatch):
    meanwhile(monkeypatch, lambda: site.sql("delete from weave_accounts"))
    outdated.get("info/collections", "*")
    assert site.sql("select name from weave_accounts") == []


@pytest.mark.in_process
def test_renewal_does_not_touch_who_took_the_name(site, outdated, monkeypatch):
    changed = PasswordHasher(time_cost=1, memory_cost=1024).hash("a new password")

    def take():
        site.sql(
            "update weave_accounts set user_id = 1, password_hash = ?", (changed,)
        )

    meanwhile(monkeypatch, take)
    outdated.get("info/collections", "*")
    assert site.sql("select user_id, password_hash from weave_accounts") == [
        (1, changed)
    ]


@pytest.mark.in_process
def test_of_two_new_passwords_the_first_counts(site, user, monkeypatch):
    app = webtest.TestApp(create_application(str(site.ini)))
    other = User(app, "alice")

    def change():
        account(other, "POST", "/password", b"first new password")

    meanwhile(monkeypatch, change)
    account(user, "POST", "/password", b"second new password", 401)
    user.password = "second new password"
    user.get("info/collections", 401)
    user.password = "first new password"
    user.get("info/collections")


@pytest.mark.in_process
@pytest.mark.parametrize(
    "method, what, body, column",
    [
        ("POST", "/email", b"new@example.org", "email"),
        ("POST", "/password", b"some new password", "password_hash"),
        ("DELETE", "", b"", "name"),
    ],
)
def test_nothing_is_done_to_who_took_the_name(
    site, user, monkeypatch, method, what, body, column
):
    # Alice's account was deleted, and somebody else signed up as alice, while
    # alice's request was under way.
    find, query = Accounts.find, "select %s from weave_accounts" % column
    before = []

    def find_and_lose(self, name):
        found = find(self, name)
        if not before:
            site.sql("update weave_accounts set user_id = 1")
            before.extend(site.sql(query))
        return found

    monkeypatch.setattr(Accounts, "find", find_and_lose)
    account(user, method, what, body, 401)
    assert site.sql(query) == before


@pytest.mark.in_process
@pytest.mark.usefixtures("patience")
def test_many_accounts_get_new_passwords_at_once(site):
    """Those who have an account wait for their turn, and are not sent away."""
    users = [site.user("user%d" % number) for number in range(16)]
    statuses = []

    def change(user):
        headers = {"Authorization": basic(user.name, PASSWORD)}
        path = "/user/1.0/%s/password" % user.name
        response = site.app.post(path, b"new password", headers=headers, status="*")
        statuses.append(response.status_int)

    threads = [threading.Thread(target=change, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * len(users)
