# SPDX-License-Identifier: Apache-2.0
"""What archives may have in them: a table of bad ones, and made-up ones."""

import bz2
import contextlib
import gzip
import io
import os
import struct
import sys
import tarfile
import zipfile

import pytest
from conftest import TOP
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(TOP / "mozupload" / "tests"))

import archives as make
from weave_release import archives
from weave_release.archives import ArchiveError, archive_check


def info(name, kind=tarfile.REGTYPE, link="", mode=0o644):
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, link, mode
    return member


def sdist(folder, *members, **texts):
    """A good sdist x 1.0 with further members of a tar."""
    return make.sdist(folder, "x", "1.0", files=dict(
        {"extra%d" % number: member for number, member in enumerate(members)}, **texts))


SYM, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE

# Member of a tar: a part of what is said.
BAD_MEMBERS = [
    (info("../x-1.0/evil"), "outside of its folder (../x-1.0/evil)"),
    (info("x-1.0/a/../../../evil"), "outside of its folder"),
    (info("/etc/evil"), "absolute path (/etc/evil)"),
    (info("x-1.0\\..\\evil"), "name no file should have"),
    (info("x-1.0/a\nb"), "name no file should have"),
    (info("x-1.0/a/."), "name no file should have"),
    (info("x-1.0/\udcff"), "name no file should have"),
    (info("x-1.0/" + "a" * 256), "name is too long"),
    (info("x-1.0/" + "a/" * 600), "name is too long"),
    (info("y-1.0/file"), "2 folders instead of one"),
    (info("x-1.0/l", SYM, "/etc/passwd"), "leads out of it (x-1.0/l -> /etc/passwd)"),
    (info("x-1.0/l", SYM, ".."), "leads out of it"),
    (info("x-1.0/l", SYM, "../../evil"), "leads out of it"),
    (info("x-1.0/l", SYM, "a/../../.."), "leads out of it"),
    (info("x-1.0/l", SYM, ""), "leads out of it"),
    (info("x-1.0/l", HARD, "../evil"), "leads out of it"),
    (info("x-1.0/l", HARD, "/etc/passwd"), "leads out of it"),
    (info("x-1.0/l", HARD, "x-1.0/later"), "leads out of it"),
    (info("x-1.0/null", tarfile.CHRTYPE), "a device or a pipe (x-1.0/null)"),
    (info("x-1.0/sda", tarfile.BLKTYPE), "a device or a pipe"),
    (info("x-1.0/pipe", tarfile.FIFOTYPE), "a device or a pipe"),
    (info("x-1.0/su", mode=0o4755), "setuid or setgid (x-1.0/su)"),
    (info("x-1.0/X.py"), "differ in case only (x-1.0/x.py and x-1.0/X.py)"),
    (info("X-1.0/new"), "differ in case only"),
    (info("x-1.0/x.py"), "the same member twice (x-1.0/x.py)"),
    (info("x-1.0/x.py/below"), "the same member twice"),
    (info("x-1.0/s", tarfile.GNUTYPE_SPARSE), "damaged|of a kind"),
]


@pytest.mark.parametrize("member,text", BAD_MEMBERS, ids=[row[1] for row in BAD_MEMBERS])
def test_member_of_a_tar(tmp_path, member, text):
    path = sdist(tmp_path, member)
    with pytest.raises(ArchiveError) as refused:
        archive_check(str(path), "x", "1.0")
    assert any(part in refused.value.message for part in text.split("|"))
    assert refused.value.message.startswith("x-1.0.tar.gz ")
    assert refused.value.hint or "damaged" not in text


def test_members_behind_links(tmp_path):
    for first, second in (("a/l", "../.."), ("d", ".")):
        path = sdist(tmp_path, info("x-1.0/" + first, SYM, second), info("x-1.0/%s/x" % first))
        with pytest.raises(ArchiveError, match="behind a link|out of it"):
            archive_check(str(path))
    path = sdist(tmp_path, info("x-1.0/a/l", SYM, ".."), info("x-1.0/a/l/m", SYM, ".."))
    with pytest.raises(ArchiveError, match="behind a link"):
        archive_check(str(path))


def test_good_sdists(tmp_path):
    path = sdist(tmp_path, info("x-1.0/a/l", SYM, "../x.py"), info("x-1.0/h", HARD, "x-1.0/x.py"),
                 info("x-1.0/d", tarfile.DIRTYPE, mode=0o2755), info("./x-1.0/e"))
    found = archive_check(str(path), "X", "1.0.0")
    assert (found.project, found.version, found.kind) == ("x", "1.0", "sdist")
    assert found.requires is None and found.backend is None
    path = make.sdist(tmp_path, "WeaveServer", "1.1.4", ["falcon (>=3)"], "WeaveServer1.1.4.tgz",
                      {"pyproject.toml": "[build-system]\n"})
    found = archive_check(str(path), "weaveserver")
    assert (found.version, found.requires) == ("1.1.4", ["falcon (>=3)"])
    assert found.backend == "[build-system]\n"
    path = sdist(tmp_path, **{"x.egg-info/requires.txt": "falcon>=3\n\n[extra]\nother\n"})
    assert archive_check(str(path)).requires == ["falcon>=3", "other"]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_forms_of_tar(tmp_path, form):
    long = "x-1.0/" + "/".join(["folder" * 4] * (5 if form == tarfile.USTAR_FORMAT else 20))
    for compress, ending in ((gzip, "tar.gz"), (bz2, "tar.bz2")):
        path = tmp_path / ("x-1.0." + ending)
        with compress.open(str(path), "wb") as stream, \
                tarfile.open(fileobj=stream, mode="w:", format=form) as archive:
            for name in ("x-1.0/PKG-INFO", "x-1.0/setup.py", long, "x-1.0/ä"):
                member = tarfile.TarInfo(name)
                data = make.metadata("x", "1.0").encode()
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        assert archive_check(str(path), "x", "1.0").version == "1.0"


def test_zip_as_sdist(tmp_path):
    path = tmp_path / "x-1.0.zip"
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr("x-1.0/PKG-INFO", make.metadata("x", "1.0"))
        archive.writestr("x-1.0/setup.py", "")
    assert archive_check(str(path)).kind == "sdist"


def zipped(path, members):
    with zipfile.ZipFile(str(path), "w") as archive:
        for name, mode in members:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            archive.writestr(member, "")
    return str(path)


@pytest.mark.parametrize("name,mode,text", [
    ("../evil", 0o100644, "outside"), ("/evil", 0o100644, "absolute"),
    ("x-1.0/l", 0o120777, "a link or a device"), ("x-1.0/d", 0o020644, "a link or a device"),
    ("x-1.0/s", 0o104755, "setuid"), ("x-1.0/A", 0o100644, "case only"),
    ("x-1.0/d", 0o040755, "a folder and a file"),
])
def test_member_of_a_zip(tmp_path, name, mode, text):
    path = zipped(tmp_path / "x-1.0.zip", [("x-1.0/a", 0o100644), (name, mode)])
    with pytest.raises(ArchiveError, match=text):
        archive_check(path)


def test_zip_and_tar_at_once(tmp_path):
    path = sdist(tmp_path)
    zipped(tmp_path / "other.zip", [("evil", 0o100644)])
    with open(path, "ab") as stream:
        stream.write((tmp_path / "other.zip").read_bytes())
    with pytest.raises(ArchiveError, match="a zip and a tar at once"):
        archive_check(str(path))


def test_encrypted_and_packed_otherwise(tmp_path):
    path = zipped(tmp_path / "x-1.0.zip", [("x-1.0/a", 0o100644)])
    data = open(path, "rb").read()
    for offset, value, text in ((8, 1, "encrypted"), (10, 14, "not every pip")):
        at = data.index(b"PK\1\2") + offset
        (tmp_path / "x-1.0.zip").write_bytes(data[:at] + bytes([value]) + data[at + 1:])
        with pytest.raises(ArchiveError, match=text):
            archive_check(path)


def many_members(path, count):
    """A zip whose end says that it has so many members, and a tar that has them."""
    with gzip.open(str(path), "wb", 1) as stream:
        block = b"".join(info("x-1.0/%d" % n).tobuf() for n in range(1000))
        for _ in range(count // 1000):
            stream.write(block)


def test_a_million_members(tmp_path, monkeypatch):
    # As many as would be refused at once: names are told apart only after they are counted.
    monkeypatch.setattr("weave_release.members.MAX_MEMBERS", 900)
    many_members(tmp_path / "x-1.0.tar.gz", 1000)
    with pytest.raises(ArchiveError, match="more than 900 members"):
        archive_check(str(tmp_path / "x-1.0.tar.gz"))
    path = zipped(tmp_path / "x-1.0.zip", [("x-1.0/%d" % n, 0o100644) for n in range(901)])
    with pytest.raises(ArchiveError, match="more than 900 members"):
        archive_check(path)
    data = open(path, "rb").read()
    at = data.index(b"PK\5\6")
    with open(path, "wb") as stream:
        stream.write(data[:at + 10] + struct.pack("<H", 3) + data[at + 12:])
    with pytest.raises(ArchiveError, match="more than 900 members|damaged"):
        archive_check(path)


def test_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr("weave_release.members.FREE_BYTES", 1 << 20)
    big = info("x-1.0/zeros")
    big.size = 100 << 20
    with gzip.open(str(tmp_path / "x-1.0.tar.gz"), "wb", 9) as stream:
        stream.write(big.tobuf())
        for _ in range(100):
            stream.write(bytes(1 << 20))
    with pytest.raises(ArchiveError, match="MiB unpacked, from so little"):
        archive_check(str(tmp_path / "x-1.0.tar.gz"))
    with zipfile.ZipFile(str(tmp_path / "x-1.0.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x-1.0/PKG-INFO", bytes(50 << 20))
    with pytest.raises(ArchiveError, match="MiB unpacked, from so little"):
        archive_check(str(tmp_path / "x-1.0.zip"))


def test_headers_that_lie(tmp_path):
    huge = info("x-1.0/pax", tarfile.XHDTYPE)
    huge.size = 1 << 30
    back = bytearray(info("x-1.0/back").tobuf())
    back[124:136] = b"\xff" * 8 + struct.pack(">i", -1024)
    back[148:156] = b"%06o\0 " % (sum(back[:148]) + sum(back[156:512]) + 8 * 32)
    for block, text in ((huge.tobuf(), "header of more than"), (bytes(back), "kind|damaged")):
        with gzip.open(str(tmp_path / "x-1.0.tar.gz"), "wb") as stream:
            stream.write(block + bytes(4096))
        with pytest.raises(ArchiveError, match=text):
            archive_check(str(tmp_path / "x-1.0.tar.gz"))


def test_half_an_archive(tmp_path):
    for path in (sdist(tmp_path), make.wheel(tmp_path, "x", "1.0"),
                 make.sdist(tmp_path, "x", "1.0", filename="x-1.0.tar.bz2")):
        data = path.read_bytes()
        for size in (0, 10, len(data) // 2, len(data) - 20):
            path.write_bytes(data[:size])
            with pytest.raises(ArchiveError, match="is damaged"):
                archive_check(str(path))
    with pytest.raises(ArchiveError, match="cannot be read .No such file"):
        archive_check(str(tmp_path / "x-2.tar.gz"))


@pytest.mark.parametrize("project,version,text", [
    ("-r", "1.0", "is no name of a project"), (";rm -rf", "1.0", "is no name of a project"),
    ("x/../y", "1.0", "is no name"), ("", "1.0", "is no name"),
    ("x", "1.0;rm", "is no version"), ("x", "-1", "is no version"), ("x", "../1", "is no version"),
    ("x", "2004d", "is no version"), ("y", "1.0", "of y and not of x"),
    ("x", "1.1", "of version 1.1 and not of 1.0"), ("x\nName: y", "1.0", "its name 2 times"),
])
def test_names_in_metadata(tmp_path, project, version, text):
    path = make.tar(tmp_path / "x-1.0.tar.gz", {
        "x-1.0/PKG-INFO": make.metadata(project, version), "x-1.0/setup.py": ""})
    with pytest.raises(ArchiveError, match=text):
        archive_check(str(path), "x", "1.0")


def test_what_is_no_sdist(tmp_path):
    for members, text in (({"x-1.0/a": ""}, "has no PKG-INFO"), ({}, "it has nothing"),
                          ({"x-1.0/PKG-INFO": make.metadata("x", "1.0")}, "neither a pyproject")):
        with pytest.raises(ArchiveError, match=text):
            archive_check(str(make.tar(tmp_path / "x-1.0.tar.gz", members)))


@settings(max_examples=60, deadline=None, derandomize=True, database=None,
          suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_byte_gets_past(tmp_path_factory, data):
    """Whatever is changed in a good archive: it is good still, or it is refused with a sentence."""
    folder = str(tmp_path_factory.getbasetemp())
    if data.draw(st.booleans()):
        path = str(make.wheel(folder, "x", "1.0"))
        whole = bytearray(open(path, "rb").read())
    else:
        path = os.path.join(folder, "x-1.0.tar.gz")
        whole = bytearray(gzip.decompress(sdist(folder, info("x-1.0/l", SYM, "x.py")).read_bytes()))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with open(path, "wb") as stream:
        stream.write(gzip.compress(whole) if path.endswith("gz") else whole)
    try:
        found = archive_check(path, "x", "1.0")
    except ArchiveError as refused:
        assert refused.message.startswith(os.path.basename(path))
        assert refused.message.isprintable()
    else:
        assert found.canonical == "x"


@settings(max_examples=100, deadline=None, derandomize=True, database=None,
          suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(
    st.lists(st.sampled_from(["a", "b", "A", "..", ".", "", "l"]), min_size=1, max_size=4),
    st.sampled_from(["file", "sym", "hard", "folder"]),
    st.lists(st.sampled_from(["a", "b", "..", ".", "", "l"]), min_size=1, max_size=5)),
    max_size=6))
def test_what_is_let_in_stays_inside(tmp_path_factory, rows):
    """Archives that pass are unpacked as tar does it: nothing may come to lie elsewhere."""
    folder = tmp_path_factory.mktemp("fuzz")
    kinds = {"file": tarfile.REGTYPE, "sym": SYM, "hard": HARD, "folder": tarfile.DIRTYPE}
    path = sdist(str(folder), *[
        info("x-1.0/" + "/".join(name), kinds[kind], ("x-1.0/" if kind == "hard" else "")
             + "/".join(target), 0o755) for name, kind, target in rows])
    try:
        archive_check(str(path))
    except ArchiveError:
        return
    out = folder / "deep" / "out"
    out.mkdir(parents=True)
    with tarfile.open(str(path)) as archive, contextlib.suppress(OSError):
        archive.extraction_filter = lambda member, _: member    # from Python 3.12 on
        archive.extractall(str(out))        # a link to what is not there cannot be chmodded
    top = os.path.realpath(str(out / "x-1.0"))
    for base, folders, files in os.walk(str(out)):
        for name in folders + files:
            found = os.path.realpath(os.path.join(base, name))
            assert found == top or found.startswith(top + "/")
    assert os.listdir(str(folder / "deep")) == ["out"]
