# SPDX-License-Identifier: Apache-2.0
"""Many records at once, past the application."""

from conftest import KIND

# A record as clients see it: {"id":"1","modified":1.00,"payload":"x","sortindex":1}
QUOTES_OF_A_RECORD = 12

INSERT = """
insert into weave_records
    (user_id, collection, id, modified, expires, sortindex, payload_size, payload)
with recursive n(i) as (select 1 union all select i + 1 from n where i < %d)
select user_id, number, %s, 100000 + i, 9007199254740992, i %% 7, %d, %s
from weave_collections, n where name = ?
"""
TEXT = {"sqlite": "cast(i as text)", "mariadb": "cast(i as char)", "postgresql": "cast(i as text)"}
PAYLOAD = {"sqlite": "replace(hex(zeroblob(%d)), '00', 'xy')"}


def fill(site, collection, count, size):
    """Adds records 1 to count, with payloads of size bytes, of the only user.

    The collection is there; its counts are forgotten.
    """
    payload = PAYLOAD.get(KIND, "repeat('xy', %d)") % (size // 2)
    statements = [(INSERT % (count, TEXT[KIND], size, payload), (collection,))]
    if KIND == "mariadb":
        statements.insert(0, ("set max_recursive_iterations = 1000000", ()))
    statements.append(
        ("update weave_collections set counted = null where name = ?", (collection,))
    )
    site.run(statements)
