# SPDX-License-Identifier: Apache-2.0
"""release.migrate: the command that a new release runs before it takes over.

It runs as the user of the workers, with their environment, for theirs are the database
and the secrets; and with the release's programs first in PATH. All that it starts ends
with it.
"""

import os
import pwd
import select
import signal
import time

from . import httpd, programs, users, weaved
from .errors import ReleaseError

SECONDS = 3600
OUTPUT_BYTES = 64 * 1024
POLL_SECONDS = 0.2
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENV = "workers.env."


def call_migrate(broker, request):
    """Returns its exit status (negative: by that signal) and what it has printed.

    ReleaseError where it cannot be started, or takes too long.
    """
    path = broker.release_path(request)
    command = broker.key("release.migrate")
    if not command:
        return {"status": 0, "output": ""}
    node = weaved.node_get(broker)
    user = httpd.user_of(broker, node)
    httpd.refuse_writer(broker, user)
    env = environment_make(broker, path, node, user)
    umask = broker.key("workers.umask")
    cwd = _in_release(broker, path, broker.keys.get("workers.home") or "/")
    pid, out = _start(command, env, user, cwd, int(umask, 8) if umask.isdigit() else None)
    try:
        status, output = _output_read(broker, pid, out)
    finally:
        _end(broker, pid)
        os.close(out)
    if status is None:
        raise ReleaseError("release.migrate has not come to its end within %d s, and was killed"
                           % SECONDS, lines=_text(output).splitlines()[-10:])
    return {"status": status, "output": _text(output)}


# ---- what it gets ----


def _in_release(broker, path, text):
    """TEXT with the release in the place of the link `current`, where a path begins with it."""
    link = os.path.join(broker.home, "current")
    parts = text.split(":")
    return ":".join(path + part[len(link):] if part == link or part.startswith(link + "/")
                    else part for part in parts)


def environment_make(broker, path, node, user):
    """The environment of the workers, with the programs of the release in front."""
    entry = pwd.getpwuid(os.geteuid() if user is None else user.uid)
    env = {"LANG": "C.UTF-8", "HOME": entry.pw_dir, "USER": entry.pw_name,
           "LOGNAME": entry.pw_name, "PATH": PATH}
    outside = httpd.environment_of(node)
    for name in broker.keys.get("workers.pass_env", "").split():
        if name in outside:
            env[name] = outside[name]
    for key, value in broker.keys.items():
        if key.startswith(ENV) and len(key) > len(ENV):
            env[key[len(ENV):]] = _in_release(broker, path, value)
    env["WEAVE_INI"] = os.path.realpath(broker.options.ini)
    env["PATH"] = "%s/bin:%s" % (path, env["PATH"])
    env["VIRTUAL_ENV"] = path
    return env


# ---- its process ----


def _start(command, env, user, cwd, umask):
    """Starts `sh -c COMMAND` below a keeper, which ends as it does.

    Returns the pid of the keeper and the end of a pipe with what is printed.
    """
    out, theirs = os.pipe()
    broker_pid = os.getpid()
    pid = os.fork()
    if pid:
        os.close(theirs)
        return pid, out
    try:
        os.setsid()
        os.dup2(theirs, 1)
        os.dup2(theirs, 2)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        programs.descriptors_close(3)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if user is not None:
            users.user_become(user)
        programs.end_with_parent(signal.SIGTERM)
        if os.getppid() == broker_pid:
            _keep(command, env, cwd, umask)
    except OSError as error:
        os.write(2, ("cannot be started: %s\n" % error).encode())
    finally:
        os._exit(127)


def _keep(command, env, cwd, umask):
    """Runs the command to its end, and ends all that it has started; so it does when the
    broker is killed."""
    programs.descendants_adopt()
    signal.signal(signal.SIGTERM, _keeper_end)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        programs.end_with_parent(signal.SIGKILL)
        if umask is not None:
            os.umask(umask)
        os.chdir(cwd)
        os.execve("/bin/sh", ["sh", "-c", command], env)
    status = os.waitpid(pid, 0)[1]
    programs.descendants_end()
    if os.WIFSIGNALED(status):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def _keeper_end(number, frame):
    try:
        programs.descendants_end()
    finally:
        os._exit(1)


def _output_read(broker, pid, out):
    """The status (None: its time is over) and the last bytes of what it has printed."""
    until = time.monotonic() + SECONDS
    output, is_open = b"", True
    while True:
        ready = select.select([out] if is_open else [], [], [], POLL_SECONDS)[0]
        data = os.read(out, 65536) if ready else b""
        is_open = is_open and not (ready and not data)
        output = (output + data)[-OUTPUT_BYTES:]
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is not None:   # what the keeper has left may write on for ever
            programs.descendants_end(but=(broker.inner_pid, pid))
        if ended is not None and not data:
            is_exit = ended.si_code == os.CLD_EXITED
            return ended.si_status if is_exit else -ended.si_status, output
        if time.monotonic() > until:
            return None, output
        if weaved.inner_has_ended(broker):
            raise ReleaseError("the other half of weavectl has ended")


def _end(broker, pid):
    """Ends it and all that it has started."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    os.waitpid(pid, 0)
    programs.descendants_end(but=(broker.inner_pid,))


def _text(output):
    return output.decode("utf-8", "replace")
