# SPDX-License-Identifier: Apache-2.0
"""BUILD and plain shares: wheels of sdists, and what pip chooses."""

import glob
import os
import shutil

import fetching
import pytest
from fetching import Node, make, prepare, python_of
from test_fetch import refused
from weave_release import archives, build, programs
from weave_release.job import Request

PYPROJECT = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'


@pytest.fixture
def node(tmp_path, python, share):
    return Node(tmp_path / "home", python, [share])


def versions(found):
    return {wheel.project: wheel.version for wheel in found.wheels}


def test_sdists_of_a_manifest(node, share):
    """With setup.py alone and with pyproject.toml, by the distribution's setuptools."""
    share.release("App", "1.0", [
        make.sdist(share.path, "App", "1.0", ["Dep>=2"]),
        make.sdist(share.path, "Dep", "2.0", files={"pyproject.toml": PYPROJECT})])
    found = node.prepare("app")
    assert versions(found) == {"app": "1.0", "dep": "2.0"}
    assert [wheel.source for wheel in found.wheels] == ["App-1.0.tar.gz", "Dep-2.0.tar.gz"]
    assert all(os.path.exists(wheel.path) for wheel in found.wheels)


def test_a_build_that_fails(node, share):
    share.release("App", "1", [make.sdist(share.path, "App", "1", files={
        "setup.py": "raise SystemExit('no')\n", "pyproject.toml": PYPROJECT})])
    assert "App-1.tar.gz could not be built" in refused(node.prepare, "app")


def test_what_builds_may_make(node, share, tmp_path):
    """Wheels of something else, bad ones, none, two; changes of other files; or nothing in time."""
    share.release("App", "1", [make.sdist(share.path, "App", "1"),
                               make.wheel(share.path, "dep", "1")])
    wheels = {name: str(make.wheel(tmp_path, name, "1", tag=tag, files=files))
              for name, tag, files in (
                  ("app", "py3-none-any", None), ("other", "py3-none-any", None),
                  ("App", "cp27-none-any", None),
                  ("APP", "py3-none-any", {"APP-1.dist-info/entry_points.txt":
                                           "[console_scripts]\npython3 = a:b\n"}))}

    def built(*names, status=0, then=None):
        """prepare() with a pip that only puts these wheels there."""
        job = node.job("app")

        def run(argv, seconds=None, cwd=None):
            if "wheel" not in argv:
                return fetching.run(argv, seconds, cwd)
            for name in names:
                shutil.copy(wheels[name], cwd)
            if then:
                then(os.path.join(job.folder, "dep-1-py3-none-any.whl"))
            return status, ""
        job.run = run
        return prepare(job)

    assert versions(built("app")) == {"app": "1", "dep": "1"}
    assert "is an archive of other and not of app" in refused(built, "other")
    assert "would replace bin/python3" in refused(built, "APP")
    assert "a wheel for another Python or machine" in refused(built, "App")
    assert "has made 0 wheels" in refused(built)
    assert "has made 2 wheels" in refused(built, "app", "other")
    assert "could not be built: it was not done after 1800 s" in refused(built, status=None)

    def change(path):
        os.unlink(path)
        make.wheel(os.path.dirname(path), "dep", "1", files={"evil.py": ""})
    assert "was changed by the build of another archive" in refused(built, "app", then=change)


def test_no_tools(tmp_path, share, node, monkeypatch):
    """Neither setuptools nor wheel: the sentence of the cure, and a backend that is not there."""
    share.release("App", "1.0", [make.sdist(share.path, "App", "1.0")])
    share.release("App", "2.0", [make.sdist(share.path, "App", "2.0", files={
        "pyproject.toml": '[build-system]\nrequires = ["hatchling>=1; python_version>\'3\'", '
                          '"x; python_version<\'3\'"]\n'})])
    assert "there is no hatchling>=1 here to build it with" in refused(node.prepare, "app==2.0")
    monkeypatch.setattr(build, "_PROBE", "print('weave-build:{}')")
    said = refused(node.prepare, "app==1.0")
    assert "App-1.0.tar.gz is an sdist, and there is no setuptools and wheel here" in said
    assert "install python3-setuptools python3-wheel" in said
    monkeypatch.setattr(build, "_PROBE", "print('weave-build:{\"setuptools\": \"80.0\"}')")
    assert build.is_there("wheel", "", {"setuptools": "70.1"})
    assert not build.is_there("wheel", "", {"setuptools": "66.1.1"})


@pytest.mark.parametrize("text", [
    "[build-system]\nrequires = [", "[build-system]\n", "build-system=1",
    "[build-system]\nrequires = ['a @ http://x']"])
def test_pyprojects_that_are_none(node, share, text):
    share.release("App", "1.0", [make.sdist(share.path, "App", "1.0",
                                            files={"pyproject.toml": text})])
    assert "pyproject.toml that cannot be read" in (said := refused(node.prepare, "app")) \
        or "which is no requirement" in said


def test_a_plain_share(node, share):
    """The first proposal's: an sdist that is called as it likes, and its wheels."""
    make.sdist(share.path, "WeaveServer", "1.1.4", ["falcon>=3", "old<2"],
               filename="WeaveServer1.1.4.tgz")
    make.sdist(share.path, "WeaveServer", "1.1.3")
    for version in ("1.0", "2.0"):
        make.wheel(share.path, "old", version)
    make.wheel(share.path, "falcon", "3.1", ["more; python_version>'3'", "no; extra=='x'"])
    make.sdist(share.path, "more", "1.0", files={"more.egg-info/SOURCES.txt": ""})
    make.wheel(share.path, "unrelated", "1.0")
    make.wheel(share.path, "falcon", "4.0", tag="cp27-none-any")
    found = node.prepare("weaveserver")
    assert versions(found) == {"weaveserver": "1.1.4", "falcon": "3.1", "old": "1.0", "more": "1.0"}
    assert found.plan.project == "WeaveServer" and found.plan.manifest is None
    assert found.plan.notes == ["nothing vouches for these files: %s has no manifest of weaveserver"
                                % share.path]
    view = os.listdir(os.path.join(node.home.incoming_path, "1", "view"))
    assert "unrelated-1.0-py3-none-any.whl" not in view
    assert "There is 1.1.3" in refused(node.plan, "weaveserver==9")
    assert "keyring demands" in refused(node.plan, "weaveserver", settings={"keyring": "/k"})


def test_a_file_with_find_links(node, share, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    path = make.sdist(tmp_path / "elsewhere", "App", "1.0", ["dep"], filename="App1.0.tgz")
    make.wheel(share.path, "dep", "1.0")
    found = node.prepare(file=path)
    assert versions(found) == {"app": "1.0", "dep": "1.0"}
    assert found.plan.notes[0].startswith("nothing vouches")
    alone = Node(tmp_path / "home2", node.python)
    assert versions(alone.prepare(file=make.wheel(tmp_path, "App", "2.0"))) == {"app": "2.0"}
    assert "no share is known" in refused(alone.plan, "app")
    needs = make.wheel(share.path, "App", "2.1", ["dep>=2"])
    assert "App 2.1 needs dep>=2, which is not there" in refused(node.plan, file=needs)
    other = make.wheel(tmp_path, "App", "3.0", tag="cp312-cp312-any")
    assert "is for cp312, this node has cp311" in refused(alone.plan, file=other)


def test_what_is_installed_besides(node, share):
    """For checkout: requirements of its own, from one folder that it vouches for."""
    wheel = make.wheel(share.path, "App", "1.0")
    for version in ("1.0", "2.0"):
        make.wheel(share.path, "pinned", version, ["dep"])
    make.wheel(share.path, "dep", "1.0")
    job = node.job(file=wheel, vouched="vendor at 1a2b3c")
    job.request = Request(file_path=str(wheel), requires=["pinned==1.0"])
    found = prepare(job)
    assert versions(found) == {"app": "1.0", "dep": "1.0", "pinned": "1.0"}
    assert found.plan.notes == ["vendor at 1a2b3c"]
    for text in ("-r /etc/passwd", "--index-url=http://x", "a @ file:///x", ""):
        assert "is no requirement" in refused(Request, "app", requires=[text])


def test_what_builds_need(node, share):
    """Of the wheels those that a build needs, with what they need themselves."""
    def read(path):
        return archives.archive_check(str(path))

    wheels = {archive.canonical: archive for archive in (
        read(make.wheel(share.path, name, "1", requires)) for name, requires in (
            ("tool", ["part", "no; python_version<'3'"]), ("part", ["tool"]), ("no", []),
            ("other", [])))}
    sdist = read(make.sdist(share.path, "App", "1", files={
        "pyproject.toml": "[build-system]\nrequires = ['Tool>=1']\n"}))
    chosen = build.tools_choose(node.job("app"), [sdist], wheels)
    assert [os.path.basename(path)[:4] for path in chosen] == ["part", "tool"]


def test_a_file_of_another_version(node, share):
    make.sdist(share.path, "App", "1.0", filename="App-1.1.tar.gz")
    assert "is an archive of version 1.0 and not of 1.1" in refused(node.plan, "app")
    assert "and not of 1.1" in refused(node.plan, "app==1.1")


def test_bad_archives_of_a_plain_share(node, share, tmp_path):
    """They are refused before pip sees them: here it would run setup.py."""
    mark = tmp_path / "ran"
    setup = "open(%r, 'w')\n" % str(mark)
    make.sdist(share.path, "App", "1.0", ["dep"])
    make.sdist(share.path, "dep", "1.0", files={"setup.py": setup, "DEP.py": ""})
    assert "differ in case only" in refused(node.prepare, "app")
    assert not mark.exists()


def test_a_plain_share_and_the_distribution(node, share):
    """What the distribution provides counts, when its version satisfies and the key says so."""
    make.wheel(share.path, "App", "1.0", ["falcon>=3,<4", "SQLAlchemy", "dep"])
    make.wheel(share.path, "dep", "1.0", ["SQLAlchemy<99"])
    make.wheel(share.path, "falcon", "4.0")
    node.settings["system_site_packages"] = True
    found = node.prepare("app")
    assert versions(found) == {"app": "1.0", "dep": "1.0"}
    assert found.lock["falcon"]["system"] and found.lock["sqlalchemy"]["system"]
    make.wheel(share.path, "App", "1.1", ["falcon>=4", "dep"])
    assert versions(node.prepare("app")) == {"app": "1.1", "falcon": "4.0", "dep": "1.0"}
    make.wheel(share.path, "App", "1.2", ["dep", "gone>=1"])
    assert "App 1.2 needs gone>=1, and the shares have no archive of it" in refused(
        node.plan, "app")


def others():
    """(Python, wheels of setuptools and wheel): the oldest and the newest that the machine has."""
    root = (os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")) + "/versions/"
    found = {}
    for path in glob.glob(root + "3.*/bin/python"):
        minor = int(path[len(root):].split(".")[1])
        if minor >= 8:
            found[minor] = path
    tools = [sorted(glob.glob(root + "*/lib/python3*/test/**/%s-*.whl" % name, recursive=True))
             for name in ("setuptools", "wheel")]
    if not found or not all(tools):
        return []
    return [(found[minor], [paths[-1] for paths in tools]) for minor in {min(found), max(found)}]


@pytest.mark.parametrize("executable,tools", others())
def test_tools_of_the_share(tmp_path, share, executable, tools):
    """A Python without setuptools, as all from 3.12 on: the share has them; any pip will do."""
    node = Node(tmp_path / "home", python_of(executable), [share])
    make.sdist(share.path, "App", "1.0", ["dep"], files={"pyproject.toml": PYPROJECT})
    make.wheel(share.path, "dep", "1.0")
    tools = [shutil.copy(path, share.path) for path in tools]
    if ".8" not in node.python.version:
        share.release("App", "1.0", [os.path.join(share.path, name)
                                     for name in ("App-1.0.tar.gz", "dep-1.0-py3-none-any.whl")]
                      + [(path, "build") for path in tools])
    assert versions(node.prepare("app")) == {"app": "1.0", "dep": "1.0"}


def test_hostile_environment(node, share, tmp_path, monkeypatch):
    """What pip would read from its variables and from a home is not read."""
    config = tmp_path / "evil" / ".config" / "pip" / "pip.conf"
    config.parent.mkdir(parents=True)
    config.write_text("[global]\nindex-url = http://127.0.0.1:9/\nno-binary = :all:\n")
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in dict(programs.environment(), HOME=str(tmp_path / "evil")).items():
        monkeypatch.setenv(name, value)
    for name in ("PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    monkeypatch.setenv("PIP_NO_BINARY", ":all:")
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "target"))
    # --isolated reads /etc/pip.conf and the file of this variable all the same
    assert os.environ["PIP_CONFIG_FILE"] == os.devnull
    make.wheel(share.path, "App", "1.0", ["dep"])
    make.wheel(share.path, "dep", "1.0")
    assert versions(node.prepare("app")) == {"app": "1.0", "dep": "1.0"}
    assert not (tmp_path / "target").exists()
