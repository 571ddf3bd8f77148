# SPDX-License-Identifier: Apache-2.0
"""What a worker may do to a request instead of answering it: see rogue-worker.

The names of the functions are what rogue_worker.t asks for. Those that pass
descriptors are in rogue_files.py.
"""
import os
import struct
import time

from rogue_wire import (BOARD_FD, BODY, CANCEL, CANCELLED, DATA, END, FD, FILE, FLUSH, HEAD, HELLO,
                        LAST, LOG, READ, REFUSED, REQUEST, VERSION, WELCOME, frame, head,
                        until_closed)


# ---- frames ----

def do_well(link):
    link.start()
    link.answer()


def do_slowly(link):
    for byte in frame(HEAD, head(length=4, body=b"fine"), link.number, LAST):
        link.put(bytes([byte]))
        time.sleep(0.001)


def do_half_head(link):
    link.put(frame(HEAD, head(), link.number)[:7])


def do_half_head_begun(link):
    link.start()
    do_half_head(link)


def do_half_open(link):
    do_half_head(link)
    time.sleep(60)


def do_half_payload(link):
    link.start()
    link.put(frame(HEAD, head(headers=[(b"X-A", b"b")]), link.number)[:-3])


def do_half_body(link):
    link.start()
    link.put(frame(HEAD, head(body=b"half of it"), link.number, size=1000))


def do_no_magic(link):
    link.send(HEAD, head(), magic=0x31505448)


def do_text(link):
    link.put(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def do_zeros(link):
    link.put(bytes(100000))


def do_noise(link):
    link.put(os.urandom(100000))


def do_other_version(link):
    link.send(HEAD, head(), version=VERSION + 1)


def do_other_number(link):
    link.send(HEAD, head(), number=link.number + 1, flags=LAST)


def do_number_of_before(link):
    link.send(HEAD, head(), number=link.number - 1, flags=LAST)


def do_type_0(link):
    link.send(0)


def do_type_99(link):
    link.send(99)


def do_hello(link):
    link.send(HELLO, bytes(8))


def do_welcome(link):
    link.send(WELCOME, bytes(16), fds=[BOARD_FD], flags=FD)


def do_request(link):
    link.send(REQUEST, bytes(32))


def do_body(link):
    link.send(BODY, bytes(8))


def do_cancel(link):
    link.send(CANCEL)


def do_data_too_long(link):
    link.send(HEAD, head())
    link.send(DATA, b"x", size=(1 << 20) + 1)


def do_data_of_4_gib(link):
    link.send(HEAD, head())
    link.send(DATA, b"x", size=0xffffffff)


def do_head_of_4_gib(link):
    link.send(HEAD, head(), size=0xffffffff)


def do_head_too_short(link):
    link.send(HEAD, bytes(8))


def do_end_too_short(link):
    link.send(END, bytes(4))


def do_log_too_long(link):
    link.send(LOG, bytes(8), size=(1 << 20) + 9)


def do_log_too_short(link):
    link.send(LOG, bytes(7))


# ---- order ----

def do_data_first(link):
    link.start()
    link.send(DATA, b"data")
    link.answer()


def do_file_first(link):
    with open(__file__, "rb") as stream:
        link.send(FILE, struct.pack("=qq", 0, 10), fds=[stream.fileno()], flags=FD | LAST)


def do_data_of_nothing(link):
    link.start()
    link.send(HEAD, head())
    link.put(frame(DATA, b"", link.number, FLUSH) * 10)
    until_closed(link)


def do_second_head(link):
    link.start()
    link.send(HEAD, head())
    link.answer()


def do_second_head_later(link):
    link.start()
    link.send(HEAD, head(body=b"begun"), flags=FLUSH)
    time.sleep(0.1)
    link.answer()


def do_after_the_last(link):
    """With the answer: what comes later meets the next request."""
    link.put(frame(HEAD, head(length=4, body=b"fine"), link.number, LAST)
             + frame(DATA, b"and one more", link.number))
    link.send(END, struct.pack("=ii", 0, 0))


def do_flags_on_end(link):
    link.start()
    link.send(HEAD, head())
    link.send(END, struct.pack("=ii", 0, 0), flags=LAST)


# ---- heads ----

def _head(**how):
    def send_head(link):
        link.send(HEAD, head(**how), flags=LAST)
    return send_head


HEADS = {
    "no_name": dict(headers=[(b"", b"x")]),
    "name_with_space": dict(headers=[(b"X A", b"x")]),
    "name_with_colon": dict(headers=[(b"X:A", b"x")]),
    "name_with_crlf": dict(headers=[(b"X-A: b\r\nX-B", b"x")]),
    "name_with_8_bits": dict(headers=[(b"X-\xe9", b"x")]),
    "value_with_crlf": dict(headers=[(b"X-A", b"b\r\nX-Injected: yes")]),
    "value_with_lf": dict(headers=[(b"X-A", b"b\nX-Injected: yes")]),
    "value_with_control": dict(headers=[(b"X-A", b"b\x01c")]),
    "type_with_crlf": dict(headers=[(b"Content-Type", b"a/b\r\nX-Injected: yes")]),
    "chunked": dict(headers=[(b"Transfer-Encoding", b"chunked")], body=b"fine"),
    "connection": dict(headers=[(b"connection", b"keep-alive")]),
    "own_length": dict(headers=[(b"Content-Length", b"1")], body=b"fine"),
    "two_lengths": dict(headers=[(b"Content-Length", b"1")], length=4, body=b"fine"),
    "status_100": dict(status=100, reason=b"100 Continue"),
    "status_199": dict(status=199, reason=b"199 Odd"),
    "status_1000": dict(status=1000, reason=b"1000 Odd"),
    "status_0": dict(status=0),
    "status_negative": dict(status=-200),
    "reason_with_crlf": dict(reason=b"200 OK\r\nX-Injected: yes"),
    "reason_of_another": dict(reason=b"404 Not Found", length=0),
    "reason_empty": dict(reason=b"", length=0),
    "reason_with_control": dict(reason=b"200 \x01\x7f", length=0),
    "count_too_great": dict(count=3),
    "count_of_4_gib": dict(count=0xffffffff),
    "strings_too_long": dict(strings=5000),
    "strings_of_4_gib": dict(strings=0xffffffff),
    "no_strings": dict(strings=0),
    "no_nul": dict(strings=5),
    "length_negative": dict(length=-5),
    "length_too_long": dict(length=100, body=b"fine"),
    "length_too_short": dict(length=1, body=b"fineHTTP/1.1 200 Smuggled\r\n"
                                            b"Content-Length: 0\r\n\r\n"),
    "body_for_204": dict(status=204, reason=b"204 No", body=b"fine"),
    "many_headers": dict(headers=[(b"X-%d" % i, b"x" * 20) for i in range(5000)]),
    "65537_headers": dict(headers=[(b"X", b"")] * 65537),
}
for _name in HEADS:
    globals()["do_" + _name] = _head(**HEADS[_name])


def do_data_beyond_length(link):
    link.send(HEAD, head(length=3, body=b"abc"))
    link.send(DATA, b"HTTP/1.1 200 Smuggled\r\nContent-Length: 0\r\n\r\n", flags=LAST)


def do_end_before_length(link):
    link.send(HEAD, head(length=10, body=b"abc"))
    link.send(END, struct.pack("=ii", 0, 0))


# ---- bodies ----

def _read(link, size=0xffffffff):
    link.send(READ, struct.pack("=II", size, 0))
    while True:
        kind, _, payload = link.get_frame()
        if kind == BODY:
            return struct.unpack("=i", payload[:4])[0], payload[8:]


def do_read_4_gib(link):
    link.start()
    total = 0
    while True:
        error, data = _read(link)
        total += len(data)
        if error or not data:
            break
    link.answer(b"%d %d" % (error, total))


def do_read_0(link):
    link.start()
    link.answer(b"%d" % len(_read(link, 0)[1]))


def do_read_on_and_on(link):
    link.start()
    got = [_read(link) for _ in range(2000)]
    link.answer(b"%d" % sum(len(data) for _, data in got))


def do_read_ahead(link):
    """Without taking what is sent."""
    link.start()
    link.put(frame(READ, struct.pack("=II", 65536, 0), link.number) * 100)
    time.sleep(0.3)


# ---- ends ----

def _end(outcome, before=False):
    def send_end(link):
        link.start()
        if before:
            link.send(HEAD, head(body=b"begun"), flags=FLUSH)
        link.send(END, struct.pack("=ii", outcome, 0))
    return send_end


do_end_0 = _end(0)
do_end_100 = _end(100)
do_end_200 = _end(200)
do_end_503 = _end(503)
do_end_700 = _end(700)
do_end_cut = _end(-1)
do_end_gone = _end(-2)
do_end_minus_99 = _end(-99)
do_head_and_end_200 = _end(200, True)
do_head_and_end_404 = _end(404, True)
do_head_and_end_gone = _end(-2, True)


def do_close(link):
    """At once."""


def do_close_begun(link):
    link.start()


def do_close_after_head(link):
    """The head is there, and by its board it has not begun."""
    link.send(HEAD, head(body=b"begun"), flags=FLUSH)
    time.sleep(0.1)


def do_refused(link):
    link.send(REFUSED)


def do_refused_begun(link):
    link.start()
    link.send(REFUSED)


def do_refused_after_head(link):
    link.send(HEAD, head(body=b"begun"), flags=FLUSH)
    time.sleep(0.1)
    link.send(REFUSED)


def do_refused_after_read(link):
    _read(link)
    link.send(REFUSED)


def do_refused_and_more(link):
    link.send(REFUSED)
    link.answer()


def do_cancelled(link):
    link.send(CANCELLED)


def do_cancelled_after_head(link):
    link.send(HEAD, head(body=b"begun"), flags=FLUSH)
    time.sleep(0.1)
    link.send(CANCELLED)


def do_never(link):
    time.sleep(60)


def do_never_begun(link):
    link.start()
    time.sleep(60)


def do_lines_for_ever(link):
    link.start()
    for _ in range(1000):
        link.send(LOG, struct.pack("=II", 7, 0) + b"not yet")
        time.sleep(0.04)
    link.answer()


def do_head_for_ever(link):
    link.start()
    for byte in frame(HEAD, head(headers=[(b"X-A", b"x" * 900)], length=0), link.number, LAST):
        link.put(bytes([byte]))
        time.sleep(0.04)


def do_never_after_head(link):
    """And by its board it has not begun."""
    link.send(HEAD, head(body=b"begun"), flags=FLUSH)
    time.sleep(60)


def do_not_cancelled(link):
    """Begins when it is asked to give back."""
    while link.get_frame()[0] != CANCEL:
        pass
    do_well(link)


# ---- lines ----

def do_log(link):
    link.start()
    for level in (3, 99, 0xffffffff):
        link.send(LOG, struct.pack("=II", level, 0) + b"rogue \x00\x01\r\n\xff%s%n")
    link.send(LOG, struct.pack("=II", 7, 0))
    link.send(LOG, struct.pack("=II", 7, 0) + b"x" * 8192)
    link.answer()


def _lines(sizes):
    """Lines of these sizes, a quarter of an MiB or more at a time."""
    def send_lines(link):
        link.start()
        data = b""
        for size in sizes:
            data += frame(LOG, struct.pack("=II", 7, 0) + b"x" * size, link.number)
            if len(data) > 1 << 18:
                link.put(data)
                data = b""
        link.put(data)
        link.answer()
    return send_lines


do_log_line_too_long = _lines([8193])
do_log_lines_that_grow = _lines(range(20000, 400000, 1000))
do_log_many_lines = _lines([8000] * 100 + [10] * 9000)
do_log_too_many_lines = _lines([0] * 10001)
do_log_too_many_bytes = _lines([8000] * 132)


def do_stderr(link):
    link.start()
    block = b"rogue " * 10000
    for _ in range(20):
        os.write(2, block)
    os.write(2, b"\n")
    link.answer()
