# SPDX-License-Identifier: Apache-2.0
"""The arguments that select records of a collection (storage 1.5)."""

import re

from weave.server import offsets, records
from weave.server.query import SORTS, Selection, arguments
from weave.server.rules import V15
from weave.server.stamps import LIMIT, Stamp

MAX_IDS = 100

_INTEGER = re.compile(r"[0-9]{1,40}", re.ASCII)


def stamp(text):
    """A time as clients write it; ValueError when it is none, or negative."""
    value = Stamp.parse(text)
    if value < 0:
        raise ValueError("a negative time")
    return value


def integer(text):
    """A whole number of zero or more; ValueError."""
    if not _INTEGER.fullmatch(text):
        raise ValueError("no whole number")
    return min(int(text), LIMIT)


def ids_of(given):
    """The ids that the arguments name, each once; None without that argument. ValueError."""
    text = given.get("ids")
    if text is None:
        return None
    ids = text.split(",") if text else []
    if len(ids) > MAX_IDS:
        raise ValueError("too many ids")
    return [records.parse_id(id_, V15) for id_ in dict.fromkeys(ids)]


def _sort(text):
    if text not in SORTS:
        raise ValueError("no such order")
    return text


_ARGUMENTS = {"newer": stamp, "older": stamp, "sort": _sort, "limit": integer}


def parse(query_string, user_id, collection):
    """The Selection of a raw query string; ValueError when it is malformed.

    Unknown arguments are ignored, of repeated ones the last counts.
    """
    given = arguments(query_string)
    values = {
        name: convert(given[name])
        for name, convert in _ARGUMENTS.items()
        if name in given
    }
    if values.keys() & {"newer", "older"}:
        # 1.5 prescribes no order here, but all pages of a list must have the same.
        values.setdefault("sort", "oldest")
    if "offset" in given:
        values["after"] = offsets.decode(
            given["offset"], user_id, collection, values.get("sort")
        )
    return Selection(
        ids=ids_of(given),
        full="full" in given,
        # limit=0 is no page: it has no last record, so no next page could begin there.
        is_page=values.get("limit", 0) > 0,
        **values,
    )


def parse_ids(query_string):
    """The Selection by ids alone, as for DELETE; None where there are none. ValueError."""
    ids = ids_of(arguments(query_string))
    return None if ids is None else Selection(ids=ids)
