# SPDX-License-Identifier: Apache-2.0
"""weavectl rollback and switch: which release they take, and what they leave behind."""

import contextlib
import itertools
import json
import os
import sys

import pytest

from homes import Context, killed, options_parse, release_make, release_serve
from weave_release import rollback, switch
from weave_release.errors import ReleaseError


class Taken:
    """In the place of the half of an install that takes a release: it proves nothing."""

    names = ("weave_release.install", "weave_release.task")
    fails_at = migrated = None

    def release_take(self, task, release, migrate, before_link):
        self.migrated = migrate
        if self.fails_at == "prove":
            raise ReleaseError("it does not come up")
        before_link()
        if self.fails_at == "link":
            raise OSError(28, "No space left on device")
        task.home.link_move(release)
        if self.fails_at == "switch":
            raise ReleaseError("weaved has ended")
        task.home.served_set(release)

    @staticmethod
    @contextlib.contextmanager
    def task_open(context, command, what):
        with context.home.lock(command, by=context.by):
            yield context


@pytest.fixture
def take(monkeypatch):
    taken = Taken()
    for name in Taken.names:
        monkeypatch.setitem(sys.modules, name, taken)
    return taken


@pytest.fixture
def home(tmp_path):
    home = context(tmp_path, rollback).home
    home.folders_make()
    for version in ("1", "2", "3"):
        release_serve(home, release_make(home, version))
    return home


def context(tmp_path, module, *words, **facts):
    return Context(tmp_path, **facts, **options_parse(module, *words))


def back(tmp_path, *words, **facts):
    made = context(tmp_path, rollback, *words, **facts)
    assert rollback.run(made) == 0
    return made


def state(home):
    return home.current().name[-1], "".join(r.name[-1] for r in home.releases() if r.is_bad)


def test_back_to_what_served_before_and_again(home, take, tmp_path):
    back(tmp_path)
    assert state(home) == ("2", "3")
    back(tmp_path)
    assert state(home) == ("1", "23")
    with pytest.raises(ReleaseError, match="weavectl switch VERSION"):
        back(tmp_path)
    assert state(home) == ("1", "23")


def test_back_to_a_version(home, take, tmp_path):
    back(tmp_path, "1")
    assert state(home) == ("1", "3")
    with pytest.raises(ReleaseError, match="is bad: a rollback has left it at 20"):
        back(tmp_path, "3")
    release_make(home, "4")
    with pytest.raises(ReleaseError, match="has never served.*weavectl switch 4"):
        back(tmp_path, "4")
    home.ready_remove(home.find("2").path)
    with pytest.raises(ReleaseError, match="there is no release 2"):
        back(tmp_path, "2")
    with pytest.raises(ReleaseError, match="cannot serve: not finished"):
        back(tmp_path, "weaveserver-2")
    assert state(home) == ("1", "3")


def test_a_dry_run_changes_nothing(home, take, tmp_path):
    take.fails_at = "prove"
    said = back(tmp_path, "--dry-run").said
    assert said == "weaveserver 3 -> weaveserver 2\nweaveserver 3 would be marked as bad\n"
    answer = json.loads(back(tmp_path, "--dry-run", "1", as_json=True).said)
    assert (answer["result"], answer["release"]) == ("would serve", "weaveserver-1")
    assert state(home) == ("3", "") and not os.path.exists(home.path + "/lock")


@pytest.mark.parametrize("step", ["prove", "link"])
def test_what_fails_before_the_link_marks_nothing(home, take, tmp_path, step):
    take.fails_at = step
    with pytest.raises((ReleaseError, OSError)):
        back(tmp_path)
    assert state(home) == ("3", "")


def test_what_has_failed_behind_the_link_is_finished_and_not_gone_back_twice(home, take, tmp_path):
    take.fails_at = "switch"
    with pytest.raises(ReleaseError):
        back(tmp_path)
    assert state(home) == ("2", "3")
    take.fails_at = None
    back(tmp_path)
    assert state(home) == ("2", "3")
    back(tmp_path)
    assert state(home) == ("1", "23")


def test_it_is_finished_where_another_command_came_between(home, take, tmp_path):
    """What the lock says is lost then; workers that run from a bad release show it."""
    home.mark_set(home.find("3"), "bad")
    home.link_move(home.find("2"))
    with home.lock("prune"):
        pass
    back(tmp_path, serving={"httpd": True, "release": home.find("3").path})
    assert state(home) == ("2", "3")
    back(tmp_path, serving={"httpd": True, "release": home.find("2").path})
    assert state(home) == ("1", "23")


def test_a_full_disk_stops_no_rollback(home, take, tmp_path, monkeypatch):
    def full(*_args, **_facts):
        raise OSError(28, "No space left on device")

    made = context(tmp_path, rollback)
    monkeypatch.setattr(made.home, "mark_set", full)
    made.home.history_path = "/dev/full"
    assert rollback.run(made) == 0
    assert home.current().name == "weaveserver-2"
    warnings = made.err.getvalue().splitlines()
    assert len(warnings) == 3 and all("No space left" in line for line in warnings)


def test_the_one_that_serves_is_served_already(home, take, tmp_path):
    take.fails_at = "prove"
    assert back(tmp_path, "3").said == "weaveserver 3 serves already\n"
    running = {"httpd": True, "release": home.find("2").path}
    with pytest.raises(ReleaseError, match="come up"):  # so it is taken, after all
        back(tmp_path, "3", serving=running)
    assert state(home) == ("3", "")


def test_a_second_command_is_refused_and_changes_nothing(home, take, tmp_path):
    with home.lock("install x", by="bob"):
        for module in (rollback, switch):
            with pytest.raises(ReleaseError, match="bob runs `weavectl install x`"):
                module.run(context(tmp_path, module, "2"))
    assert state(home) == ("3", "")


def test_switch_takes_what_is_ready_and_marks_nothing_bad(home, take, tmp_path):
    release_make(home, "4")
    assert switch.run(context(tmp_path, switch, "4")) == 0
    assert state(home) == ("4", "")
    home.mark_set(home.find("3"), "bad")
    with pytest.raises(ReleaseError, match="weavectl switch --again 3"):
        switch.run(context(tmp_path, switch, "3"))
    assert switch.run(context(tmp_path, switch, "--again", "3")) == 0
    assert state(home) == ("3", "")
    assert home.previous().name == "weaveserver-4"


def test_only_what_has_never_served_migrates(home, take, tmp_path):
    back(tmp_path)
    assert take.migrated is False
    switch.run(context(tmp_path, switch, "--again", "3"))
    assert take.migrated is False
    for version, words, migrated in (("4", (), True), ("5", ("--no-migrate",), False)):
        release_make(home, version)
        switch.run(context(tmp_path, switch, version, *words))
        assert take.migrated is migrated


def test_six_failing_installs_then_a_good_one_then_back(tmp_path, take):
    """A rollback goes to the last good release, and not to one that has failed."""
    home = context(tmp_path, rollback).home
    home.folders_make()
    release_serve(home, release_make(home, "1.1.4"))
    for number in range(6):
        if number % 2:
            os.mkdir(os.path.join(home.releases_path, home.name_free("weaveserver", "1.1.5")))
        else:
            home.mark_set(release_make(home, "1.1.5"), "failed", error="ImportError")
        home.history_add("failed", step="prove")
    release_serve(home, release_make(home, "1.1.6"))
    back(tmp_path)
    assert home.current().name == "weaveserver-1.1.4"


def test_killed_anywhere_it_is_finished_by_the_next_one(tmp_path, take, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # a step all the same
    for number in itertools.count(1):
        path = tmp_path / str(number)
        path.mkdir()
        home = context(path, rollback).home
        home.folders_make()
        for version in ("1", "2", "3"):
            release_serve(home, release_make(home, version))
        was_killed = killed(lambda: rollback.run(context(path, rollback)), number)
        assert state(home) in (("3", ""), ("3", "3"), ("2", "3")), number
        lock = path / "lock"
        if not was_killed or state(home)[0] == "2" and not lock.read_text():
            break
        back(path)
        assert state(home) == ("2", "3"), number
    assert number > 20 and state(home) == ("2", "3")


@pytest.mark.parametrize(
    "module, words",
    [(rollback, ("1", "2")), (rollback, ("--again", "1")), (switch, ()), (switch, ("-x", "1"))],
)
def test_a_wrong_command_line_has_status_2(module, words):
    with pytest.raises(SystemExit) as ended:
        options_parse(module, *words)
    assert ended.value.code == 2
