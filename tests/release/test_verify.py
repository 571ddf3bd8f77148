# SPDX-License-Identifier: Apache-2.0
"""weavectl verify: what has become of the files of a release."""

import base64
import hashlib
import json
import os
import re
import sys

import pytest

from homes import Context, options_parse, release_make, release_serve
from weave_release import records, verify
from weave_release.errors import ReleaseError

SITE = "lib/python3.11/site-packages"
FALCON = SITE + "/falcon-3.1.1.dist-info/RECORD"


def write(release, path, text="", mode=0o644):
    path = os.path.join(release.path, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def project_install(release, name, version, files):
    """As pip does; returns the SHA-256 of RECORD."""
    info = "%s/%s-%s.dist-info" % (SITE, name, version)
    rows = []
    for path, text in {**files, info + "/METADATA": "Name: %s\n" % name}.items():
        write(release, path, text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
        row = '"%s",sha256=%s,%d' % (
            os.path.relpath(path, SITE), digest.decode().rstrip("="), len(text))
        rows.append(row)
    rows.append(SITE[len(SITE) :] + "%s-%s.dist-info/RECORD,," % (name, version))
    rows.append("%s/__pycache__/x.cpython-311.pyc,," % name)
    text = "\r\n".join(rows) + "\r\n"
    write(release, info + "/RECORD", text)
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def release(tmp_path):
    """weaveserver 1.1.5 with falcon, in what looks like a virtualenv."""
    home = Context(tmp_path).home
    home.folders_make()
    release = release_make(home, "1.1.5")
    hashes = {
        "WeaveServer": project_install(
            release, "WeaveServer", "1.1.5",
            {SITE + "/weave/app.py": "app", "bin/weave-server": "#!", "share/weave/doc, 1": ""}),
        "falcon": project_install(release, "falcon", "3.1.1", {SITE + "/falcon/x.py": "x = 1\n"}),
    }
    for path in ("pyvenv.cfg", "bin/activate", "bin/activate.csh", "bin/Activate.ps1", "bin/pip"):
        write(release, path)
    write(release, SITE + "/falcon/__pycache__/x.cpython-311.pyc", "compiled")
    os.symlink("/bin/sh", release.path + "/bin/python")
    os.symlink("python", release.path + "/bin/python3")
    os.symlink("lib", release.path + "/lib64")
    lock = {"weaveserver": {"version": "1.1.5"}, "falcon": {"version": "3.1.1"}}
    home.ready_write(release.path, {**release.ready, "records": hashes, "lock": lock})
    release_serve(home, home.release(release.name))
    return home.release(release.name)


def findings(tmp_path, *words, status=1):
    made = Context(tmp_path, True, **options_parse(verify, *words))
    assert verify.run(made) == status
    answer = json.loads(made.said.splitlines()[-1])
    assert answer["result"] == ("changed" if status else "unchanged")
    assert bool(made.err.getvalue()) == bool(status)
    return [(found["path"], found["problem"]) for found in answer["findings"]]


def test_what_is_as_it_was_installed(release, tmp_path):
    assert findings(tmp_path, status=0) == []
    made = Context(tmp_path, **options_parse(verify, "1.1.5"))
    assert verify.run(made) == 0
    assert made.said.startswith("  compare  weaveserver 1.1.5, 6 files ...")
    assert "\nweaveserver 1.1.5 is as it was installed. " in made.said


def test_a_changed_a_missing_and_a_new_file(release, tmp_path):
    write(release, SITE + "/falcon/x.py", "x = 2\n")
    os.unlink(release.path + "/bin/weave-server")
    write(release, SITE + "/evil.pth", "import os")
    write(release, "bin/evil")
    write(release, "top")
    os.symlink("/etc", release.path + "/" + SITE + "/falcon/link")
    assert findings(tmp_path) == [
        ("bin/weave-server", "is missing"),
        (SITE + "/falcon/x.py", "has changed"),
        ("top", "is in no RECORD"),
        ("bin/evil", "is in no RECORD"),
        (SITE + "/evil.pth", "is in no RECORD"),
        (SITE + "/falcon/link", "is in no RECORD"),
    ]


def test_people_get_a_line_for_each_and_the_cure(release, tmp_path):
    write(release, SITE + "/fal\x1bcon.py")
    made = Context(tmp_path, **options_parse(verify))
    assert verify.run(made) == 1
    assert made.said.splitlines()[-1] == SITE + "/fal\\x1bcon.py: is in no RECORD"
    assert made.err.getvalue() == (
        "weavectl: weaveserver 1.1.5 is not as it was installed: "
        "install its version again, with --again\n")


def test_disk_rot_in_each_byte_of_a_file(release, tmp_path):
    path = release.path + "/" + SITE + "/weave/app.py"
    for at in range(3):
        data = bytearray(b"app")
        data[at] ^= 1
        with open(path, "wb") as file:
            file.write(data)
        assert findings(tmp_path) == [(SITE + "/weave/app.py", "has changed")]


def test_a_record_that_was_changed_with_its_file(release, tmp_path):
    os.unlink(release.path + "/" + FALCON)
    project_install(release, "falcon", "3.1.1", {SITE + "/falcon/x.py": "evil\n"})
    assert findings(tmp_path) == [(FALCON, "has changed")]


def test_a_project_that_came_went_or_is_of_another_version(release, tmp_path):
    project_install(release, "cgi2", "1", {})
    folder = release.path + "/" + SITE
    os.rename(folder + "/falcon-3.1.1.dist-info", folder + "/falcon-3.1.3.dist-info")
    found = findings(tmp_path)
    assert ("falcon", "is 3.1.3, was installed as 3.1.1") in found
    assert (SITE + "/cgi2-1.dist-info/RECORD",
            "belongs to a project that was not installed here") in found
    os.rename(folder + "/falcon-3.1.3.dist-info", tmp_path / "away")
    assert ("falcon", "is not installed any more") in findings(tmp_path)


@pytest.mark.parametrize(
    "record, problem",
    [
        ('"', "has changed"),
        ("../../../../../../etc/passwd,sha256=x,1\n", "is outside of the release"),
        ("falcon,sha256=x,1\n", "is no regular file"),
        ("pipe,sha256=x,1\n", "is no regular file"),
        ("link,sha256=x,1\n", "Too many levels of symbolic links"),
        ("falcon/x.py,md5=x,1\n", "its hash is no sha256"),
        ("falcon/x.py,sha256=,1\n", "has changed"),
        ("\0,sha256=x,1\n", "null|NUL"),
        ("\xff\xfe", "has changed"),
    ],
)
def test_a_hostile_record_is_a_finding_and_nothing_else(release, tmp_path, record, problem):
    os.mkfifo(release.path + "/" + SITE + "/pipe")
    os.symlink("falcon/x.py", release.path + "/" + SITE + "/link")
    with open(release.path + "/" + FALCON, "wb") as file:
        file.write(record.encode("latin-1"))
    assert any(re.search(problem, text) for _, text in findings(tmp_path))


def test_a_huge_record_is_not_read(release, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "RECORD_MOST", 10)
    assert any("is larger than 10 bytes" in text for _, text in findings(tmp_path))


def test_files_that_others_may_write(release, tmp_path):
    os.chmod(release.path + "/" + SITE + "/falcon", 0o777)
    os.chmod(release.path + "/bin/weave-server", 0o664)
    assert findings(tmp_path) == [
        ("bin/weave-server", "may be written by others than its owner"),
        (SITE + "/falcon", "may be written by others than its owner"),
    ]


def test_a_python_that_has_gone(release, tmp_path):
    os.unlink(release.path + "/bin/python")
    os.symlink("/nowhere/python3.11", release.path + "/bin/python")
    assert findings(tmp_path) == [("bin/python", "leads to no Python any more")]


def test_packages_of_the_distribution_that_have_changed(release, tmp_path):
    """pytest, with which this runs, stands for one."""
    lock = {**release.ready["lock"]}
    for name, version in (("pytest", "0.1"), ("no-such-project", "1"), ("tap.py", None)):
        lock[name] = {"version": version, "sha256": None, "system": True}
    lock["pip"] = {"version": "0.1", "system": False}
    python = {"version": "3", "executable": sys.executable}
    Context(tmp_path).home.ready_write(
        release.path, {**release.ready, "lock": lock, "python": python})
    found = findings(tmp_path)
    assert ("no-such-project", "is in the distribution no more, was 1") in found
    assert ("pytest", "is %s in the distribution, was 0.1" % pytest.__version__) in found
    assert ("pip", "is not installed any more") in found


def test_what_cannot_be_compared(release, tmp_path):
    home = Context(tmp_path).home
    os.mkdir(home.releases_path + "/weaveserver-1.1.6")
    for words in (("weaveserver-1.1.6",), ("1.1.7",)):
        with pytest.raises(ReleaseError):
            findings(tmp_path, *words)
    os.unlink(home.link_path)
    with pytest.raises(ReleaseError, match="no release serves in .*: say which one"):
        findings(tmp_path)


@pytest.mark.parametrize("ready", [
    {"lock": 7, "records": []}, {"lock": {"falcon": 7}, "records": {"falcon": 7}}])
def test_facts_that_are_damaged(release, tmp_path, ready):
    home = Context(tmp_path).home
    home.ready_write(release.path, {**release.ready, **ready})
    assert findings(tmp_path)


def test_a_wrong_command_line_has_status_2():
    with pytest.raises(SystemExit) as ended:
        options_parse(verify, "1", "2")
    assert ended.value.code == 2
