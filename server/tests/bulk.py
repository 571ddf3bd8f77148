# SPDX-License-Identifier: Apache-2.0
"""Many records at once, past the application."""

import contextlib
import sqlite3

# A record as clients see it: {"id":"1","modified":1.00,"payload":"x","sortindex":1}
QUOTES_OF_A_RECORD = 12

INSERT = """
with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)
insert into weave_records
    (user_id, collection, id, modified, expires, sortindex, payload_size, payload)
select user_id, number, cast(i as text), 100000 + i, 9007199254740992, i % 7,
    ?, replace(hex(zeroblob(? / 2)), '00', 'xy')
from weave_collections, n where name = ?
"""


def fill(database, collection, count, size):
    """Adds records 1 to count, with payloads of size bytes, of the only user.

    database is the file; the collection is there.
    """
    with contextlib.closing(sqlite3.connect(database, 60)) as connection:
        with connection:
            connection.execute(INSERT, (count, size, size, collection))
