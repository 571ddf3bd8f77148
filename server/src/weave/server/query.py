# SPDX-License-Identifier: Apache-2.0
"""The arguments that select records of a collection (storage 1.1)."""

import re
from dataclasses import dataclass
from typing import List, Optional, Tuple
from urllib.parse import parse_qs

from weave.server.stamps import LIMIT, Stamp, parse_number

SORTS = ("oldest", "newest", "index")

# Servers take lines of 8 to 64 KiB; a thousand ids fit in 16.
MAX_CHARS = 64 * 1024
MAX_ARGUMENTS = 100

# Clients send ids as they are, and those of form history are plain base64. So a
# plus is a plus and never a blank; and no Python may separate arguments by ";".
_LITERAL = str.maketrans({"+": "%2B", ";": "%3B"})

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)


@dataclass
class Selection:
    """Which records, in which order; the bounds are all exclusive.

    A page has `limit` records, and its end is looked for. What follows a page is behind
    the position `after`: (id, modified, sortindex) of its last record.
    """

    ids: Optional[List[str]] = None
    parentid: Optional[str] = None
    predecessorid: Optional[str] = None
    newer: Optional[Stamp] = None
    older: Optional[Stamp] = None
    index_above: Optional[float] = None
    index_below: Optional[float] = None
    sort: Optional[str] = None
    limit: Optional[int] = None
    offset: int = 0
    full: bool = False
    is_page: bool = False
    after: Optional[Tuple[str, int, Optional[int]]] = None


def _integer(text):
    if not _INTEGER.fullmatch(text):
        raise ValueError("not an integer")
    # Digits beyond any possible count say nothing more.
    return max(-1, min(int(text[:40]), LIMIT))


def _ids(text):
    return list(dict.fromkeys(text.split(","))) if text else []


def _is_set(text):
    return text.lower() not in ("", "0", "false")


_ARGUMENTS = {
    "ids": _ids,
    "parentid": str,
    "predecessorid": str,
    "newer": Stamp.parse,
    "older": Stamp.parse,
    "index_above": parse_number,
    "index_below": parse_number,
    "sort": str,
    "limit": _integer,
    "offset": _integer,
    "full": _is_set,
}


def arguments(query_string):
    """{name: text} of a raw query string; ValueError when it is malformed.

    Of repeated arguments the last counts.
    """
    if len(query_string) > MAX_CHARS:
        raise ValueError("too long")
    given = parse_qs(
        query_string.translate(_LITERAL),
        keep_blank_values=True,
        errors="strict",
        max_num_fields=MAX_ARGUMENTS,
    )
    return {name: texts[-1] for name, texts in given.items()}


def parse(query_string):
    """The Selection of a raw query string; ValueError when it is malformed.

    Unknown arguments are ignored, of repeated ones the last counts. A limit
    or offset below one is ignored, and so is an offset without a limit.
    """
    given = arguments(query_string)
    values = {}
    for name, convert in _ARGUMENTS.items():
        if name in given:
            text = given[name]
            if "\0" in text:
                raise ValueError("no text that a record can have")
            values[name] = convert(text)
    if values.get("sort") not in SORTS:
        values.pop("sort", None)
    if values.get("limit", 0) <= 0:
        values["limit"] = None
    if values["limit"] is None or values.get("offset", 0) < 0:
        values["offset"] = 0
    return Selection(**values)
