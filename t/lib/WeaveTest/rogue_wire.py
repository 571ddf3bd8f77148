# SPDX-License-Identifier: Apache-2.0
"""The wire and the descriptors of a worker, right or wrong: see rogue-worker,
and src/core/weave_frame.h, weave_control.h and weave_board.h.
"""
import fcntl
import mmap
import os
import socket
import struct

MAGIC = 0x464d5657
VERSION = 5
(HELLO, WELCOME, REQUEST, BODY, CANCEL, CANCELLED, REFUSED, READ, HEAD, DATA,
 FILE, END, LOG) = range(1, 14)
LAST, FLUSH, FD = 1, 2, 4
LISTEN_FD, CONTROL_FD, LIFELINE_FD, BOARD_FD = range(3, 7)
STARTED_AT, SLOTS = 96, 4096
SLOT_NONE = 0xffffffff
BOARD = mmap.mmap(BOARD_FD, 0)


def frame(kind, payload=b"", number=0, flags=0, size=None, magic=MAGIC, version=VERSION):
    return struct.pack("=IHBBII", magic, version, kind, flags,
                       len(payload) if size is None else size, number) + payload


def head(status=200, headers=(), reason=b"200 Fine", length=-1, body=b"", **wrong):
    texts = [reason] + [text for pair in headers for text in pair]
    strings = b"".join(text + b"\0" for text in texts)
    return struct.pack("=qiIII", length, status, wrong.get("count", len(headers)),
                       wrong.get("strings", len(strings)), 0) + strings + body


def memory(size, seals=fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW, data=b""):
    fd = os.memfd_create("weave-rogue", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    os.pwrite(fd, data, 0)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


class Link:
    """A connection to a child of httpd."""

    def __init__(self, sock, slot):
        self.sock = sock
        self.slot = slot
        self.number = 0

    def get(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def get_frame(self):
        head_bytes = self.get(16)
        _, _, kind, _, size, number = struct.unpack("=IHBBII", head_bytes)
        return kind, number, self.get(size)

    def put(self, data, *fds):
        if fds:
            rights = struct.pack("=%di" % len(fds), *fds)
            try:
                self.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                return
            except PermissionError:  # weaved takes none
                pass
        self.sock.sendall(data)

    def send(self, kind, payload=b"", fds=(), **how):
        how.setdefault("number", self.number)
        self.put(frame(kind, payload, **how), *fds)

    def start(self):
        struct.pack_into("=I", BOARD, STARTED_AT + 4 * self.slot, self.number)

    def answer(self, body=b"fine"):
        self.send(HEAD, head(length=len(body), body=body), flags=LAST)


def until_closed(link):
    """Whoever is cut off at once does not get here."""
    link.sock.settimeout(30)
    while link.sock.recv(65536):
        pass
