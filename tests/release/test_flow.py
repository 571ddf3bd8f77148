# SPDX-License-Identifier: Apache-2.0
"""A node's life: installs that fail and work, back, on, verified, killed; real files and pip."""

import json
import os
import re
import subprocess

import pytest

import nodes

GOOD = "tiny 1.0"


@pytest.fixture(scope="module")
def node():
    """Tiny 1.0 and, after six installs that failed in six ways, 3.0, which serves."""
    made = nodes.Node()
    made.release_make("1.0")
    made.install("Tiny==1.0")
    made.failures = list(fail_in_six_ways(made))
    made.after_failures = made.releases()
    made.release_make("3.0", files={"lib%d.py" % number: "" for number in range(200)})
    made.trace = str(made.folder / "trace")
    made.install("Tiny==3.0", prefix=traced(made.trace))
    yield made
    made.close()


def fail_in_six_ways(node):
    """(what it is, what weavectl said), of each."""
    files = [nodes.file_of(node.share / "dep-1.1-py3-none-any.whl", "dep", "1.1", "dependency")]

    def put(version, requires=("dep>=1",), tag="py3-none-any", tamper=False, app=None):
        members = nodes.app_files("Tiny", version)
        if app:
            members = dict.fromkeys(members, app)
        wheel = nodes.archives.wheel(
            node.share, "Tiny", version, requires, tag=tag, files=members)
        own = nodes.file_of(wheel, "tiny", version, "application")
        node.manifest_write("Tiny", version, [own] + files)
        if tamper:
            wheel.write_bytes(wheel.read_bytes().replace(b"VERSION", b"version"))

    put("2.1", requires=("absent>=1",))
    put("2.2", tag="cp27-cp27m-win32")
    put("2.3", tamper=True)
    put("2.4", app="#!python\nraise RuntimeError('no good')\n")
    for version in ("2.1", "2.2", "2.3", "2.4"):
        yield version, node.install("Tiny==" + version, "--wait-share", "0s", status=1)
    for version, step in (("2.5", "install"), ("2.6", "sync")):
        put(version)
        yield version, node.install(
            "Tiny==" + version, status=1, env={"WEAVE_KILL_AT": "%s:after" % step})


def traced(path):
    """A prefix that has strace write the calls that matter after a power cut."""
    calls = "sync,syncfs,fsync,fdatasync,rename,renameat,renameat2,symlink,symlinkat"
    return ["strace", "-f", "-y", "--seccomp-bpf", "-o", path, "-e", "trace=" + calls]


def serve(node, before, present="3.0"):
    """Whatever a test before has left: PRESENT serves, BEFORE did before it, nothing is bad."""
    for path in node.home.glob("releases/*/.weave/bad"):
        path.unlink()
    node.run("switch", before)
    node.run("switch", present)


def bad(node):
    return sorted(path.parent.parent.name for path in node.home.glob("releases/*/.weave/bad"))


def test_six_failing_installs_have_left_what_served(node):
    assert len(node.failures) == 6
    for version, said in node.failures:
        if version < "2.5":
            assert GOOD + " goes on" in said and "log: " in said, said
        else:
            assert "ended by signal 9" in said
    # 2.1 to 2.3 were never made, 2.5 was not finished; 2.6 is whole and has never served
    assert node.after_failures == ["tiny-1.0", "tiny-2.4", "tiny-2.6"]
    assert "RuntimeError: no good" in dict(node.failures)["2.4"]
    assert "tiny-2.4" not in node.releases()  # the good install has removed it
    logs = [event["log"] for event in node.history() if event["event"] == "failed"]
    assert len(logs) == 4 and all(os.path.exists(log) for log in logs)
    assert json.loads(node.run("releases", "--json"))["previous"] == "tiny-1.0"


def test_back_goes_to_the_last_good_one_and_not_to_one_that_failed(node):
    serve(node, "1.0")
    said = node.run("rollback")
    assert "tiny 3.0 -> tiny 1.0" in said
    assert node.current() == "releases/tiny-1.0" and bad(node) == ["tiny-3.0"]
    assert "no other release has served and is good" in node.run("rollback", status=1)
    assert "tiny 3.0 is bad" in node.run("switch", "3.0", status=1)
    assert "tiny 2.6 has never served" in node.run("rollback", "2.6", status=1)
    assert "did not come up" not in node.run("releases")
    node.run("switch", "--again", "3.0")
    assert node.current() == "releases/tiny-3.0" and bad(node) == []


def test_going_back_migrates_nothing(node):
    serve(node, "1.0")
    node.ini_write(["migrate = false"])
    try:
        node.run("rollback")
        node.run("switch", "--again", "3.0")
        assert node.current() == "releases/tiny-3.0"
    finally:
        node.ini_write()


def test_rollback_for_programs(node):
    serve(node, "1.0")
    objects = [json.loads(line) for line in node.run("rollback", "--json").splitlines()]
    assert [step["name"] for step in objects[:-1]] == ["prove", "link", "switch", "record"]
    assert all(step["state"] == "done" for step in objects[:-1])
    last = objects[-1]
    assert (last["result"], last["release"], last["previous"]) == ("serves", "tiny-1.0", "tiny-3.0")
    assert {"name": "tiny", "from": "3.0", "to": "1.0"} in last["changes"]


@pytest.mark.parametrize("moment", ["link:before", "link:after", "switch:after", "record:after"])
def test_a_rollback_that_was_killed_is_finished_by_the_next(node, moment):
    """With 1.0 before that: to go back to it would be to go back twice."""
    serve(node, "2.6")
    said = node.run("rollback", status=1, env={"WEAVE_KILL_AT": moment})
    assert "ended by signal 9" in said
    is_moved = moment != "link:before"
    assert node.current() == "releases/tiny-" + ("2.6" if is_moved else "3.0")
    node.run("rollback")
    assert node.current() == "releases/tiny-2.6" and bad(node) == ["tiny-3.0"]


def test_a_journal_that_cannot_be_written_fails_no_command(node):
    serve(node, "1.0")
    history = node.home / "history.jsonl"
    os.rename(history, node.home / "history.aside")
    history.mkdir()
    try:
        said = node.run("rollback")
        assert said.count("cannot write %s" % history) == 1
        assert node.current() == "releases/tiny-1.0"
        node.run("switch", "--again", "3.0")
        assert "tiny 1.0" in node.run("rollback", "--dry-run")
    finally:
        history.rmdir()
        os.rename(node.home / "history.aside", history)


# ---- verify ----

def test_a_real_release_is_as_it_was_installed(node):
    assert "tiny 1.0 is as it was installed" in node.run("verify", "1.0")
    said = node.run("verify", "3.0")
    assert int(re.search(r"([0-9]+) files", said).group(1)) > 200


def test_drift_of_a_real_release_is_found(node):
    site, = (node.home / "releases" / "tiny-3.0").glob("lib/python*/site-packages")
    text = (site / "tiny.py").read_text()
    pth = site / "evil.pth"
    try:
        (site / "tiny.py").write_text(text.replace("V", "W"))
        pth.write_text("")
        os.chmod(site / "dep.py", 0o666)
        node.own(pth)
        said = node.run("verify", "3.0", status=1)
    finally:
        (site / "tiny.py").write_text(text)
        (site / "dep.py").chmod(0o644)
        pth.unlink()
    found = [line.rsplit("/", 1)[-1] for line in said.splitlines() if line.startswith("lib/")]
    assert found == ["tiny.py: has changed",
                     "dep.py: may be written by others than its owner",
                     "evil.pth: is in no RECORD"]
    node.run("verify", "3.0")


# ---- a power cut ----

def steps_of(node, release):
    """The calls of a trace that concern the home, but for locks and logs; links as H."""
    home, found, begun = os.path.realpath(node.home), [], {}
    with open(node.trace, encoding="utf-8", errors="replace") as file:
        for line in file:
            pid, call = line.rstrip().replace(home, "H").split(None, 1)
            # another process was traced while this call lasted
            if call.endswith(" <unfinished ...>"):
                begun[pid] = call[:-len(" <unfinished ...>")]
                continue
            call = re.sub(r"^<\.\.\. \w+ resumed>", lambda _: begun.pop(pid), call)
            if "H" in call and "= 0" in call:
                found.append(call.replace(release, "R"))
    return found


@pytest.mark.skipif(not nodes.IS_ROOT, reason="inner shows its files to root alone")
def test_what_a_power_cut_leaves_is_whole(node):
    """All files, one sync of them, the marker, its fsync and rename, the folders; the link."""
    calls = [call for call in steps_of(node, "releases/tiny-3.0")
             if "R" in call or "current" in call or call.startswith("fsync") and "<H>" in call]
    wanted = [
        ("syncfs", "<H/R>"), ("fsync", "<H/R/.weave/.ready.json.new>"),
        ("rename", '"ready.json"'), ("fsync", "<H/R/.weave>"), ("fsync", "<H/R>"),
        ("symlink", '".current.new"'), ("rename", '"current"'), ("fsync", "<H>"),
    ]
    at = -1
    for name, text in wanted:
        at = next((i for i in range(at + 1, len(calls))
                   if calls[i].startswith(name) and text in calls[i]), None)
        assert at is not None, (name, text, calls)
    first = next(i for i, call in enumerate(calls) if call.startswith("syncfs"))
    late = [call for call in calls[first:] if call.startswith("rename") and "H/R/lib" in call]
    assert not late, late


def test_two_hundred_files_cost_one_sync(node):
    with open(node.trace, encoding="utf-8", errors="replace") as file:
        text = file.read()
    assert len(re.findall(r"\bsyncfs\(", text)) == 1
    assert not re.findall(r"\bsync\(\)", text)
    assert len(re.findall(r"\bfsync\(", text)) < 30


# ---- a terminal ----

def test_a_terminal_gets_no_control_character_of_others(node):
    """Under script(1), as people see it."""
    serve(node, "1.0")
    command = "%s rollback -i %s" % (nodes.BUILD / "weavectl", node.ini)
    said = subprocess.run(["script", "-qec", command, "/dev/null"], stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, check=True).stdout.decode()
    shown = [line.split("\r\x1b[K")[-1] for line in said.replace("\r\n", "\n").split("\n")]
    assert shown[0] == "tiny 3.0 -> tiny 1.0"
    assert any(line.startswith("  prove ") and line.endswith(("ms", " s")) for line in shown)
    assert "\x1b" not in "".join(shown)


# ---- prune ----

def test_prune_takes_what_is_of_no_use(node):
    stored = set(os.listdir(node.home / "store" / "sha256"))
    (node.home / "releases" / "left").mkdir()
    node.own(node.home / "releases" / "left")
    (node.home / "store" / "sha256" / ("0" * 64)).write_text("")
    assert "left removed (not finished)" in node.run("prune", "--keep", "1")
    assert "left" not in node.releases() and len(node.releases()) >= 2
    left = set(os.listdir(node.home / "store" / "sha256"))
    assert left < stored and "0" * 64 not in left and len(left) == len(
        {name for release in node.releases() for name in node.ready(release)["files"].values()})
    assert os.listdir(node.home / "incoming") == []
