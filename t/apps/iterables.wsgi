# SPDX-License-Identifier: Apache-2.0
"""Everything an application may return, and what it may not."""
import io
import os
import time

from weave_test import Noted, case, note, query

PLAIN = [("Content-Type", "text/plain")]


class Custom:
    def __init__(self, chunks):
        self._chunks = list(chunks)

    def __iter__(self):
        return self

    def __next__(self):
        if not self._chunks:
            raise StopIteration
        return self._chunks.pop(0)


class Sequence:
    """Iterable by __getitem__ alone."""

    def __getitem__(self, index):
        return (b"a", b"b", b"c")[index]


class Bytes(bytes):
    pass


class Backwards(list):
    """A list that is not what its items say."""

    def __iter__(self):
        return iter(self[::-1])


class Lying(list):
    def __len__(self):
        return 1


class BadClose(Noted):
    def close(self):
        super().close()
        raise RuntimeError("close() fails")


class ExitingClose(Noted):
    def close(self):
        super().close()
        raise SystemExit(3)


class BadIter:
    def __init__(self, environ):
        self._environ = environ

    def __iter__(self):
        raise RuntimeError("__iter__ fails")

    def close(self):
        note(self._environ, "close")


class NotIterable:
    def __init__(self, environ):
        self._environ = environ

    def close(self):
        note(self._environ, "close")


class CloseAttribute(list):
    close = "not callable"


def _generator(environ, chunks):
    try:
        for chunk in chunks:
            yield chunk
    finally:
        note(environ, "finally")


def _endless(environ):
    count = 0
    try:
        while True:
            count += 1
            yield b"x" * 65536
    finally:
        note(environ, "finally")


def _gated(environ):
    """Goes on when the client has seen what came: then there is a file."""
    for i in range(3):
        yield b"tick%d\n" % i
        end = time.monotonic() + 40
        while not os.path.exists(query(environ)["gate"] + str(i)) and time.monotonic() < end:
            time.sleep(0.01)


def _raises_after(environ, n, error):
    def chunks():
        for _ in range(n):
            yield b"c" * 50
        raise error
    return Noted(environ, chunks())


MAKE = {
    "list": lambda e: [b"a", b"b", b"c"],
    "list_of_one": lambda e: [b"abc"],
    "tuple": lambda e: (b"a", b"b", b"c"),
    "generator": lambda e: (c for c in (b"a", b"b", b"c")),
    "custom": lambda e: Custom([b"a", b"b", b"c"]),
    "getitem": lambda e: Sequence(),
    "file": lambda e: io.BytesIO(b"a\nb\nc"),
    "set": lambda e: {b"abc"},
    "dict": lambda e: {b"a": 1, b"b": 2, b"c": 3},
    "bytes": lambda e: b"abc",
    "bytes_subclass": lambda e: [Bytes(b"abc")],
    "map": lambda e: map(bytes, ([97], [98], [99])),
    "list_subclass": lambda e: Backwards([b"c", b"b", b"a"]),
    "lying_len": lambda e: Lying([b"a", b"b", b"c"]),
    "empty_list": lambda e: [],
    "empty_tuple": lambda e: (),
    "empty_generator": lambda e: (c for c in ()),
    "empty_chunks": lambda e: [b"", b"a", b"", b"bc", b""],
    "only_empty_chunks": lambda e: [b"", b""],
    "many": lambda e: (b"%d\n" % i for i in range(100000)),
    "many_list": lambda e: [b"0123456789"] * 20000,
    "big": lambda e: [bytes(bytearray(i % 251 for i in range(5000000)))],
    "big_chunks": lambda e: (b"%07d" % i * 9000 for i in range(100)),
    "noted": lambda e: Noted(e, [b"a", b"b", b"c"]),
    "noted_list": lambda e: Noted(e, [b"abc"]),
    "finally": lambda e: _generator(e, [b"a", b"b", b"c"]),
    "endless": _endless,
    "gated": _gated,
    "str": lambda e: "abc",
    "list_of_str": lambda e: ["abc"],
    "list_of_int": lambda e: [1, 2],
    "list_of_none": lambda e: [None],
    "int": lambda e: 42,
    "none": lambda e: None,
    "not_iterable": NotIterable,
    "bad_iter": BadIter,
    "close_attribute": lambda e: CloseAttribute([b"abc"]),
    "exiting_close": lambda e: ExitingClose(e, [b"abc"]),
    "bad_close": lambda e: BadClose(e, [b"abc"]),
    "str_in_the_middle": lambda e: Noted(e, [b"a" * 50, "b", b"c"]),
    "raise_at_once": lambda e: _raises_after(e, 0, ValueError("at once")),
    "raise_later": lambda e: _raises_after(e, 2, ValueError("later")),
    "exit_at_once": lambda e: _raises_after(e, 0, SystemExit(3)),
    "exit_later": lambda e: _raises_after(e, 2, SystemExit(3)),
    "interrupt_later": lambda e: _raises_after(e, 2, KeyboardInterrupt()),
    "head_noted": lambda e: Noted(e, [b"a" * 10, b"b" * 10]),
}


def application(environ, start_response):
    name = case(environ)
    headers = list(PLAIN)
    if "length" in query(environ):
        headers.append(("Content-Length", query(environ)["length"]))
    start_response("200 OK", headers)
    return MAKE[name](environ)
