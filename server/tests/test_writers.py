# SPDX-License-Identifier: Apache-2.0
"""Many clients at once, through httpd, on two worker processes."""

import os
import threading

import pytest

from conftest import eventually
from farm import running_farm
from writers import Device, Persistent, Reader, Writer, check_state, replay

WRITERS = 16
ACCOUNTS = 144

# 10,000 take minutes.
OPERATIONS = int(os.environ.get("WEAVE_TEST_OPERATIONS") or 1500)


@pytest.fixture
def farm(make_url):
    # All other tests have the other driver of MariaDB.
    url = make_url().replace("mysql+pymysql:", "mysql+mysqldb:")
    with running_farm(url) as running:
        yield running


@pytest.fixture
def device(farm):
    """One of alice's, who has signed up."""
    made = Device(farm.port)
    made.sign_up()
    yield made
    made.close()


def run_all(threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_writers_and_readers_of_one_account(farm, device):
    """Nothing is lost, nothing is missed, nothing fails."""
    readers = [Reader(farm.port) for _ in range(2)]
    for reader in readers:
        reader.start()
    writers = [Writer(farm.port, number, OPERATIONS // WRITERS) for number in range(WRITERS)]
    run_all(writers)
    for reader in readers:
        reader.stop()
    failures = [thread.failure for thread in writers + readers if thread.failure]
    assert not failures, failures
    model = replay([op for writer in writers for op in writer.operations])
    check_state(device, model)
    counted = int(model.records["counter"]["c"][0])
    assert counted == sum(writer.increments for writer in writers)
    for reader in readers:
        missed = {
            id_: value
            for id_, value in model.records["shared"].items()
            if reader.seen.get(id_) != value
        }
        assert not missed
        assert reader.reads > 3


def all_go_on(writers):
    """Each of the writers has had another three answers."""
    before = [len(writer.answered) for writer in writers]
    eventually(
        lambda: all(len(w.answered) > count + 2 for w, count in zip(writers, before)),
        "all writers go on",
    )


def test_kill_9(farm, device, database_server):
    """Of workers, and of the database's server: what was answered is there, whole."""
    writers = [Persistent(farm.port, number) for number in range(8)]
    for writer in writers:
        writer.start()
    for count in (1, 2):
        all_go_on(writers)
        farm.kill_workers(count)
    all_go_on(writers)
    if database_server:
        for _ in range(2):
            refusals = sum(len(writer.refusals) for writer in writers)
            database_server.kill()
            eventually(
                lambda: sum(len(w.refusals) for w in writers) > refusals, "a write is refused"
            )
            database_server.start()
            all_go_on(writers)
    for writer in writers:
        writer.stop()
    posted, put = (
        {r["id"]: (r["payload"], r["modified"]) for r in device.get(path).json}
        for path in ("storage/posted?full=1", "storage/put?full=1")
    )
    for writer in writers:
        writer.check(posted, put)
        for answer in writer.refusals:
            assert answer.status in (502, 503), answer.body
            assert int(answer.headers["Retry-After"]) > 0
    counts = device.get("info/collection_counts").json
    assert counts == {"posted": len(posted), "put": len(put)}
    times = device.get("info/collections").json
    assert times == {
        name: max(modified for _, modified in records.values())
        for name, records in (("posted", posted), ("put", put))
    }


def test_first_writes_of_many_accounts(farm):
    """All at once: each is taken."""
    # As many networks, which each may sign up.
    devices = [
        Device(farm.port, "user%d" % number, "127.0.1.%d" % (number + 1), keep=False)
        for number in range(ACCOUNTS)
    ]
    for device in devices:
        device.sign_up()
    barrier, statuses = threading.Barrier(ACCOUNTS), []

    def write(device):
        barrier.wait()
        for method, path, body in (
            ("PUT", "storage/col/a", {"payload": device.name}),
            ("POST", "storage/tabs", [{"id": "a", "payload": device.name}]),
            ("GET", "storage/col/a", None),
        ):
            answer = device.ask(method, path, body)
            statuses.append((answer.status, b""))
            if answer.status != 200:
                statuses[-1] = (answer.status, answer.body)

    run_all([threading.Thread(target=write, args=(device,)) for device in devices])
    assert statuses == [(200, b"")] * 3 * ACCOUNTS
