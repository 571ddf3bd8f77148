# SPDX-License-Identifier: Apache-2.0
"""python setup.py sdist mozupload, in the words of the first proposal."""

import drafts
import projects
import pytest


@pytest.fixture
def shared(tmp_path):
    made = tmp_path / "share"
    made.mkdir()
    return made


def test_tag_sdist_mozupload(tmp_path, links, shared, installed):
    """With Mercurial; the other tests have Git."""
    project = projects.Project("hg", tmp_path / "project", links, ["falcon>=3"])
    command = ["setup.py", "sdist", "mozupload"]
    more = {"WEAVE_SHARE": str(shared), "paths": [installed]}
    said = project.run(*command, status=1, **more)
    assert "To upload all the same: --allow-untagged." in said and drafts.files_of(shared) == {}
    project.repository.tag("1.1.5")
    said = project.run(*command, **more)
    assert "weavectl install WeaveApp==1.1.5" in said
    (found,) = drafts.believed(shared, "weaveapp").values()
    assert found.vcs["kind"] == "hg" and found.vcs["tag"] == "1.1.5"
    before = drafts.files_of(shared)
    assert "is there already" in project.run(*command, **more)
    assert drafts.files_of(shared) == before


def test_options(tmp_path, links, shared, installed):
    project = projects.Project("git", tmp_path / "project", links, ["falcon", "sqlx"])
    more = {"paths": [installed]}
    said = project.run("setup.py", "mozupload", "--share", shared, status=1, **more)
    assert "say `python setup.py sdist mozupload`" in said and "Traceback" not in said
    said = project.run("setup.py", "sdist", "mozupload", status=1, **more)
    assert "--share" in said and "WEAVE_SHARE" in said
    said = project.run("setup.py", "mozupload", "--help", **more)
    for option in ("--share", "--channel", "--sign", "--system", "--allow-dirty", "--list"):
        assert option in said
    with open(project.folder / "setup.cfg", "a") as out:
        out.write("share = ../share\nsystem = sqlx==1.4.46\n    other==2\n"
                  "allow_dirty = yes\nallow-changed-files = 1\n")
    said = project.run("setup.py", "sdist", "mozupload", "--allow-untagged", "--channel=stage",
                       **more)
    (found,) = drafts.believed(shared, "weaveapp").values()
    assert found.allowed == ["dirty", "untagged"]
    assert found.system == {"sqlx": "1.4.46"} and "Nothing needs other" in said
    assert found.requires.keys() == {"falcon", "tiny-dep"}
    assert (shared / "channels/stage").read_text() == "weaveapp-1.1.5\n"


def test_other_projects_are_left_alone(tmp_path, links, installed):
    """The command is in every setup.py of this Python, and costs it nothing."""
    project = projects.Project("git", tmp_path / "project", links, [])
    code = (
        "import sys, setuptools; sys.argv = ['setup.py', '-q', 'clean']; setuptools.setup(); "
        "print(*sorted(name for name in sys.modules if name.startswith('mozupload')))"
    )
    said = project.run("-c", code, paths=[installed]).split()
    assert "mozupload.command" in said
    assert not {"mozupload.upload", "mozupload.share", "mozupload.vcs"} & set(said)
    assert "mozupload" in project.run("setup.py", "--help-commands", paths=[installed])


def test_option_that_is_repeated(tmp_path, links, shared, installed):
    """distutils would take the last one, and say nothing."""
    project = projects.Project("git", tmp_path / "project", links, ["falcon", "sqlx"])
    system = ["--system", "falcon==3", "--system=sqlx==1"]
    said = project.run("setup.py", "sdist", "mozupload", "--share", shared, *system, status=1,
                       paths=[installed])
    assert "Say --system once, with commas between" in said
    assert drafts.files_of(shared) == {}


def test_archive_in_the_folder_of_a_project(tmp_path, links, shared):
    """From the top of a repository of several projects, without --project."""
    project = projects.Project("git", tmp_path / "project", links, [], below="app")
    project.repository.write({"other": ""})
    project.sdist()
    project.folder = project.repository.folder
    project.repository.tag("1.1.5")
    said = project.upload("--share", shared, "app/dist/WeaveApp-1.1.5.tar.gz")
    assert "weavectl install WeaveApp==1.1.5" in said
