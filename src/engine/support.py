# SPDX-License-Identifier: Apache-2.0
"""The Python half of the engine, which is compiled into it as text and runs once.

`_weave` is the C half. It has the functions write(stream, level, bytes), level(n),
forked() and spawn(bits, function, args), and the attributes script, module,
callable, python_path and own_signals.

importlib.util brings contextlib and others, 170 KB to each process. It stays: there
are applications that only say `import importlib`, and use importlib.util.
"""
import _posixsubprocess
import atexit
import errno
import importlib
import importlib.machinery
import importlib.util
import io
import os
import signal
import sys
import threading

THREADS_S = 2  # to wait for non-daemon threads at the end; the host waits 3 s
CRITICAL, ERROR, WARNING, INFO, DEBUG = 2, 3, 4, 6, 7
OWN_FILES = ('<mod_weave>', '<frozen importlib._bootstrap>',
             '<frozen importlib._bootstrap_external>')


class Stream(io.TextIOBase):
    """Writes sys.stdout, sys.stderr and wsgi.errors to httpd's error log."""

    encoding = 'utf-8'
    errors = 'backslashreplace'
    mode = 'w'
    line_buffering = True
    write_through = False

    def __init__(self, name, number, level):
        self.name, self._number, self._level = name, number, level
        self.buffer = _Bytes(self)

    def writable(self):
        return True

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError('write() argument must be str, not '
                            + type(text).__name__)
        self._put(text.encode('utf-8', 'backslashreplace'))
        return len(text)

    def _put(self, data):
        _weave.write(self._number, self._level,
                     data.replace(b'\0', b'\\x00'))

    def fileno(self):
        """Returns httpd's error log, for subprocesses and faulthandler."""
        return 2

    def reconfigure(self, **options):
        """Changes nothing."""

    def close(self):
        """Does nothing: other code may still write to the stream."""


class _Bytes(io.RawIOBase):
    """Stream.buffer: takes bytes that a program writes past the text layer."""

    def __init__(self, stream):
        self._stream = stream

    def writable(self):
        return True

    def write(self, data):
        data = bytes(data)
        self._stream._put(data)
        return len(data)

    def fileno(self):
        return self._stream.fileno()

    def close(self):
        """Does nothing, as Stream.close()."""


class LateFinder:
    """Changes modules when the application imports them. To import them before
    would cost other applications more memory than the whole engine."""

    def __init__(self, changes):
        self._changes = changes  # {name: function that changes the module}
        for name in changes:
            if name in sys.modules:
                changes[name](sys.modules[name])

    def find_spec(self, name, path=None, target=None):
        if name not in self._changes:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if not spec:
            return None
        execute = spec.loader.exec_module

        def execute_and_change(module):
            execute(module)
            self._changes[name](module)

        spec.loader.exec_module = execute_and_change
        return spec


def keep_levels(logging):
    """Makes all lines of a logging handler have the level of their record."""
    handle = logging.Handler.handle

    def handle_with_level(self, record):
        previous = _weave.level(severity(record.levelno))
        try:
            return handle(self, record)
        finally:
            _weave.level(previous)

    logging.Handler.handle = handle_with_level


def severity(levelno):
    """Returns httpd's number for a level of the logging module (see its
    documentation, "Logging Levels")."""
    for least, number in ((50, CRITICAL), (40, ERROR), (30, WARNING),
                          (20, INFO)):
        if levelno >= least:
            return number
    return DEBUG


is_httpd = not _weave.own_signals  # httpd owns this process and its signals


def replace(module, name, function):
    """Replaces a function in this process, but not in processes that it forks.
    Returns the original function."""
    original = getattr(module, name)

    def either(*args, **options):
        return (function if is_httpd else original)(*args, **options)

    either.__name__, either.__doc__ = name, original.__doc__
    setattr(module, name, either)
    return original


def own_process():
    """Gives a process that was forked here default signal handlers and its own
    mask: it is no httpd, and the application decides about its signals."""
    global is_httpd
    if not is_httpd:
        return
    is_httpd = False
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT,
                   signal.SIGUSR1, signal.SIGWINCH):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, masks.blocked)


def leave_signals():
    """Makes functions that change signal handlers log and do nothing: otherwise
    `apachectl` would not work any more."""
    def ignored(name, result):
        print('WEAVE0046: signal.%s() has no effect: in embedded mode httpd'
              ' handles the signals' % name, file=sys.stderr)
        return result

    replace(signal, 'signal', lambda signalnum, handler: ignored(
        'signal', signal.getsignal(signalnum)))
    replace(signal, 'alarm', lambda seconds: ignored('alarm', 0))
    replace(signal, 'setitimer', lambda which, seconds, interval=0.0: ignored(
        'setitimer', (0.0, 0.0)))
    replace(signal, 'siginterrupt', lambda signalnum, flag: ignored(
        'siginterrupt', None))


class Masks(threading.local):
    """The signals that the application has blocked in a thread. httpd decides
    which ones are blocked really; programs that it starts get this mask."""

    blocked = frozenset()

    def set(self, how, mask):
        """Does what signal.pthread_sigmask() does."""
        before, mask = self.blocked, frozenset(mask)
        if not mask <= signal.valid_signals():
            raise ValueError('signal number out of range')
        if how == signal.SIG_BLOCK:
            self.blocked = before | mask
        elif how == signal.SIG_UNBLOCK:
            self.blocked = before - mask
        elif how == signal.SIG_SETMASK:
            self.blocked = mask
        else:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return set(before)


def open_masks():
    """Gives programs the mask of Masks. They would inherit that of the thread
    that starts them, and httpd's threads block nearly all signals."""
    def fork_exec(*args):
        bits = sum(1 << number for number in masks.blocked)
        return _weave.spawn(bits, real_fork_exec, args)

    def masked(real):
        def spawn(*args, **options):
            options.setdefault('setsigmask', masks.blocked)
            return real(*args, **options)
        return spawn

    def system(command):
        pid = os.posix_spawn('/bin/sh', ['sh', '-c', command], os.environ)
        return os.waitpid(pid, 0)[1]

    real_fork_exec = replace(_posixsubprocess, 'fork_exec', fork_exec)
    replace(os, 'posix_spawn', masked(os.posix_spawn))
    replace(os, 'posix_spawnp', masked(os.posix_spawnp))
    replace(os, 'system', system)
    replace(signal, 'pthread_sigmask', masks.set)


def leave_vfork(subprocess):
    """Makes subprocess use fork(): its handler sets the mask of the process."""
    subprocess._USE_VFORK = False
    if hasattr(subprocess, '_fork_exec'):  # it was imported before us
        subprocess._fork_exec = _posixsubprocess.fork_exec


def mend_main_thread():
    """Repairs threading in a process that one of our threads has forked: when
    current_thread() was called before, it has no usable main thread (CPython
    issue 102512, until 3.11.8 and 3.12.2)."""
    main = threading.main_thread()
    if type(main) is threading._DummyThread:
        main.__class__ = threading._MainThread
        main._name, main._daemonic = 'MainThread', False
        main._set_tstate_lock()


def wake_on_signal(fd):
    """Makes every signal that has a handler in Python write to fd, unless the
    application has set a descriptor of its own."""
    theirs = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    if theirs != -1:
        signal.set_wakeup_fd(theirs)


def stacks(signum, fd):
    """Makes C code write the stacks of all threads to fd, without the GIL, when the
    process receives this signal, or crashes. Where something such as sitecustomize
    has enabled that before, nobody reads fd then: they go to the error log itself."""
    import faulthandler
    faulthandler.enable(file=2 if faulthandler.is_enabled() else fd, all_threads=True)
    faulthandler.register(signum, file=fd, all_threads=True, chain=False)


def report(what, error):
    """Logs one exception, with its traceback, at error level."""
    lines = [what]
    try:
        import traceback
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


def error_line(error):
    """Returns the line of its traceback that names the error, as bytes."""
    try:
        import traceback
        if isinstance(error, SyntaxError):  # its text has the file and line
            text = '%s: %s' % (type(error).__name__, error)
        else:
            text = traceback.format_exception_only(type(error), error)[0]
    except Exception:
        text = type(error).__name__
    return text.strip().split('\n')[0].encode('utf-8', 'backslashreplace')


def applications(frames):
    """Returns the traceback from where the application's own code begins."""
    while frames and frames.tb_frame.f_code.co_filename in OWN_FILES:
        frames = frames.tb_next
    return frames


# Runs also in processes that multiprocessing spawns.
SCRIPT = '''
import importlib.machinery
import importlib.util
import sys


class Script(importlib.machinery.SourceFileLoader):
    """Loads a script with any suffix and writes no bytecode: app.wsgi must not
    share a .pyc with app.py."""

    def get_code(self, fullname):
        return compile(self.get_data(self.path), self.path, 'exec',
                       dont_inherit=True)


class Finder:
    """Lets a process import the script by its name."""

    @staticmethod
    def find_spec(name, folders=None, target=None):
        if name != '_weave_script':
            return None
        return importlib.util.spec_from_file_location(
            name, path, loader=Script(name, path))
'''


def load_script(path):
    name = '_weave_script'
    parts = {'path': path}
    exec(compile(SCRIPT, '<mod_weave>', 'exec'), parts)
    spec = parts['Finder'].find_spec(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Importable:
    """Makes the script importable in the process that unpickles it."""

    def __reduce__(self):
        return exec, (SCRIPT + 'sys.meta_path.append(Finder)\n',
                      {'path': _weave.script})


def share_script(spawn):
    """Lets multiprocessing find functions of the script, which it sends by name."""
    prepare = spawn.get_preparation_data

    def prepare_with_script(name):
        data = prepare(name)
        data['weave_script'] = Importable()
        return data

    spawn.get_preparation_data = prepare_with_script


def load():
    """Imports the application; after a failure, forgets what it has imported."""
    before = set(sys.modules)
    try:
        if _weave.script:
            found = load_script(_weave.script)
        else:
            found = importlib.import_module(_weave.module)
        try:
            for name in _weave.callable.split('.'):
                found = getattr(found, name)
        except AttributeError as error:
            raise AttributeError(
                "there is no '%s' in %s: wsgi.callable says what the"
                " application is called there"
                % (_weave.callable, _weave.script or _weave.module)) from error
        if not callable(found):
            raise TypeError('%s is %s, which cannot be called: wsgi.callable'
                            ' names something else'
                            % (_weave.callable, type(found).__name__))
        return found
    except BaseException:
        forget(before)
        raise


def forget(before):
    """Removes the modules that a failed import has loaded, so that the next
    attempt starts anew. Keeps the standard library, and packages with
    extension modules, which cannot be loaded twice."""
    new = {name: module for name, module in list(sys.modules.items())
           if name not in before}
    stay = standard_library()
    stay.update(name.partition('.')[0] for name, module in new.items()
                if is_extension(module))
    for name in new:
        if name.partition('.')[0] not in stay:
            sys.modules.pop(name, None)


def standard_library():
    """Returns the names of its top-level modules."""
    try:
        return set(sys.stdlib_module_names)
    except AttributeError:  # before 3.10
        import pkgutil
        folder = os.path.dirname(os.__file__)
        places = [folder, os.path.join(folder, 'lib-dynload')]
        return set(sys.builtin_module_names).union(
            module.name for module in pkgutil.iter_modules(places))


def is_extension(module):
    try:
        loader = module.__spec__.loader
    except Exception:  # a module may be any object
        return False
    return isinstance(loader, importlib.machinery.ExtensionFileLoader)


def finish():
    """Does what Python does at its end, but destroys nothing. The exit handlers
    run also when a thread does not end."""
    last = threading.Thread(target=end_threads, name='weave-finish',
                            daemon=True)
    last.start()
    last.join(THREADS_S)
    attempt(atexit._run_exitfuncs)


def end_threads():
    """Does what threading._shutdown() does, which has no deadline and which only
    the main thread can call."""
    for call in reversed(getattr(threading, '_threading_atexits', ())):
        attempt(call)
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            thread.join()


def attempt(step):
    try:
        step()
    except BaseException as error:
        report('WEAVE0044: an exit handler failed', error)


sys_stderr = Stream('<stderr>', 1, ERROR)
sys.stderr = sys.__stderr__ = sys_stderr
# print() has no level: it gets the lowest that httpd's default LogLevel shows
sys.stdout = sys.__stdout__ = Stream('<stdout>', 0, WARNING)
sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BytesIO(), 'utf-8')
sys.path[:0] = _weave.python_path
changes = {'logging': keep_levels}
if _weave.script:
    changes['multiprocessing.spawn'] = share_script
os.register_at_fork(after_in_child=_weave.forked)
os.register_at_fork(after_in_child=mend_main_thread)
if is_httpd:
    masks = Masks()
    leave_signals()
    open_masks()
    changes['subprocess'] = leave_vfork
    os.register_at_fork(after_in_child=own_process)
sys.meta_path.insert(0, LateFinder(changes))
