# SPDX-License-Identifier: Apache-2.0
"""Programs that inner starts: pip, git, gpgv and the like.

They get a clean environment, no input, the least of the processor and of the disk, and
they end with inner.
"""

import collections
import ctypes
import os
import platform
import signal
import subprocess

from .errors import ReleaseError

NICE = 19
LAST_LINES = 10
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
# ioprio_set(2) has no function in libc; 3 << 13 is the idle class
_IOPRIO_SET = {"x86_64": 251, "i386": 289, "i686": 289, "aarch64": 30, "riscv64": 30,
               "armv7l": 314, "ppc64le": 273, "s390x": 282}
_IOPRIO_IDLE = 3 << 13


def end_with_parent(signal_number):
    """Has the kernel send this process a signal when its parent ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def priority_lower():
    """Nice 19 and idle I/O, for this process and all that it starts."""
    os.nice(NICE)
    number = _IOPRIO_SET.get(platform.machine())
    if number:
        _LIBC.syscall(number, 1, 0, _IOPRIO_IDLE)


def environment(folder):
    """What inner and its programs have as environment; `folder` is their HOME."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
            "HOME": folder}


class Ended:
    """How a program has ended: status (negative: by that signal), its last lines."""

    def __init__(self, status, lines):
        self.status = status
        self.lines = lines


def program_run(argv, log=None, env=None, cwd=None, input_fd=None, output=None):
    """Runs a program to its end and returns Ended; never raises for its exit status.

    What it says goes line by line to log, a file of bytes, or to output(line: str). env is
    added to that of inner. ReleaseError where it cannot be started.
    """
    def prepare():
        end_with_parent(signal.SIGKILL)
        priority_lower()

    lines = collections.deque(maxlen=LAST_LINES)
    environ = dict(os.environ, **(env or {}))
    if log is not None:
        log.write(("$ %s\n" % " ".join(argv)).encode("utf-8", "surrogateescape"))
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL if input_fd is None else input_fd,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ, cwd=cwd,
            preexec_fn=prepare)
    except OSError as error:
        raise ReleaseError("%s cannot be started: %s" % (argv[0], error.strerror)) from error
    with process:
        for line in iter(lambda: process.stdout.readline(65536), b""):
            if log is not None:
                log.write(line)
            text = line.decode("utf-8", "replace").rstrip()
            lines.append(text)
            if output is not None:
                output(text)
    return Ended(process.returncode, list(lines))
