# SPDX-License-Identifier: Apache-2.0
"""weave-server init: a first sync.ini, the secret of Sync 1.5, and what browsers need."""

import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading

import pytest
import webtest

from conftest import SOURCES
from weave.server import __main__ as admin
from weave.server.app import Databases, create_application
from weave.server.check import check
from weave.server.config import ERROR
from weave.server.settings import load

URL = "https://a.example.org:444/p"


@pytest.fixture
def init(tmp_path, capsys):
    """Runs it; what it prints. init.ini and init.secret are the paths."""

    class Init:
        ini = tmp_path / "sync.ini"
        secret = tmp_path / "sync.secret"

        def __call__(self, *words):
            admin.main(["init", str(self.ini), *words])
            return capsys.readouterr().out

        def fails(self, *words):
            before = self.state()
            with pytest.raises(SystemExit) as caught:
                self(*words)
            assert self.state() == before
            return str(caught.value.code)

        def state(self):
            return {path: (path.lstat().st_ino, path.is_file() and path.read_bytes())
                    for path in tmp_path.iterdir()}  # fmt: skip

    return Init()


def test_from_nothing_and_once_more(init):
    said = init("--public-url", URL)
    assert re.fullmatch("[0-9a-f]{64}\n", init.secret.read_text())
    for path in (init.ini, init.secret):
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert "made %s  (" % path in said
    assert init.secret.read_text().strip() not in said + init.ini.read_text()
    settings, _ = load(str(init.ini))
    assert settings["sync15.secret_file"] == str(init.secret)
    assert settings["sync15.public_url"] == URL + "/"
    assert settings["sync15.allow_new_users"] == "first"
    assert [row for row in check(str(init.ini)) if row[2] == ERROR] == []
    before = init.state()
    assert "%s and %s are there" % (init.ini, init.secret) in init()
    assert init.state() == before


def test_what_it_makes_serves_both_protocols(init):
    init()
    databases = Databases()
    app = webtest.TestApp(create_application(str(init.ini), databases))
    assert app.get("/user/1.0/alice").body == b"0"
    assert app.get("/1.0/sync/1.5", status=401).json["status"]
    assert "<code>identity.sync.tokenserver.uri</code>" in app.get("/")
    databases.end()


def test_what_browsers_get(init):
    said = init()
    assert "identity.sync.tokenserver.uri to https://HOST/1.0/sync/1.5\n" in said
    assert "HOST stands" in " ".join(said.split())
    init.ini.unlink()
    said = init("--public-url", URL)
    assert "identity.sync.tokenserver.uri to %s/1.0/sync/1.5\n" % URL in said
    assert "Custom Sync server to %s/1.0/sync/1.5\n" % URL in said
    assert "token server: %s\n" % URL in said
    assert "services.sync.serverURL to %s/\n" % URL in said
    assert "HOST" not in said and "The first Mozilla account" in said
    # a URL that is in the file counts
    init.ini.write_text(init.ini.read_text().replace("= first", "= false"))
    said = init()
    assert URL in said and "The first Mozilla account" not in said


def test_lines_that_an_ini_lacks(init):
    text = "[storage]\nsqluri = sqlite:///%(here)s/x.db\n[nodes]\nfallback_node = https://b/\n"
    init.ini.write_text(text)
    said = init()
    assert "stays as it is:\n    [sync15]\n    secret_file = %(here)s/sync.secret\nnext:" in said
    assert "to https://b/1.0/sync/1.5\n" in said
    init.ini.write_text(text + "[sync15]\n")
    said = init("--public-url", URL)
    lines = "secret_file = %%(here)s/sync.secret\n    public_url = %s/" % URL
    assert "add to [sync15] of %s, which stays as it is:\n    %s\nnext:" % (init.ini, lines) in said
    with init.ini.open("a") as ini:
        ini.write(re.sub("(?m)^ *", "", lines))
    assert "add to" not in init("--public-url", URL)
    assert "has sync15.public_url = " + URL in init.fails("--public-url", "https://c")


def test_what_is_refused(init):
    for wrong in ("ftp://x", "https://x:port", "https://x/?a", URL + "/1.0/sync/1.5"):
        assert "--public-url must be" in init.fails("--public-url", wrong)
    init.ini.write_text("[wsgi]\nscript = x\n")
    assert "weavectl init -i %s" % init.ini in init.fails()
    init.ini.write_text("[sync15]\nsecret_file = sync.secret\n")
    assert "secret_file = %(here)s/sync.secret" in init.fails()
    init.ini.write_text("nonsense")
    assert "sync.ini:1: " in init.fails()
    init.ini.unlink()
    init.secret.write_text("short\n")
    init.secret.chmod(0o600)
    assert "less than 32" in init.fails()
    init.secret.chmod(0o644)
    assert "chmod 600" in init.fails()
    init.ini = init.ini.parent / "gone" / "sync.ini"
    assert "gone is not there" in init.fails()


def test_names_that_an_ini_would_read_differently(init):
    init.ini = init.ini.parent / "a%(here)s b.ini"
    init()
    path = load(str(init.ini))[0]["sync15.secret_file"]
    assert path == str(init.ini)[:-4] + ".secret" and os.path.exists(path)


def test_two_at_once(tmp_path):
    """One of them makes the secret; the other says that it is there, or finds it there."""
    ini = tmp_path / "sync.ini"
    done = []

    def run():
        done.append(
            subprocess.run(
                [sys.executable, "-m", "weave.server", "init", str(ini)],
                env=dict(os.environ, PYTHONPATH=SOURCES),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = [one.stdout for one in done]
    assert sum("made %s  (" % (tmp_path / "sync.secret") in text for text in said) == 1
    assert all(one.returncode == 0 or "is there already" in one.stdout for one in done), said
    assert sorted(os.listdir(tmp_path)) == ["sync.ini", "sync.secret"]


@pytest.mark.skipif(os.getuid() != 0, reason="only for root")
def test_root_makes_it_for_the_owner_of_the_folder():
    with tempfile.TemporaryDirectory(prefix="weave-init-", dir="/tmp") as top:
        os.chmod(top, 0o755)
        shutil.copytree(SOURCES, top + "/src", ignore=shutil.ignore_patterns("*.pyc"))

        def run(ini):
            done = subprocess.run(
                [sys.executable, "-m", "weave.server", "init", ini],
                env=dict(os.environ, PYTHONPATH=top + "/src"),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            return done.returncode, done.stdout

        nobody, daemon = pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("daemon").pw_uid
        data = top + "/data"
        os.mkdir(data)
        os.chown(data, nobody, -1)
        status, said = run(data + "/sync.ini")
        assert status == 0 and "(nobody, 0600)" in said and "only root" not in said
        for name in ("sync.ini", "sync.secret"):
            assert os.lstat("%s/%s" % (data, name)).st_uid == nobody
        # it is not clear for whom
        os.mkdir(data + "/more")
        os.chown(data + "/more", daemon, -1)
        status, said = run(data + "/more/sync.ini")
        assert status == 1 and "different users (daemon, nobody)" in said
        assert "sudo -u USER" in said and os.listdir(data + "/more") == []
        # as in a container
        os.mkdir(top + "/own")
        status, said = run(top + "/own/sync.ini")
        assert status == 0 and "(root, 0600)" in said
        assert "chown USER %s/own/sync.secret %s/own/sync.ini" % (top, top) in said
