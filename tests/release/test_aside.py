# SPDX-License-Identifier: Apache-2.0
"""A copy of a virtualenv beside it: whenever it ends early, it takes its place again."""

import errno
import os
import pathlib
import shutil
import tempfile

import pytest

from weave_release import aside, files, programs
from weave_release.errors import ReleaseError
from weave_release.users import HOME_ENTRIES

BEFORE = {
    "pyvenv.cfg": "home = /usr/bin\n", "bin/python": "->/usr/bin/python3", "bin/tool": "#!x\n",
    "lib/p/one.py": "1\n", "lib/p/gone.py": "0\n", "lib64": "->lib", "share/a": "a\n"}
AFTER = {
    "pyvenv.cfg": "home = /usr/bin\n", "bin/python": "->/usr/bin/python3", "bin/tool": "#!y\n",
    "lib/p/one.py": "2\n", "lib/p/new.py": "3\n", "lib64": "->lib", "etc/b": "b\n"}


@pytest.fixture(autouse=True)
def without_syncs(monkeypatch):
    """They take long on a busy disk, and nothing here loses its power."""
    monkeypatch.setattr(files, "syncfs", lambda fd: None)
    monkeypatch.setattr(os, "fsync", lambda fd: None)


class Killed(BaseException):
    """What kill -9 is within a test: no handler of ours stops it."""


def tree_make(top, files):
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            path.symlink_to(text[2:])
        else:
            path.write_text(text)


def tree_read(top, without=()):
    found = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        if name.split("/")[0] in without:
            continue
        if path.is_symlink():
            found[name] = "->" + os.readlink(path)
        elif path.is_file():
            found[name] = path.read_text()
    return found


def upgrade(top):
    """What pip does: files in place, not folders."""
    for name in set(BEFORE) - set(AFTER):
        (top / name).unlink()
    shutil.rmtree(top / "share")
    for name, text in AFTER.items():
        if not text.startswith("->"):
            (top / name).parent.mkdir(exist_ok=True)
            (top / name).write_text(text)


class Place:
    """HOME and a virtualenv: HOME itself, a folder in it, or one in a closed folder."""

    def __init__(self, top, kind):
        self.home = top / "sync"
        self.home.mkdir()
        self.kind = kind
        self.virtualenv = {"home": self.home, "folder": self.home / "venv",
                           "renames": self.home / "venv", "entries": top / "app" / "venv"}[kind]
        tree_make(self.virtualenv, BEFORE)
        tree_make(self.home, {"releases/x/y": "ours\n", "logs/a.log": "", "history.jsonl": ""})

    def plan(self):
        return aside.aside_plan(str(self.home), str(self.virtualenv))

    def files(self):
        return tree_read(self.virtualenv, HOME_ENTRIES if self.kind == "home" else ())

    def is_clean(self):
        left = os.listdir(self.home) + os.listdir(self.virtualenv.parent)
        return not [name for name in left if "in-place" in name] and aside.TOKEN not in os.listdir(
            self.virtualenv)


@pytest.fixture(params=("home", "folder", "renames", "entries"))
def place(request, tmp_path, monkeypatch):
    if request.param == "renames":
        def refuse(one, other):
            raise OSError(errno.EINVAL, "no such thing here")
        monkeypatch.setattr(aside, "exchange", refuse)
    place = Place(tmp_path, request.param)
    if request.param == "entries":
        above = str(place.virtualenv.parent)
        access = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: path != above and access(path, mode))
    return place


def begun(place):
    copy = place.plan()
    copy.copy()
    copy.mark(aside.BEGUN)
    return copy


def test_kinds(place):
    copy = place.plan()
    assert copy.is_by_entries == (place.kind in ("home", "entries"))
    if place.kind == "home":
        assert set(copy.facts["entries"]) == {name.split("/")[0] for name in BEFORE}


def test_an_upgrade_that_is_kept(place):
    copy = begun(place)
    assert place.files() == BEFORE
    upgrade(place.virtualenv)
    copy.mark(aside.DONE)
    aside.aside_read(str(place.home)).end()
    assert place.files() == AFTER
    assert place.is_clean()
    assert aside.aside_read(str(place.home)) is None


def test_an_upgrade_that_failed(place):
    begun(place)
    upgrade(place.virtualenv)
    copy = aside.aside_read(str(place.home))
    copy.put_back()
    copy.mark(aside.BACK)
    copy.end()
    assert place.files() == BEFORE
    assert place.is_clean()
    assert (place.home / "releases/x/y").read_text() == "ours\n"


def test_put_back_without_an_upgrade_and_twice(place):
    begun(place)
    for _ in range(3):
        copy = aside.aside_read(str(place.home))
        copy.put_back()
        copy.failed_remove()
    assert place.files().items() >= BEFORE.items()
    copy.mark(aside.BACK)
    copy.end()
    assert place.files() == BEFORE and place.is_clean()


@pytest.fixture
def image(monkeypatch):
    """Folders cannot be renamed, as those of an image on overlayfs; files and new ones can."""
    real = os.rename

    def rename(source, target):
        if os.path.isdir(source) and not source.endswith("former.new"):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, target)

    def refuse(one, other):
        raise OSError(errno.EXDEV, "Invalid cross-device link")
    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(aside, "exchange", refuse)


def test_folders_that_cannot_be_renamed(place, image, monkeypatch):
    """Killed behind each copy that is made back, too."""
    real = programs.program_run
    for most in range(0, 12, 3):
        begun(place)
        upgrade(place.virtualenv)
        left = [most]

        def counted(argv, *more, **named):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(argv, *more, **named)

        with monkeypatch.context() as patch:
            patch.setattr(programs, "program_run", counted)
            try:
                aside.aside_read(str(place.home)).put_back()
            except Killed:
                pass
        copy = aside.aside_read(str(place.home))
        copy.put_back()
        copy.failed_remove()
        copy.mark(aside.BACK)
        copy.end()
        assert place.files() == BEFORE and place.is_clean()


def test_a_copy_that_somebody_has_removed(tmp_path):
    place = Place(tmp_path, "folder")
    begun(place)
    upgrade(place.virtualenv)
    shutil.rmtree(place.home / "in-place" / "former")
    with pytest.raises(ReleaseError, match="is gone"):
        aside.aside_read(str(place.home)).put_back()
    assert place.files() == AFTER


def test_what_else_lies_in_home(tmp_path):
    """Files of people and of programs are neither copied nor put out."""
    place = Place(tmp_path, "home")
    (place.home / ".ssh").mkdir()
    begun(place)
    upgrade(place.virtualenv)
    (place.home / ".ssh" / "known_hosts").write_text("x")
    (place.home / "made-meanwhile").write_text("x")
    copy = aside.aside_read(str(place.home))
    copy.put_back()
    copy.failed_remove()
    copy.mark(aside.BACK)
    copy.end()
    found = place.files()
    assert found.pop(".ssh/known_hosts") == found.pop("made-meanwhile") == "x"
    assert found == BEFORE


def test_on_another_file_system(tmp_path):
    """The copy is beside the virtualenv then."""
    place = Place(tmp_path, "folder")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        place.virtualenv = pathlib.Path(other) / "venv"
        tree_make(place.virtualenv, BEFORE)
        if os.stat(other).st_dev == os.stat(place.home).st_dev:
            pytest.skip("/dev/shm is the same file system")
        begun(place)
        assert (pathlib.Path(other) / ".venv.in-place" / "former").is_dir()
        upgrade(place.virtualenv)
        copy = aside.aside_read(str(place.home))
        copy.put_back()
        copy.mark(aside.BACK)
        copy.end()
        assert place.files() == BEFORE and place.is_clean()


@pytest.mark.parametrize("is_after", (False, True))
def test_killed_at_each_step_of_putting_back(place, monkeypatch, is_after):
    """Before and after the n-th change of a name, for each n."""
    real = {"rename": os.rename, "exchange": aside.exchange}
    reached = 0
    for step in range(1, 100):
        begun(place)
        upgrade(place.virtualenv)
        left = [step]

        def counted(name):
            def call(*arguments):
                left[0] -= 1
                if left[0] == 0 and not is_after:
                    raise Killed
                real[name](*arguments)
                if left[0] == 0:
                    raise Killed
            return call

        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", counted("rename"))
            patch.setattr(aside, "exchange", counted("exchange"))
            try:
                aside.aside_read(str(place.home)).put_back()
            except Killed:
                reached = step
        copy = aside.aside_read(str(place.home))
        copy.put_back()
        assert place.files().items() >= BEFORE.items()
        copy.mark(aside.BACK)
        copy.end()
        assert place.files() == BEFORE and place.is_clean()
        if left[0] > 0:
            break
    assert reached == step - 1
    assert reached >= {"folder": 1, "renames": 2}.get(place.kind, 6)


def test_a_copy_that_was_cut_off(place, monkeypatch):
    real = programs.program_run

    def cut(argv, *more, **named):
        real(argv, *more, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(programs, "program_run", cut)
        patch.setattr(aside.Aside, "place_remove", lambda self: None)
        with pytest.raises(Killed):
            place.plan().copy()
    assert aside.aside_read(str(place.home)) is None
    begun(place).end()
    assert place.files() == BEFORE and place.is_clean()


def test_a_copy_that_fails_leaves_nothing(place, monkeypatch):
    monkeypatch.setattr(programs, "program_run",
                        lambda *_, **__: programs.Ended(1, ["No space left on device"]))
    with pytest.raises(ReleaseError, match="cannot copy") as error:
        place.plan().copy()
    assert error.value.lines == ["No space left on device"]
    assert place.files() == BEFORE and place.is_clean()


def test_what_is_no_virtualenv_of_its_own(tmp_path):
    place = Place(tmp_path, "folder")
    link = place.home / "link"
    link.symlink_to("venv")
    with pytest.raises(ReleaseError, match="is no folder, but a link"):
        aside.aside_plan(str(place.home), str(link))
    with pytest.raises(ReleaseError, match="No such file"):
        aside.aside_plan(str(place.home), str(place.home / "nothing"))


@pytest.mark.skipif(os.getuid() != 0, reason="only for root")
@pytest.mark.parametrize("kind", ("home", "folder"))
def test_what_belongs_to_somebody_else(tmp_path, kind):
    place = Place(tmp_path, kind)
    os.chown(place.virtualenv / "lib" / "p" / "one.py", 1, 1)
    with pytest.raises(ReleaseError, match="one.py does not belong to") as error:
        place.plan()
    assert error.value.hint.startswith("chown -R -h ")
    os.chown(place.virtualenv / "lib" / "p" / "one.py", 0, 0)
    os.chown(place.virtualenv / "share", 1, 1)
    with pytest.raises(ReleaseError, match="share does not belong to"):
        place.plan()


@pytest.mark.skipif(os.getuid() != 0, reason="only for root")
def test_data_of_somebody_else_in_home_is_left_alone(tmp_path):
    place = Place(tmp_path, "home")
    tree_make(place.home, {"data/weave.db": "theirs\n"})
    os.chown(place.home / "data", 1, 1)
    before = place.files()
    begun(place)
    upgrade(place.virtualenv)
    (place.home / "data" / "weave.db").write_text("written meanwhile\n")
    copy = aside.aside_read(str(place.home))
    copy.put_back()
    copy.end()
    assert place.files() == dict(before, **{"data/weave.db": "written meanwhile\n"})


@pytest.mark.parametrize("text", ("", "{", "[]", '{"format": 2}', "{}"))
def test_a_marker_that_says_nothing(tmp_path, text):
    place = Place(tmp_path, "folder")
    (place.home / aside.MARKER).write_text(text)
    with pytest.raises(ReleaseError):
        aside.aside_read(str(place.home))


@pytest.mark.parametrize("entries", ("x", [1], ["../x"], ["a/b"], [".."]))
def test_a_marker_that_leads_elsewhere(tmp_path, entries):
    place = Place(tmp_path, "folder")
    copy = place.plan()
    copy.facts["entries"] = entries
    copy.mark(aside.BEGUN)
    with pytest.raises(ReleaseError, match="of another version"):
        aside.aside_read(str(place.home))


def test_what_weavectl_keeps_in_its_home_is_no_part_of_a_virtualenv_there(tmp_path):
    """Else what channels have led to was put back, too, and a channel could go back in time."""
    for name in ("bin", "my-script", "channels.json", "history.jsonl", "in-place.json"):
        (tmp_path / name).write_text("")
    assert aside.entries_of(str(tmp_path), str(tmp_path)) == ["bin", "my-script"]
