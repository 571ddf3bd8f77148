# SPDX-License-Identifier: Apache-2.0
"""Finding the records of a collection, for those who read and those who delete them.

A list is read in batches, each from where the one before ended, along the index
that has the order of the list. So whatever its length, few rows are in memory, and
no statement reads or sorts what it does not return. The exceptions are rare:
parentid, predecessorid, and index_above and index_below without sort=index.
"""

import functools
import math

from sqlalchemy import bindparam, case, func, select

from weave.server.queries import MAX_LIST, Query
from weave.server.schema import RECORDS_OF_COLLECTION, records
from weave.server.stamps import LIMIT

# Rows of a batch, and the longest payload (bytes) that is read with its row: 1 MiB
# together. Longer ones are read by their ids, in parts of so many bytes.
BATCH_ROWS = 256
INLINE_BYTES = 4096
PART_BYTES = 1024 * 1024

# Records that are read by their ids at a time. PostgreSQL takes reading a whole collection
# of small records for cheaper than finding several hundred of them.
LOOKED_UP_ROWS = 100

# So many rows that newer and older select are put into the order of sort=index in
# memory. Where they are more, the index of that order is read instead.
SORTED_ROWS = 10_000

KB = 1024

PRIMARY = "PRIMARY"
NEWEST = "weave_records_newest"
SORTINDEX = "weave_records_sortindex"
USAGE = "weave_records_usage"

_C = records.c
_MINE = RECORDS_OF_COLLECTION
NAMED = _C.id.in_(bindparam("ids", expanding=True))

# Nearly all records are live: the index on the expiry is the wrong one to find
# them by, and "+ 0" keeps databases from choosing it.
_LIVE = _C.expires + 0 > bindparam("now")
_EXPIRED = _C.expires <= bindparam("now")

# The arguments of a Selection that are conditions, by their names. Where they do not
# bound a way along an index (_Walk), no index shall be chosen for them. PostgreSQL takes
# two bounds of one expression for a range of few records, and two expressions for many.
_FILTERS = {
    "newer": _C.modified + 0 > bindparam("newer"),
    "older": _C.modified - 0 < bindparam("older"),
    "index_above": _C.sortindex + 0 > bindparam("index_above"),
    "index_below": _C.sortindex - 0 < bindparam("index_below"),
    "parentid": _C.parentid == bindparam("parentid"),
    "predecessorid": _C.predecessorid == bindparam("predecessorid"),
}
_TIMES = {"newer", "older"}
_INDEXES = {"index_above", "index_below"}

# The fields that clients are shown; they are the first ones of a row of records().
FIELDS = ("id", "modified", "payload", "sortindex", "parentid", "predecessorid")

_RECORD = (*(_C[name] for name in FIELDS), _C.payload_size)
# Payloads are left out where they are long.
_SHORT = case((_C.payload_size <= INLINE_BYTES, _C.payload), else_=None)
_INLINE = tuple(_SHORT if column is _C.payload else column for column in _RECORD)
# The position of a record in a list of any order; columns that the order lacks may be None.
_POSITION = (_C.id, _C.modified, _C.sortindex)
_KEY = (*_POSITION, _C.payload_size)

_PAYLOAD = FIELDS.index("payload")


def using(query, index):
    """The query, made to use that index where MySQL's optimiser might not."""
    hint = "FORCE INDEX (%s)" % index
    return query.with_hint(records, hint, "mysql").with_hint(records, hint, "mariadb")


def chunks(items, size=MAX_LIST):
    for start in range(0, len(items), size):
        yield items[start : start + size]


class _Walk:
    """A way along an index, ordered by (major, id), or by the id alone.

    low and high name the arguments of a Selection that bound major. empty: a column
    that is NULL in all rows on the way, before the id in the index.
    """

    def __init__(
        self, index, major=None, low=None, high=None, backwards=False, empty=None
    ):
        self.index = index
        self.major = major
        self.low = low
        self.high = high
        self.backwards = backwards
        self._empty = empty
        self._condition = () if empty is None else (empty.is_(None),)

    def order(self):
        # PostgreSQL does not see that a column which is NULL is in order.
        columns = [self.major, self._empty, _C.id]
        columns = [column for column in columns if column is not None]
        return [column.desc() for column in columns] if self.backwards else columns

    def range(self):
        """The conditions of its rows; parameters low and high, where it has a major."""
        if self.major is None:
            return self._condition
        bounds = (self.major > bindparam("low"), self.major < bindparam("high"))
        return self._condition + bounds

    def columns(self, columns):
        """Returns columns, or where it is None those that order the rows; the id is first."""
        if columns is not None:
            return columns
        return (_C.id,) if self.major is None else (_C.id, self.major)

    def position_of(self, row, columns):
        """The position of a row with these columns; see query.Selection."""
        columns = self.columns(columns)
        return tuple(row[columns.index(c)] if c in columns else None for c in _POSITION)

    def has(self, position):
        """Whether the position is on this way, and not on another one of the same list."""
        if self._empty is not None:
            return position[_POSITION.index(self._empty)] is None
        return self.major is None or self.major_of(position) is not None

    def major_of(self, position):
        return position[_POSITION.index(self.major)]

    def behind(self):
        """The conditions of the rows that follow last_id where major stays last."""
        last_id = bindparam("last_id")
        follows = _C.id < last_id if self.backwards else _C.id > last_id
        if self.major is None:
            return self._condition + (follows,)
        return self._condition + (self.major == bindparam("last"), follows)


_BY_TIME = (_C.modified, "newer", "older")
_OLDEST = _Walk(NEWEST, *_BY_TIME)
_WALKS = {
    None: (_Walk(PRIMARY),),
    "oldest": (_OLDEST,),
    "newest": (_Walk(NEWEST, *_BY_TIME, backwards=True),),
    "index": (
        _Walk(SORTINDEX, _C.sortindex, "index_above", "index_below", backwards=True),
        _Walk(SORTINDEX, backwards=True, empty=_C.sortindex),
    ),
}


def _key_order(sort):
    """(function, whether backwards) that put rows of _KEY into the order of _WALKS."""
    if sort is None:
        return lambda key: key[0], False
    if sort == "index":
        return lambda key: (key[2] is not None, key[2] or 0, key[0]), True
    return lambda key: (key[1], key[0]), sort == "newest"


# ---- statements: made once for each shape of a list, whatever the values ----


@functools.lru_cache(maxsize=None)
def _batch(walk, columns, filters, live, behind):
    """The Query of a batch. filters: names. live: it looks at each row's expiry."""
    query = select(*columns).where(
        *_MINE,
        *(walk.behind() if behind else walk.range()),
        *(_FILTERS[name] for name in filters),
        *((_LIVE,) if live else ()),
    )
    query = query.order_by(*walk.order()).limit(bindparam("rows"))
    if not behind:
        query = query.offset(bindparam("skipped"))
    return Query(using(query, walk.index))


@functools.lru_cache(maxsize=None)
def _count_up_to(walk, filters, live=True):
    """Rows, counted up to `most`."""
    query = select(_C.id).where(
        *_MINE,
        *walk.range(),
        *(_FILTERS[name] for name in filters),
        *((_LIVE,) if live else ()),
    )
    query = query.order_by(*walk.order()).limit(bindparam("most"))
    return Query(select(func.count()).select_from(using(query, walk.index).subquery()))


@functools.lru_cache(maxsize=None)
def _count_all(walk, filters, expired):
    """All rows, expired or not; or those that have expired. Each reads one index."""
    query = select(func.count()).where(
        *_MINE,
        *walk.range(),
        *(_FILTERS[name] for name in filters),
        *((_EXPIRED,) if expired else ()),
    )
    return Query(using(query.select_from(records), USAGE if expired else walk.index))


@functools.lru_cache(maxsize=None)
def _keys_of(filters):
    """The keys of live records among `ids`."""
    query = select(*_KEY).where(
        *_MINE, NAMED, _LIVE, *(_FILTERS[name] for name in filters)
    )
    return Query(using(query, PRIMARY))


_live_range = (*_MINE, _C.expires > bindparam("now"))
_COUNT_LIVE = Query(
    using(select(func.count()).select_from(records).where(*_live_range), USAGE)
)
_COUNT_LIVE_UP_TO = Query(
    select(func.count()).select_from(
        using(select(_C.expires), USAGE)
        .where(*_live_range)
        .order_by(_C.expires)
        .limit(bindparam("most"))
        .subquery()
    )
)
_HAS_EXPIRED = Query(using(select(_C.expires).where(*_MINE, _EXPIRED).limit(1), USAGE))

_RECORDS_OF = Query(using(select(*_RECORD), PRIMARY).where(*_MINE, NAMED))


class Listing:
    """The live records of a collection that a query.Selection selects, in its order.

    number: of the collection. now: the Stamp by which records have expired, one for
    the whole list. Batches are read when they are asked for, in the transaction of
    the connection.

    end: where the Selection is a page, the position of its last record if others follow.
    It is known once all batches are read, or count() has returned.
    """

    def __init__(self, connection, user_id, number, selection, now):
        self._connection = connection
        self._mine = {"user_id": user_id, "number": number}
        self._now = now
        self._limit = selection.limit
        self._offset = selection.offset
        self._after = selection.after
        self._is_page = selection.is_page
        self.end = None
        self._given = _given(selection)
        self._sort = selection.sort
        if self._sort is None and self._given.keys() & _TIMES:
            # Any order will do for it, and this one has an index.
            self._sort = "oldest"
        self._walks = _WALKS[self._sort]
        if self._given.keys() & _INDEXES:
            self._walks = self._walks[:1]  # records without a sortindex are not meant
        self._keys = None
        if selection.ids is not None:
            self._keys = self._in_order(self._keys_of(selection.ids))
        elif self._sort == "index" and self._are_few_by_time():
            self._keys = self._in_order(self._keys_by_time())

    def ids(self):
        """Yields lists of up to BATCH_ROWS ids."""
        if self._keys is not None:
            for keys in chunks(self._keys, BATCH_ROWS):
                yield [key[0] for key in keys]
            return
        # Where nothing has expired, all that it takes is in the index.
        live = self._ask(_HAS_EXPIRED.row) is not None
        for rows in self._all_batches(None, live):
            yield [row[0] for row in rows]

    def records(self):
        """Yields lists of rows of FIELDS and the size of the payload in bytes.

        A list has PART_BYTES of payload at most, or one record.
        """
        if self._keys is not None:
            for part in _parts(self._keys, _KEY.index(_C.payload_size)):
                rows = self._records_of([key[0] for key in part])
                yield [rows[key[0]] for key in part]
            return
        for batch in self._all_batches(_INLINE, True):
            for part in _parts(batch, _RECORD.index(_C.payload_size)):
                missing = [row[0] for row in part if row[_PAYLOAD] is None]
                rows = self._records_of(missing) if missing else {}
                yield [rows.get(row[0], row) for row in part]

    def count(self):
        """How many records the whole list has."""
        if self._keys is not None:
            return len(self._keys)
        if self._is_page or self._after is not None:
            return sum(map(len, self._all_batches(None, True)))
        if self._limit is None:
            if not self._given:
                return self._ask(_COUNT_LIVE.value)
            return sum(map(self._count, self._walks))
        most = self._offset + self._limit
        if not self._given:
            found = self._ask(_COUNT_LIVE_UP_TO.value, most=most)
        else:
            found = 0
            for walk in self._walks:
                if found < most:
                    found += self._count(walk, most - found)
        return max(0, found - self._offset)

    def _ask(self, function, **parameters):
        return function(self._connection, now=self._now, **self._mine, **parameters)

    # ---- along an index ----

    def _filters(self, walk):
        """The names of the arguments that are no bounds of the walk."""
        return tuple(name for name in self._given if name not in (walk.low, walk.high))

    def _parameters(self, walk):
        """Those of walk.range() and of the conditions."""
        given = dict(self._given, now=self._now, **self._mine)
        if walk.major is not None:
            given["low"] = given.pop(walk.low, -LIMIT)
            given["high"] = given.pop(walk.high, LIMIT)
        return given

    def _count(self, walk, most=None):
        """The live rows on the way, up to most."""
        filters, given = self._filters(walk), self._parameters(walk)
        if most is not None:
            query = _count_up_to(walk, filters)
            return query.value(self._connection, most=most, **given)
        there, gone = (
            _count_all(walk, filters, expired).value(self._connection, **given)
            for expired in (False, True)
        )
        return there - gone

    def _all_batches(self, columns, live):
        """Yields lists of rows of the columns (None: what orders them), id first."""
        if not self._is_page:
            for _, rows in self._along_walks(columns, live, self._limit):
                yield rows
            return
        left, last = self._limit, None
        # One row more is read: it tells whether another page follows.
        for walk, rows in self._along_walks(columns, live, left + 1):
            kept = rows[:left]
            if kept:
                last = walk.position_of(kept[-1], columns)
                yield kept
            if len(rows) > left:
                self.end = last
                return
            left -= len(rows)

    def _along_walks(self, columns, live, left):
        """Yields (walk, list of rows), up to `left` rows in all."""
        skipped, after = self._offset, self._after
        for walk in self._walks:
            if after is not None and not walk.has(after):
                continue
            found = 0
            for rows in self._batches(walk, columns, live, left, skipped, after):
                found += len(rows)
                yield walk, rows
            if left is not None:
                left -= found
                if not left:
                    return
            if skipped:
                skipped = 0 if found else skipped - self._count(walk, skipped)
            after = None

    def _batches(self, walk, columns, live, left, skipped, after=None):
        """Yields lists of rows on one way: `left` in all, behind those skipped, or `after`."""
        columns = walk.columns(columns)
        at = 0 if walk.major is None else columns.index(walk.major)
        first, behind = (
            _batch(walk, columns, self._filters(walk), live, following)
            for following in (False, True)
        )
        given = self._parameters(walk)

        def rows_behind(last, last_id, most):
            rows = []
            if walk.major is None or given["low"] < last < given["high"]:
                rows += behind.rows(
                    self._connection, rows=most, last=last, last_id=last_id, **given
                )
            more = most - len(rows)
            if walk.major is not None and more:
                edge, narrower = ("high", min) if walk.backwards else ("low", max)
                given[edge] = narrower(given[edge], last)
                rows += first.rows(self._connection, rows=more, skipped=0, **given)
            return rows

        most = _room(left)
        if after is None:
            rows = first.rows(self._connection, rows=most, skipped=skipped, **given)
        else:
            last = walk.major_of(after) if walk.major is not None else None
            rows = rows_behind(last, after[0], most)
        while rows:
            yield rows
            if left is not None:
                left -= len(rows)
            if len(rows) < most or left == 0:
                return
            most, last = _room(left), rows[-1]
            rows = rows_behind(last[at], last[0], most)

    # ---- rows that are put into order here ----

    def _are_few_by_time(self):
        """Whether newer and older are given and leave no more than SORTED_ROWS."""
        if not self._given.keys() & _TIMES:
            return False
        # The index alone is counted, not the rows.
        query = _count_up_to(_OLDEST, (), live=False)
        given, most = self._parameters(_OLDEST), SORTED_ROWS + 1
        return query.value(self._connection, most=most, **given) < most

    def _keys_by_time(self):
        batches = self._batches(_OLDEST, _KEY, True, None, 0)
        return [key for keys in batches for key in keys]

    def _keys_of(self, ids):
        query = _keys_of(tuple(self._given))
        keys = []
        for some in chunks(ids):
            keys += self._ask(query.rows, ids=some, **self._given)
        return keys

    def _in_order(self, keys):
        key, backwards = _key_order(self._sort)
        if self._after is not None:
            after = key(self._after)
            keys = [k for k in keys if (key(k) < after if backwards else key(k) > after)]
        keys.sort(key=key, reverse=backwards)
        end = None if self._limit is None else self._offset + self._limit
        if self._is_page and len(keys) > end:
            self.end = tuple(keys[end - 1][: len(_POSITION)])
        return keys[self._offset : end]

    def _records_of(self, ids):
        """{id: row of _RECORD}"""
        return {
            row[0]: row
            for some in chunks(ids, LOOKED_UP_ROWS)
            for row in _RECORDS_OF.rows(self._connection, ids=some, **self._mine)
        }


def _given(selection):
    """{name: value} of the conditions that a Selection has, in a fixed order."""
    named = ((name, getattr(selection, name)) for name in _FILTERS)
    given = {name: value for name, value in named if value is not None}
    # A column of integers has an index for integers only.
    for name, whole in (("index_above", math.floor), ("index_below", math.ceil)):
        if name in given:
            given[name] = whole(max(-LIMIT, min(given[name], LIMIT)))
    return given


def _room(left):
    return BATCH_ROWS if left is None else min(BATCH_ROWS, left)


def _parts(rows, size_at):
    """Yields lists of rows that have PART_BYTES together at most, or one row."""
    part, size = [], 0
    for row in rows:
        more = row[size_at]
        if part and (size + more > PART_BYTES or len(part) == BATCH_ROWS):
            yield part
            part, size = [], 0
        part.append(row)
        size += more
    if part:
        yield part
