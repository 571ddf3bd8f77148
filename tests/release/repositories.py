# SPDX-License-Identifier: Apache-2.0
"""Repositories for tests, made by git and hg, and servers that give them away."""

import os
import shutil
import signal
import subprocess
import sys
import time

from conftest import TOP

sys.path.insert(0, str(TOP / "mozupload" / "tests"))
from apache import answers, port_held  # noqa: E402
from hg_server import hg_run  # noqa: E402

# What an engineer's git and hg have. Nothing of whoever runs the tests is in it.
ENGINEER = {
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.com",
    "HGUSER": "Ada", "HGPLAIN": "1", "HGRCPATH": "", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
}
NOBODY = 65534


def run(*argv, cwd=None, **env):
    done = subprocess.run(argv, cwd=cwd, check=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, env=dict(os.environ, **ENGINEER, **env))
    return done.stdout.decode().strip()


class Work:
    """An engineer's repository of one kind, `git` or `hg`, at a path."""

    def __init__(self, kind, path):
        self.kind, self.path = kind, str(path)
        os.makedirs(self.path, exist_ok=True)
        self.do("init", "-q", *(["-b", "main"] if kind == "git" else []))

    def do(self, *words):
        if self.kind == "git":
            return run("git", *words, cwd=self.path)
        status, said = hg_run(words, self.path, dict(os.environ, **ENGINEER))
        assert status == 0, (words, said)
        return said.decode().strip()

    def write(self, name, content="", executable=False):
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        if executable:
            os.chmod(path, 0o755)

    def commit(self, tag=None, **files):
        """Commits all that is there. Returns the full id."""
        for name, content in files.items():
            self.write(name, content)
        if self.kind == "git":
            self.do("add", "-A")
            self.do("commit", "-q", "--allow-empty", "-m", "work")
            revision = self.do("rev-parse", "HEAD")
            if tag:
                self.do("tag", "-a", "-m", tag, tag)
            return revision
        self.do("addremove", "-q")
        self.do("commit", "-m", "work")
        revision = self.do("log", "-r", ".", "-T", "{node}")
        if tag:
            self.do("tag", "-r", revision, tag)
        return revision


def hostile(work, mark):
    """Has its own configuration run programs that make the file `mark`, in all ways."""
    touch = "touch '%s'" % mark
    if work.kind == "git":
        hooks = os.path.join(work.path, "hooks")
        os.makedirs(hooks)
        names = ("post-checkout", "reference-transaction", "pre-auto-gc", "post-index-change",
                 "pre-receive", "update", "post-update")
        for name in names:
            path = os.path.join(hooks, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\n%s\n" % touch)
            os.chmod(path, 0o755)
        for key in ("core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.pager",
                    "uploadpack.packObjectsHook", "filter.evil.smudge", "filter.evil.clean",
                    "core.alternateRefsCommand", "gpg.program", "tar.tar.command",
                    "credential.helper", "core.askPass"):
            work.do("config", key, touch)
        work.do("config", "core.hooksPath", hooks)
        return
    extension = os.path.join(work.path, ".hg", "evil.py")
    with open(extension, "w", encoding="utf-8") as file:
        file.write("open(%r, 'w').close()\n" % str(mark))
    rows = ["[extensions]", "evil = " + extension, "[hooks]"]
    rows += ["%s = %s" % (name, touch) for name in (
        "outgoing", "preoutgoing", "prelistkeys", "listkeys", "pre-identify", "pre-pull",
        "pre-serve", "prechangegroup")]
    rows += ["[alias]"] + ["%s = !%s" % (name, touch) for name in ("pull", "log", "serve", "id")]
    with open(os.path.join(work.path, ".hg", "hgrc"), "w", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")


def ssh_make(folder):
    """A program `ssh` that needs no network: it says what it got, and runs the command here."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "ssh")
    with open(path, "w", encoding="utf-8") as file:
        file.write("""#!/bin/sh
echo "$@" >>'%s.calls'
while [ "${1#-}" != "$1" ]; do
    case $1 in -o | -p) shift ;; esac
    shift
done
[ "$1" = git@host.invalid ] || { echo "ssh: no such host" >&2; exit 255; }
shift
exec sh -c "$*"
""" % path)
    os.chmod(path, 0o755)
    return path + ".calls"


class Apache:
    """A real httpd on loopback with `git http-backend` at /git/ and hgweb at /hg/."""

    CGI = """#!%s
import sys
sys.dont_write_bytecode = True
from mercurial import hgweb
from mercurial.hgweb import wsgicgi
wsgicgi.launch(hgweb.hgweb(b"%s/hgweb.conf"))
"""

    def __init__(self, folder):
        """Gives away what is in `folder`; it has to be readable for everybody."""
        self.folder = str(folder)
        self.held = port_held()
        self.port = self.held.getsockname()[1]
        self.url = "http://127.0.0.1:%d" % self.port
        self._write("hgweb.cgi", self.CGI % ("/usr/bin/python3", self.folder), 0o755)
        self._write("hgweb.conf", "[paths]\n/ = %s/*\n[web]\nallow_archive =\n" % self.folder)
        self._write("gitconfig", "[safe]\n directory = *\n")
        self._write("httpd.conf", self._conf())
        httpd = run("apxs", "-q", "sbindir") + "/" + run("apxs", "-q", "progname")
        self.process = subprocess.Popen(
            [httpd, "-f", self.folder + "/httpd.conf", "-D", "FOREGROUND"],
            stdin=subprocess.DEVNULL)
        self._await()

    def _write(self, name, text, mode=0o644):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def _conf(self):
        libexec = run("apxs", "-q", "libexecdir")
        backend = run("git", "--exec-path") + "/git-http-backend"
        names = ["mpm_event", "unixd", "authz_core", "alias", "env", "cgid"]
        loads = "".join("LoadModule %s_module %s/mod_%s.so\n" % (name, libexec, name)
                        for name in names if os.path.exists("%s/mod_%s.so" % (libexec, name)))
        return loads + """
ServerName localhost
Listen 127.0.0.1:%(port)d
PidFile %(folder)s/httpd.pid
DefaultRuntimeDir %(folder)s
ScriptSock cgisock
ErrorLog %(folder)s/error_log
%(user)s
SetEnv GIT_PROJECT_ROOT %(folder)s
SetEnv GIT_HTTP_EXPORT_ALL 1
SetEnv GIT_CONFIG_GLOBAL %(folder)s/gitconfig
SetEnv HGRCPATH ""
ScriptAlias /git/ %(backend)s/
ScriptAlias /hg %(folder)s/hgweb.cgi
<Directory />
AllowOverride None
Require all granted
</Directory>
""" % {"port": self.port, "folder": self.folder, "backend": backend,
            "user": "User #%d\nGroup #%d" % (NOBODY, NOBODY) if os.getuid() == 0 else ""}

    def _await(self):
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            if answers(self.port):
                return
            time.sleep(0.05)
        self.stop()
        raise AssertionError("httpd does not start; see %s/error_log" % self.folder)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(300)
        self.held.close()


def everybody(folder):
    """Lets every user read what is below a folder."""
    for path, names, files in os.walk(folder):
        os.chmod(path, os.stat(path).st_mode | 0o755)
        for name in files:
            name = os.path.join(path, name)
            if not os.path.islink(name):
                os.chmod(name, os.stat(name).st_mode | 0o444)


def missing(*names):
    """Those of the programs that are not there."""
    return [name for name in names if not shutil.which(name)]
