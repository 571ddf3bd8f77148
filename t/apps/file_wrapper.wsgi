# SPDX-License-Identifier: Apache-2.0
"""Uses and misuses of wsgi.file_wrapper."""
import io
import os
import tempfile

from weave_test import STATIC, case, note, query

BIG = os.path.join(STATIC, "big.bin")


class Noting:
    """A file object that notes its close()."""

    def __init__(self, environ, stream):
        self._environ = environ
        self._stream = stream

    def read(self, size=-1):
        return self._stream.read(size)

    def close(self):
        note(self._environ, "close")
        self._stream.close()


class NotingFile(io.FileIO):
    def __init__(self, environ, path):
        super().__init__(path)
        self._environ = environ

    def close(self):
        if not self.closed:
            note(self._environ, "close")
        super().close()


class NoClose:
    def __init__(self, stream):
        self.read = stream.read


class FailingRead:
    def __init__(self, environ):
        self._environ = environ
        self._count = 0

    def read(self, size):
        self._count += 1
        if self._count > 2:
            raise OSError("the disk is gone")
        return b"x" * size

    def close(self):
        note(self._environ, "close")


class LyingFileno(io.BytesIO):
    def fileno(self):
        return 0


class Reads:
    """read() that gives something else than bytes."""

    def __init__(self, result):
        self._result = result

    def read(self, size):
        return self._result


def regular(environ, wrapper):
    return wrapper(open(BIG, "rb"))


def block_size(environ, wrapper):
    return wrapper(open(BIG, "rb"), 1000)


def offset(environ, wrapper):
    stream = open(BIG, "rb")
    stream.seek(int(query(environ).get("at", 100000)))
    return wrapper(stream)


def buffered(environ, wrapper):
    """What was read counts, not where the buffer of the file stands."""
    stream = open(BIG, "rb")
    stream.read(10)
    return wrapper(stream)


def bytes_io(environ, wrapper):
    return wrapper(io.BytesIO(b"from memory " * 1000))


def noting(environ, wrapper):
    return wrapper(Noting(environ, open(BIG, "rb")))


def noting_file(environ, wrapper):
    return wrapper(NotingFile(environ, BIG))


def no_close(environ, wrapper):
    return wrapper(NoClose(io.BytesIO(b"cannot be closed")))


def iterated(environ, wrapper):
    wrapped = wrapper(open(BIG, "rb"), 4096)
    try:
        return [chunk for chunk in wrapped]
    finally:
        if hasattr(wrapped, "close"):
            wrapped.close()


def middleware(environ, wrapper):
    return (chunk.upper() for chunk in wrapper(io.BytesIO(b"lower"), 2))


def partly_iterated(environ, wrapper):
    wrapped = wrapper(open(BIG, "rb"), 1000)
    next(iter(wrapped))
    return wrapped


def pipe(environ, wrapper):
    read_end, write_end = os.pipe()
    os.write(write_end, b"through a pipe")
    os.close(write_end)
    return wrapper(os.fdopen(read_end, "rb"))


def failing(environ, wrapper):
    return wrapper(FailingRead(environ), 100)


def lying_fileno(environ, wrapper):
    return wrapper(LyingFileno(b"not descriptor 0"))


def text(environ, wrapper):
    return wrapper(Reads("text"))


def gives_none(environ, wrapper):
    return wrapper(Reads(None))


def gives_number(environ, wrapper):
    return wrapper(Reads(42))


def unflushed(environ, wrapper):
    """New bytes that are still in the buffer of the file."""
    stream = tempfile.TemporaryFile("w+b")
    stream.write(b"the old content")
    stream.flush()
    stream.seek(4)
    stream.write(b"NEW")
    stream.seek(0)
    stream.write(b"THE")
    stream.seek(3)
    return wrapper(stream)


def unflushed_raw(environ, wrapper):
    stream = io.BufferedRandom(tempfile.TemporaryFile("w+b", buffering=0))
    stream.write(b"only in the buffer")
    stream.seek(0)
    return wrapper(stream)


def proc(environ, wrapper):
    return wrapper(open("/proc/version", "rb"))


def closed(environ, wrapper):
    stream = open(BIG, "rb")
    stream.close()
    return wrapper(stream)


def empty(environ, wrapper):
    return wrapper(open(os.devnull, "rb"))


def empty_file(environ, wrapper):
    stream = open(BIG, "rb")
    stream.seek(0, 2)
    return wrapper(stream)


def no_read(environ, wrapper):
    return wrapper(object())


def beyond(environ, wrapper):
    stream = open(BIG, "rb")
    stream.seek(2 ** 40)
    return wrapper(stream)


def odd_arguments(environ, wrapper):
    """Each is an error or works; none may crash."""
    result = []
    for arguments in ((), (1, 2, 3), (io.BytesIO(b"x"), 0),
                      (io.BytesIO(b"x"), -1), (io.BytesIO(b"x"), "x"),
                      (io.BytesIO(b"x"), 2 ** 62), (None,)):
        try:
            result.append(b"".join(wrapper(*arguments)))
        except Exception as error:
            result.append(type(error).__name__.encode())
    return result


def two(environ, wrapper):
    """Only what is returned is sent."""
    wrapper(open(BIG, "rb"))
    return wrapper(io.BytesIO(b"the second"))


def application(environ, start_response):
    wrapper = environ["wsgi.file_wrapper"]
    headers = [("Content-Type", "application/octet-stream")]
    if "length" in query(environ):
        headers.append(("Content-Length", query(environ)["length"]))
    start_response("200 OK", headers)
    return globals()[case(environ)](environ, wrapper)
