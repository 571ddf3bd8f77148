# SPDX-License-Identifier: Apache-2.0
"""A network of this process alone, and of all that it starts: only the loopback interface.

So a browser reaches nobody outside, and ports are never taken by another test.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct

NEW_NETWORK = 0x40000000  # CLONE_NEWNET, <linux/sched.h>
GET_FLAGS, SET_FLAGS = 0x8913, 0x8914  # SIOCGIFFLAGS, SIOCSIFFLAGS, <linux/sockios.h>
UP = 1  # IFF_UP
REQUEST = "16sh14x"  # struct ifreq with its flags


def enter():
    """Moves this process into a new network namespace whose loopback interface is up.

    OSError where that is not allowed. Only root may: others would need a namespace of users, too,
    in which no folder is root's any more, so that httpd with mod_weave does not start.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0:
        raise PermissionError(errno.EPERM, "only root can")
    if libc.unshare(NEW_NETWORK):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        answer = fcntl.ioctl(asked, GET_FLAGS, struct.pack(REQUEST, b"lo", 0))
        flags = struct.unpack(REQUEST, answer)[1]
        fcntl.ioctl(asked, SET_FLAGS, struct.pack(REQUEST, b"lo", flags | UP))
