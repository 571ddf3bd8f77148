# SPDX-License-Identifier: Apache-2.0
"""Weave basic objects: what a client may send as a record."""

import re

from weave.server.rules import V11
from weave.server.schema import MAX_ID_CHARS

MAX_SORTINDEX = 999999999

_PRINTABLE = re.compile(r"[ -~]{1,%d}" % MAX_ID_CHARS)
_NUMBER = re.compile(r"([+-]?[0-9]{1,20})(\.[0-9]*)?", re.ASCII)


class InvalidRecord(ValueError):
    """The record breaks a rule; str() is the reason that clients are told."""


def is_text(value):
    """Whether value is a string that every database can hold.

    That is one without lone surrogates, which UTF-8 cannot express, and
    without U+0000, which PostgreSQL refuses.
    """
    if not isinstance(value, str) or "\0" in value:
        return False
    if value.isascii():
        return True
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def byte_length(text):
    """The length of text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8"))


def _reference(value, _rules):
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not is_text(value) or len(value) > MAX_ID_CHARS:
        raise ValueError
    return value


def _identifier(value, rules):
    if rules.strict:
        if not isinstance(value, str) or not _PRINTABLE.fullmatch(value):
            raise ValueError
        return value
    value = _reference(value, rules)
    if not value:
        raise ValueError
    return value


def _whole(value, low, high, rules):
    if rules.strict:
        if type(value) is not int:
            raise ValueError
    elif isinstance(value, str):
        match = _NUMBER.fullmatch(value.strip())
        if not match:
            raise ValueError
        value = int(match.group(1))
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError
    value = int(value)
    if not low <= value <= high:
        raise ValueError
    return value


def _sortindex(value, rules):
    return _whole(value, -MAX_SORTINDEX, MAX_SORTINDEX, rules)


def _ttl(value, rules):
    return _whole(value, 0, rules.max_ttl_seconds, rules)


def _payload(value, rules):
    if not is_text(value) or byte_length(value) > rules.max_payload_bytes:
        raise ValueError
    return value


_CONVERTERS = {
    "id": _identifier,
    "parentid": _reference,
    "predecessorid": _reference,
    "sortindex": _sortindex,
    "ttl": _ttl,
    "payload": _payload,
}


def parse(raw, rules=V11):
    """The known fields of a decoded JSON value, checked and converted.

    A field that is null counts as absent. `modified`, which the server sets, is dropped,
    and what becomes of unknown fields is in the rules. Raises InvalidRecord.
    """
    if not isinstance(raw, dict):
        raise InvalidRecord("invalid wbo")
    if rules.dropped is not None and not raw.keys() <= rules.dropped.union(rules.fields):
        raise InvalidRecord("unknown field")
    record = {}
    for name in rules.fields:
        value = raw.get(name)
        if value is None:
            continue
        try:
            record[name] = _CONVERTERS[name](value, rules)
        except ValueError:
            raise InvalidRecord("invalid " + name) from None
    return record


def parse_one(raw, rules=V11):
    """Parses a record that comes alone, whose id has to fit into a URL of its version."""
    record = parse(raw, rules)
    if not rules.strict and "/" in record.get("id", ""):
        raise InvalidRecord("invalid id")
    return record


def parse_id(text, rules=V11):
    """An id from a URL; raises InvalidRecord."""
    return parse_one({"id": text}, rules)["id"]
