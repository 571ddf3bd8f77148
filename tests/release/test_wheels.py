# SPDX-License-Identifier: Apache-2.0
"""What wheels may have in them."""

import base64
import hashlib
import sys
import zipfile

import pytest
from conftest import TOP

sys.path.insert(0, str(TOP / "mozupload" / "tests"))

import archives as make
from weave_release import wheels
from weave_release.archives import ArchiveError, archive_check

INFO = "x-1.0.dist-info/"


def changed(path, change):
    """Writes the wheel anew; change(members: {name: bytes}) may do what it likes."""
    with zipfile.ZipFile(str(path)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(str(path), "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return str(path)


def record(path, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return ("%s,sha256=%s,%d\n" % (path, digest, len(data))).encode()


def test_a_good_one(tmp_path):
    path = make.wheel(tmp_path, "Weave.Server", "1.0", ["falcon>=3; extra == 'x'"],
                      files={"Weave.Server-1.0.data/data/share/w.wsgi": "",
                             "Weave.Server-1.0.data/scripts/weave-server": "#!python\n",
                             "Weave.Server-1.0.dist-info/entry_points.txt":
                             "[console_scripts]\nweave.x = a.b:c.d [extra]\n[other]\n../x = y\n"},
                      Provides_Extra="x", Requires_Python=">=3.8")
    found = archive_check(str(path), "weave-server", "1.0.0")
    assert (found.kind, found.canonical, found.version) == ("wheel", "weave-server", "1.0")
    assert found.requires == ["falcon>=3; extra == 'x'"]
    assert (found.extras, found.requires_python) == (["x"], ">=3.8")


@pytest.mark.parametrize("text", [
    "../../x = a:b", "x/y = a:b", ".. = a:b", "-r = a:b", ";rm = a:b", "$(rm) = a:b", "a b = a:b",
    "= a:b", ".profile = a:b", "python = a:b", "python3.11 = a:b", "activate = a:b",
    "activate.fish = a:b", "Activate.ps1 = a:b", "x = a", "x = a:b;import os", "x = a b:c",
    "x = :b", "x", "ok = a:b\n   ../y = a:b",
])
@pytest.mark.parametrize("group", ["console_scripts", "gui_scripts"])
def test_entry_points(tmp_path, text, group):
    path = make.wheel(tmp_path, "x", "1.0", files={
        INFO + "entry_points.txt": "[%s]\n%s\n" % (group, text)})
    with pytest.raises(ArchiveError, match="script whose name|would replace|calls no MODULE"):
        archive_check(str(path))


def test_entry_points_read_as_python_does():
    """Those of an indented line or behind a comment count, too."""
    text = "[console_scripts]\n a=b:c\n# d=e:f\n\n [gui_scripts] \nj =k:l\x85 m=n:o\n"
    assert list(wheels.entry_points(text)) == [
        ("console_scripts", "a", "b:c"), ("gui_scripts", "j", "k:l"), ("gui_scripts", "m", "n:o")]


@pytest.mark.parametrize("path,text", [
    ("x-1.0.data/evil/x", "a place that no virtualenv has"),
    ("x-1.0.data/x", "a place that no virtualenv has"),
    ("y-1.0.data/data/x", "a place that no virtualenv has"),
    ("x-1.0.data/data/../../x", "outside"),
    ("x-1.0.data/data//etc/x/../..", "outside"),
    ("x-1.0.data/data/bin/python3", "would replace bin/python3"),
    ("x-1.0.data/data/pyvenv.cfg", "would replace a file"),
    ("x-1.0.data/data/.weave/ready.json", "would replace a file"),
    ("x-1.0.data/scripts/activate", "would replace bin/activate"),
    ("x-1.0.data/scripts/-r", "name leaves bin/ or is none"),
    ("x-1.0.data/scripts/a/b", "in a folder of its own"),
    ("/etc/passwd", "absolute"),
    ("y-1.0.dist-info/METADATA", "2 folders .dist-info"),
    ("X.py", "case only"),
])
def test_places(tmp_path, path, text):
    found = make.wheel(tmp_path, "x", "1.0", files={path: ""})
    with pytest.raises(ArchiveError, match=text):
        archive_check(str(found))


def test_record(tmp_path):
    def expect(change, text):
        path = changed(make.wheel(tmp_path, "x", "1.0"), change)
        with pytest.raises(ArchiveError, match=text):
            archive_check(path)

    def lines(change):
        def both(members):
            rows = members[INFO + "RECORD"].splitlines(True)
            members[INFO + "RECORD"] = b"".join(change(rows))
        return both

    expect(lambda m: m.update({"x.py": b"evil"}), "not the one of its RECORD .x.py")
    expect(lambda m: m.update({"y.py": b""}), "RECORD does not name .y.py")
    expect(lambda m: m.pop("x.py"), "names a file which is not there .x.py")
    expect(lambda m: m.pop(INFO + "RECORD"), "has no x-1.0.dist-info/RECORD")
    expect(lambda m: m.pop(INFO + "WHEEL"), "has no x-1.0.dist-info/WHEEL")
    expect(lines(lambda rows: [b"x.py,,\n"] + rows[1:]), "without a SHA-256 of x.py")
    expect(lines(lambda rows: [b"x.py,md5=1,\n"] + rows[1:]), "without a SHA-256 of x.py")
    expect(lines(lambda rows: [rows[0].replace(b",1", b",2")] + rows[1:]), "not the one")
    expect(lines(lambda rows: rows + [b"../../evil,,\n"]), "is not there .../../evil")
    expect(lines(lambda rows: rows + [record("x.py", b"evil")]), "no file, hash and size")
    expect(lines(lambda rows: [b"a,b\n"] + rows), "no file, hash and size")
    expect(lines(lambda rows: [b'"a\n'] + rows), "RECORD|damaged")
    expect(lines(lambda rows: [b"a" * 200000 + b",,\n"] + rows), "damaged .field larger than")
    # before Python 3.11 csv reads no NUL
    expect(lines(lambda rows: [b"\0,,\n"] + rows), "is not there|damaged .line contains NUL")


def test_metadata_of_another(tmp_path):
    def metadata(text):
        def change(members):
            data = text.encode()
            old = record(INFO + "METADATA", members[INFO + "METADATA"])
            members[INFO + "RECORD"] = members[INFO + "RECORD"].replace(
                old, record(INFO + "METADATA", data))
            members[INFO + "METADATA"] = data
        return change

    for text, said in ((make.metadata("y", "1.0"), "it is y 1.0, and the name of its file says x"),
                       (make.metadata("x", "1.1"), "says that it is x 1.1"),
                       (make.metadata("x", "1.0") + "Version: 1.1\n", "its version 2 times"),
                       ("", "its name nowhere")):
        path = changed(make.wheel(tmp_path, "x", "1.0"), metadata(text))
        with pytest.raises(ArchiveError, match=said):
            archive_check(path)
    other = make.wheel(tmp_path, "x", "1.0").rename(tmp_path / "y-1.0-py3-none-any.whl")
    with pytest.raises(ArchiveError, match="name of its file says y 1.0"):
        archive_check(str(other))
    odd = make.wheel(tmp_path, "x", "1.0").rename(tmp_path / "x-1.0.whl")
    with pytest.raises(ArchiveError, match="not the name of a wheel"):
        archive_check(str(odd))
    newer = changed(make.wheel(tmp_path, "x", "1.0"), lambda members: members.update(
        {INFO + "WHEEL": b"Wheel-Version: 2.0\n"}))
    with pytest.raises(ArchiveError, match="a wheel of version 2.0"):
        archive_check(newer)
