# SPDX-License-Identifier: Apache-2.0
"""A release on a node with a real httpd, under load: no request fails, whatever happens."""

import os
import pathlib
import signal
import subprocess
import tempfile
import time

import pytest

import httpds
import nodes
from conftest import BUILD
from httpds import eventually
from wholes import FAILING, Whole, failures_put, put


@pytest.fixture(scope="module")
def whole():
    made = Whole("processes")
    yield made
    made.close()


@pytest.fixture(scope="module")
def embedded():
    made = Whole("embedded")
    yield made
    made.close()


def no_failure(load):
    met = load.stop()
    assert met["answered"] > 10 and not met["failures"], met
    # a promise of the product, that a machine which is busy otherwise cannot keep
    if os.environ.get("WEAVE_TIMED") and met["machine"] < 2:
        assert met["most_ms"] < 150, met


# ---- worker processes ----

def test_a_release_is_proven_without_an_httpd(whole):
    assert "without httpd, warm-up 200 in " in whole.said
    assert "is what httpd serves when it is started" in whole.said


def test_installs_and_goes_back_under_load(whole):
    whole.back_to("1.0")
    before = whole.httpd.app()["generation"]
    with httpds.Load(whole.httpd, 200) as load:
        time.sleep(1)
        said = whole.install("Tiny==2.0")
        assert "tiny 2.0 serves (generation %d)" % (before + 1) in said
        assert whole.httpd.answer() == "2.0"
        began = time.monotonic()
        said = whole.run("rollback")
        print("rollback: %.1f s" % (time.monotonic() - began))
        assert "tiny 1.0 serves (generation %d)" % (before + 2) in said
        assert whole.httpd.answer() == "1.0"
        time.sleep(1)
        no_failure(load)
    generation = whole.httpd.app()["generation"]
    whole.httpd.graceful()
    time.sleep(1)
    assert whole.httpd.app()["generation"] == generation


def test_migrates_as_the_workers(whole):
    user = nodes.user_ids(nodes.WORKERS)[0] if os.getuid() == 0 else os.getuid()
    put(whole, "2.1", migrate=0)
    whole.install("Tiny==2.1")
    log = sorted((whole.home / "logs").iterdir(), key=lambda path: path.stat().st_mtime)[-1]
    assert "migrates %d hush %s/releases/tiny-2.1 %s\n" % (
        user, whole.home, os.path.realpath(whole.ini)) in log.read_text()
    whole.back_to("1.0")


def test_what_fails_leaves_what_serves(whole):
    """Import error, warm-up 500, hang, exit, missing dependency, checksum, tag, migration,
    signature."""
    whole.back_to("1.0")
    failures = failures_put(whole)
    generation = whole.httpd.app()["generation"]
    with httpds.Load(whole.httpd) as load:
        for failure in failures:
            said = whole.install(*failure.words, "--wait-share", "0s", status=1)
            assert "tiny 1.0 goes on" in said and failure.why in said, said
        no_failure(load)
    assert whole.httpd.answer() == "1.0" and whole.current() == "releases/tiny-1.0"
    app = whole.httpd.app()
    assert app["generation"] == generation and len(app["generations"]) == 1


# An installed weavectl ends and waits nowhere.
built_only = pytest.mark.skipif(
    not (BUILD / "weave-release" / "weave_release" / "faults.py").exists(),
    reason="weavectl is an installed one")
STEPS = ("lock", "plan", "fetch", "build", "create", "install", "sync", "migrate", "prove",
         "link", "switch", "record")


@built_only
def test_weavectl_is_killed(whole):
    """kill -9 after each step: the one before or the new one serves, and the next finishes."""
    whole.back_to("1.0")
    put(whole, "2.5")
    with httpds.Load(whole.httpd) as load:
        for step in STEPS:
            said = whole.install("Tiny==2.5", status=1, env={"WEAVE_KILL_AT": step + ":after"})
            assert "ended by signal 9" in said, step
            is_new = step in ("switch", "record")
            assert whole.httpd.answer() == ("2.5" if is_new else "1.0"), step
            eventually(lambda: len(whole.httpd.app()["generations"]) == 1, "the candidate goes")
            assert whole.current() == "releases/tiny-" + (
                "2.5" if is_new or step == "link" else "1.0"), step
            if step in ("link", "switch"):
                whole.install("Tiny==2.5")
                assert whole.httpd.answer() == "2.5", step
                whole.install("Tiny==1.0")
        whole.install("Tiny==2.5")
        assert whole.httpd.answer() == "2.5"
        no_failure(load)
    assert whole.unmarked() == [] and os.listdir(whole.home / "incoming") == []
    assert (whole.home / "lock").read_text() == ""


def at_steps(node, version, act):
    """Installs VERSION and calls act(its name) behind each step, while weavectl waits.

    Returns the exit status, what was said, and the names.
    """
    place = pathlib.Path(tempfile.mkdtemp(prefix="steps-", dir=str(node.folder)))
    place.chmod(0o777)
    process = subprocess.Popen(
        [str(BUILD / "weavectl"), "-d", str(node.folder / "run"), "install", "Tiny==" + version,
         "--find-links", str(node.share), "-i", str(node.ini)],
        env=dict(os.environ, WEAVE_KILL_AT="wait:%s" % place),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    done = []
    try:
        while eventually(lambda: os.listdir(place) or process.poll() is not None, "a step"):
            names = os.listdir(place)
            if not names:
                break
            act(names[0])
            done.append(names[0])
            (place / names[0]).unlink()
        text = process.communicate()[0]
    finally:
        process.kill()  # where this fails: it would hold the lock of the tests that follow
        process.wait()
    assert "prove" in done, text
    return process.returncode, text, done


# The first three deaths in a row are answered at once.
@built_only
@pytest.mark.parametrize("steps", [STEPS[:3], STEPS[3:6], STEPS[6:9], STEPS[9:]])
def test_weaved_is_killed(whole, steps):
    """After each step. The next weaved has the workers that serve, and no candidate."""
    whole.back_to("1.0")
    whole.httpd.stop()
    whole.httpd.start()
    version = "2.2.%d" % STEPS.index(steps[0])
    put(whole, version)

    def act(name):
        if name in steps:
            pid = whole.httpd.weaved_pid()
            os.kill(pid, signal.SIGKILL)
            is_new = name in ("switch", "record")
            assert whole.httpd.answer() == (version if is_new else "1.0"), name
            eventually(lambda: whole.httpd.weaved_pid() != pid, "the next weaved")

    with httpds.Load(whole.httpd) as load:
        status, text, done = at_steps(whole, version, act)
        assert done == list(STEPS)
        assert status == 0 and whole.httpd.answer() == version, text
        no_failure(load)
    eventually(lambda: len(whole.httpd.app()["generations"]) == 1, "nothing is left")


def test_weaved_is_killed_with_a_candidate_that_starts(whole):
    whole.back_to("1.0")
    put(whole, "2.4", "import time; time.sleep(9)")

    def candidates():
        return [generation for generation in whole.httpd.app()["generations"]
                if generation["candidate"] and generation["workers"]]

    with httpds.Load(whole.httpd) as load:
        process = subprocess.Popen(
            [str(BUILD / "weavectl"), "-d", str(whole.folder / "run"), "install", "Tiny==2.4",
             "--find-links", str(whole.share), "-i", str(whole.ini)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
        workers = [worker["pid"] for worker in eventually(candidates, "a candidate")[0]["workers"]]
        os.kill(whole.httpd.weaved_pid(), signal.SIGKILL)
        text = process.communicate()[0]
        assert process.returncode == 1 and "weaved has ended" in text, text
        assert "tiny 1.0 goes on" in text and whole.httpd.answer() == "1.0"
        for pid in workers:
            eventually(lambda pid=pid: not httpds.is_alive(pid), "the candidate ends")
        no_failure(load)


@built_only
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGHUP])
def test_httpd_restarts_in_between(whole, number):
    whole.back_to("1.0")

    def act(name):
        os.kill(whole.httpd.pid, number)
        eventually(whole.httpd.answer, "httpd answers")

    status, text, done = at_steps(whole, "2.0", act)
    assert status == 0, text
    whole.httpd.serves("2.0")
    eventually(lambda: len(whole.httpd.app()["generations"]) == 1, "nothing is left")


@built_only
def test_a_child_of_httpd_is_killed(whole):
    whole.back_to("1.0")

    def act(name):
        # one of before may just end by itself
        eventually(lambda: any(map(httpds.kill, whole.httpd.children())), "a child is killed")
        eventually(whole.httpd.answer, "httpd answers")

    status, text, done = at_steps(whole, "2.0", act)
    assert status == 0, text
    whole.httpd.serves("2.0")


@built_only
def test_httpd_stops_in_between(whole):
    """The next start has the release."""
    whole.back_to("1.0")

    def act(name):
        if name == "prove":
            os.kill(whole.httpd.pid, signal.SIGTERM)
            eventually(lambda: not httpds.is_alive(whole.httpd.pid), "httpd's end")

    status, text, done = at_steps(whole, "2.0", act)
    assert status == 0, text
    assert "2.0 serves (generation" in text or "2.0 is what httpd serves when" in text
    whole.httpd.start()
    whole.httpd.serves("2.0")


@built_only
def test_httpd_is_killed(whole):
    """After each step, with all its children. Each next start serves what `current` leads to."""
    whole.back_to("1.0")
    put(whole, "2.6")

    def act(name):
        os.kill(whole.httpd.pid, signal.SIGSTOP)  # it starts no child that is not seen
        eventually(lambda: httpds.state(whole.httpd.pid) == "T", "httpd is stopped")
        children = whole.httpd.children()
        for pid in [whole.httpd.pid] + children:
            httpds.kill(pid)
        for pid in [whole.httpd.pid] + children:
            eventually(lambda pid=pid: not httpds.is_alive(pid), "httpd's end")
        (whole.httpd.folder / "httpd.pid").unlink()      # init may not have waited for it yet
        whole.httpd.start()
        whole.httpd.serves("2.6" if name in ("link", "switch", "record") else "1.0")

    status, text, done = at_steps(whole, "2.6", act)
    assert done == list(STEPS) and status == 0, text
    whole.httpd.serves("2.6")
    whole.install("Tiny==2.6")
    eventually(lambda: len(whole.httpd.app()["generations"]) == 1, "nothing is left")


# ---- embedded ----

def test_embedded_takes_a_graceful(embedded):
    with httpds.Load(embedded.httpd) as load:
        said = embedded.install("Tiny==2.0")
        assert "without httpd, warm-up 200 in " in said
        assert "serves in httpd's own processes" in said
        assert "requests waited while httpd's new processes imported it" in said
        embedded.httpd.serves("2.0")
        no_failure(load)
    app = embedded.httpd.app()
    assert app["release"] == "tiny-2.0" and app["virtualenv"].endswith("/releases/tiny-2.0")
    assert "already" in embedded.install("Tiny==2.0")


def test_embedded_httpd_is_not_restarted_into_a_broken_configuration(embedded):
    before = embedded.httpd.answer()
    put(embedded, "2.3")
    embedded.httpd.configure("NoSuchDirective On")
    said = embedded.install("Tiny==2.3", status=1)
    assert "httpd's configuration is broken, so httpd was not restarted" in said
    assert "NoSuchDirective" in said and "apachectl graceful" in said
    assert httpds.is_alive(embedded.httpd.pid) and embedded.httpd.answer() == before
    embedded.httpd.configure()
    embedded.install("Tiny==2.3")
    embedded.httpd.serves("2.3")


def test_embedded_failing_releases_restart_nothing(embedded):
    before, generations = embedded.httpd.answer(), embedded.httpd.log().count("resuming normal")
    for version, (code, why) in FAILING.items():
        if version != "3.3":
            put(embedded, version, code)
            assert why in embedded.install("Tiny==" + version, status=1)
    assert embedded.httpd.answer() == before
    assert embedded.httpd.log().count("resuming normal") == generations
