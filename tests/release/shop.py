# SPDX-License-Identifier: Apache-2.0
"""A small application in versions that come up and some that do not, and an httpd that has it."""

import atexit
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile
import zipfile

import httpds
import nodes
import served
from conftest import TOP
from mozupload import manifest
from weave_release.users import HOME_ENTRIES

sys.path.insert(0, str(TOP / "mozupload" / "tests"))
import archives  # noqa: E402

PYTHON = "/usr/bin/python3"
APP = '''
import os
import time
VERSION = %(version)r
%(more)s

def application(environ, start_response):
    status = "200 OK"
    if environ["PATH_INFO"] == "/slow":     # until the file is gone
        flag = os.path.join(os.path.dirname(environ["weave.ini"]), "slow")
        open(flag, "w").close()
        while os.path.exists(flag):
            time.sleep(0.05)
    if environ["PATH_INFO"] == "/alive":
        status = %(alive)r
    start_response(status, [("Content-Type", "text/plain")])
    return [VERSION.encode()]
'''
GOOD, BAD_IMPORT, BAD_WARMUP = "1.1", "1.2", "1.3"


def shop_make(folder, version, more="", alive="200 OK"):
    files = {"shop/__init__.py": "", "shop/app.py": APP % {
        "version": version, "more": more, "alive": alive}}
    if version == "1.0":
        files["shop/gone.py"] = ""
    return archives.wheel(folder, "shop-app", version, ["part>=1"], files=files)


def owner():
    """Whose the releases are: another user than root, where root runs the tests."""
    return pwd.getpwnam("daemon") if os.getuid() == 0 else pwd.getpwuid(os.getuid())


def share_make(folder):
    """A share with all versions."""
    part = archives.wheel(folder, "part", "1.0")
    (folder / "releases").mkdir()
    for version, facts in (("1.0", {}), (GOOD, {}),
                           (BAD_IMPORT, {"more": "import no_such_module"}),
                           (BAD_WARMUP, {"alive": "500 Oh"})):
        wheel = shop_make(folder, version, **facts)
        made = manifest.make(
            format=1, name="shop-app", project="shop-app", version=version, python=["3"],
            platforms=["any"], vcs=None, requires={"part": "1.0"}, system={}, allowed=[],
            by="alice", at="2026-11-30T09:00:00Z", tools={},
            files=[nodes.file_of(wheel, "shop-app", version, "application"),
                   nodes.file_of(part, "part", "1.0", "dependency")])
        (folder / "releases" / ("shop-app-%s.json" % version)).write_bytes(made.data())


class Node:
    """An httpd that serves shop 1.0 from the one virtualenv."""

    def __init__(self, libdir, share, kind, more="", size_kib=0):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="weave-inplace-", dir="/tmp"))
        self.top.chmod(0o755)
        self.share = share
        self.home = self.top / "sync"
        self.virtualenv = self.home if kind == "home" else self.home / "venv"
        self.home.mkdir()
        self.top.chmod(0o1777)  # for flags of the application
        self.has_mount = bool(size_kib) and subprocess.call(
            ["mount", "-t", "tmpfs", "-o", "size=%dk,mode=755" % size_kib, "tmpfs", self.home],
            stderr=subprocess.DEVNULL) == 0
        subprocess.check_call([PYTHON, "-m", "venv", "--without-pip", self.virtualenv])
        site, = self.virtualenv.glob("lib/python3*/site-packages")
        self.app = site / "shop" / "app.py"
        for name in ("shop_app-1.0", "part-1.0"):
            with zipfile.ZipFile(share / (name + "-py3-none-any.whl")) as archive:
                archive.extractall(site)
        (site / "stranger.py").write_text("of somebody else")
        if os.getuid() == 0:
            subprocess.check_call(["chown", "-R", owner().pw_name, self.home])
        self.httpd = served.Httpd(self.top, libdir)
        atexit.register(self.end)
        self.httpd.ini.write_text(
            "[wsgi]\nmodule = shop.app\nvirtualenv = %s\n[workers]\nprocesses = 1\n"
            "[maintenance]\nstyle = sync\n[release]\nhome = %s\nfind_links = %s\n"
            "warmup = /alive\n%s" % (
                self.virtualenv, self.home, share, more.replace("TOP", str(self.top))))

    def install(self, version=GOOD, *words, kill="", command="install"):
        """(exit status, all that is said)"""
        words = ("--in-place", "shop-app==" + version, *words)
        status, out, err = self.httpd.weavectl(
            command, *words, env={"WEAVE_KILL_AT": kill} if kill else None)
        return status, out + err

    def files(self):
        """What the virtualenv consists of; compiled files do not count."""
        found = {}
        for path in sorted(self.virtualenv.rglob("*")):
            name = str(path.relative_to(self.virtualenv))
            if name.split("/")[0] in HOME_ENTRIES and self.virtualenv == self.home:
                continue
            if path.is_symlink():
                found[name] = os.readlink(path)
            elif path.is_file() and path.suffix != ".pyc":
                found[name] = path.read_bytes()
        return found

    def is_clean(self):
        return not [name for name in os.listdir(self.home) if "in-place" in name]

    def answer(self):
        status, _, body = self.httpd.get()
        return status, body

    def version_serves(self, version):
        return httpds.eventually(lambda: self.answer() == (200, version), version + " serves")

    def end(self):
        self.httpd.close()
        if self.has_mount:
            subprocess.call(["umount", "-l", self.home])
            self.has_mount = False
        shutil.rmtree(self.top, ignore_errors=True)


def kinds(answers):
    """What clients got, in the order in which it came: versions, and "pause".

    Anything that is neither an answer nor a 503 with the headers of maintenance fails. A
    request that was under way when another one met a change may still be of before.
    """
    found, changed = [], 0
    for asked, answered, status, headers, body in sorted(answers, key=lambda one: one[1]):
        if status == 200:
            kind = body
        else:
            assert status == 503, (status, headers, body)
            assert int(headers["retry-after"]) >= 60
            assert headers["x-weave-backoff"] == headers["retry-after"]
            assert body == '"server issue: maintenance"'
            kind = "pause"
        is_of_before = kind in found[-2:-1] and asked < changed
        if kind not in found[-1:] and not is_of_before:
            found.append(kind)
            changed = answered
    return found
