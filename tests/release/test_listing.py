# SPDX-License-Identifier: Apache-2.0
"""weavectl releases."""

import json
import os

import pytest

from homes import Context, options_parse, release_make, release_serve
from weave_release import listing
from weave_release.errors import ReleaseError

GIT = {"kind": "git", "url": "/srv/git", "revision": "4f2c9e1" + "0" * 33, "tag": "v1.1.5"}


def context(tmp_path, *words, as_json=False, serving=None):
    made = Context(tmp_path, as_json, serving=serving, **options_parse(listing, *words))
    made.home.folders_make()
    return made


@pytest.fixture
def home(tmp_path):
    """1.1.3 left by a rollback, 1.1.4 before, 1.1.5 serves, 1.2.0 waits, and some dirt."""
    home = context(tmp_path).home
    before = {"falcon": {"version": "3.1.1"}, "cgi2": {"version": "1.0"}}
    after = {"falcon": {"version": "3.1.3"}, "argon2-cffi": {"version": "21.1"}}
    rows = (("01", "1.1.3", {}), ("02", "1.1.4", before), ("03", "1.1.5", after))
    for day, version, lock in rows:
        release = release_make(
            home, version, at="2026-11-%sT00:00:00Z" % day, lock=lock, vcs=GIT, by="alice"
        )
        release_serve(home, release)
        if version == "1.1.3":
            home.mark_set(release, "bad")
    waiting = release_make(home, "1.2.0", at="2026-11-04T00:00:00Z")
    home.mark_set(waiting, "pinned")
    failed = release_make(home, "1.1.6", at="2026-11-05T00:00:00Z")
    home.mark_set(failed, "failed", error="ImportError")
    os.mkdir(home.releases_path + "/weaveserver-1.3")
    os.symlink("/etc", home.releases_path + "/out\x1b[31m")
    return home


def test_people_see_which_serves_and_what_the_others_are(home, tmp_path):
    shown = context(tmp_path)
    assert listing.run(shown) == 0
    lines = dict(line.split("  ", 1) for line in shown.said.splitlines())
    lines = {name: text.strip() for name, text in lines.items()}
    rows = {name: text for name, text in lines.items() if name.startswith("weaveserver 1.1.")}
    assert rows["weaveserver 1.1.5"].startswith("serves since 20")
    assert rows["weaveserver 1.1.5"].endswith("git 4f2c9e100000, tag v1.1.5, by alice")
    assert rows["weaveserver 1.1.4"].startswith("the one before, from ")
    assert rows["weaveserver 1.1.3"].startswith("bad: left by a rollback ")
    assert rows["weaveserver 1.1.6"].startswith("did not come up 20")
    assert lines["weaveserver 1.2.0"] == "ready, has never served, pinned"
    assert lines["weaveserver-1.3"] == "not finished"
    assert lines["out\\x1b[31m"] == "a link"
    assert "\x1b" not in shown.said


def test_programs_get_all_of_it(home, tmp_path):
    shown = context(tmp_path, as_json=True, serving={"release": home.current().path})
    assert listing.run(shown) == 0
    answer = json.loads(shown.said)
    assert (answer["serves"], answer["previous"]) == ("weaveserver-1.1.5", "weaveserver-1.1.4")
    rows = {row["release"]: row for row in answer["releases"]}
    assert [name for name, row in rows.items() if row["running"]] == ["weaveserver-1.1.5"]
    assert rows["weaveserver-1.1.5"]["vcs"] == GIT
    assert rows["weaveserver-1.1.6"]["failed"] == "ImportError"
    assert rows["weaveserver-1.3"]["state"] == "leftover"
    assert rows["weaveserver-1.1.3"]["bad"] and rows["weaveserver-1.2.0"]["pinned"]


def test_workers_that_still_run_from_another_release_are_said(home, tmp_path):
    running = home.release("weaveserver-1.1.4").path
    shown = context(tmp_path, serving={"release": running})
    listing.run(shown)
    rows = [line for line in shown.said.splitlines() if "1.1.5" in line or "1.1.4" in line]
    assert "from the next start of the workers on" in rows[0]
    assert "its workers still run, the one before" in rows[1]


def test_it_answers_where_weaved_does_not(home, tmp_path):
    shown = context(tmp_path, serving="no")
    assert listing.run(shown) == 0 and "serves since" in shown.said


def test_the_difference_of_two(home, tmp_path):
    shown = context(tmp_path, "--diff", "1.1.4", "weaveserver==1.1.5")
    assert listing.run(shown) == 0
    assert shown.said.splitlines() == [
        "weaveserver 1.1.4 -> weaveserver 1.1.5",
        "  + argon2-cffi 21.1",
        "  - cgi2 1.0",
        "  falcon 3.1.1 → 3.1.3",
    ]
    shown = context(tmp_path, "--diff", "1.1.4", "1.1.4")
    listing.run(shown)
    assert shown.said.endswith("  the same\n")


@pytest.mark.parametrize("version", ["1.1.9", "weaveserver-1.3", "out\x1b[31m"])
def test_a_difference_needs_two_releases(home, tmp_path, version):
    with pytest.raises(ReleaseError):
        listing.run(context(tmp_path, "--diff", "1.1.4", version))


def test_names_for_scripts(home, tmp_path):
    shown = context(tmp_path, "--names")
    listing.run(shown)
    assert shown.said.split() == [
        "weaveserver-%s" % version for version in ("1.1.3", "1.1.4", "1.1.5", "1.2.0", "1.1.6")
    ]
    told = context(tmp_path, "--names", as_json=True)
    listing.run(told)
    assert json.loads(told.said)["releases"] == shown.said.split()


def test_history(home, tmp_path):
    home.history_add("pruned", releases=["a", "b\n"], by="alice", step="", error=None)
    shown = context(tmp_path, "--history")
    listing.run(shown)
    lines = shown.said.splitlines()
    assert len(lines) == 4 and lines[0][21:] == "serves  weaveserver-1.1.3"
    assert lines[3].endswith("  pruned    releases a b\\x0a, by alice")
    shown = context(tmp_path, "--history", as_json=True)
    listing.run(shown)
    assert json.loads(shown.said.splitlines()[0])["release"] == "weaveserver-1.1.3"


@pytest.mark.parametrize("words", [("--diff", "1"), ("--names", "--history"), ("x",)])
def test_a_wrong_command_line_has_status_2(words):
    with pytest.raises(SystemExit) as ended:
        options_parse(listing, *words)
    assert ended.value.code == 2


# ---- what a version means (Home.find) ----


def test_of_several_tries_the_good_one_is_meant(tmp_path):
    home = context(tmp_path).home
    first, second, third = (release_make(home, "1.1.5") for _ in range(3))
    assert home.find("1.1.5").name == third.name
    home.mark_set(third, "bad")
    assert home.find("1.1.5").name == second.name
    home.ready_remove(second.path)
    assert home.find("1.1.5").name == first.name
    assert home.find("1.1.5@3").name == third.name
    assert home.find(second.name).state == "leftover"
    assert home.find("WeaveServer==1.1.5").name == first.name
    for text in ("", "1.1", "other==1.1.5", "..", "1.1.5@2"):
        with pytest.raises(ReleaseError, match="there is no release"):
            home.find(text)


def test_of_several_projects_that_of_the_serving_release_is_meant(tmp_path):
    home = context(tmp_path).home
    one, other = release_make(home, "1.0", "one"), release_make(home, "1.0", "other")
    with pytest.raises(ReleaseError, match="one-1.0 or other-1.0"):
        home.find("1.0")
    release_serve(home, other)
    assert home.find("1.0").name == other.name
    assert home.find("one==1.0").name == one.name
