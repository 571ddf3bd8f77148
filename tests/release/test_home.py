# SPDX-License-Identifier: Apache-2.0
"""release.home: what is a release, which one serves, the lock, the journal."""

import errno
import json
import os
import subprocess
import sys
import time

import pytest

from homes import release_make as make, release_serve as serve
from weave_release import files
from weave_release.errors import ReleaseError
from weave_release.home import Home
from weave_release.release import DAMAGED, FOREIGN, LEFTOVER


@pytest.fixture
def home(tmp_path):
    made = Home(str(tmp_path), warn=[].append)
    made.warnings = made._warn.__self__
    made.folders_make()
    return made


# ---- releases ----


def test_a_release_is_one_when_its_marker_is_there(home):
    os.mkdir(os.path.join(home.releases_path, "weaveserver-1.1.4"))
    assert home.release("weaveserver-1.1.4").state == LEFTOVER
    release = make(home, "1.1.5")
    assert release.is_ready and release.title == "weaveserver 1.1.5"
    assert not (release.is_served or release.is_bad or release.is_pinned)
    home.ready_remove(release.path)
    assert home.release(release.name).state == LEFTOVER


def test_one_that_is_removed_meanwhile_is_left_out(home, monkeypatch):
    make(home, "1.1.4")
    monkeypatch.setattr(os, "listdir", lambda path: ["weaveserver-1.1.4", "weaveserver-1.1.5"])
    assert [release.version for release in home.releases()] == ["1.1.4"]


def test_releases_come_in_the_order_in_which_they_were_made(home):
    for version, at in (("1.10", "02"), ("1.2", "01"), ("1.1", "03")):
        make(home, version, at="2026-11-%sT00:00:00Z" % at)
    assert [release.version for release in home.releases()] == ["1.2", "1.10", "1.1"]


def test_a_second_try_has_a_name_of_its_own(home):
    make(home, "1.1.5")
    second = make(home, "1.1.5")
    assert second.name == "weaveserver-1.1.5@2"
    assert second.title == "weaveserver 1.1.5@2"
    os.symlink("nowhere", os.path.join(home.releases_path, "weaveserver-1.1.5@3"))
    assert home.name_free("weaveserver", "1.1.5") == "weaveserver-1.1.5@4"


@pytest.mark.parametrize(
    "name, version",
    [("..", "1"), ("a/b", "1"), ("-r", "1"), ("a", "../1"), ("a", ""), ("a\n", "1"), ("a", "1@2")],
)
def test_a_name_that_is_no_part_of_a_path_is_refused(home, name, version):
    with pytest.raises(ReleaseError):
        home.name_free(name, version)


def spoil_link_out(home, path):
    os.rename(path, home.path + "/elsewhere")
    os.symlink(home.path + "/elsewhere", path)


def spoil_no_folder(home, path):
    os.rename(path, home.path + "/elsewhere")
    open(path, "w").close()


def spoil_weave_link(home, path):
    os.rename(path + "/.weave", home.path + "/elsewhere")
    os.symlink(home.path + "/elsewhere", path + "/.weave")


def spoil_ready(data):
    def write(home, path):
        with open(path + "/.weave/ready.json", "wb") as file:
            file.write(data)

    return write


def spoil_ready_huge(home, path):
    os.truncate(path + "/.weave/ready.json", 1 << 40)


def spoil_ready_link(home, path):
    os.rename(path + "/.weave/ready.json", home.path + "/elsewhere")
    os.symlink(home.path + "/elsewhere", path + "/.weave/ready.json")


def spoil_ready_fifo(home, path):
    os.unlink(path + "/.weave/ready.json")
    os.mkfifo(path + "/.weave/ready.json")


def spoil_ready_folder(home, path):
    os.unlink(path + "/.weave/ready.json")
    os.mkdir(path + "/.weave/ready.json")


@pytest.mark.parametrize(
    "spoil, state, problem",
    [
        (spoil_link_out, FOREIGN, "a link"),
        (spoil_no_folder, FOREIGN, "no folder"),
        (spoil_weave_link, DAMAGED, ".weave"),
        (spoil_ready(b""), DAMAGED, "damaged"),
        (spoil_ready(b"[]"), DAMAGED, "damaged"),
        (spoil_ready(b'{"format": 1'), DAMAGED, "damaged"),
        (spoil_ready(b"\xff\x00"), DAMAGED, "damaged"),
        (spoil_ready(b"[" * 1000000), DAMAGED, "damaged"),
        (spoil_ready(b'{"format": 2}'), DAMAGED, "another format"),
        (spoil_ready(b'{"format": 1, "name": {}}'), DAMAGED, "a wrong name"),
        (spoil_ready(b'{"format": 1, "version": 1}'), DAMAGED, "a wrong version"),
        (spoil_ready_huge, DAMAGED, "larger than"),
        (spoil_ready_link, DAMAGED, "is a link"),
        (spoil_ready_fifo, DAMAGED, "no regular file"),
        (spoil_ready_folder, DAMAGED, "no regular file"),
    ],
)
def test_what_is_damaged_is_shown_and_harms_nothing_else(home, spoil, state, problem):
    good = make(home, "1.1.4")
    spoilt = make(home, "1.1.5")
    serve(home, good)
    serve(home, spoilt)
    spoil(home, spoilt.path)
    states = {release.name: release.state for release in home.releases()}
    assert states == {good.name: "ready", spoilt.name: state}
    assert problem in home.release(spoilt.name).problem
    assert home.current().name == spoilt.name
    assert home.previous().name == good.name
    with pytest.raises(ReleaseError, match="cannot serve"):
        home.link_move(home.release(spoilt.name))


@pytest.mark.parametrize(
    "facts", [b'{"format": 1}', b'{"format": 1, "version": [], "lock": 7, "at": {}}']
)
def test_a_marker_without_its_facts_still_has_a_name(home, facts):
    release = make(home, "1.1.5")
    spoil_ready(facts)(home, release.path)
    release = home.release(release.name)
    assert (release.version, release.title) == ("weaveserver-1.1.5",) * 2
    assert release.fact("lock", "falcon", "version") is None


# ---- current ----


def test_the_link_is_relative_and_always_there(home):
    first, second = make(home, "1.1.4"), make(home, "1.1.5")
    assert home.current() is None
    home.link_move(first)
    assert os.readlink(home.link_path) == "releases/weaveserver-1.1.4"
    os.symlink("left by a killed command", os.path.join(home.path, ".current.new"))
    home.link_move(second)
    assert home.current().name == second.name
    assert sorted(os.listdir(home.path)) == sorted(
        ["current", "releases", "incoming", "store", "logs"]
    )


@pytest.mark.parametrize("target", ["nowhere", "/etc", ".", "releases", "../releases/x", "current"])
def test_a_link_that_leads_elsewhere_leads_to_no_release(home, target):
    os.symlink(target, home.link_path)
    assert home.current() is None


def test_an_absolute_link_of_an_operator_counts(home, tmp_path):
    release = make(home, "1.1.4")
    os.symlink(release.path, home.link_path)
    assert home.current().name == release.name


def test_a_folder_called_current_is_never_replaced(home):
    release = make(home, "1.1.4")
    for maker in (os.mkdir, lambda path: open(path, "w").close()):
        maker(home.link_path)
        with pytest.raises(ReleaseError, match="is no link"):
            home.link_move(release)
        os.rename(home.link_path, home.path + "/away%d" % time.monotonic_ns())


def test_what_lasts_is_written_in_the_order_that_a_power_cut_needs(home, tmp_path):
    """write, syncfs, ready.json, fsync, rename, fsync; then link, rename, fsync."""
    script = """if True:
        import os, sys
        from weave_release.home import Home
        home = Home(sys.argv[1])
        path = home.releases_path + "/weaveserver-9"
        os.makedirs(path + "/bin")
        with open(path + "/bin/python", "w") as file: file.write("content")
        home.ready_write(path, {"name": "weaveserver", "version": "9"})
        home.link_move(home.release("weaveserver-9"))
    """
    trace = tmp_path / "trace"
    calls = "trace=write,syncfs,sync,fsync,fdatasync,rename,renameat,renameat2,symlink,symlinkat"
    program = [sys.executable, "-c", script, home.path]
    subprocess.run(
        ["strace", "-f", "-y", "-o", str(trace), "-e", calls, *program],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    seen = []
    for line in trace.read_text().splitlines():
        call = line.split(None, 1)[1].replace(os.path.realpath(home.path), "H")
        if "H/" in call or "<H>" in call:
            seen.append(call.split(")")[0])
    steps = [
        ("write", "bin/python>"),
        ("syncfs", "weaveserver-9>"),
        ("write", "/.weave/.ready.json.new>"),
        ("fsync", "/.weave/.ready.json.new>"),
        ("rename", '"ready.json"'),
        ("fsync", "/.weave>"),
        ("fsync", "weaveserver-9>"),
        ("fsync", "H/releases>"),
        ("symlink", '".current.new"'),
        ("rename", '"current"'),
        ("fsync", "<H>"),
    ]
    assert len(seen) == len(steps), seen
    for (name, text), call in zip(steps, seen):
        assert call.startswith(name) and text in call, (name, text, seen)


def test_a_full_disk_leaves_no_marker(home, monkeypatch):
    def fail(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("syncfs", "write_all"):
        with monkeypatch.context() as patch:
            patch.setattr(files, name, fail if name == "syncfs" else lambda fd, data: fail(fd))
            path = os.path.join(home.releases_path, home.name_free("weaveserver", "1.1.5"))
            os.mkdir(path)
            with pytest.raises(OSError):
                home.ready_write(path, {"name": "weaveserver", "version": "1.1.5"})
    assert {release.state for release in home.releases()} == {LEFTOVER}
    assert all(os.listdir(release.path + "/.weave") == [] for release in home.releases())


def test_marks_of_a_full_disk(home, monkeypatch):
    """A new one is empty, and counts; one that is there is written over."""

    def full(*_args, **_facts):
        raise OSError(errno.ENOSPC, "No space left on device")

    first, second, third = (make(home, version) for version in ("1", "2", "3"))
    for release in (first, second, third):
        serve(home, release)
    monkeypatch.setattr(files, "file_replace", full)
    home.mark_set(second, "bad", by="alice")
    home.served_set(first, by="bob")
    assert home.release(second.name).is_bad and home.warnings == []
    mark = home.release(first.name).marks["served"]
    assert (mark["number"], mark["by"]) == (4, "bob")
    monkeypatch.setattr(files, "write_all", full)
    home.mark_set(third, "bad", by="alice")
    assert home.release(third.name).is_bad
    assert abs(home.release(third.name).marks["bad"]["seconds"] - time.time()) < 3600
    home.served_set(first)
    assert home.warnings[0].endswith("that it serves: No space left on device")


# ---- which one a rollback goes to ----


def test_a_rollback_goes_to_what_served_before_not_to_what_is_newer(home):
    old, present, newer = make(home, "2.0"), make(home, "1.0"), make(home, "3.0")
    serve(home, old)
    assert home.previous() is None
    serve(home, present)
    assert home.previous().name == old.name and newer.is_ready


def test_a_rollback_skips_what_is_bad_and_what_has_never_served(home):
    first, second, third = (make(home, version) for version in ("1", "2", "3"))
    for release in (first, second, third):
        serve(home, release)
    home.mark_set(third, "bad")
    serve(home, second)
    assert home.previous().name == first.name
    serve(home, third)  # switch --again
    assert not home.release(third.name).is_bad
    assert home.previous().name == second.name


def test_going_back_needs_neither_journal_nor_clock(home, monkeypatch):
    first, second, third = (make(home, version) for version in ("1", "2", "3"))
    times = iter(["2026-11-30T09:00:00Z", "1970-01-01T00:00:00Z", "1999-01-01T00:00:00Z"])
    for release in (first, second, third):
        with monkeypatch.context() as patch:
            at = next(times)
            patch.setattr(files, "now", lambda at=at: at)
            serve(home, release)
    os.unlink(home.history_path)
    assert home.previous().name == second.name


def test_a_damaged_mark_is_a_mark_and_its_time_counts(home):
    first, second, third = (make(home, version) for version in ("1", "2", "3"))
    for number, release in enumerate((first, second, third)):
        serve(home, release)
        with open(release.path + "/.weave/served", "wb") as file:
            file.write(b"{")
        os.utime(release.path + "/.weave/served", (number, number))
    assert home.release(first.name).is_served
    assert home.previous().name == second.name


def test_a_command_makes_up_for_one_that_was_killed_behind_the_link(home):
    first, second, third = (make(home, version) for version in ("1", "2", "3"))
    serve(home, first)
    serve(home, second)
    home.link_move(third)
    with home.lock("install x"):
        pass
    assert home.release(third.name).is_served
    assert home.previous().name == second.name
    home.link_move(first)  # and one killed behind the link of a rollback
    with home.lock("install x"):
        pass
    assert home.previous().name == third.name
    assert [event["release"] for event in home.history()] == [
        "weaveserver-%d" % number for number in (1, 2, 3, 1)
    ]


# ---- lock ----


def hold(home, then="sys.stdin.read()"):
    script = """if True:
        import sys
        from weave_release.home import Home
        with Home(sys.argv[1]).lock("install weaveserver==1.1.5", by="alice via sudo"):
            print("held", flush=True)
            %s
    """ % then
    process = subprocess.Popen(
        [sys.executable, "-c", script, home.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_second_command_is_told_who_works_here(home):
    process = hold(home)
    with pytest.raises(ReleaseError) as refused:
        with home.lock("prune"):
            pass
    text = str(refused.value)
    assert text.startswith("alice via sudo runs `weavectl install weaveserver==1.1.5` since ")
    assert "(pid %d)" % process.pid in text and text.endswith("wait until it has finished")
    process.communicate()
    with home.lock("prune"):
        pass


def test_a_killed_command_leaves_no_lock(home):
    process = hold(home)
    process.kill()
    process.communicate()
    with home.lock("prune"):
        text = open(home.path + "/lock").read()
        assert json.loads(text)["command"] == "prune"
    assert os.stat(home.path + "/lock").st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"\xff" * 8192, b'{"since": [], "user": 0}'])
def test_a_damaged_lock_still_refuses(home, text):
    process = hold(home)
    with open(home.path + "/lock", "wb") as file:
        file.write(text)
    with pytest.raises(ReleaseError, match="wait until it has finished"):
        with home.lock("prune"):
            pass
    process.communicate()


def test_a_lock_that_is_a_link_is_not_followed(home):
    os.symlink("/nowhere", home.path + "/lock")
    with pytest.raises(OSError):
        with home.lock("prune"):
            pass


# ---- journal ----


def test_a_cut_line_of_the_journal_costs_that_line_alone(home):
    home.history_add("serves", release="a", by=None)
    with open(home.history_path, "ab") as file:
        file.write(b'{"event": "serves", "rele')
    home.history_add("serves", release="c")
    with open(home.history_path, "ab") as file:
        file.write(b"\xff\n[]\n7\n{}x\n")
    assert [event["release"] for event in home.history()] == ["a", "c"]
    assert "by" not in home.history()[0]


def test_of_a_huge_journal_the_end_is_read(home):
    with open(home.history_path, "wb") as file:
        file.write(b'{"event": "old"}\n' * 200000)
    home.history_add("serves")
    events = home.history()
    assert events[-1]["event"] == "serves" and 50000 < len(events) < 100000


def test_a_journal_on_a_full_disk_is_said_once_and_fails_nothing(home):
    release = make(home, "1")
    os.symlink("/dev/full", home.history_path)
    home.history_add("serves")  # a link is not followed
    assert len(home.warnings) == 1
    os.unlink(home.history_path)
    full = Home(home.path, warn=home.warnings.append)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(full, "history_path", "/dev/full")
        serve(full, release)
        full.history_add("serves")
    assert home.warnings[1:] == ["cannot write /dev/full: No space left on device"]
    assert home.release(release.name).is_served


# ---- logs ----


def test_logs_of_one_second_have_names_of_their_own(home):
    logs = [home.log_open("20261130-090000-install-x") for _ in range(3)]
    for log in logs:
        log.write(b"said\n")
        log.close()
    assert [os.path.basename(log.name) for log in logs] == [
        "20261130-090000-install-x%s.log" % suffix for suffix in ("", "-2", "-3")
    ]
    assert os.stat(logs[0].name).st_mode & 0o777 == 0o600
