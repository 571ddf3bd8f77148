# SPDX-License-Identifier: Apache-2.0
"""The bodies that clients of Sync 1.5 write: a POST to a collection, and a PUT."""

import contextlib
import re

import falcon

from weave.server import formats, http, query15, records
from weave.server.batches import (
    Batches,
    NoBatch,
    TooLarge,
    batch_text,
    parse_batch,
    purge_some,
)
from weave.server.query import arguments

# More marks (formats.check_shape) than a record with all its members has.
MARKS_OF_A_RECORD = 50

# Longer ids are cut where the answer names them as failed.
MAX_FAILED_ID_CHARS = 256

# Header, and the name of the limit that its number must not exceed.
_ANNOUNCED = (
    ("X-Weave-Records", "max_post_records"),
    ("X-Weave-Bytes", "max_post_bytes"),
    ("X-Weave-Total-Records", "max_total_records"),
    ("X-Weave-Total-Bytes", "max_total_bytes"),
)

# A client that encrypts with an initialization vector of zeros would reveal the keys of
# all records, and is refused.
_ZERO_IV = re.compile(r'"IV":\s*"AAAAAAAAAAAAAAAAAAAAAA=="')
_ENCRYPTED_KEYS = "crypto"

_DECODERS = {
    formats.JSON: formats.decode,
    "text/plain": formats.decode,
    formats.NEWLINES: formats.decode_lines,
}


def read_body(req, limits, owner, may_be_lines=False):
    """A context manager that gives the decoded body; 400, 413 and 415.

    owner is the user, by whom large bodies are counted. may_be_lines: a list may also come
    as lines.
    """
    media_type = (req.content_type or formats.JSON).split(";")[0].strip().lower()
    decode = _DECODERS.get(media_type)
    if decode is None or decode is formats.decode_lines and not may_be_lines:
        raise falcon.HTTPUnsupportedMediaType(
            description="this Content-Type is not taken"
        )
    marks = max(formats.MAX_MARKS, limits.max_post_records * MARKS_OF_A_RECORD)
    return http.json_body(req, limits.max_request_bytes, marks, owner, decode)


def check_announced(req, limits):
    """400 where a client announces more than it may send."""
    for header, name in _ANNOUNCED:
        text = req.get_header(header)
        if text is None:
            continue
        try:
            number = query15.integer(text)
        except ValueError:
            raise http.bad_request(
                http.BAD_PROTOCOL, header + " is malformed"
            ) from None
        if number > getattr(limits, name):
            raise http.bad_request(http.OVER_LIMIT)


def check_payload(collection, record):
    """400 for a document of keys that is encrypted with an IV of zeros."""
    if collection == _ENCRYPTED_KEYS and _ZERO_IV.search(record.get("payload", "")):
        raise http.bad_request(
            http.BAD_OBJECT, "the keys are encrypted with an IV of zeros"
        )


def single(raw, id_, collection, limits):
    """The record of a PUT to its URL; 400 and 413."""
    payload = raw.get("payload") if isinstance(raw, dict) else None
    if _size(payload) > limits.max_record_payload_bytes:
        raise http.too_large("the payload is too long")
    try:
        # The id of the URL counts, and not that of the body.
        record = records.parse(dict(raw, id=id_) if isinstance(raw, dict) else raw, limits.rules)
    except records.InvalidRecord as reason:
        raise http.bad_request(http.BAD_OBJECT, str(reason)) from None
    check_payload(collection, record)
    return record


def _size(payload):
    """Bytes of a payload; 0 where it is no text."""
    return records.byte_length(payload) if records.is_text(payload) else 0


class Posted:
    """The records of one POST: `changes` is {id: fields}, `failed` {id: reason}.

    `bytes` is the sum of the payloads in changes.
    """

    def __init__(self, body, collection, limits):
        self.changes, self.failed, self.bytes = {}, {}, 0
        if not isinstance(body, list):
            raise http.bad_request(http.BAD_OBJECT, "the body is no list of records")
        seen = set()
        for position, raw in enumerate(body):
            id_ = _id_of(raw)
            if id_ in seen:
                raise http.bad_request(http.BAD_OBJECT, "a record comes twice")
            seen.add(id_)
            reason = self._add(position, raw, collection, limits)
            if reason:
                self.failed[id_[:MAX_FAILED_ID_CHARS]] = reason

    def _add(self, position, raw, collection, limits):
        """Adds the record to changes and returns None, or returns why it failed."""
        if position >= limits.max_post_records:
            return "retry bso"
        size = _size(raw.get("payload"))
        if size > limits.max_record_payload_bytes:
            return "retry bytes"
        try:
            record = records.parse(raw, limits.rules)
        except records.InvalidRecord as reason:
            return str(reason)
        if self.bytes + size > limits.max_post_bytes:
            return "retry bytes"
        check_payload(collection, record)
        self.bytes += size
        self.changes[record["id"]] = record
        return None


def _id_of(raw):
    """The id as it was sent; 400 where there is none by which the answer could name it."""
    id_ = raw.get("id") if isinstance(raw, dict) else None
    if not isinstance(id_, str):
        raise http.bad_request(http.BAD_OBJECT, "a record of the body has no id")
    return id_


class Upload:
    """The arguments `batch` and `commit` of a POST; 400.

    is_open: the records wait for a commit. number: that of the batch, or None for a new
    batch and for a POST without one.
    """

    def __init__(self, query_string):
        try:
            given = arguments(query_string)
            batch, commit = given.get("batch"), given.get("commit")
            if commit is not None and (batch is None or commit.lower() != "true"):
                raise ValueError("a commit has a batch, and is `true`")
            self.is_open = batch is not None and commit is None
            self.number = None
            if batch is not None and batch.lower() not in ("", "true"):
                self.number = parse_batch(batch)
        except (ValueError, NoBatch) as error:
            raise http.bad_request(http.BAD_PROTOCOL, str(error)) from None


@contextlib.contextmanager
def _refusals():
    """Turns NoBatch and TooLarge into a 400."""
    try:
        yield
    except NoBatch as error:
        raise http.bad_request(http.BAD_PROTOCOL, str(error)) from None
    except TooLarge:
        raise http.bad_request(http.OVER_LIMIT) from None


def post(resource, req, resp, user_id, collection, limits):
    """Answers the POST of a collection; resource is an api15.Resource."""
    upload = Upload(req.query_string)
    check_announced(req, limits)
    with read_body(req, limits, user_id, may_be_lines=True) as body:
        posted = Posted(body, collection, limits)

        def open_batches(connection, now):
            purge_some(connection, user_id, now)
            return Batches(connection, user_id, now, limits, resource.quota_bytes)

        def add(connection, now):
            mine = open_batches(connection, now)
            return mine.add(upload.number, collection, posted.changes)

        def store(writer):
            mine = open_batches(*writer.transaction)
            if upload.number is None:
                writer.put(collection, posted.changes)
            else:
                parts = mine.take(upload.number, collection, posted.changes)
                writer.put_parts(collection, parts)

        with _refusals():
            if upload.is_open:
                number = resource.hold(req, resp, user_id, collection, add)
                resp.status, answer = falcon.HTTP_202, {"batch": batch_text(number)}
            else:
                _, stamp = resource.change(req, resp, user_id, collection, store)
                answer = {"modified": stamp}
    http.send_json(
        resp, dict(answer, success=list(posted.changes), failed=posted.failed)
    )
