# SPDX-License-Identifier: Apache-2.0
"""The versions that a checkout wants, and the archives that it gets of a vendor repository."""

import hashlib
import os

import pytest

from weave_release import pins as pins_
from weave_release import vendor
from weave_release.errors import ReleaseError


def read(folder, **files):
    """pins_read() of files whose names are written with _ for - and without .txt."""
    for name, text in files.items():
        (folder / (name.replace("_", "-") + ".txt")).write_text(text)
    return pins_.pins_read(str(folder), str(folder))


def test_pins(tmp_path):
    pins = read(tmp_path, requirements="""
# all that we need
Falcon==3.1.1   # a comment
argon2-cffi[x]==21.1.0; python_version >= "3"
six \\
    ==1.16.0
-r more.txt
-i https://example.com/simple
""", more="SQLAlchemy===1.4.46\n-c limits.txt\n", limits="cffi==1.15\n-r requirements.txt\n")
    assert [text.replace(" ", "").split(";")[0] for text in pins.requires] == [
        "Falcon==3.1.1", "argon2-cffi[x]==21.1.0", "six==1.16.0", "SQLAlchemy===1.4.46"]
    assert pins.is_wanted("falcon", "3.1.1") and pins.is_wanted("falcon", "3.1.1.0")
    assert not pins.is_wanted("falcon", "3.1.2")
    assert not pins.is_wanted("cffi", "1.16") and pins.is_wanted("other", "1")
    assert pins.files == ["requirements.txt", "more.txt", "limits.txt"]


def test_files_for_developers(tmp_path):
    pins = read(tmp_path, requirements_dev="pytest==7\n", requirements_prod="a==1\n",
                requirements_tests="x\n")
    assert pins.requires == ["a==1"]
    assert pins.skipped == ["requirements-dev.txt", "requirements-tests.txt"]
    assert read(tmp_path, requirements="b==2\n").requires == ["b==2"]


def test_no_pins(tmp_path):
    assert read(tmp_path).requires == []
    pins = read(tmp_path, requirements="falcon>=3\nsix\n")
    assert (pins.requires, pins.files) == ([], [])


@pytest.mark.parametrize("line,why", [
    ("falcon>=3", "is no pin"), ("falcon", "is no pin"), ("falcon==3.*", "is no pin"),
    ("falcon>=3,==3.1", "is no pin"), ("-e .", "cannot be followed"),
    ("--editable=x", "cannot be followed"), ("falcon @ https://example.com/f", "no requirement"),
    ("git+https://example.com/f", "no requirement"), ("./f.whl", "no requirement"),
    ("-r ../../etc/passwd", "lead out"), ("-r nothing.txt", "cannot be read"),
    ("a==1 --hash=md5:00", "only sha256"),
])
def test_refused(tmp_path, line, why):
    with pytest.raises(ReleaseError, match=why):
        read(tmp_path, requirements="six==1.16.0\n%s\n" % line)


# ---- archives ----

def flatten(tmp_path, pins, **files):
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()
    for name, text in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    vendor.archives_flatten(str(source), str(target), "vendor", pins)
    return sorted(os.listdir(target))


def test_archives_anywhere(tmp_path):
    assert flatten(tmp_path, read(tmp_path, requirements="a==1\n"), **{
        "a-1-py3-none-any.whl": "", "old/a-0-py3-none-any.whl": "", "x/y/b-2.tar.gz": "",
        "again/b-2.tar.gz": "", "README": "", "x/-c.whl": ""}) == [
            "a-1-py3-none-any.whl", "b-2.tar.gz"]


def test_two_files_of_one_name(tmp_path):
    with pytest.raises(ReleaseError, match="two different files called b-2.zip"):
        flatten(tmp_path, read(tmp_path), **{"a/b-2.zip": "1", "c/b-2.zip": "2"})


def test_hashes(tmp_path):
    good = hashlib.sha256(b"good").hexdigest()
    pins = read(tmp_path, requirements="a==1 --hash=sha256:%s\n" % good)
    assert flatten(tmp_path, pins, **{"a-1.tar.gz": "other", "w/a-1-py3-none-any.whl": "good"}) == [
        "a-1-py3-none-any.whl"]


def test_a_wrong_hash(tmp_path):
    pins = read(tmp_path, requirements="a==1 --hash=sha256:%s\n" % ("0" * 64))
    with pytest.raises(ReleaseError, match="a-1.zip of vendor is not the file whose hash req"):
        flatten(tmp_path, pins, **{"a-1.zip": "1"})
