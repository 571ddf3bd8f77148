# SPDX-License-Identifier: Apache-2.0
"""JSON as Sync clients read and write it, and the list formats."""

import functools
import json
import math
import re
import struct
from json.encoder import encode_basestring_ascii as quote

from weave.server.stamps import Stamp

JSON = "application/json"
NEWLINES = "application/newlines"
WHOISI = "application/whoisi"

# The longest number a client may send. Far above any id (64 characters), far
# below where converting it to an integer takes noticeable time.
MAX_NUMBER_DIGITS = 400

# Bounds of a document, whatever its size (twice MAX_DEPTH where lists and objects
# alternate). Clients send lists of flat objects, 100 of them with 6 members each:
# 2,000 marks.
MAX_DEPTH = 16
MAX_MARKS = 100_000

_MARKS = b'"[]{},'
_NO_MARKS = bytes(set(range(256)) - set(_MARKS))


# Browsers send few different ones.
@functools.lru_cache(maxsize=64)
def negotiate(accept, offered):
    """The best of the media types offered by RFC 9110, section 12.5.1; None: none will do.

    Among equals it is the first one. An empty header accepts everything.
    """
    ranges = {}
    for part in accept.split(","):
        media_range, *parameters = (word.strip() for word in part.split(";"))
        if media_range:
            ranges[media_range.lower()] = _quality(parameters)
    best, best_quality = None, 0.0
    for media_type in offered:
        kind = media_type.split("/")[0]
        named = [n for n in (media_type, kind + "/*", "*/*") if n in ranges]
        quality = ranges[named[0]] if named else float(not ranges)
        if quality > best_quality:
            best, best_quality = media_type, quality
    return best


def choose(accept):
    """The list format that an Accept header asks for; JSON unless it does."""
    best, best_quality = JSON, 0.0
    for part in accept.split(","):
        media_type, *parameters = (word.strip() for word in part.split(";"))
        if media_type.lower() in (JSON, NEWLINES, WHOISI):
            quality = _quality(parameters)
            if quality > best_quality:
                best, best_quality = media_type.lower(), quality
    return best


def _quality(parameters):
    for parameter in parameters:
        match = re.fullmatch(r"q=([01](?:\.[0-9]{0,3})?)", parameter, re.ASCII)
        if match:
            return float(match.group(1))
    return 1.0


def encode(value):
    """JSON text; a Stamp becomes a number with two decimals."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, Stamp):
        return value.text
    if isinstance(value, dict):
        members = (quote(key) + ":" + encode(item) for key, item in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(encode, value)) + "]"
    return json.dumps(value, allow_nan=False)


def encode_record(row):
    """JSON text of a row (id, modified, payload, sortindex, parentid, predecessorid, ...).

    What is None is left out.
    """
    id_, modified, payload, sortindex, parentid, predecessorid = row[:6]
    text = '{"id":%s,"modified":%d.%02d,"payload":%s' % (
        quote(id_),
        modified // 100,
        modified % 100,
        quote(payload),
    )
    if sortindex is not None:
        text += ',"sortindex":%d' % sortindex
    if parentid is not None:
        text += ',"parentid":' + quote(parentid)
    if predecessorid is not None:
        text += ',"predecessorid":' + quote(predecessorid)
    return text + "}"


def encode_list(batches, media_type):
    """Yields one of the three list formats (bytes): a piece for each batch, and an end.

    batches: lists of JSON texts (ASCII), of which none is empty.
    """
    if media_type == NEWLINES:
        for texts in batches:
            yield ("\n".join(texts) + "\n").encode("ascii")
    elif media_type == WHOISI:
        for texts in batches:
            records = [text.encode("ascii") for text in texts]
            yield b"".join(struct.pack(">I", len(r)) + r for r in records)
    else:
        before = "["
        for texts in batches:
            yield (before + ",".join(texts)).encode("ascii")
            before = ","
        yield b"[]" if before == "[" else b"]"


def check_shape(body, max_marks=MAX_MARKS):
    """ValueError when parsing a JSON document would cost more than it is worth.

    A parsed value takes up to 40 times the memory of its text, so that what
    will come of it is counted first: commas, brackets and strings. Everything
    here runs over the bytes once, in C, and takes no more memory than the body.
    Text that is no JSON may pass; up to its first error, it is counted rightly.
    """
    # Without escapes, each quotation mark begins or ends a string.
    marks = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = marks.translate(None, _NO_MARKS)
    strings = marks.count(b'"') // 2
    if strings > max_marks:
        raise ValueError("too many strings")
    outside = b"".join(marks.split(b'"')[::2])
    if strings + len(outside) > max_marks:
        raise ValueError("too many values")
    brackets = outside.translate(None, b",")
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    if brackets:
        raise ValueError("nested too deeply, or not closed")


def _refuse_constant(name):
    raise ValueError(name + " is not JSON")


def _parse_int(text):
    if len(text) > MAX_NUMBER_DIGITS:
        raise ValueError("number too long")
    return int(text)


def _parse_float(text):
    if len(text) > MAX_NUMBER_DIGITS:
        raise ValueError("number too long")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return value


def _object(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name comes twice")
    return members


_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant,
    parse_float=_parse_float,
    parse_int=_parse_int,
    object_pairs_hook=_object,
)


def decode(body, max_marks=MAX_MARKS):
    """The value of a JSON document (bytes); ValueError for anything else.

    Stricter than the json module: UTF-8 only, no NaN or Infinity, also not by
    overflow, no name twice in an object, and nothing that would cost more than it
    is worth.
    """
    check_shape(body, max_marks)
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def decode_lines(body, max_marks=MAX_MARKS):
    """Returns the list of the JSON values of a body with one value a line; ValueError.

    Each line is decoded by decode(); max_marks is for all lines together. The last line
    may lack its end, and no line may be blank.
    """
    if not body:
        return []
    lines = (body[:-1] if body.endswith(b"\n") else body).split(b"\n")
    check_shape(b"[" + b",".join(lines) + b"]", max_marks)
    return [decode(line, max_marks) for line in lines]
