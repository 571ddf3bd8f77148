# SPDX-License-Identifier: Apache-2.0
"""The token server of Sync 1.5, where clients depend on it: facts 43 (what Firefox on a
desktop does with an answer), 46 (what it does with an error) and 9 (its mobile siblings).
"""

import functools
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client15 import (
    KEY,
    KEYS_CHANGED_AT,
    KEY_ID,
    Client,
    ask_for_token,
    endpoint_of,
    open_token,
)
from conftest import KIND, Site15

PATHS = ("/1.0/sync/1.5", "/token/1.0/sync/1.5")


@pytest.fixture
def site(make_site):
    site = make_site(Site15, sync15="allow_new_users = true")
    site.load_keys()
    return site


def check_form(answer, status):
    """Checks the form that clients want of each answer; they take another for a broken server."""
    assert answer.status == status, answer
    kind = answer.headers["Content-Type"]
    assert kind == "application/json" or kind.startswith("application/json;")
    assert abs(int(answer.headers["X-Timestamp"]) - time.time()) < 600
    assert isinstance(answer.json, dict)
    if status != 200:
        assert isinstance(answer.json["status"], str)
        (error,) = answer.json["errors"]
        assert set(error) == {"location", "name", "description"}
    return answer.json


@pytest.mark.sqlite_only
@pytest.mark.parametrize("path", [*PATHS, PATHS[0] + "/", PATHS[1] + "/"])
def test_43_answer(site, path):
    found = check_form(ask_for_token(site.transport, path, KEY.jwt()), 200)
    for name in ("id", "key", "api_endpoint", "hashalg", "hashed_fxa_uid", "node_type"):
        assert isinstance(found[name], str), name
    assert isinstance(found["uid"], int) and isinstance(found["duration"], int)
    assert 0 < found["uid"] < 10**10 and found["hashalg"] == "sha256"
    assert found["api_endpoint"] == "%s/1.5/%d" % (site.node, found["uid"])
    assert len(found["hashed_fxa_uid"]) == 32 and int(found["hashed_fxa_uid"], 16)
    inner = open_token(site.secret, found["id"])
    assert inner["uid"] == found["uid"] and inner["node"] == site.node
    assert inner["fxa_kid"] == KEY_ID
    assert abs(inner["expires"] - time.time() - found["duration"]) < 600
    Client(site.transport, **endpoint_of(found)).get("info/collections")


@pytest.mark.sqlite_only
def test_43_bearer_in_any_case(site):
    for scheme in ("bearer", "BEARER"):
        headers = {"Authorization": scheme + " " + KEY.jwt()}
        check_form(ask_for_token(site.transport, PATHS[0], None, **headers), 200)


def test_43_endpoint_is_stable(site):
    """Mobile clients throw all away where it changes; the Host of a request says nothing."""
    first = ask_for_token(site.transport, PATHS[0], KEY.jwt()).json
    for host in ("other.example.org", "127.0.0.1:8080"):
        again = ask_for_token(site.transport, PATHS[1], KEY.jwt(), Host=host).json
        assert (again["uid"], again["api_endpoint"]) == (first["uid"], first["api_endpoint"])


@pytest.mark.sqlite_only
def test_43_duration(site):
    for query, seconds in (("", 3600), ("?duration=60", 60), ("?duration=99999", 3600)):
        answer = ask_for_token(site.transport, PATHS[0] + query, KEY.jwt())
        assert answer.json["duration"] == seconds
    for query in ("0", "-1", "x", "1.5", ""):
        answer = ask_for_token(site.transport, PATHS[0] + "?duration=" + query, KEY.jwt())
        assert 0 < check_form(answer, 200)["duration"] <= 3600


def test_43_tokens_outlive_the_process(site, make_site):
    """The secret is a file's, and none of the process."""
    answer = site.ask_for_token().json
    other = make_site(Site15)
    device = Client(other.transport, **endpoint_of(answer))
    assert device.get("info/collections").json == {}


NO_JWTS = {
    "expired": KEY.jwt(exp=int(time.time()) - 3600),
    "no end": KEY.jwt(exp=None),
    "no scope": KEY.jwt(scope=None),
    "another scope": KEY.jwt(scope="profile https://identity.mozilla.com/apps/oldsyncs"),
    "no account": KEY.jwt(sub=None),
    "unsigned": KEY.jwt({"alg": "none"}).rpartition(".")[0] + ".",
    "by HMAC": KEY.jwt({"alg": "HS256"}),
    "of another type": KEY.jwt({"typ": "JWT"}),
    "cut": KEY.jwt()[:-4],
    "signed elsewhere": KEY.jwt().rpartition(".")[0] + "." + KEY.jwt().rpartition(".")[2],
    "no JWT": "x" * 64,
}


@pytest.mark.sqlite_only
@pytest.mark.parametrize("what", NO_JWTS)
def test_46_bad_tokens_are_401(site, what):
    """A client that gets it fetches another token of the account, and only then."""
    answer = ask_for_token(site.transport, PATHS[0], NO_JWTS[what])
    assert check_form(answer, 401)["status"] == "invalid-credentials"
    assert site.sql("select count(*) from weave_fxa_users") == [(0,)]


@pytest.mark.in_process
@pytest.mark.sqlite_only
@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_46_a_clock_that_is_behind_is_503(site, claim, caplog):
    """The account server's is right. After two 401 Firefox wants to be signed in again; a
    machine without a clock of its own has a wrong one whenever it starts."""
    answer = ask_for_token(site.transport, PATHS[0], KEY.jwt(**{claim: time.time() + 120}))
    assert check_form(answer, 503)["status"] == "error"
    assert answer.headers["Retry-After"] == "60"
    assert "set the clock of this server" in caplog.text
    assert site.sql("select count(*) from weave_fxa_users") == [(0,)]
    forged = KEY.jwt(**{claim: time.time() + 120})[:-5] + "AAAAA"
    assert ask_for_token(site.transport, PATHS[0], forged).status == 401


@pytest.mark.sqlite_only
def test_46_other_requests_without_a_token_are_401(site):
    for headers in ({}, {"Authorization": "BrowserID x"}, {"Authorization": "Bearer"}):
        check_form(ask_for_token(site.transport, PATHS[0], None, **headers), 401)
    for kid in (None, "", "x", "-", "12", "-AAAA", "1-%s" % ("A" * 40), "1e3-AAAA"):
        answer = ask_for_token(site.transport, PATHS[0], KEY.jwt(), kid)
        assert check_form(answer, 401)["status"] in ("invalid-key-id", "invalid-credentials")
    answer = ask_for_token(site.transport, PATHS[0], KEY.jwt(), X_Client_State="ab" * 16)
    assert check_form(answer, 401)["status"] == "invalid-client-state"
    assert site.sql("select count(*) from weave_fxa_users") == [(0,)]


def test_46_not_admitted_is_403(site15):
    """401 would make the browser ask for the password again and again."""
    site15.load_keys()
    check_form(site15.ask_for_token(sub="ab" * 16), 200)
    answer = site15.ask_for_token(sub="cd" * 16)
    assert check_form(answer, 403)["status"] == "new-users-disabled"
    check_form(site15.ask_for_token(sub="ab" * 16), 200)
    assert site15.sql("select count(*) from weave_fxa_users") == [(1,)]


@pytest.mark.sqlite_only
def test_46_unknown_keys_are_503(make_site):
    """While the account server cannot be asked, no user is told to sign in."""
    site = make_site(Site15, sync15="jwks_url = http://127.0.0.1:1/")
    answer = site.ask_for_token()
    check_form(answer, 503)
    assert int(answer.headers["Retry-After"])


@pytest.mark.parametrize("table", ["fxa_users", "settings"])
def test_46_database_away_is_503(site, table):
    site.sql("alter table weave_%s rename to weave_away" % table)
    answer = site.ask_for_token()
    if answer.status != 200:
        check_form(answer, 503)
        assert int(answer.headers["Retry-After"])
    site.sql("alter table weave_away rename to weave_%s" % table)
    check_form(site.ask_for_token(), 200)


@pytest.mark.sqlite_only
def test_46_other_applications_are_404(site):
    answer = ask_for_token(site.transport, "/token/1.0/sync/2.0", KEY.jwt())
    assert check_form(answer, 404)["errors"][0]["description"] == "Unsupported version"


def test_46_who_comes_back_with_a_new_key_begins_anew(site):
    """The old tokens are 401, and not an empty store that could be taken for the new one."""
    old = Client(site.transport, **endpoint_of(site.ask_for_token().json))
    old.put("storage/meta/global", {"payload": "old"})
    later = KEYS_CHANGED_AT + 1000
    answer = site.ask_for_token(later, "ef" * 16, fxa_generation=later)
    new = Client(site.transport, **endpoint_of(check_form(answer, 200) and answer.json))
    assert new.uid != old.uid and new.get("info/collections").json == {}
    old.get("storage/meta/global", 401)
    old.put("storage/meta/global", {"payload": "x"}, 401)
    old.delete(None, 401)
    answer = site.ask_for_token()
    assert check_form(answer, 401)["status"] == "invalid-client-state"


# ---- any devices, in any order ----


class Account:
    """A model of an account at the token server, by the rules of Mozilla's."""

    def __init__(self):
        self.state, self.generation, self.keys = None, 0, 0
        self.old, self.uids = set(), []

    def refusal(self, generation, keys, state):
        """The status of the error, or None. The order of the rules is theirs."""
        if self.state is None:
            return None
        known, is_new = generation > 0, state != self.state
        rules = (
            ("invalid-keysChangedAt", known and keys > self.keys and generation < keys),
            ("invalid-client-state", not state and self.state),
            ("invalid-client-state", state in self.old),
            ("invalid-client-state", is_new and known and generation <= self.generation),
            ("invalid-client-state", is_new and keys <= self.keys),
            ("invalid-generation", known and generation < self.generation),
            ("invalid-keysChangedAt", keys < self.keys),
        )
        return next((status for status, holds in rules if holds), None)

    def enter(self, generation, keys, state, uid):
        if state != self.state:
            assert uid not in self.uids
            self.uids.append(uid)
            self.old.add(self.state)
            self.state = state
        assert uid == self.uids[-1]
        if not generation and keys > self.keys:
            generation = keys
        self.generation = max(self.generation, generation)
        self.keys = max(self.keys, keys)


@functools.lru_cache(None)
def jwt_of(fxa_uid, generation):
    """Signing takes longer than all else."""
    return KEY.jwt(sub=fxa_uid, fxa_generation=generation)


TIME = st.integers(1, 5)
VISITS = st.lists(
    st.tuples(
        st.sampled_from(["ab" * 16, "cd" * 16]),
        st.none() | TIME,
        TIME,
        st.sampled_from(["0a" * 16, "1b" * 16, "2c" * 16, ""]),
    ),
    max_size=12,
)


@settings(max_examples=150 if KIND == "sqlite" else 25)
@given(visits=VISITS)
def check_visits(site, visits):
    for table in ("fxa_users", "users"):
        site.sql("delete from weave_" + table)
    accounts = {}
    for fxa_uid, generation, keys, state in visits:
        account = accounts.setdefault(fxa_uid, Account())
        expected = account.refusal(generation or 0, keys, state)
        but = ("weave_logins", "weave_settings")
        before = site.digest(but)
        answer = site.ask_for_token(keys, state, jwt_of(fxa_uid, generation))
        if expected:
            assert check_form(answer, 401)["status"] == expected
            assert site.digest(but) == before
        else:
            account.enter(generation or 0, keys, state, check_form(answer, 200)["uid"])
    check_members(site, accounts)


def check_members(site, accounts):
    rows = site.sql("select fxa_uid, user_id, client_state, generation, keys_changed_at "
                    "from weave_fxa_users where replaced is null")  # fmt: skip
    assert sorted(map(tuple, rows)) == sorted(
        (fxa_uid, account.uids[-1], account.state, account.generation, account.keys)
        for fxa_uid, account in accounts.items()
    )
    (count,) = site.sql("select count(*) from weave_fxa_users where replaced is not null")
    assert count[0] == sum(len(account.uids) - 1 for account in accounts.values())


@pytest.mark.in_process
def test_any_visits(site):
    check_visits(site)


@pytest.mark.sqlite_only
def test_answers_are_objects(site):
    """Even those to what nobody asks."""
    for path in PATHS:
        for method in ("POST", "PUT", "DELETE"):
            answer = site.transport.request(method, path, b"{}", {})
            assert isinstance(json.loads(answer.text), dict) and answer.status == 405
