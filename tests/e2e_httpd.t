#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The sync of e2e.t through httpd and mod_weave, on every MPM, and with a
configuration file of Mozilla's server, which is changed while httpd runs.

weave.server runs from a virtualenv into which its sdist has been installed.
"""

import contextlib
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = TOP / os.environ.get("BUILD", "build")
PYTHON = "/usr/bin/python3"
MPMS = ("event", "worker", "prefork")
USERS = ("www-data", "apache", "nobody")
PROGRAMS = ("weaved", "weave-worker", "weavectl")
WAIT_S = 60

WORSE_THAN_NOTICE = re.compile(r":(?:warn|error|crit|alert|emerg)\]|exit signal")

INI = """\
[wsgi]
virtualenv = %(here)s/venv
script = share/weave/weave.wsgi

[storage]
sqluri = sqlite:///%(here)s/data/weave.db
create_tables = true
"""

CONF = """\
ServerRoot "{folder}"
ServerName localhost
Listen 127.0.0.1:{port}
PidFile "{folder}/httpd.pid"
DefaultRuntimeDir "{folder}"
ErrorLog "{folder}/error_log"
LogLevel warn weave:info
{modules}
{user}
StartServers 2
WeaveRuntimeDir "{folder}/run"
WeaveStateDir "{folder}/state"
WeaveApp / "{folder}/sync.ini"
"""


class Tap:
    """Passes on the TAP of programs, with numbers of its own."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def ok(self, good, name, *details):
        self.count += 1
        self.failed += not good
        print("%sok %d - %s" % ("" if good else "not ", self.count, name))
        for detail in () if good else details:
            print("# " + str(detail).replace("\n", "\n# "))
        sys.stdout.flush()

    def take(self, line, prefix):
        found = re.match(r"(not )?ok \d+\s*-?\s*(.*)", line)
        if found:
            self.ok(not found[1], "%s: %s" % (prefix, found[2]))
        elif line.startswith("#"):
            print(line, flush=True)


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def ask_apxs(name):
    apxs = os.environ.get("APXS") or shutil.which("apxs") or shutil.which("apxs2")
    output = subprocess.run([apxs, "-q", name], check=True, stdout=subprocess.PIPE, text=True)
    return output.stdout.strip()


def make_venv(folder):
    run(TOP / "conf/sdist", folder / "dist")
    run(PYTHON, "-m", "venv", "--system-site-packages", "--without-pip", folder / "venv")
    run(folder / "venv/bin/python", "-m", "pip", "-q", "--disable-pip-version-check",
        "--no-cache-dir", "install", "--no-index", "--no-build-isolation",
        "--find-links", folder / "dist", "WeaveServer")


def server_user():
    """Whom root's httpd serves as; None for an ordinary user."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in USERS if name in known)


def load_modules(httpd, mpm):
    libexec = ask_apxs("LIBEXECDIR")
    builtin = subprocess.run([httpd, "-l"], stdout=subprocess.PIPE, text=True).stdout
    names = [name for name in ("mpm_" + mpm, "unixd", "authz_core")
             if "mod_%s.c" % name not in builtin]
    lines = ['LoadModule %s_module "%s/mod_%s.so"' % (name, libexec, name) for name in names]
    return "\n".join(lines)


def hold_port():
    """A socket whose port nobody else gets: it stays bound, and does not listen.

    So httpd may bind it as well, as both allow it.
    """
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return holder


class Httpd:
    def __init__(self, folder, mpm):
        self.folder = folder
        self.holder = hold_port()
        self.port = self.holder.getsockname()[1]
        self.program = "%s/%s" % (ask_apxs("SBINDIR"), ask_apxs("PROGNAME"))
        self.process = None
        user = server_user()
        modules = load_modules(self.program, mpm)
        modules += '\nLoadModule weave_module "%s/build/mod_weave.so"' % folder
        conf = CONF.format(
            folder=folder, port=self.port, modules=modules,
            user="User %s\nGroup #%d" % (user.pw_name, user.pw_gid) if user else "")
        (folder / "httpd.conf").write_text(conf)
        shutil.rmtree(folder / "data", ignore_errors=True)
        (folder / "data").mkdir()
        if user:
            os.chown(folder / "data", user.pw_uid, user.pw_gid)

    @contextlib.contextmanager
    def running(self):
        """The URL of the server while it runs."""
        log = (self.folder / "error_log").open("wb")
        process = subprocess.Popen(
            [self.program, "-f", self.folder / "httpd.conf", "-DFOREGROUND"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            self.process = process
            self.wait_listening(process)
            yield "http://127.0.0.1:%d/" % self.port
            process.terminate()
            process.wait(WAIT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            log.close()

    def wait_listening(self, process):
        end = time.monotonic() + WAIT_S
        while process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.05)
        raise RuntimeError("httpd does not listen:\n" + self.log())

    def log(self):
        return (self.folder / "error_log").read_text(errors="replace")

    def configtest(self):
        """The exit status, and what is said."""
        command = [self.program, "-t", "-f", self.folder / "httpd.conf"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def graceful(self):
        """What `apachectl graceful` does after its configtest: no more than that."""
        self.process.send_signal(signal.SIGUSR1)

    def weavectl(self, *words):
        """The exit status, and what is said."""
        command = [self.folder / "build/weavectl", "-d", self.folder / "run", *words]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout


def sign_up(url, name):
    """The status of an attempt."""
    body = b'{"email": "x@example.org", "password": "long enough"}'
    request = urllib.request.Request(url + "user/1.0/" + name, body, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def outdated(httpd, pattern):
    """What `weavectl status` says, once the pattern is in it, or at last."""
    end = time.monotonic() + WAIT_S
    said = ""
    while time.monotonic() < end and not re.search(pattern, said):
        time.sleep(0.1)
        said = httpd.weavectl("status")[1]
    return said


def check_changes(tap, httpd, url):
    """allow_new_users = false, and a sign-up passed five seconds later."""
    ini = httpd.folder / "sync.ini"
    good = ini.read_text()
    open_ = good.replace("[auth]", "[auth]\nstrict_usernames = false")
    closed = open_.replace("[auth]", "[auth]\nallow_new_users = false")
    wrong = closed.replace("retry_after = 60", "retry_after = soon")
    found = []
    for text, name in ((open_, "one"), (closed, "two")):
        ini.write_text(text)
        httpd.graceful()
        found.append(httpd.weavectl("reload"))
        found.append(sign_up(url, name))
    tap.ok([found[0][0], found[1]] == [0, 200], "change: open to all", found)
    tap.ok([found[2][0], found[3]] == [0, 400],
           "change: weavectl reload returns when it counts", found)
    ini.write_text(wrong)
    httpd.graceful()
    said = outdated(httpd, "has failed")
    tap.ok(re.search(r"outdated: .*goes on, since what the sync.ini says now has failed", said),
           "change: a bad value shows in weavectl status", said)
    tap.ok("last error: " in said and "retry_after: must be" in said,
           "change: with the reason", said)
    ini.write_text(closed)
    httpd.graceful()
    status, said = httpd.weavectl("reload")
    tap.ok(status == 0 and "outdated" not in httpd.weavectl("status")[1],
           "change: and is mended", said)
    ini.write_text(good)


def mozilla_ini(port):
    """A file as the guides have it: what they tell people to set, and [wsgi]."""
    text = (TOP / "server/tests/mozilla.conf").read_text()
    text = text.replace("localhost:5000", "127.0.0.1:%d" % port)
    text = text.replace("%(here)s/", "%(here)s/data/")
    return INI.partition("[storage]")[0] + text


def check_mozilla(tap, folder):
    httpd = Httpd(folder, MPMS[0])
    ini = folder / "sync.ini"
    ini.write_text(mozilla_ini(httpd.port))
    ini.chmod(0o600)  # workers need not be able to read it
    status, said = httpd.configtest()
    tap.ok(status == 0, "Mozilla: configtest takes it", said)
    tap.ok("[storage] display_config: does nothing here" in said,
           "Mozilla: and has a word", said)
    tap.ok(not list((folder / "data").iterdir()), "Mozilla: and opens no database")
    with httpd.running() as url:
        sync(tap, "Mozilla", url)
        check_changes(tap, httpd, url)
    ini.write_text(ini.read_text().replace("use = false", "use = perhaps")
                   .replace("\nquota_size", "\nquota_sise"))
    status, said = httpd.configtest()
    places = [number for number, line in enumerate(ini.read_text().splitlines(), 1)
              if line.startswith(("use = perhaps", "quota_sise", "use_quota"))]
    found = re.findall(r"WEAVE0275: %s:(\d+): " % re.escape(str(ini)), said)
    tap.ok(status != 0, "Mozilla: with mistakes, configtest fails", said)
    tap.ok(sorted(map(int, found)) == places, "Mozilla: and has them all", said)


def sync(tap, mpm, url):
    process = subprocess.Popen([PYTHON, TOP / "tests/e2e.t"], text=True,
                               env={**os.environ, "WEAVE_E2E_URL": url},
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    with process:
        for line in process.stdout:
            tap.take(line.rstrip("\n"), mpm)
    tap.ok(process.returncode == 0, mpm + ": the whole of it")


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="weave-e2e-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        make_venv(folder)
        # where the user of the server can read it, whatever the checkout's
        (folder / "build").mkdir()
        for file in [*BUILD.glob("*.so"), *(BUILD / name for name in PROGRAMS)]:
            shutil.copy(file, folder / "build")
        (folder / "sync.ini").write_text(INI)
        for mpm in MPMS:
            httpd = Httpd(folder, mpm)
            with httpd.running() as url:
                sync(tap, mpm, url)
            bad = [line for line in httpd.log().splitlines() if WORSE_THAN_NOTICE.search(line)]
            tap.ok(not bad, mpm + ": nothing at warn or above in the error log", *bad)
        check_mozilla(tap, folder)
    print("1..%d" % tap.count)
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
