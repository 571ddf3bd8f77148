# SPDX-License-Identifier: Apache-2.0
"""python -m mozupload dist/*: what it collects, what it refuses, and plain pip on the result."""

import os
import subprocess
import sys

import apache
import archives
import drafts
import projects
import pytest

from mozupload import manifest

REQUIRES = ["falcon>=3", "only-sdist", "sqlx>=1.4", "gone; python_version < '3'"]


@pytest.fixture(scope="module")
def world(tmp_path_factory, links):
    """A project, its sdist, and a share that has its release 1.1.5."""
    top = tmp_path_factory.mktemp("world")
    project = projects.Project("git", top / "project", links, REQUIRES, config="")
    project.repository.tag("v1.1.5")
    project.share = top / "share"
    project.share.mkdir()
    project.archive = project.sdist()
    project.said = project.upload(project.archive, "--share", project.share, "--system",
                                  "sqlx==1.4.46", "--channel", "prod")
    return project


def _manifest(share, release="weaveapp-1.1.5"):
    return manifest.manifest_read((share / "releases" / (release + ".json")).read_bytes())


def test_what_a_release_has(world):
    found = _manifest(world.share)
    roles = {}
    for file in found.files:
        roles.setdefault(file.role, set()).add((file.project, file.version))
    assert roles["application"] == {("weaveapp", "1.1.5")}
    assert len(found.files_of("application")) == 2
    assert roles["dependency"] == {("falcon", "3.1.1"), ("tiny-dep", "1.5"), ("only-sdist", "0.3")}
    assert {project for project, _ in roles["build"]} == {"setuptools", "wheel"}
    assert found.requires == {"falcon": "3.1.1", "tiny-dep": "1.5", "only-sdist": "0.3"}
    assert found.system == {"sqlx": "1.4.46"}
    assert found.python == ["%d.%d" % sys.version_info[:2]]
    assert found.vcs["kind"] == "git" and found.vcs["tag"] == "v1.1.5"
    assert found.vcs["revision"] == world.repository.revision()
    assert found.allowed == [] and found.by and found.at.endswith("Z")
    assert {"mozupload", "pip", "setuptools", "python"} <= set(found.tools)
    assert list(drafts.believed(world.share, "weaveapp")) == ["1.1.5"]


def test_what_it_says(world):
    assert "WeaveApp 1.1.5, git " in world.said and ", tag v1.1.5" in world.said
    lines = world.said.splitlines()
    for name in os.listdir(str(world.share)):
        if name.endswith((".whl", ".gz")):
            assert len([line for line in lines if name in line and "stored" in line]) == 1
    assert "weavectl install WeaveApp==1.1.5" in world.said.splitlines()[-2]


def test_again(world):
    before = drafts.files_of(world.share)
    said = world.upload(world.archive, WEAVE_SHARE=str(world.share))
    assert "is there already" in said and drafts.files_of(world.share) == before
    # made again from the same commit
    said = world.upload(world.sdist(), "--share", world.share)
    assert "is there already" in said and drafts.files_of(world.share) == before


def test_setup_cfg(world, tmp_path):
    """[mozupload] of setup.cfg; its paths start at the project's folder."""
    path = world.folder / "setup.cfg"
    before = path.read_text()
    path.write_text(before + "share = ../share\nsystem = sqlx==1.4.46, falcon==1\n")
    try:
        said = world.upload(world.archive, "--allow-dirty", "--allow-changed-files",
                            "--project", world.folder, status=1)
        assert "without sqlx:" in said
        path.write_text(before + "shares = ../share\n")
        said = world.upload(world.archive, status=1)
        assert "no option 'shares'" in said
    finally:
        path.write_text(before)


def _pip(tmp_path, *arguments):
    """What plain pip installs: {name: version}."""
    target = tmp_path / "target"
    env = {name: text for name, text in os.environ.items() if not name.startswith("PIP_")}
    command = [sys.executable, "-m", "pip", "--isolated", "install", "--quiet", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--root-user-action=ignore", "--target", str(target),
                "--timeout", "120"]
    done = subprocess.run(command + list(map(str, arguments)), env=env, encoding="utf-8",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    found = [name.split("-")[:2] for name in os.listdir(str(target)) if name.endswith(".dist-info")]
    return {name.lower(): version.replace(".dist", "") for name, version in found}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, links):
    """A share that has everything that the release needs."""
    top = tmp_path_factory.mktemp("whole")
    project = projects.Project("git", top / "project", links, ["falcon>=3"], below="server")
    project.repository.tag("WeaveApp-1.1.5")
    project.share = top / "share"
    project.share.mkdir()
    project.archive = project.sdist()
    # what is in the share comes first: the older falcon
    archives.wheel(project.share, "Falcon", "3.1.0", ["tiny-dep"])
    archives.wheel(project.share, "tiny-dep", "1.0")
    project.said = project.upload(project.archive, "--share", project.share)
    return project


INSTALLED = {"weaveapp": "1.1.5", "falcon": "3.1.0", "tiny_dep": "1.0"}


def test_share_comes_first(whole):
    assert "from the share" in whole.said
    assert _manifest(whole.share).requires == {"falcon": "3.1.0", "tiny-dep": "1.0"}


def test_pip_installs_from_the_folder(whole, tmp_path):
    arguments = ["--no-index", "--find-links", whole.share, "WeaveApp==1.1.5"]
    assert _pip(tmp_path, *arguments) == INSTALLED


def test_pip_installs_from_the_index_by_file(whole, tmp_path):
    arguments = ["--index-url", (whole.share / "simple").as_uri(), "WeaveApp"]
    assert _pip(tmp_path, *arguments) == INSTALLED


@pytest.mark.parametrize("option", [["--index-url", "simple/"], ["--no-index", "--find-links", ""]])
def test_pip_installs_over_http(whole, tmp_path, option):
    """From a server that makes no listings of its own."""
    made = apache.Apache(options="FollowSymLinks")
    try:
        os.rmdir(str(made.share / "private"))
        os.rmdir(str(made.share))
        subprocess.run(["cp", "-r", str(whole.share), str(made.share)], check=True)
        arguments = option[:-1] + [made.url + option[-1], "WeaveApp"]
        assert _pip(tmp_path, *arguments) == INSTALLED
    finally:
        made.stop()


def test_pip_refuses_what_was_tampered_with(whole, tmp_path):
    copy = tmp_path / "share"
    subprocess.run(["cp", "-r", str(whole.share), str(copy)], check=True)
    archives.wheel(copy, "Falcon", "3.1.0", ["tiny-dep"], files={"evil.py": ""})
    with pytest.raises(AssertionError, match="DO NOT MATCH THE HASHES"):
        _pip(tmp_path, "--index-url", (copy / "simple").as_uri(), "WeaveApp")


# ---- refused ----


@pytest.fixture
def shared(tmp_path):
    made = tmp_path / "share"
    made.mkdir()
    return made


def _wheel_project(tmp_path, links, requires, *tags):
    """A project whose wheel somebody has built: nothing has to be built here."""
    project = projects.Project("git", tmp_path / "project", links, requires)
    project.repository.tag("1.1.5")
    dist = tmp_path / "dist"
    dist.mkdir()
    project.archives = [archives.wheel(dist, "WeaveApp", "1.1.5", requires), project.sdist()]
    return project


def _refused(project, shared, *arguments, files=None):
    files = files or project.archives
    said = project.upload(*files, "--share", shared, *arguments, status=1)
    assert drafts.files_of(shared) == {}
    assert said.startswith("mozupload: ") or "\nmozupload: " in said
    assert "Traceback" not in said
    return said


def test_dependencies_by_url(tmp_path, links, shared):
    project = _wheel_project(tmp_path, links, ["falcon @ file:///tmp/falcon.whl"])
    assert "depends on 'falcon @ file:" in _refused(project, shared)
    (tmp_path / "constraints").write_text("falcon==3.1\n-e git+file:///x#egg=y\n")
    said = _refused(project, shared, "--constraint", tmp_path / "constraints")
    assert "'-e git+file:///x#egg=y'" in said
    (tmp_path / "first").write_text("-c second\n")
    (tmp_path / "second").write_text("-c first\nfalcon @ file:///x/falcon.whl\n")
    said = _refused(project, shared, "--constraint", tmp_path / "first")
    assert "'falcon @ file:///x/falcon.whl'" in said


def test_what_cannot_be_uploaded(tmp_path, links, shared):
    project = _wheel_project(tmp_path, links, ["falcon"])
    assert "is no archive" in _refused(project, shared, files=[project.folder / "setup.py"])
    other = archives.sdist(tmp_path, "WeaveApp", "1.1.4")
    said = _refused(project, shared, files=project.archives + [other])
    assert "weaveapp 1.1.4 and weaveapp 1.1.5" in said
    assert "Name an sdist" in _refused(project, shared, files=project.archives[:1])
    assert "sqly==VERSION" in _refused(project, shared, "--system", "sqly")
    assert "no version as 3.11" in _refused(project, shared, "--python", "3")
    assert "no name of a channel" in _refused(project, shared, "--channel", "../prod")
    said = project.upload(*project.archives, status=1)
    assert "--share" in said and "WEAVE_SHARE" in said
    said = project.upload(*project.archives, "--share", shared / "none", status=1)
    assert "is the share mounted?" in said
    project.upload(status=2)


def test_tests_that_fail(tmp_path, links, shared):
    project = _wheel_project(tmp_path, links, [])
    (project.folder / "test_it.py").write_text(
        "import unittest\n\nclass It(unittest.TestCase):\n    def test_it(self):\n"
        "        self.fail('the test of the project')\n"
    )
    said = project.upload(*project.archives, "--share", shared, "--test", "--allow-dirty",
                          "--allow-missing-files", status=1)
    assert drafts.files_of(shared) == {}
    assert "the test of the project" in said and "failed" in said.splitlines()[-1]


def test_list(tmp_path, links, shared):
    project = _wheel_project(tmp_path, links, ["falcon", "sqlx"])
    said = project.upload(*project.archives, "--share", shared, "--list", "--system", "sqlx==1.4.4")
    assert "would be new" in said and "from the nodes' system" in said
    assert "Nothing was uploaded." in said and drafts.files_of(shared) == {}


def test_what_the_tree_says(tmp_path, links, shared):
    project = _wheel_project(tmp_path, links, ["falcon"])
    (project.folder / "weaveapp.py").write_text("VERSION = 2\n")
    said = _refused(project, shared)
    assert "same: --allow-dirty." in said and "same: --allow-changed-files." in said
    project.upload(*project.archives, "--share", shared, "--allow-dirty", "--allow-changed-files")
    assert _manifest(shared).allowed == ["changed-files", "dirty"]


def test_dependency_that_is_nowhere(tmp_path, links, shared):
    project = _wheel_project(tmp_path, links, ["nowhere-to-be-found>=7"])
    said = _refused(project, shared)
    assert "--find-links" in said and "nowhere-to-be-found" in said


def test_nothing_to_build_with(tmp_path, shared):
    project = projects.Project("git", tmp_path / "project", tmp_path, [], config="")
    project.repository.tag("1.1.5")
    said = _refused(project, shared, files=[project.sdist()])
    assert "setuptools>=60, wheel" in said and "--no-build-isolation" in said


def test_constraint(tmp_path, links, shared):
    project = _wheel_project(tmp_path, links, ["falcon"])
    (tmp_path / "constraints").write_text("falcon==3.1.0\n")
    project.upload(*project.archives, "--share", shared, "--constraint", tmp_path / "constraints")
    assert _manifest(shared).requires["falcon"] == "3.1.0"


def test_dependency_that_was_withdrawn(tmp_path, links, shared):
    index = tmp_path / "index"
    (index / "yankee").mkdir(parents=True)
    wheel = archives.wheel(index / "yankee", "yankee", "1.0")
    (index / "yankee/index.html").write_text(
        '<!DOCTYPE html><a href="%s" data-yanked="broken">yankee</a>' % wheel.name
    )
    project = _wheel_project(tmp_path, links, ["yankee==1.0"])
    arguments = ["--index-url", index.as_uri()]
    environment = {"PIP_NO_INDEX": "0"}
    said = project.upload(*project.archives, "--share", shared, *arguments,
                          status=1, **environment)
    assert "yankee 1.0 has been withdrawn" in said and "--allow-yanked" in said
    assert drafts.files_of(shared) == {}
    project.upload(*project.archives, "--share", shared, *arguments,
                   "--allow-yanked", **environment)
    assert _manifest(shared).allowed == ["yanked"]


def test_other_pythons_and_platforms(tmp_path, links, shared):
    """Wheels are those of the nodes; markers are judged for their Python, not for ours."""
    mine = tmp_path / "links"
    mine.mkdir()
    for tag in ("cp39-cp39-manylinux_2_17_x86_64", "cp310-cp310-manylinux2014_x86_64",
                "cp310-cp310-manylinux_2_38_x86_64", "cp310-cp310-musllinux_1_1_x86_64"):
        archives.wheel(mine, "fast", "1.0", ["old; python_version < '3.10'"], tag=tag)
    archives.wheel(mine, "old", "1.0")
    requires = ["fast", "never; python_version < '3.9'"]
    project = _wheel_project(tmp_path, mine, requires)
    said = project.upload(*project.archives, "--share", shared, "--python",
                          "3.9", "--python", "3.10", "--platform", "manylinux_2_36_x86_64")
    found = _manifest(shared)
    assert found.python == ["3.9", "3.10"] and found.platforms == ["manylinux_2_36_x86_64"]
    assert found.requires == {"fast": "1.0", "old": "1.0"}, said
    assert sorted(file.name for file in found.files_of("dependency")) == [
        "fast-1.0-cp310-cp310-manylinux2014_x86_64.whl",
        "fast-1.0-cp39-cp39-manylinux_2_17_x86_64.whl",
        "old-1.0-py3-none-any.whl",
    ]
    said = project.upload(*project.archives, "--share", shared, "--python", "3.12", status=1)
    assert "for Python 3.9, 3.10 on" in said and "--allow-other-content" in said


@pytest.mark.parametrize("filename", ["WeaveApp1.1.5.tgz", "weaveapp-1.1.5.tar.gz"])
def test_names_of_sdists(tmp_path, links, shared, filename):
    """The seed's names, and those of setuptools since 69.3."""
    project = _wheel_project(tmp_path, links, [])
    archive = project.archives[1].rename(project.folder / "dist" / filename)
    project.upload(project.archives[0], archive, "--share", shared, "--no-build-isolation")
    (found,) = drafts.believed(shared, "weaveapp").values()
    assert filename in [file.name for file in found.files_of("application")]
    assert found.project == "WeaveApp"


def test_help(world):
    said = world.upload("--help")
    for option in ("--share", "--channel", "--sign", "--system", "--allow-dirty", "--list"):
        assert option in said
