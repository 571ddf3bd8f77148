# SPDX-License-Identifier: Apache-2.0
"""Sdists compared with the repository that they were made from."""

import io
import os
import subprocess
import sys
import tarfile
import unicodedata
import zipfile

import pytest

from mozupload import tree, vcs
from repositories import Repository, environment

FILES = {
    "setup.py": "from setuptools import setup; setup()\n",
    "setup.cfg": "# a comment\n[metadata]\nname = Some.Name\nversion=1.2\n[options]\n"
    "packages =\n    pkg\n    # none other\n[egg_info]\ntag_date = 0\n",
    "MANIFEST.in": "recursive-include tests *.py\ninclude ?*.txt\n",
    "pkg/__init__.py": "one = 1\n",
    "tests/test_it.py": "",
    "ä.txt": "ä\n",
    ".gitignore": "*.log\n/dist/\n*.egg-info/\n",
    ".hgignore": "syntax: glob\n*.log\n",
}


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch):
    for key, value in environment().items():
        monkeypatch.setenv(key, value)


@pytest.fixture
def git(tmp_path):
    made = Repository("git", tmp_path / "repository")
    made.commit(FILES)
    made.tag("v1.2")
    return made


def state_of(folder):
    return vcs.state_read(folder, "Some.Name", "1.2")


def compared(sdist, folder):
    return dict(tree.sdist_compare(sdist, state_of(folder)))


def sdist_make(path, files, top="some_name-1.2"):
    """An archive by hand; a value is text, or ("link", target)."""
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name, text in dict({"PKG-INFO": "Metadata-Version: 2.1\n"}, **files).items():
            member = tarfile.TarInfo("%s/%s" % (top, name))
            if isinstance(text, tuple):
                member.type, member.linkname = tarfile.SYMTYPE, text[1]
                archive.addfile(member)
            else:
                data = text.encode()
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


def setuptools_sdist(folder):
    subprocess.run(
        [sys.executable, "setup.py", "-q", "sdist"], cwd=folder, check=True, capture_output=True
    )
    (found,) = (folder / "dist").iterdir()
    return found


def test_what_setuptools_makes(git):
    sdist = setuptools_sdist(git.folder)
    with tarfile.open(sdist) as archive:
        text = archive.extractfile("Some.Name-1.2/setup.cfg").read().decode()
    assert "[egg_info]" in text and "comment" not in text
    state = state_of(git.folder)
    assert state.problems == []
    assert tree.sdist_compare(sdist, state) == []
    # all problems at once, from an sdist that is older than the tree
    git.commit({"pkg/__init__.py": "two = 2\n", "pkg/new.py": ""})
    git.run("rm", "--quiet", "--cached", "tests/test_it.py")
    git.run("commit", "-m", "one less")
    found = compared(sdist, git.folder)
    assert set(found) == {"missing-files", "untracked-files", "changed-files"}
    assert "lacks files that are tracked: pkg/new.py." in found["missing-files"]
    assert "not tracked: tests/test_it.py." in found["untracked-files"]
    assert "than the tree: pkg/__init__.py." in found["changed-files"]


def test_what_setuptools_makes_of_one_of_several_projects(tmp_path):
    hg = Repository("hg", tmp_path / "repository")
    hg.commit({"server/" + name: text for name, text in FILES.items()})
    hg.commit({"other/x": "", "LICENSE.txt": "free"})
    server = hg.folder / "server"
    os.symlink("../LICENSE.txt", server / "LICENSE.txt")
    hg.commit()
    hg.tag("v1.2")
    (server / "lost.txt").write_text("")
    sdist = setuptools_sdist(server)
    assert compared(sdist, server) == {
        "untracked-files": "Some.Name-1.2.tar.gz has files that are not tracked: lost.txt."
        " Add and commit them, or keep them out with MANIFEST.in and remove *.egg-info,"
        " which remembers them."
    }


def test_both_spellings_and_both_kinds_of_archive(git, tmp_path):
    for top in ("Some.Name-1.2", "some_name-1.2", "x"):
        assert compared(sdist_make(tmp_path / "a.tar.gz", FILES, top), git.folder) == {}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/", "")
        for name, text in FILES.items():
            archive.writestr("x/" + name, text)
    assert compared(tmp_path / "a.zip", git.folder) == {}


def test_setup_cfg(git, tmp_path):
    def with_setup_cfg(text):
        files = dict(FILES, **{"setup.cfg": text})
        return compared(sdist_make(tmp_path / "a.tar.gz", files), git.folder)

    kept = "[metadata]\nname = Some.Name\nversion = 1.2\n[options]\npackages = \n\tpkg\n"
    assert with_setup_cfg(kept) == {}
    assert with_setup_cfg(kept + "[egg_info]\ntag_build = \n") == {}
    assert set(with_setup_cfg(kept + "[bdist_wheel]\nuniversal = 1\n")) == {"changed-files"}
    assert set(with_setup_cfg(kept.replace("1.2", "1.3"))) == {"changed-files"}
    assert set(with_setup_cfg("no section")) == {"changed-files"}


def test_setup_cfg_that_only_the_sdist_has(git, tmp_path):
    git.run("rm", "--quiet", "setup.cfg")
    git.commit()
    files = dict(FILES, **{"setup.cfg": "[egg_info]\ntag_build = \n"})
    assert compared(sdist_make(tmp_path / "a.tar.gz", files), git.folder) == {}
    files = dict(FILES, **{"setup.cfg": "[metadata]\nname = x\n"})
    assert set(compared(sdist_make(tmp_path / "a.tar.gz", files), git.folder)) == {
        "untracked-files"
    }


def test_what_is_not_compared(git, tmp_path):
    git.commit({".gitattributes": "", "tests/.hgsub": "", ".github/x.yml": ""})
    files = dict(FILES, **{"Some.Name.egg-info/SOURCES.txt": "x", "src/a.egg-info/PKG-INFO": "x"})
    del files[".gitignore"]
    assert compared(sdist_make(tmp_path / "a.tar.gz", files), git.folder) == {}


def test_normal_forms_of_unicode(git, tmp_path):
    for form in ("NFC", "NFD"):
        files = {unicodedata.normalize(form, name): text for name, text in FILES.items()}
        assert compared(sdist_make(tmp_path / "a.tar.gz", files), git.folder) == {}


def test_links(git, tmp_path):
    (git.folder / "link.txt").symlink_to("ä.txt")
    (git.folder / "linked").symlink_to("pkg")
    git.commit()
    as_links = dict(FILES, **{"link.txt": ("link", "ä.txt"), "linked/__init__.py": "one = 1\n"})
    as_files = dict(as_links, **{"link.txt": "ä\n"})
    folder_too = dict(FILES, **{"link.txt": "ä\n", "linked": ("link", "pkg")})
    for files in (as_links, as_files, folder_too):
        assert compared(sdist_make(tmp_path / "a.tar.gz", files), git.folder) == {}
    found = compared(sdist_make(tmp_path / "a.tar.gz", FILES), git.folder)
    assert "link.txt, linked." in found["missing-files"]
    wrong = dict(as_links, **{"link.txt": "other", "linked/new.py": ""})
    assert set(compared(sdist_make(tmp_path / "a.tar.gz", wrong), git.folder)) == {
        "changed-files", "untracked-files"
    }
    nowhere = dict(as_links, **{"link.txt": ("link", "none")})
    assert set(compared(sdist_make(tmp_path / "a.tar.gz", nowhere), git.folder)) == {
        "changed-files"
    }


def test_link_that_leads_out_of_the_repository(git, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (git.folder / "link.txt").symlink_to(tmp_path / "secret")
    git.commit()
    files = dict(FILES, **{"link.txt": "secret"})
    assert set(compared(sdist_make(tmp_path / "a.tar.gz", files), git.folder)) == {
        "untracked-files"
    }


def test_contents_that_are_longer_or_shorter(git, tmp_path):
    for text in ("", "one = 1", "one = 1\n\n", "one = 2\n"):
        files = dict(FILES, **{"pkg/__init__.py": text})
        assert set(compared(sdist_make(tmp_path / "a.tar.gz", files), git.folder)) == {
            "changed-files"
        }


def test_line_ends_as_the_tree_has_them(git, tmp_path):
    """Git may store other bytes than it checks out."""
    git.run("config", "core.autocrlf", "true")
    os.remove(git.folder / "ä.txt")
    git.run("checkout", "--", "ä.txt")
    files = dict(FILES, **{"ä.txt": "ä\r\n"})
    assert compared(sdist_make(tmp_path / "a.tar.gz", files), git.folder) == {}


def test_without_a_repository(tmp_path):
    (tmp_path / "project").mkdir()
    sdist = sdist_make(tmp_path / "a.tar.gz", FILES)
    assert compared(sdist, tmp_path / "project") == {}


def test_archives_that_cannot_be_read(git, tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"nothing")
    (tmp_path / "a.zip").write_bytes(b"nothing")
    sdist_make(tmp_path / "b.tar.gz", {"../x": ""})
    data = (tmp_path / "b.tar.gz").read_bytes()
    (tmp_path / "c.tar.gz").write_bytes(data[: len(data) // 2])
    for name in ("a.tar.gz", "a.zip", "b.tar.gz", "c.tar.gz", "none.tar.gz"):
        with pytest.raises(vcs.VcsError, match=name):
            compared(tmp_path / name, git.folder)
