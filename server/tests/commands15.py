# SPDX-License-Identifier: Apache-2.0
"""Commands of weave-server, and the users of Sync 1.5 that they are about."""

import json
import time

from client15 import KEY, KEY_ID, ask_for_token, key_id

from weave.server import __main__ as admin

ANNA, BERND, CARLA = "a" * 32, "b" * 32, "c" * 32


def run(capsys, command, site, *words):
    """Runs a command; returns what it prints."""
    status, said, wrong = attempt(capsys, command, site, *words)
    assert status == 0, wrong
    return said


def attempt(capsys, command, site, *words):
    """(status, stdout, stderr) of a command that may fail."""
    status, wrong = 0, ""
    try:
        admin.main([*command.split(), str(site.ini), *words])
    except SystemExit as error:
        status, wrong = (error.code, "") if isinstance(error.code, int) else (1, error.code)
    captured = capsys.readouterr()
    return status, captured.out, captured.err + wrong


def users(capsys, site):
    """{who: what is listed} for programs; a list where somebody has several lines."""
    found = {}
    for each in json.loads(run(capsys, "users list", site, "--json"))["users"]:
        found.setdefault(each["who"], []).append(each)
    return found


def come(site, fxa_uid, kid=KEY_ID, **claims):
    """Asks the token server as the account; returns its answer."""
    return ask_for_token(site.transport, "/1.0/sync/1.5", KEY.jwt(sub=fxa_uid, **claims), kid)


def new_key(site, fxa_uid):
    """An account comes with another key than before: its new user."""
    later = int(time.time() * 1000)
    answer = come(site, fxa_uid, key_id(later, "fe" * 16), fxa_generation=later)
    assert answer.status == 200, answer
    return answer.json["uid"]


def store(site, uid, records=3, collection=7, name="bookmarks"):
    """Records of a user, behind the back of the storage."""
    stamp = int(time.time() * 100)
    site.sql("update weave_users set modified = ? where user_id = ?", [stamp, uid])
    site.sql(
        "insert into weave_collections (user_id, number, name, modified) values (?, ?, ?, ?)",
        [uid, collection, name, stamp],
    )
    for n in range(records):
        site.sql(
            "insert into weave_records (user_id, collection, id, modified, expires,"
            " payload_size, payload) values (?, ?, ?, ?, ?, ?, ?)",
            [uid, collection, "r%d" % n, stamp, 2**53, 100, "x" * 100],
        )


def rows_of(site, uid):
    """{table: number of rows} of a user, where there are any."""
    tables = ("weave_users", "weave_collections", "weave_records", "weave_fxa_users",
              "weave_batches", "weave_batch_records")  # fmt: skip
    found = {
        table: site.sql("select count(*) from %s where user_id = ?" % table, [uid])[0][0]
        for table in tables
    }
    return {table: count for table, count in found.items() if count}


def add_batch(site, uid):
    site.sql("insert into weave_batches values (?, 1, 'bookmarks', ?, 1, 1)", [uid, 2**50])
    site.sql(
        "insert into weave_batch_records (user_id, batch, id, payload) values (?, 1, 'a', 'x')",
        [uid],
    )
