# SPDX-License-Identifier: Apache-2.0
"""Any requests about accounts, one after the other, and what a model of the user API 1.0
says of them; what is refused changes nothing.
"""

import json
from urllib.parse import quote

import argon2
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import KIND, basic
from weave.server import passwords
from weave.server.accounts import canonical_name

# The first two are one; the third is the hash of an e-mail address.
NAMES = ("alicealice", "AliceAlice", "Ж@example.org", "bob")
NO_NAMES = ("a b", "é", "x" * 129)
EMAILS = ("b@example.org", "лиса🦊@example.org", "B@example.org", "a'\"\\%@example.org")
NO_EMAILS = ("nonsense", "", "a@b@c", "a b@c", "x" * 300 + "@c", "a@b/c", "\ud800@c")
PASSWORDS = ("correct:hörse", "correct:horse", "another 🦊 one", "%s%(x)s'\"\\")
WEAK = ("short67", "alicealice", "ALICEALICE", "nul\0 inside", "\udfff" * 8)


class Client:
    """Does the same to the server and to `accounts`: {name: [email, password, ids]}."""

    def __init__(self, site):
        self.site = site
        self.accounts = {}

    def ask(self, method, path, body=b"", password=None, name=None):
        """(status, body); what is not done changes nothing."""
        # How often passwords may be tried is another test's.
        self.site.sql("delete from weave_logins")
        headers = {}
        if password is not None:
            headers["Authorization"] = basic(name, password)
        before = self.site.digest()
        answer = self.site.app.request(
            path, method=method, body=body, headers=headers, status="*"
        )
        assert answer.status_int == 200 or self.site.digest() == before
        assert "X-Weave-Timestamp" in answer.headers
        return answer.status_int, answer.body.decode()

    def about(self, method, name, what="", body=b"", password=None):
        path = "/user/1.0/%s%s" % (quote(name, safe=""), what)
        return self.ask(method, path, body, password, name)

    def find(self, name):
        """The account, if it is there."""
        return self.accounts.get(canonical_name(name)) if name in NAMES else None

    def find_for(self, name, password):
        """(the account, if it is there and has that password; the password)

        None as the password is that of the account.
        """
        found = self.find(name)
        if password is None:
            password = found[1] if found else PASSWORDS[0]
        return found if found and found[1] == password else None, password

    def sign_up(self, name, email, password):
        body = json.dumps({"email": email, "password": password}).encode()
        found = self.about("PUT", name, "", body)
        if name not in NAMES:
            expected = "3"
        elif self.find(name):
            expected = "4"
        elif email not in EMAILS:
            expected = "12"
        elif not isinstance(password, str) or not password:
            expected = "7"
        elif is_weak(name, password):
            expected = "9"
        else:
            expected = canonical_name(name)
            self.accounts[expected] = [email, password, []]
            assert found == (200, expected)
            return
        assert found == (400, expected)

    def look(self, name):
        expected = (200, "1" if self.find(name) else "0") if name in NAMES else (400, "3")
        assert self.about("GET", name) == expected
        status, _ = self.about("GET", name, "/node/weave")
        assert status == (200 if self.find(name) else 404 if name in NAMES else 400)

    def change_password(self, name, password, new):
        account, password = self.find_for(name, password)
        found = self.about("POST", name, "/password", new.encode("utf-8", "replace"), password)
        if account is None:
            assert found[0] == 401
        elif is_weak(name, new.encode("utf-8", "replace").decode()):
            assert found == (400, "9")
        else:
            assert found == (200, "success")
            account[1] = new

    def change_email(self, name, password, email):
        account, password = self.find_for(name, password)
        found = self.about("POST", name, "/email", email.encode("utf-8", "replace"), password)
        if account is None:
            assert found[0] == 401
        elif email not in EMAILS:
            assert found == (400, "12") or "\ud800" in email
        else:
            assert found == (200, email)
            account[0] = email

    def delete(self, name, password):
        account, password = self.find_for(name, password)
        found = self.about("DELETE", name, "", b"", password)
        if account is None:
            assert found[0] == 401
            return
        assert found == (200, "1")
        del self.accounts[canonical_name(name)]

    def store(self, name, password, id_):
        """Whoever is let in has what he has stored, and nothing of who had the name before."""
        path = "/1.1/%s/storage/col" % quote(name, safe="")
        body = json.dumps([{"id": id_, "payload": "x"}]).encode()
        account, password = self.find_for(name, password)
        status, _ = self.ask("POST", path, body, password, name)
        assert status == (401 if account is None else 200)
        if account is not None and id_ not in account[2]:
            account[2].append(id_)
        found = self.ask("GET", path, b"", password, name)
        assert found[0] == (401 if account is None else 200)
        assert account is None or json.loads(found[1]) == sorted(account[2])

    def check(self):
        stored = dict(self.site.sql("select name, email from weave_accounts"))
        assert stored == {name: account[0] for name, account in self.accounts.items()}
        ((count,),) = self.site.sql("select count(*) from weave_records")
        assert count == sum(len(account[2]) for account in self.accounts.values())


def is_weak(name, password):
    is_name = password.strip().lower() == canonical_name(name)
    return len(password) < 8 or is_name or "\0" in password or "\udfff" in password


SOME = st.sampled_from(NAMES[:2]) | st.sampled_from(NAMES)
NAME = SOME | st.sampled_from(NAMES + NO_NAMES)
EMAIL = st.sampled_from(EMAILS) | st.sampled_from(EMAILS + NO_EMAILS)
GOOD = st.sampled_from(PASSWORDS)
PASSWORD = st.none() | GOOD
NEW = GOOD | st.sampled_from(WEAK)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("sign_up"), NAME, EMAIL, NEW),
        st.tuples(st.just("sign_up"), SOME, st.sampled_from(EMAILS), GOOD),
        st.tuples(st.just("sign_up"), NAME, EMAIL | st.just(5), st.sampled_from(["", None, 5])),
        st.tuples(st.just("look"), NAME),
        st.tuples(st.just("change_password"), NAME, PASSWORD, NEW),
        st.tuples(st.just("change_email"), NAME, PASSWORD, EMAIL),
        st.tuples(st.just("delete"), NAME, PASSWORD),
        st.tuples(st.just("store"), SOME, st.none(), st.sampled_from("abc")),
        st.tuples(st.just("store"), NAME, PASSWORD, st.sampled_from("abc")),
    ),
    max_size=20,
)


@settings(max_examples=60 if KIND == "sqlite" else 20)
@given(steps=STEPS)
def check_steps(site, steps):
    for table in ("accounts", "records", "collections", "users"):
        site.sql("delete from weave_" + table)
    client = Client(site)
    for what, *arguments in steps:
        getattr(client, what)(*arguments)
    client.check()


class Hasher(argon2.PasswordHasher):
    """As cheap as it can be."""

    def __init__(self, **_):
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)


def test_any_requests_about_accounts(make_site, monkeypatch):
    monkeypatch.setattr(passwords, "PasswordHasher", Hasher)
    monkeypatch.setattr(passwords, "PARAMETERS", "$argon2id$v=19$m=8,t=1,p=1")
    check_steps(make_site())
