# SPDX-License-Identifier: Apache-2.0
"""Many writers at once, in threads and in processes."""

import json
import multiprocessing
import threading
import time

import pytest
import webtest

from conftest import LONG_SECONDS, PASSWORD, User
from weave.server import database
from weave.server.app import create_application

WRITERS = 4
WRITES = 15


def write(app, writer):
    """One device: posts, puts and reads; returns the stamps it was given."""
    user = User(app, "alice")
    stamps = []
    for number in range(WRITES):
        batch = [
            {"id": "%d-%d-%d" % (writer, number, n), "payload": "x" * n}
            for n in range(10)
        ]
        response = user.post("storage/col", batch)
        assert len(response.json["success"]) == 10
        stamps.append(response.headers["X-Weave-Timestamp"])
        stamps.append(
            user.put("storage/shared%d/x" % (number % 3), {"payload": str(writer)}).text
        )
        newest = user.get("info/collections").json["col"]
        assert newest >= float(stamps[-2])
    return stamps


def check(user, stamps):
    """All writes are there, each with a stamp of its own."""
    flat = [stamp for some in stamps for stamp in some]
    assert len(flat) == WRITERS * WRITES * 2
    assert len(set(flat)) == len(flat), "two writes were given the same stamp"
    for some in stamps:
        assert some == sorted(some, key=float)
    records = user.get("storage/col?full=1").json
    assert len(records) == WRITERS * WRITES * 10
    by_batch = {}
    for record in records:
        batch = record["id"].rsplit("-", 1)[0]
        by_batch.setdefault(batch, set()).add(record["modified"])
    assert all(len(modified) == 1 for modified in by_batch.values()), "a batch was torn"
    assert user.get("info/collections").json["col"] == max(
        r["modified"] for r in records
    )
    assert user.get("info/collection_counts").json["col"] == len(records)


def test_threads(user):
    results = [None] * WRITERS

    def run(writer):
        results[writer] = write(user.app, writer)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(user, results)


def test_processes(site, user):
    context = multiprocessing.get_context("spawn")
    with context.Pool(WRITERS) as pool:
        results = pool.starmap(
            write_in_process, [(str(site.ini), writer) for writer in range(WRITERS)]
        )
    check(user, results)


def write_in_process(ini, writer):
    return write(webtest.TestApp(create_application(ini)), writer)


def start(ini):
    """A process of a server that starts for the first time."""
    database.SQLITE_TIMEOUT_SECONDS = LONG_SECONDS
    app = webtest.TestApp(create_application(ini))
    return app.get("/__heartbeat__", status="*").status_int


def test_first_start_of_many_processes(tmp_path):
    context = multiprocessing.get_context("spawn")
    with context.Pool(WRITERS) as pool:
        pool.map(time.sleep, [0.1] * WRITERS)  # all of them have started
        for number in range(5):
            ini = tmp_path / ("sync%d.ini" % number)
            ini.write_text(
                "[storage]\nsqluri = sqlite:///%%(here)s/%d.db?timeout=%d\ncreate_tables = true"
                % (number, LONG_SECONDS)
            )
            assert pool.map(start, [str(ini)] * WRITERS, 1) == [200] * WRITERS


@pytest.mark.usefixtures("patience")
def test_one_name_is_given_once(site):
    body = json.dumps({"email": "b@example.org", "password": PASSWORD}).encode()
    barrier, answers = threading.Barrier(4), []

    def sign_up():
        barrier.wait()
        answers.append(site.app.put("/user/1.0/bob", body, status="*").body)

    threads = [threading.Thread(target=sign_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [b"4", b"4", b"4", b"bob"]


def test_reader_sees_whole_batches_only(user):
    """The writer goes on until the reader has read often enough, however slow it is."""
    is_over = threading.Event()
    written = []

    def run():
        while not is_over.is_set():
            payload = str(len(written))
            user.post("storage/col", [{"id": str(n), "payload": payload} for n in range(50)])
            written.append(payload)

    thread = threading.Thread(target=run)
    thread.start()
    reads = 0
    try:
        while thread.is_alive() and (len(written) < 30 or reads < 10):
            payloads = {record["payload"] for record in user.get("storage/col?full=1").json}
            assert len(payloads) <= 1, "half of a batch was seen"
            reads += 1
    finally:
        is_over.set()
        thread.join()
    assert len(written) >= 30 and reads >= 10
