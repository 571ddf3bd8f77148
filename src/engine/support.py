# SPDX-License-Identifier: Apache-2.0
"""The Python half of the engine: compiled into it as text, run once.

`_weave` is the C half: write(stream, level, bytes), level(n), forked(),
spawn(bits, function, args) and the attributes script, module, callable,
python_path, own_signals.
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

THREADS_S = 2  # of the host's 3: what non-daemon threads get at the end
CRITICAL, ERROR, WARNING, INFO, DEBUG = 2, 3, 4, 6, 7
OWN_FILES = ('<mod_weave>', '<frozen importlib._bootstrap>',
             '<frozen importlib._bootstrap_external>')


class Stream(io.TextIOBase):
    """sys.stdout, sys.stderr and wsgi.errors: lines for httpd's error log."""

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
        """For subprocesses and faulthandler: httpd's own error log."""
        return 2

    def reconfigure(self, **options):
        """Nothing of this can be changed."""

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
        self._stream._put(data)
        return len(data)

    def fileno(self):
        return self._stream.fileno()

    def close(self):
        """As Stream.close()."""


class LateFinder:
    """Changes modules when the application imports them: to do that before
    would cost one that does not more memory than all the rest of us."""

    def __init__(self, changes):
        self._changes = changes  # {name: what is called with the module}
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
    """httpd's number for one of the logging module (its documentation,
    "Logging Levels")."""
    for least, number in ((50, CRITICAL), (40, ERROR), (30, WARNING),
                          (20, INFO)):
        if levelno >= least:
            return number
    return DEBUG


is_httpd = not _weave.own_signals  # process and signals are httpd's


def replace(module, name, function):
    """Replaces a function in this process, not in those that it forks.
    Returns the original one."""
    original = getattr(module, name)

    def either(*args, **options):
        return (function if is_httpd else original)(*args, **options)

    either.__name__, either.__doc__ = name, original.__doc__
    setattr(module, name, either)
    return original


def own_process():
    """A process forked here must not act on httpd's behalf, and what it does
    with its signals is up to the application."""
    global is_httpd
    if not is_httpd:
        return
    is_httpd = False
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT,
                   signal.SIGUSR1, signal.SIGWINCH):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, masks.blocked)


def leave_signals():
    """Says that nothing is done instead of breaking `apachectl`."""
    def ignored(name, result):
        print('WEAVE0046: signal.%s() ignored: in embedded mode the signals'
              " are httpd's" % name, file=sys.stderr)
        return result

    replace(signal, 'signal', lambda signalnum, handler: ignored(
        'signal', signal.getsignal(signalnum)))
    replace(signal, 'alarm', lambda seconds: ignored('alarm', 0))
    replace(signal, 'setitimer', lambda which, seconds, interval=0.0: ignored(
        'setitimer', (0.0, 0.0)))
    replace(signal, 'siginterrupt', lambda signalnum, flag: ignored(
        'siginterrupt', None))


class Masks(threading.local):
    """The signals that a thread believes to have blocked. Those that it has
    blocked are httpd's affair; what it starts gets this mask."""

    blocked = frozenset()

    def set(self, how, mask):
        """As signal.pthread_sigmask()."""
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
    """Programs inherit the mask of the thread that starts them, and httpd's
    threads block nearly everything."""
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
    """The new process opens its mask in a handler of fork()."""
    subprocess._USE_VFORK = False
    if hasattr(subprocess, '_fork_exec'):  # it was imported before us
        subprocess._fork_exec = _posixsubprocess.fork_exec


def mend_main_thread():
    """In a process that one of our threads has forked, threading has no usable
    main thread where current_thread() was called before (CPython issue 102512,
    until 3.11.8 and 3.12.2)."""
    main = threading.main_thread()
    if type(main) is threading._DummyThread:
        main.__class__ = threading._MainThread
        main._name, main._daemonic = 'MainThread', False
        main._set_tstate_lock()


def wake_on_signal(fd):
    """Every signal that has a handler in Python writes to fd, unless the
    application wants that for itself."""
    theirs = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    if theirs != -1:
        signal.set_wakeup_fd(theirs)


def stacks(signum):
    """The stacks of all threads go to the error log when the process crashes,
    and whenever it gets that signal: C code writes them, without the GIL."""
    import faulthandler
    faulthandler.enable(file=2, all_threads=True)
    faulthandler.register(signum, file=2, all_threads=True, chain=False)


def report(what, error):
    """One exception, with its traceback, at error level."""
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
    """The line of its traceback that says what went wrong, as bytes."""
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
    """A traceback from where the application's own code begins."""
    while frames and frames.tb_frame.f_code.co_filename in OWN_FILES:
        frames = frames.tb_next
    return frames


# Also run in processes of multiprocessing that start anew.
SCRIPT = '''
import importlib.machinery
import importlib.util
import sys


class Script(importlib.machinery.SourceFileLoader):
    """A script that has any suffix and leaves no bytecode: app.wsgi must not
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
    """When it is unpickled, the process can import the script."""

    def __reduce__(self):
        return exec, (SCRIPT + 'sys.meta_path.append(Finder)\n',
                      {'path': _weave.script})


def share_script(spawn):
    """Functions of the script go to other processes by name."""
    prepare = spawn.get_preparation_data

    def prepare_with_script(name):
        data = prepare(name)
        data['weave_script'] = Importable()
        return data

    spawn.get_preparation_data = prepare_with_script


def load():
    """Import the application; after a failure, forget what it imported."""
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
    """Drop what a failed import left half done, so that the next attempt
    starts from nothing. The standard library stays, and packages with
    extension modules: those cannot be loaded twice."""
    new = {name: module for name, module in list(sys.modules.items())
           if name not in before}
    stay = standard_library()
    stay.update(name.partition('.')[0] for name, module in new.items()
                if is_extension(module))
    for name in new:
        if name.partition('.')[0] not in stay:
            sys.modules.pop(name, None)


def standard_library():
    """Names of its top-level modules."""
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
    """What Python does at its end, short of destroying anything. A thread
    that does not end must not keep the exit handlers from running."""
    last = threading.Thread(target=end_threads, name='weave-finish',
                            daemon=True)
    last.start()
    last.join(THREADS_S)
    attempt(atexit._run_exitfuncs)


def end_threads():
    """As threading._shutdown(), which only the main thread can call, and
    which knows no deadline."""
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
# print() says no level: it gets the lowest that httpd's default LogLevel shows
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
