# SPDX-License-Identifier: Apache-2.0
"""Which Python a release gets, and what is done with a virtualenv."""

import os
import stat
import sys

import pytest

from weave_release import plan, venv
from weave_release.errors import ReleaseError

HERE = "%d.%d" % sys.version_info[:2]


def settings(python="", engines=(HERE,)):
    return {"python": python, "engines": list(engines), "engine_default": sys.executable}


def fake_python(folder, *lines, status=0):
    path = folder / "python"
    path.write_text("#!/bin/sh\n%s\nexit %d\n" % (
        "\n".join("echo '%s'" % line for line in lines), status))
    path.chmod(0o755)
    return str(path)


def test_the_default_engine_and_the_release_before(tmp_path):
    exact = venv.base_choose(settings(), None)
    assert os.path.basename(exact) == "python" + HERE
    assert venv.base_choose(settings(), {"python": {"executable": exact}}) == exact
    # one that has gone, and a ready.json that says anything
    for before in ({"executable": "/no/such/python"}, None, "python", {"executable": 3}, {}):
        assert venv.base_choose(settings(), {"python": before}) == exact


def test_release_python_comes_first(tmp_path):
    fake = fake_python(tmp_path, "3.99", "/opt/python3.99", "True")
    with pytest.raises(ReleaseError) as refused:
        venv.base_choose(settings(fake), {"python": {"executable": sys.executable}})
    assert "no engine for Python 3.99 (/opt/python3.99), only for %s" % HERE in str(refused.value)
    assert "make PYTHONS='%s /opt/python3.99'" % sys.executable in refused.value.hint
    assert venv.base_choose(settings(fake, ["3.99", HERE]), None) == "/opt/python3.99"


def test_a_python_without_venv(tmp_path):
    with pytest.raises(ReleaseError, match="has no module venv") as refused:
        venv.base_find(fake_python(tmp_path, "3.11", "/opt/python3.11", "False"))
    assert "python3.11-venv" in refused.value.hint


@pytest.mark.parametrize("lines, status", (((), 0), (("3.11", "/x", "True"), 1),
                                           (("Python 2.7",), 0)))
def test_what_is_no_python(tmp_path, lines, status):
    with pytest.raises(ReleaseError, match="is no Python 3 that starts"):
        venv.base_find(fake_python(tmp_path, *lines, status=status))
    with pytest.raises(ReleaseError, match="cannot be started"):
        venv.base_find(str(tmp_path / "no-such"))


def test_rights(tmp_path):
    place = tmp_path / "release"
    (place / "bin").mkdir(parents=True)
    for name, mode in (("secret", 0o600), ("tool", 0o700), ("open", 0o666), ("setuid", 0o4755)):
        (place / "bin" / name).write_text("")
        (place / "bin" / name).chmod(mode)
    (place / "bin").chmod(0o770)
    (place / "link").symlink_to("/etc/passwd")
    venv.rights_settle(str(place))
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in place.rglob("*")
             if not path.is_symlink()}
    assert modes == {"bin": 0o755, "secret": 0o644, "tool": 0o755, "open": 0o644, "setuid": 0o755}


def test_a_record_that_leads_out(tmp_path):
    python = type("Python", (), {"version": "3.11.2"})
    info = tmp_path / "lib" / "python3.11" / "site-packages" / "evil-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text("evil.py,,\n../../../bin/evil,,\n")
    assert list(venv.records(str(tmp_path), python)) == ["evil"]
    (info / "RECORD").write_text("evil.py,,\n../../../../elsewhere,,\n")
    with pytest.raises(ReleaseError, match="evil-1.0 has put a file outside of the release"):
        venv.records(str(tmp_path), python)


def test_bin_pip_of_a_release_stays(tmp_path):
    (tmp_path / "bin").mkdir()
    venv.people_pip_write(str(tmp_path), "/it's/pip")
    assert "'/it'\\''s/pip'" in (tmp_path / "bin" / "pip").read_text()
    (tmp_path / "bin" / "pip").write_text("its own")
    venv.people_pip_write(str(tmp_path), "/usr/pip")
    assert (tmp_path / "bin" / "pip").read_text() == "its own"


def test_labels_of_selinux(tmp_path, monkeypatch):
    """What a machine without SELinux can try of it."""
    tool = tmp_path / "restorecon"
    tool.write_text("#!/bin/sh\n[ $# = 2 ] && [ $1 = -RF ] && [ $2 = /good ]\n")
    tool.chmod(0o755)
    monkeypatch.setattr(venv.shutil, "which", lambda name: str(tool))
    there = os.path.exists
    monkeypatch.setattr(venv.os.path, "exists", lambda path: path.startswith("/sys/fs/") or
                        there(path))
    assert venv.labels_restore("/good", None) == ""
    assert venv.labels_restore("/bad", None) == "restorecon cannot label /bad"
    monkeypatch.setattr(venv.os.path, "exists", lambda path: False)
    assert venv.labels_restore("/bad", None) == ""


def test_a_home_on_another_machine(tmp_path):
    mounts = tmp_path / "mountinfo"
    rows = [("/", "ext4"), (str(tmp_path), "nfs4"), (str(tmp_path / "b c"), "xfs")]
    mounts.write_text("".join(
        "1 2 0:1 / %s rw shared:1 - %s host:/x rw\n" % (point.replace(" ", "\\040"), kind)
        for point, kind in rows))
    for path, kind in (("/srv", ""), (tmp_path / "a", "nfs4"), (tmp_path / "b c" / "d", ""),
                       (tmp_path / "b", "nfs4"), (tmp_path, "nfs4")):
        assert plan.network_kind(str(path), str(mounts)) == kind
    assert isinstance(plan.network_kind("/"), str)
