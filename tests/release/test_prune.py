# SPDX-License-Identifier: Apache-2.0
"""weavectl prune: what goes, what stays and why."""

import itertools
import json
import os
import tempfile

import pytest

from homes import Context, killed, options_parse, release_make, release_serve
from weave_release import prune
from weave_release.errors import ReleaseError


def context(tmp_path, *words, **facts):
    made = Context(tmp_path, **facts, **options_parse(prune, *words))
    made.home.folders_make()
    return made


@pytest.fixture
def home(tmp_path):
    """1 to 8 have served, 8 does; 9 waits; 10 has failed; 11 is not finished."""
    home = context(tmp_path).home
    for number in range(1, 9):
        release_serve(home, release_make(home, str(number)))
    release_make(home, "9")
    home.mark_set(release_make(home, "10"), "failed", error="ImportError")
    os.mkdir(home.releases_path + "/weaveserver-11")
    return home


def names(home):
    return [name[len("weaveserver-"):] for name in sorted(os.listdir(home.releases_path))]


def run(tmp_path, *words, status=0, **facts):
    made = context(tmp_path, *words, **facts)
    assert prune.run(made) == status, made.err.getvalue()
    return made


def test_the_last_that_have_served_stay(home, tmp_path):
    said = run(tmp_path).said.splitlines()
    assert names(home) == ["4", "5", "6", "7", "8", "9"]
    assert said[:3] == [
        "weaveserver 1 removed", "weaveserver 2 removed", "weaveserver 3 removed"]
    assert "weaveserver 10 removed (failed)" in said
    assert "weaveserver-11 removed (not finished)" in said
    assert "weaveserver 4 stays: one of the last 5 that have served" in said
    assert "weaveserver 7 stays: the one before" in said
    assert "weaveserver 8 stays: serves" in said
    assert "weaveserver 9 stays: ready, has never served" in said
    assert home.history()[-1]["event"] == "pruned"
    run(tmp_path)
    assert names(home) == ["4", "5", "6", "7", "8", "9"]


def test_a_dry_run_says_the_same_and_removes_nothing(home, tmp_path):
    before = names(home)
    dry = json.loads(run(tmp_path, "--dry-run", as_json=True).said)
    assert names(home) == before and not os.path.exists(home.path + "/lock")
    done = json.loads(run(tmp_path, as_json=True).said)
    assert dry["removed"] == done["removed"] and dry["kept"] == done["kept"]
    assert (dry["result"], done["result"]) == ("would prune", "pruned")


def test_keep_one_keeps_two(home, tmp_path):
    run(tmp_path, "--keep", "1")
    assert names(home) == ["7", "8", "9"]


def test_what_workers_run_from_stays(home, tmp_path):
    used = [home.releases_path + "/weaveserver-2/lib", home.releases_path + "/weaveserver-3"]
    used.append(home.releases_path + "/weaveserver-11")
    used.append(home.releases_path + "/weaveserver-1x")
    run(tmp_path, "--keep", "1", serving={"httpd": True, "in_use": used})
    assert names(home) == ["11", "2", "3", "7", "8", "9"]


def test_what_workers_run_from_is_known_through_links(home, tmp_path):
    (tmp_path / "link").symlink_to(".")
    used = [str(tmp_path / "link" / "releases" / "weaveserver-2")]
    run(tmp_path, serving={"in_use": used})
    assert "2" in names(home)


def test_where_it_is_not_known_nothing_goes(home, tmp_path):
    before = names(home)
    with pytest.raises(ReleaseError, match="weaved does not answer"):
        run(tmp_path, serving="no")
    behind_install = context(tmp_path, serving="no")
    prune.releases_prune(behind_install)  # which it does not fail
    assert "cannot remove old releases: weaved does not answer" in behind_install.err.getvalue()
    assert names(home) == before


def test_a_pinned_one_stays(home, tmp_path):
    assert run(tmp_path, "--pin", "1").said == "weaveserver 1 stays\n"
    run(tmp_path)
    assert names(home) == ["1", "4", "5", "6", "7", "8", "9"]
    run(tmp_path, "--unpin", "1")
    run(tmp_path)
    assert "1" not in names(home)
    os.mkdir(home.releases_path + "/weaveserver-11")
    with pytest.raises(ReleaseError, match="cannot be pinned: not finished"):
        run(tmp_path, "--pin", "weaveserver-11")


def test_the_one_before_stays_even_when_all_between_are_bad(home, tmp_path):
    for number in range(3, 8):
        home.mark_set(home.find(str(number)), "bad")
    run(tmp_path, "--keep", "1")
    assert names(home) == ["2", "8", "9"]
    assert home.previous().version == "2"


def test_bad_ones_take_no_place_of_good_ones(home, tmp_path):
    for number in range(5, 8):
        home.mark_set(home.find(str(number)), "bad")
    said = run(tmp_path).said
    assert names(home) == ["1", "2", "3", "4", "8", "9"]
    assert "weaveserver 5 removed (a rollback has left it)" in said


def test_the_one_that_serves_stays_whatever_it_is(home, tmp_path):
    home.mark_set(home.find("8"), "bad")
    home.ready_remove(home.find("8").path)
    run(tmp_path, "--keep", "1")
    assert "8" in names(home) and home.current().version == "weaveserver-8"


def test_what_is_no_release_of_ours_is_never_touched(home, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    os.symlink(outside, home.releases_path + "/weaveserver-12")
    (tmp_path / "releases" / "weaveserver-13").write_text("")
    with open(home.find("2").path + "/.weave/ready.json", "w") as file:
        file.write("{")
    os.symlink(outside, home.find("1").path + "/link")
    said = run(tmp_path).said
    assert (outside / "file").read_text() == "precious"
    assert {"12", "13", "2"} <= set(names(home)) and "1" not in names(home)
    assert "stays: a link" in said and "stays: no folder" in said and "is damaged" in said


def test_closed_folders_go_too():
    """As somebody else than root, for whom no folder is closed."""
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o777)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                if os.getuid() == 0:
                    os.setresuid(65534, 65534, 65534)
                _closed_folders_prune(top)
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0


def _closed_folders_prune(top):
    os.mkdir(top + "/home")
    home = context(top + "/home").home
    for version in ("1", "2", "3", "4"):
        release_serve(home, release_make(home, version))
    one, two = home.find("1").path, home.find("2").path
    os.makedirs(one + "/a/b/c")
    for name in ("/a/b/file", "/a/b/c/file", "/file"):
        open(one + name, "w").close()
    for name, mode in (("/a/b/c", 0), ("/a/b", 0o500), ("/a", 0)):
        os.chmod(one + name, mode)
    os.mkdir(two + "/x")
    open(two + "/x/file", "w").close()
    os.chmod(two + "/x", 0o500)
    os.chmod(two, 0o500)
    run(top + "/home", "--keep", "1")
    assert names(home) == ["3", "4"]


def test_what_cannot_be_removed_is_said_and_the_rest_goes(home, tmp_path, monkeypatch):
    remove = prune.shutil.rmtree

    def rmtree(path, **facts):
        if path.endswith("weaveserver-2"):
            facts["onerror"](os.unlink, path + "/x", (OSError, PermissionError(1, "No"), None))
            return
        remove(path, **facts)

    monkeypatch.setattr(prune.shutil, "rmtree", rmtree)
    made = run(tmp_path, status=1)
    assert names(home) == ["2", "4", "5", "6", "7", "8", "9"]
    assert "cannot remove %s/weaveserver-2: No" % home.releases_path in made.err.getvalue()


# ---- archives and logs ----


def archive(home, digest):
    folder = os.path.join(home.store_path, "sha256")
    os.makedirs(folder, exist_ok=True)
    open(os.path.join(folder, digest), "w").close()


def test_archives_of_releases_that_stay_stay(tmp_path):
    home = context(tmp_path).home
    hashes = ["%x" % number * 64 for number in range(1, 6)]
    release_serve(home, release_make(home, "1", lock={"a": {"sha256": hashes[0]}}))
    files = [{"name": "a.whl", "sha256": hashes[2]}]
    release_serve(home, release_make(
        home, "2", lock={"a": {"sha256": hashes[1]}}, manifest={"files": files}))
    home.mark_set(release_make(home, "3", lock={"a": {"sha256": hashes[3]}}), "failed")
    for digest in hashes:
        archive(home, digest)
    os.makedirs(home.incoming_path + "/x/y")
    run(tmp_path)
    assert sorted(os.listdir(home.store_path + "/sha256")) == hashes[:3]
    assert os.listdir(home.incoming_path) == []


def test_the_last_ten_logs_of_failures_stay_and_the_last_ten_others(home, tmp_path):
    for number in range(40):
        with home.log_open("%02d" % number) as log:
            if number < 15:
                home.history_add("failed", log=log.name)
        os.utime(log.name, (number, number))
    run(tmp_path)
    left = sorted(int(name[:2]) for name in os.listdir(home.logs_path))
    assert left == [*range(5, 15), *range(30, 40)]


def test_killed_anywhere_no_release_is_half_and_the_next_one_finishes(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # a step all the same
    for number in itertools.count(1):
        path = tmp_path / str(number)
        path.mkdir()
        home = context(path).home
        for version in ("1", "2", "3"):
            release = release_make(home, version)
            release_serve(home, release)
            for name in ("file", ".weave/file"):
                open(os.path.join(release.path, name), "w").close()
        was_killed = killed(lambda: prune.run(context(path, "--keep", "1")), number)
        for release in home.releases():
            assert not release.is_ready or os.path.exists(release.path + "/file"), number
        assert home.current().version == "3" and home.previous().version == "2", number
        run(path, "--keep", "1")
        assert names(home) == ["2", "3"], number
        if not was_killed:
            break
    assert number > 20


@pytest.mark.parametrize(
    "words",
    [("--keep", "0"), ("--keep", "x"), ("--keep", "1001"), ("1",), ("--pin", "1", "--unpin", "1")],
)
def test_a_wrong_command_line_has_status_2(words):
    with pytest.raises(SystemExit) as ended:
        options_parse(prune, *words)
    assert ended.value.code == 2
