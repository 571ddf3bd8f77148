# SPDX-License-Identifier: Apache-2.0
"""Clients that try passwords do not harm the owners of accounts."""

import os
import threading

import pytest
import webtest

from conftest import KIND, PASSWORD, RETRY_HEADERS, User, basic, is_unavailable
from weave.server import logins, passwords
from weave.server.app import create_application
from weave.server.passwords import Passwords
from weave.server.stamps import Stamp
from weave.server.turns import Turns

pytestmark = pytest.mark.usefixtures("own_secret")

BURST = 20

# Of one address with one name.
OF_BOTH = 10


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """What time it is for stamps; clock.forward(seconds). It stands still, so that
    no bucket leaks on a machine that is slow."""

    class Clock:
        now = int(Stamp.now())

        def forward(self, seconds):
            self.now += int(seconds * 100)

    clock = Clock()
    monkeypatch.setattr(Stamp, "now", classmethod(lambda cls: cls(clock.now)))
    return clock


@pytest.fixture
def hasher(monkeypatch):
    """Counts how often Argon2 has to work, in all processes of the test."""
    from argon2 import PasswordHasher

    class Counting(PasswordHasher):
        verified = hashed = 0

        def verify(self, stored, password):
            Counting.verified += 1
            return super().verify(stored, password)

        def hash(self, password):
            Counting.hashed += 1
            return super().hash(password)

    monkeypatch.setattr(passwords, "PasswordHasher", Counting)
    return Counting


def process_of(site, user, address="192.0.2.1"):
    """The same user as another process of the application sees her."""
    app = webtest.TestApp(
        create_application(str(site.ini)), extra_environ={"REMOTE_ADDR": address}
    )
    return User(app, user.name, user.password)


def wrong(user, number, method="GET", path="info/collections"):
    return user.call(
        method,
        path,
        status="*",
        Authorization=basic(user.name, "wrong password %d" % number),
    )


def fill(user, start=0):
    """Fills the buckets; the answer when they are full."""
    for number in range(start, start + OF_BOTH):
        assert wrong(user, number).status_int == 401
    return wrong(user, start + OF_BOTH)


def test_wrong_passwords_are_refused_before_they_cost_anything(site, hasher):
    attacker = process_of(site, site.user(), "192.0.2.66")
    response = fill(attacker)
    assert hasher.verified == OF_BOTH
    seconds = int(response.headers["Retry-After"])
    assert 0 < seconds <= 60
    assert is_unavailable(response, seconds)
    for number in range(50):
        assert wrong(attacker, 100 + number).status_int == 503
    assert hasher.verified == OF_BOTH


def test_the_owner_is_served_meanwhile_by_every_process(site, hasher):
    owner = site.user()
    process_of(site, owner).get("info/collections")
    attacker = process_of(site, owner)
    # From the same address as the owner, whom other processes have not seen.
    assert fill(attacker).status_int == 503
    verified = hasher.verified
    for _ in range(3):
        process_of(site, owner).get("info/collections")
    process_of(site, owner, "198.51.100.7").put("storage/col/a", {"payload": "x"})
    assert hasher.verified == verified, "it was known to be right"


def test_every_endpoint_that_takes_a_password_is_guarded(site, hasher):
    attacker = process_of(site, site.user())
    fill(attacker)
    headers = {"Authorization": basic("alice", "another wrong password")}
    for method, path in (
        ("GET", "/1.1/alice/info/collections"), ("GET", "/1.1/alice/info/quota"),
        ("GET", "/1.1/alice/storage/c"), ("PUT", "/1.1/alice/storage/c/i"),
        ("POST", "/1.1/alice/storage/c"), ("DELETE", "/1.1/alice/storage"),
        ("POST", "/user/1.0/alice/password"), ("POST", "/user/1.0/alice/email"),
        ("DELETE", "/user/1.0/alice"),
    ):  # fmt: skip
        response = attacker.app.request(
            path, method=method, headers=headers, body=b"x", status=503
        )
        assert response.headers["Retry-After"] == response.headers["X-Backoff"]
    assert hasher.verified == OF_BOTH


def test_owner_changes_the_password_meanwhile(site, hasher):
    owner = site.user()
    process_of(site, owner).get("info/collections")
    fill(process_of(site, owner))
    for new in ("the second password", "the third password"):
        device = process_of(site, owner)
        headers = {"Authorization": basic("alice", owner.password)}
        device.app.post("/user/1.0/alice/password", new, headers=headers)
        response = process_of(site, owner).get("info/collections", "*")
        assert response.status_int == 503, "the old one is like any other"
        owner.password = new
    process_of(site, owner).get("info/collections")


def test_one_name_from_many_addresses(site, hasher):
    owner = site.user()
    for number in range(BURST):
        attacker = process_of(site, owner, "192.0.2.%d" % number)
        assert wrong(attacker, number).status_int == 401
    attacker = process_of(site, owner, "192.0.2.200")
    assert wrong(attacker, 0).status_int == 503
    assert hasher.verified == BURST
    process_of(site, owner, "198.51.100.1").get("info/collections")


def test_one_address_locks_no_name(site, clock, hasher):
    owner = site.user()
    site.sql("delete from weave_logins")  # as after a restart of the machine
    attacker = process_of(site, owner, "192.0.2.66")
    for number in range(300):
        wrong(attacker, number)
        clock.forward(6)
    process_of(site, owner, "198.51.100.7").get("info/collections")


@pytest.mark.parametrize(
    "request_", [("GET", "info/collections"), ("DELETE", "storage/col")], ids=["read", "write"]
)
def test_name_without_account_is_like_any_other(site, hasher, request_):
    owner = site.user()
    answers = []
    for name, address in ("alice", "192.0.2.1"), ("nobody", "192.0.2.2"):
        before = hasher.verified
        device = process_of(site, User(None, name), address)
        own = [wrong(device, number, *request_) for number in range(OF_BOTH + 2)]
        own.append(wrong(device, 1, *request_))  # which is remembered
        assert hasher.verified - before == OF_BOTH
        answers.append(
            [(a.status, sorted(set(a.headers) - {"X-Weave-Timestamp"}), a.body) for a in own]
        )
    assert answers[0] == answers[1]
    # By another one of these names, the same password takes as long.
    before = hasher.verified
    elsewhere = process_of(site, User(None, "nobody"), "192.0.2.3")
    for name in "nobody", "else", "alice":
        assert wrong(User(elsewhere.app, name), 77, *request_).status_int == 401
    assert hasher.verified == before + 3
    owner.get("info/collections")


@pytest.mark.skipif(KIND == "sqlite", reason="there, one writes at a time")
@pytest.mark.usefixtures("patience")
def test_no_attempt_is_lost_among_threads(site, clock):
    """Nor does one fail: where many write at once, databases know deadlocks."""
    site.user()
    table = logins.Logins(next(iter(site.databases)), True)
    names = [logins.Bucket("name %d" % n, burst=1000, seconds=1) for n in range(4)]
    here = logins.Bucket("address here", burst=1000, seconds=1)
    failures = []

    def attempt(number):
        try:
            for turn in range(12):
                table.charge(names[(number + turn) % 4], here)
                table.note_verified("%064d" % turn, "%064d" % (number % 3))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    ends = dict(site.sql("select subject, ends from weave_logins"))
    assert ends[here.subject] - clock.now == 16 * 12 * 100
    assert [ends[name.subject] - clock.now for name in names] == [16 * 3 * 100] * 4


def test_many_names_from_one_address(site, hasher):
    names = ["user%d" % number for number in range(BURST + 1)]
    for name in names:
        site.user(name)
    app = process_of(site, site.user()).app
    statuses = [wrong(User(app, name), 0).status_int for name in names]
    assert statuses == [401] * BURST + [503]
    elsewhere = process_of(site, User(None, "user0"), "192.0.2.9")
    assert wrong(elsewhere, 1).status_int == 401, "others are served"


def test_guessing_ends_with_the_bucket_also_for_the_right_guess(site, hasher):
    owner = site.user()
    owner.get("info/collections")
    attacker = process_of(site, owner, "192.0.2.66")
    fill(attacker)
    # This is what it comes to when somebody guesses: the password is known, but
    # not from there.
    assert attacker.get("info/collections", "*").status_int == 503
    owner.get("info/collections")


@pytest.mark.parametrize("full", ["name", "queue"])
def test_refused_attempts_count_for_the_address(site, hasher, monkeypatch, full):
    owner = site.user()
    if full == "name":
        for number in range(BURST):
            wrong(process_of(site, owner, "192.0.2.%d" % number), number)
    else:
        monkeypatch.setattr(Passwords, "verify", None)  # nobody comes so far
        taken = Turns("a password", running=0, waiting=0, seconds=0)
        init = Passwords.__init__

        def crowded(self, *arguments):
            init(self, *arguments)
            self.strangers = taken

        monkeypatch.setattr(Passwords, "__init__", crowded)
    attacker = process_of(site, owner, "192.0.2.66")
    for number in range(BURST):
        assert wrong(attacker, number).status_int == 503
    assert attacker.get("info/collections", "*").status_int == 503, "too late"
    process_of(site, owner, "198.51.100.7").get("info/collections")


def test_stranger_with_the_right_password_waits_for_the_bucket(site, clock, hasher):
    owner = site.user()
    site.sql("delete from weave_logins")  # nobody has seen her for long
    device = process_of(site, owner)
    seconds = int(fill(device).headers["Retry-After"])
    assert is_unavailable(device.get("info/collections", 503), seconds)
    clock.forward(seconds - 1)
    device.get("info/collections", 503)
    clock.forward(1)
    device.get("info/collections")


def test_buckets_lose_what_they_hold(site, clock):
    attacker = process_of(site, site.user())
    fill(attacker)
    clock.forward(OF_BOTH * 60)
    assert fill(attacker, 100).status_int == 503


def test_clock_that_is_set_back_locks_nobody_out(site, clock):
    attacker = process_of(site, site.user())
    fill(attacker)
    clock.forward(-30 * 24 * 3600)
    assert fill(attacker, 100).status_int == 503


def test_right_passwords_fill_no_bucket(site, hasher):
    owner = site.user()
    for _ in range(BURST + 5):
        site.sql("delete from weave_logins where subject like 'verified %'")
        process_of(site, owner).get("info/collections")
    assert hasher.verified == BURST + 5
    assert site.sql("select * from weave_logins where subject like 'name%'") == []


def test_the_same_wrong_password_costs_once(site, hasher):
    device = process_of(site, site.user())
    for _ in range(BURST + 5):
        assert wrong(device, 1).status_int == 401
    assert hasher.verified == 1


def test_verified_passwords_are_shared_for_a_week(site, clock, hasher):
    owner = site.user()
    for _ in range(3):
        clock.forward(7 * 24 * 3600 - 1)
        process_of(site, owner).get("info/collections")
    assert hasher.verified == 0
    clock.forward(8 * 24 * 3600)
    process_of(site, owner).get("info/collections")
    assert hasher.verified == 1


def test_what_is_kept_of_passwords_says_nothing(site, own_secret, monkeypatch):
    owner = site.user()
    kept = site.sql("select subject from weave_logins where subject like 'v%'")
    ((stored,),) = site.sql("select password_hash from weave_accounts")
    tags = Passwords().tags(stored, PASSWORD, "127.0.0.1")
    assert {row[0] for row in kept} == {"verified " + tag for tag in tags}
    (own_secret / ("weave-server-%d" % os.geteuid())).unlink()
    others = Passwords().tags(stored, PASSWORD, "127.0.0.1")
    assert not set(tags) & set(others), "they hang on the secret"
    process_of(site, owner).get("info/collections")


def test_a_changed_hash_is_not_known(site, hasher):
    owner = site.user()
    changed = Passwords().hash("the new password")
    site.sql("update weave_accounts set password_hash = ?", (changed,))
    owner.get("info/collections", 401)
    process_of(site, owner).get("info/collections", 401)


def test_nothing_that_is_remembered_outlives_an_account(site, hasher):
    """Not in the process that remembers, nor in the table of all of them."""
    owner = site.user()
    device = process_of(site, owner)
    device.get("info/collections")
    site.sql("update weave_accounts set name = 'bob'")
    for process in device, process_of(site, owner):
        process.get("info/collections", 401)
    User(device.app, "bob").get("info/collections")
    site.sql("delete from weave_accounts")
    for process in device, process_of(site, owner):
        User(process.app, "bob").get("info/collections", 401)


def test_rows_without_meaning_are_removed(site, clock):
    owner = site.user()
    for number in range(5):
        wrong(process_of(site, owner, "192.0.2.%d" % number), number)
    assert len(site.sql("select * from weave_logins where subject like 'a%'")) == 5
    clock.forward(3600)
    wrong(process_of(site, owner, "192.0.2.99"), 99)
    rows = site.sql("select subject from weave_logins where subject like 'a%'")
    assert rows == [("address 192.0.2.99",)]


def test_argon2_is_asked_for_one_stranger_at_a_time(site, monkeypatch):
    owner = site.user()
    process = process_of(site, owner)
    inside, most, lock = [0], [0], threading.Lock()
    verify = Passwords.verify
    everybody = threading.Barrier(8)

    def count(self, *arguments):
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        try:
            return verify(self, *arguments)
        finally:
            with lock:
                inside[0] -= 1

    monkeypatch.setattr(Passwords, "verify", count)
    statuses = []

    def attempt(number):
        everybody.wait(60)
        statuses.append(wrong(process, number).status_int)

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert set(statuses) <= {401, 503} and 401 in statuses


def test_members_do_not_wait_for_strangers(site, monkeypatch, own_secret):
    made = []
    init = Passwords.__init__

    def keep(self, *arguments):
        init(self, *arguments)
        self.strangers = Turns("a password", 1, 0, 60)
        made.append(self)

    monkeypatch.setattr(Passwords, "__init__", keep)
    owner = site.user()
    device = process_of(site, owner)
    headers = {"Authorization": basic("alice", PASSWORD)}
    with made[-1].strangers.taken():
        assert wrong(device, 1).status_int == 503
        device.get("info/collections")
        device.app.post("/user/1.0/alice/email", b"a@example.org", headers=headers)
        device.app.post("/user/1.0/alice/password", b"new password", headers=headers)
        body = {"email": "b@example.org", "password": PASSWORD}
        device.app.put_json("/user/1.0/bob", body, status=503)
    device.app.put_json("/user/1.0/bob", body)


def test_sign_ups_from_one_address_are_bounded(site, monkeypatch):
    monkeypatch.setattr(Passwords, "hash", lambda self, password: "no hash")
    app = process_of(site, site.user()).app
    body = {"email": "b@example.org", "password": PASSWORD}
    for number in range(100):
        app.put_json("/user/1.0/user%d" % number, body)
    response = app.put_json("/user/1.0/another", body, status=503)
    assert is_unavailable(response, int(response.headers["Retry-After"]))
    assert app.get("/user/1.0/another").body == b"0"
    elsewhere = process_of(site, User(None, "x"), "192.0.2.9").app
    elsewhere.put_json("/user/1.0/another", body)


def test_new_passwords_of_one_name_are_bounded(site, monkeypatch):
    owner = site.user()
    headers = {"Authorization": basic("alice", PASSWORD)}
    argument = dict(headers=headers, status="*")
    ((stored,),) = site.sql("select password_hash from weave_accounts")
    monkeypatch.setattr(Passwords, "hash", lambda self, password: stored)
    statuses = [
        owner.app.post("/user/1.0/alice/password", "password %d" % n, **argument)
        for n in range(BURST + 1)
    ]
    assert [s.status_int for s in statuses] == [200] * BURST + [503]
    assert all(name in statuses[-1].headers for name in RETRY_HEADERS)


@pytest.mark.parametrize(
    "address, expected",
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("nonsense", "unknown"),
    ],
)
def test_network(address, expected):
    assert logins.network(address) == expected


def test_memory_of_one_process(hasher):
    now = [0]
    subject = Passwords(clock=lambda: now[0])
    stored, renewed = subject.hash("first"), subject.hash("second")
    verify = lambda *arguments: subject.verify(*arguments, "192.0.2.1")  # noqa: E731
    assert verify(stored, "first") and verify(stored, "first")
    assert hasher.verified == 1
    assert not verify(stored, "second") and not verify(stored, "second")
    assert hasher.verified == 2
    assert not verify(renewed, "first"), "a new hash counts at once"
    assert subject.recall(stored, "first", "192.0.2.2") is None, "elsewhere"
    now[0] += passwords.FAILURE_SECONDS
    assert not verify(stored, "second")
    assert hasher.verified == 4
    now[0] += passwords.CACHE_SECONDS
    assert verify(stored, "first")
    assert hasher.verified == 5
    assert not verify("no hash", "first")


def test_memory_is_bounded_and_failures_drive_nobody_out(monkeypatch):
    monkeypatch.setattr(passwords, "CACHE_ENTRIES", 3)
    subject = Passwords()
    for number in range(5):
        subject.remember("stored", str(number), "")
        subject._failed.add(b"%d" % number)
    found = [subject.recall("stored", str(n), "") for n in range(5)]
    assert found == [None] * 2 + [True] * 3
    assert list(subject._failed._ends) == [b"2", b"3", b"4"]
