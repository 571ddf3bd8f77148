# SPDX-License-Identifier: Apache-2.0
"""Files that a worker may pass, and should not: as rogue_requests.py."""
import os
import struct
import sys
import time

from rogue_wire import DATA, FD, FILE, HEAD, LAST, LOG, frame, head, memory, until_closed

HERE = os.path.dirname(os.path.abspath(__file__))


def _file(link, fds, offset=0, length=10, flags=FD | LAST, total=-1):
    link.start()
    link.send(HEAD, head(length=total))
    link.send(FILE, struct.pack("=qq", offset, length), fds=fds, flags=flags)


def do_file(link):
    with open(__file__, "rb") as stream:
        _file(link, [stream.fileno()])


def do_file_without(link):
    _file(link, [])


def do_file_that_is_a_pipe(link):
    ends = os.pipe()
    _file(link, [ends[0]])
    for end in ends:
        os.close(end)


def do_file_that_is_a_folder(link):
    fd = os.open(HERE, os.O_RDONLY)
    _file(link, [fd])
    os.close(fd)


def do_file_that_is_a_path(link):
    fd = os.open(__file__, os.O_PATH)
    _file(link, [fd])
    os.close(fd)


def do_file_write_only(link):
    with open(sys.argv[1] + ".out", "wb") as stream:
        stream.write(b"x" * 100)
        stream.flush()
        _file(link, [stream.fileno()])


def do_file_negative(link):
    with open(__file__, "rb") as stream:
        _file(link, [stream.fileno()], offset=-10)


def do_file_length_negative(link):
    with open(__file__, "rb") as stream:
        _file(link, [stream.fileno()], length=-10)


def do_file_beyond_end(link):
    with open(__file__, "rb") as stream:
        _file(link, [stream.fileno()], offset=1 << 30, length=100)


def do_file_beyond_end_with_length(link):
    with open(__file__, "rb") as stream:
        _file(link, [stream.fileno()], offset=1 << 30, length=100, total=100)


def do_file_huge(link):
    with open(__file__, "rb") as stream:
        _file(link, [stream.fileno()], offset=(1 << 63) - 1, length=(1 << 63) - 1)


def do_file_longer_than_length(link):
    with open(__file__, "rb") as stream:
        _file(link, [stream.fileno()], length=100, total=5)


def do_file_that_shrinks(link):
    fd = memory(1 << 20, seals=0)
    _file(link, [fd], length=1 << 20, total=1 << 20)
    os.ftruncate(fd, 10)
    os.close(fd)


def do_files_of_nothing(link):
    link.start()
    link.send(HEAD, head())
    with open(__file__, "rb") as stream:
        for _ in range(400):
            link.send(FILE, struct.pack("=qq", 0, 0), fds=[stream.fileno()], flags=FD)
    until_closed(link)


def do_file_and_data(link):
    with open(__file__, "rb") as stream:
        _file(link, [stream.fileno()], flags=FD)
    link.send(DATA, b"more", flags=LAST)


def do_file_with_two(link):
    with open(__file__, "rb") as stream:
        _file(link, [stream.fileno()] * 2)


def do_file_with_late_fd(link):
    """It comes with the last bytes of the frame, not with the first."""
    link.start()
    data = frame(FILE, struct.pack("=qq", 0, 10), link.number, FD | LAST)
    link.send(HEAD, head())
    link.put(data[:20])
    with open(__file__, "rb") as stream:
        link.put(data[20:], stream.fileno())


def _log_with_fds(flags, *counts):
    def send_log(link):
        link.start()
        with open(__file__, "rb") as stream:
            for count in counts:
                link.send(LOG, struct.pack("=II", 7, 0) + b"with descriptors",
                          fds=[stream.fileno()] * count, flags=flags)
        link.answer()
    return send_log


do_log_with_fd = _log_with_fds(FD, 1)
do_log_with_hidden_fd = _log_with_fds(0, 1)
do_log_with_flag = _log_with_fds(FD, 0)
do_many_fds = _log_with_fds(FD, 100)


def do_fd_in_the_middle(link):
    """Of a frame that has none."""
    link.start()
    data = frame(LOG, struct.pack("=II", 7, 0) + b"x" * 100, link.number)
    link.put(data[:50])
    time.sleep(0.1)
    with open(__file__, "rb") as stream:
        link.put(data[50:], stream.fileno())
    link.answer()
