# SPDX-License-Identifier: Apache-2.0
"""The Python half of the engine: compiled into it as text, run once.

`_weave` is the C half: write(stream, level, bytes), level(n) and the
attributes script, module, callable, python_path, own_signals.
"""
import atexit
import importlib
import importlib.machinery
import importlib.util
import io
import logging
import signal
import sys
import threading
import traceback

CRITICAL, ERROR, WARNING, INFO, DEBUG = 2, 3, 4, 6, 7
OWN_FILES = ('<mod_weave>', '<frozen importlib._bootstrap>',
             '<frozen importlib._bootstrap_external>')


class Stream(io.TextIOBase):
    """sys.stdout, sys.stderr and wsgi.errors: lines for httpd's error log."""

    encoding = 'utf-8'
    errors = 'backslashreplace'

    def __init__(self, name, number, level):
        self.name, self._number, self._level = name, number, level
        self.buffer = _Bytes(self)

    def writable(self):
        return True

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError('write() argument must be str, not '
                            + type(text).__name__)
        _weave.write(self._number, self._level,
                     text.encode('utf-8', 'backslashreplace'))
        return len(text)

    def close(self):
        """Somebody else may still have something to say."""


class _Bytes(io.RawIOBase):
    """Stream.buffer: bytes that a program writes past the text layer."""

    def __init__(self, stream):
        self._stream = stream

    def writable(self):
        return True

    def write(self, data):
        data = bytes(data)
        _weave.write(self._stream._number, self._stream._level,
                     data.decode('utf-8', 'backslashreplace').encode())
        return len(data)

    def close(self):
        """As Stream.close()."""


def keep_levels():
    """Let every logging handler's lines keep their record's level."""
    handle = logging.Handler.handle

    def handle_with_level(self, record):
        previous = _weave.level(severity(record.levelno))
        try:
            return handle(self, record)
        finally:
            _weave.level(previous)

    logging.Handler.handle = handle_with_level


def severity(levelno):
    """httpd's number for a level of the logging module."""
    for least, number in ((logging.CRITICAL, CRITICAL), (logging.ERROR, ERROR),
                          (logging.WARNING, WARNING), (logging.INFO, INFO)):
        if levelno >= least:
            return number
    return DEBUG


def leave_signals():
    """The process and its signals are httpd's: say so instead of breaking
    `apachectl`."""

    def ignored(number, handler):
        print('WEAVE0046: signal.signal(%r) ignored: in embedded mode the signals are'
              " httpd's" % (number,), file=sys.stderr)
        return signal.getsignal(number)

    signal.signal = ignored


def report(what, error):
    """One exception, with its traceback, at error level."""
    lines = [what]
    try:
        for text in traceback.format_exception(
                type(error), error, applications(error.__traceback__)):
            lines += text.rstrip('\n').split('\n')
    except Exception:
        lines.append('%s (its traceback cannot be formatted)'
                     % type(error).__name__)
    previous = _weave.level(ERROR)
    try:
        sys_stderr.write('\n'.join(lines) + '\n')
    finally:
        _weave.level(previous)


def applications(frames):
    """A traceback from where the application's own code begins."""
    while frames and frames.tb_frame.f_code.co_filename in OWN_FILES:
        frames = frames.tb_next
    return frames


class Script(importlib.machinery.SourceFileLoader):
    """A script that has any suffix and leaves no bytecode: app.wsgi must not
    share a .pyc with app.py."""

    def get_code(self, fullname):
        return compile(self.get_data(self.path), self.path, 'exec',
                       dont_inherit=True)


def load_script(path):
    name = '_weave_script'
    loader = Script(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def load():
    """Import the application; after a failure, forget what it imported."""
    before = set(sys.modules)
    try:
        if _weave.script:
            found = load_script(_weave.script)
        else:
            found = importlib.import_module(_weave.module)
        for name in _weave.callable.split('.'):
            found = getattr(found, name)
        if not callable(found):
            raise TypeError('%s is %s, which cannot be called: wsgi.callable'
                            ' names something else'
                            % (_weave.callable, type(found).__name__))
        return found
    except BaseException:
        forget(before)
        raise


def forget(before):
    """Drop what a failed import left half done, so that the next attempt
    starts from nothing. Packages with extension modules stay: those cannot
    be loaded twice."""
    new = {name: module for name, module in list(sys.modules.items())
           if name not in before}
    stay = {name.partition('.')[0] for name, module in new.items()
            if not is_source(module)}
    for name in new:
        if name.partition('.')[0] not in stay:
            sys.modules.pop(name, None)


def is_source(module):
    loader = getattr(getattr(module, '__spec__', None), 'loader', None)
    # a namespace package has no loader before 3.11, and nothing to keep
    return loader is None or not isinstance(
        loader, importlib.machinery.ExtensionFileLoader)


def finish():
    """What Python does at its end, short of destroying anything."""
    for step in (threading._shutdown, atexit._run_exitfuncs):
        try:
            step()
        except BaseException as error:
            report('WEAVE0044: an exit handler failed', error)


sys_stderr = Stream('<stderr>', 1, ERROR)
sys.stderr = sys.__stderr__ = sys_stderr
# print() says no level: it gets the lowest that httpd's default LogLevel shows
sys.stdout = sys.__stdout__ = Stream('<stdout>', 0, WARNING)
sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BytesIO(), 'utf-8')
sys.path[:0] = _weave.python_path
keep_levels()
if not _weave.own_signals:
    leave_signals()
