# SPDX-License-Identifier: Apache-2.0
"""Programs that inner starts: pip, git, gpgv and the like.

They get a clean environment, no input, the least of the processor and of the disk, and
they end with inner. Nothing that they have started goes on after them.
"""

import collections
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time

from .errors import ReleaseError

NICE = 19
LAST_LINES = 10
POLL_SECONDS = 1
END_SECONDS = 20
LOG_LINE_BYTES = 2000
_is_adopting = False
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
# ioprio_set(2) has no function in libc; 3 << 13 is the idle class
_IOPRIO_SET = {"x86_64": 251, "i386": 289, "i686": 289, "aarch64": 30, "riscv64": 30,
               "armv7l": 314, "ppc64le": 273, "s390x": 282}
_IOPRIO_IDLE = 3 << 13


def end_with_parent(signal_number):
    """Has the kernel send this process a signal when its parent ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def descendants_adopt():
    """Has all that is started from here on come to this process when its own parent ends."""
    global _is_adopting
    _is_adopting = _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def descendants_end(but=()):
    """Ends all that is below this process, whatever session it has gone to.

    but: pids of children that go on. ReleaseError where some do not end. It does nothing in
    a process that has not called descendants_adopt().
    """
    until = time.monotonic() + END_SECONDS
    while _is_adopting and _has_children():
        found = [pid for pid in _children() if pid not in but]
        if not found:
            return
        if time.monotonic() > until:
            raise ReleaseError("processes that a program has left behind cannot be ended: %s"
                               % ", ".join(map(str, found[:10])), "kill -9 each of them")
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in found:       # what was below them is below us then
            _reap(pid, until)


def _has_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children():
    own, found = str(os.getpid()), []
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        with contextlib.suppress(OSError), open("/proc/%s/stat" % pid, "rb") as file:
            # the name before may have blanks and brackets in it
            if file.read().rpartition(b") ")[2].split()[1].decode() == own:
                found.append(int(pid))
    return found


def _reap(pid, until):
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < until:
            time.sleep(0.002)


def descriptors_close(first):
    """Closes the descriptors from FIRST on, those that the caller has handed on, too."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) >= first:
            with contextlib.suppress(OSError):      # the one of the list
                os.close(int(name))


def memory_close():
    """Has no other process of this user look into this one, or take its terminal."""
    _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def priority_lower():
    """Nice 19 and idle I/O, for this process and all that it starts."""
    os.nice(NICE)
    number = _IOPRIO_SET.get(os.uname().machine)
    if number:
        _LIBC.syscall(number, 1, 0, _IOPRIO_IDLE)


def environment():
    """What inner and its programs have as environment. Context.scratch() adds to it.

    pip reads /etc/pip.conf in spite of --isolated.
    """
    return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "PIP_CONFIG_FILE": os.devnull}


class Ended:
    """How a program has ended: status (negative: by that signal), its last lines."""

    def __init__(self, status, lines):
        self.status = status
        self.lines = lines


def program_run(argv, log=None, env=None, cwd=None, output=None, seconds=None):
    """Runs a program to its end and returns Ended; never raises for its exit status.

    What it says goes line by line to log, a file of bytes, and to output(line: str). env is
    added to that of inner. After so many seconds it is killed, and its status is None.
    ReleaseError where it cannot be started.
    """
    lines = collections.deque(maxlen=LAST_LINES)

    def line_take(data):
        _log_write(log, data[:LOG_LINE_BYTES] + b"\n")
        text = data.decode("utf-8", "replace").rstrip()
        lines.append(text)
        if output is not None:
            output(text)

    environ = dict(os.environ, **(env or {}))
    _log_write(log, ("$ %s\n" % " ".join(argv)).encode("utf-8", "surrogateescape"))
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=environ, cwd=cwd, preexec_fn=_prepare)
    except OSError as error:
        raise ReleaseError("%s cannot be started: %s" % (argv[0], error.strerror)) from error
    with process.stdout:
        try:
            is_late = _output_read(process, line_take, seconds)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            descendants_end()
    return Ended(None if is_late else process.returncode, list(lines))


def _prepare():
    end_with_parent(signal.SIGKILL)
    priority_lower()


def _output_read(process, line_take, seconds):
    """Reads until the program has ended; True when the time was over before.

    What it has left behind is ended then, and otherwise is not waited for.
    """
    fd, rest = process.stdout.fileno(), b""
    ends_at = time.monotonic() + seconds if seconds else None
    has_left = True
    while True:
        if has_left and process.poll() is not None:
            has_left = False
            descendants_end()
        is_there = select.select([fd], [], [], POLL_SECONDS)[0]
        data = os.read(fd, 65536) if is_there else b""
        *whole, rest = (rest + data).split(b"\n")
        for line in whole + ([rest[:65536]] if len(rest) > 65536 else []):
            line_take(line)
        rest = rest if len(rest) <= 65536 else b""
        is_late = ends_at is not None and time.monotonic() > ends_at
        has_ended = not data and (is_there or process.poll() is not None)
        if has_ended or is_late:
            if rest:
                line_take(rest)
            if not is_late and is_there:
                process.wait()
            return is_late and process.poll() is None


def _log_write(log, data):
    """A full disk loses what the log would say, and fails nothing by that."""
    if log is not None and data:
        with contextlib.suppress(OSError):
            log.write(data)
