# SPDX-License-Identifier: Apache-2.0
"""What Git and Mercurial say of a tree."""

import os
import shutil
import subprocess

import pytest

from mozupload import vcs
from repositories import Repository, environment

FILES = {"setup.py": "", "pkg.py": "one = 1\n"}


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch):
    for key in list(os.environ):
        if key.startswith(("GIT_", "HG")):
            monkeypatch.delenv(key)
    for key, value in environment().items():
        monkeypatch.setenv(key, value)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A repository of each kind, with FILES; tests get copies."""
    folder = tmp_path_factory.mktemp("originals")
    for kind in ("git", "hg"):
        Repository(kind, folder / kind).commit(FILES)
    return folder


@pytest.fixture
def copied(originals, tmp_path):
    def copy(kind):
        shutil.copytree(originals / kind, tmp_path / "repository", symlinks=True)
        return Repository(kind, tmp_path / "repository", is_new=False)

    return copy


@pytest.fixture(params=["git", "hg"])
def repository(request, copied):
    return copied(request.param)


def problems(folder, version="1.2", name="Some.Name"):
    return [allowance for allowance, _ in vcs.state_read(folder, name, version).problems]


def sentence(folder, version="1.2", name="Some.Name"):
    ((_, text),) = vcs.state_read(folder, name, version).problems
    return text


def test_tagged(repository):
    revision = repository.revision()
    repository.tag("v1.2")
    state = vcs.state_read(repository.folder, "Some.Name", "1.2")
    assert state.problems == []
    assert (state.kind, state.tag, state.url) == (repository.kind, "v1.2", "")
    assert len(state.revision) == 40
    # `hg tag` has made a commit, which the tree is at
    assert state.revision == repository.revision()
    assert (state.revision == revision) == (repository.kind == "git")
    assert set(FILES) <= state.tracked
    assert state.vcs == {
        "kind": repository.kind, "url": "", "revision": state.revision, "tag": "v1.2"
    }


def test_names_of_tags():
    for tag in ("1.2", "v1.2", "Some.Name-1.2", "some-name-1.2", "SOME__NAME-v1.2", "1.2.0"):
        assert vcs.is_tag_of(tag, "Some.Name", "1.2"), tag
    for tag in ("1.20", "v1.3", "other-1.2", "name-1.2", "1.2-rc", "some-name", "", "v", "-1.2"):
        assert not vcs.is_tag_of(tag, "Some.Name", "1.2"), tag
    assert vcs.is_tag_of("a-b-1.0-beta", "a_b", "1.0b0")
    assert vcs.is_tag_of("v1.0+Debian.1", "a", "1.0+debian.1")
    assert not vcs.is_tag_of("v1.0", "a", "1.0+debian.1")


def test_versions_without_packaging(monkeypatch):
    monkeypatch.setattr(vcs, "_version_parser", lambda: None)
    assert vcs.is_tag_of("a-v1.2", "a", "1.2")
    assert not vcs.is_tag_of("1.2.0", "a", "1.2")


def test_untagged(repository):
    assert "`%s tag v1.2`" % repository.kind in sentence(repository.folder)


def test_another_tag(repository):
    repository.tag("v1.1")
    state = vcs.state_read(repository.folder, "Some.Name", "1.2")
    assert state.tag == "v1.1"
    ((allowance, text),) = state.problems
    assert allowance == "other-tag" and "v1.1" in text
    repository.tag("some-name-1.2")
    assert problems(repository.folder) == []


def test_tag_of_another_commit(repository):
    tagged = repository.revision()
    repository.tag("v1.2")
    repository.commit({"pkg.py": "two = 2\n"})
    text = sentence(repository.folder)
    assert tagged[:12] in text and repository.revision()[:12] in text


def test_dirt(repository):
    repository.tag("v1.2")
    repository.write({name: "" for name in ("new.py", "pkg/dist/x", "a/build")})
    repository.write({"pkg.py": "three = 3\n"})
    assert sentence(repository.folder) == (
        "The tree has changes that are not committed: a/build, new.py, pkg.py, pkg/dist/x."
    )
    os.remove(repository.folder / "pkg.py")
    assert problems(repository.folder) == ["dirty"]


def test_many_names(repository):
    repository.tag("v1.2")
    repository.write({"new%d" % number: "" for number in range(7)})
    assert sentence(repository.folder).endswith(": new0, new1, new2, new3, new4 and 2 more.")


def test_what_builds_leave_is_no_dirt(repository):
    repository.tag("v1.2")
    repository.write({
        "dist/x.tar.gz": "", "build/lib/pkg.py": "", "Some.Name.egg-info/PKG-INFO": "",
        "src/Some.Name.egg-info/PKG-INFO": "", "__pycache__/pkg.pyc": "", ".eggs/x": "",
    })
    assert problems(repository.folder) == []


def test_added_but_not_committed(repository):
    repository.tag("v1.2")
    repository.write({"new.py": ""}).run("add", "new.py")
    assert problems(repository.folder) == ["dirty"]


def test_one_of_several_projects(repository):
    repository.commit({"server/setup.py": "", "server/pkg.py": "", "other/x": ""})
    repository.tag("v1.2")
    repository.write({"new": "", "other/x": "changed", "other/new": "", "server/dist/x": ""})
    server = repository.folder / "server"
    state = vcs.state_read(server, "server", "1.2")
    assert state.problems == []
    assert state.tracked == {"server/setup.py", "server/pkg.py"}
    repository.write({"server/pkg.py": "changed"})
    assert sentence(server) == "The tree has changes that are not committed: pkg.py."


def test_through_a_link(repository, tmp_path):
    repository.commit({"server/setup.py": ""})
    repository.tag("v1.2")
    (tmp_path / "link").symlink_to(repository.folder / "server")
    assert problems(tmp_path / "link") == []


def test_link_to_a_changed_file_elsewhere(repository):
    repository.commit({"server/setup.py": "", "LICENSE": "free"})
    (repository.folder / "server" / "LICENSE").symlink_to("../LICENSE")
    repository.commit()
    repository.tag("v1.2")
    server = repository.folder / "server"
    assert problems(server) == []
    repository.write({"LICENSE": "not free"})
    assert problems(server) == ["dirty"]


def test_names_that_are_hard(repository):
    names = {"a b.py": "", "ä.py": "", "*.py": "", "-x": "", "new\nline": "", ":(top)x": ""}
    for name in names:
        repository.write({"server/" + name: ""})
    if repository.kind == "hg":
        # Mercurial has no such name
        os.remove(repository.folder / "server" / "new\nline")
        del names["new\nline"]
    repository.commit()
    repository.tag("v1.2")
    state = vcs.state_read(repository.folder / "server", "server", "1.2")
    assert state.problems == []
    assert state.tracked == {"server/" + name for name in names}
    repository.write({"server/ä.py": "x"})
    assert "ä.py" in sentence(repository.folder / "server")


def test_no_repository(tmp_path):
    state = vcs.state_read(tmp_path, "x", "1.2")
    assert [allowance for allowance, _ in state.problems] == ["no-repository"]
    assert state.kind is None and state.vcs is None and state.tracked == set()


def test_nothing_committed(tmp_path):
    for kind in ("git", "hg"):
        made = Repository(kind, tmp_path / kind)
        made.write(FILES)
        assert problems(made.folder) == ["no-repository"]


def test_folder_that_the_repository_does_not_track(repository):
    repository.write({"elsewhere/setup.py": ""})
    assert problems(repository.folder / "elsewhere") == ["no-repository"]


def test_url_has_no_password(copied):
    repository = copied("git")
    for url, said in (
        ("https://alice:secret@example.org/r", "https://example.org/r"),
        ("https://secret@example.org:8443/r", "https://example.org:8443/r"),
        ("ssh://hg:secret@example.org/r", "ssh://hg@example.org/r"),
        ("https://alice:secret@[example.org/r", ""),
    ):
        repository.run("config", "remote.origin.url", url)
        assert vcs.state_read(repository.folder, "x", "1.2").url == said


def test_no_hook_runs(repository, tmp_path):
    trace = tmp_path / "trace"
    if repository.kind == "git":
        hook = repository.folder / ".git" / "hooks" / "fsmonitor"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\ntouch '%s'\n" % trace)
        hook.chmod(0o755)
        repository.run("config", "core.fsmonitor", str(hook))
    else:
        hooks = "".join("pre-%s = touch '%s'\n" % (name, trace)
                        for name in ("status", "files", "log", "tags", "paths"))
        repository.write({".hg/hgrc": "[hooks]\n" + hooks})
    problems(repository.folder)
    assert not trace.exists()


def test_program_that_is_missing(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(vcs.VcsError, match="is not installed: install"):
        vcs.state_read(repository.folder, "x", "1.2")


def test_repository_that_is_damaged(repository):
    if repository.kind == "git":
        os.remove(repository.folder / ".git" / "HEAD")
    else:
        repository.write({".hg/requires": "no-such-thing\n"})
    with pytest.raises(vcs.VcsError, match="failed: "):
        vcs.state_read(repository.folder, "x", "1.2")


def test_folder_whose_name_is_a_pattern(repository):
    repository.commit({"s[a]*/setup.py": "", "sa/setup.py": ""})
    repository.tag("v1.2")
    repository.write({"sa/setup.py": "changed"})
    state = vcs.state_read(repository.folder / "s[a]*", "x", "1.2")
    assert state.problems == [] and state.tracked == {"s[a]*/setup.py"}


# ---- what only Mercurial has ----


@pytest.fixture
def hg(copied):
    return copied("hg")


def test_several_tags_one_after_the_other(hg):
    hg.tag("v1.2")
    hg.tag("last")
    hg.run("tag", "--remove", "last")
    assert problems(hg.folder) == []


def test_hgtags_and_more_in_one_commit(hg):
    revision = hg.revision()
    hg.commit({".hgtags": revision + " v1.2\n", "pkg.py": "two = 2\n"})
    assert problems(hg.folder) == ["untagged"]


def test_tagged_changeset_itself(hg):
    hg.tag("v1.2")
    hg.run("update", "v1.2")
    assert problems(hg.folder) == []


def test_local_tag(hg):
    hg.run("tag", "--local", "v1.2")
    assert problems(hg.folder) == ["untagged"]


def test_merge_that_is_not_committed(hg):
    hg.commit({"a": ""})
    hg.tag("v1.2")
    hg.run("update", "0")
    hg.commit({"b": ""})
    hg.run("update", "v1.2")
    hg.run("merge", "-r", "max(all())")
    assert problems(hg.folder) == ["dirty"]


def test_subrepository(hg, tmp_path):
    inner = Repository("hg", hg.folder / "vendor")
    inner.commit({"lib.py": ""})
    hg.commit({".hgsub": "vendor = vendor\n"})
    hg.tag("v1.2")
    state = vcs.state_read(hg.folder, "x", "1.2")
    assert state.problems == []
    assert "vendor/lib.py" in state.tracked
    inner.write({"lib.py": "changed"})
    assert problems(hg.folder) == ["dirty"]


def test_url_of_mercurial(hg):
    hg.write({".hg/hgrc": "[paths]\ndefault = https://alice:secret@example.org/r\n"})
    assert vcs.state_read(hg.folder, "x", "1.2").url == "https://example.org/r"


# ---- what only Git has ----


@pytest.fixture
def git(copied):
    return copied("git")


def test_annotated_tag(git):
    git.run("tag", "-a", "-m", "release", "v1.2")
    assert problems(git.folder) == []


def test_tag_of_a_tag(git):
    git.run("tag", "-a", "-m", "release", "inner")
    git.run("tag", "-a", "-m", "release", "v1.2", "inner")
    git.run("tag", "-d", "inner")
    assert problems(git.folder) == []


def test_signed_tag(git, tmp_path, monkeypatch):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    settings = "-c", "gpg.format=ssh", "-c", "user.signingkey=%s" % key
    git.run(*settings, "tag", "-s", "-m", "x", "v1.2")
    assert problems(git.folder) == []


def test_detached_head_and_branch_of_the_tags_name(git):
    git.tag("v1.2")
    git.commit({"pkg.py": "two = 2\n"})
    git.run("branch", "v1.2")
    git.run("checkout", "--quiet", "--detach", "refs/tags/v1.2")
    assert problems(git.folder) == []


def test_shallow_clone(git, tmp_path):
    git.tag("v1.2")
    git.commit({"pkg.py": "two = 2\n"})
    clone = Repository("git", tmp_path / "clone")
    clone.run("fetch", "--quiet", "--depth=1", "--no-tags", "file://%s" % git.folder, "v1.2")
    clone.run("checkout", "--quiet", "FETCH_HEAD")
    assert "shallow clone" in sentence(clone.folder)
    clone.run("fetch", "--quiet", "--depth=1", "file://%s" % git.folder, "tag", "v1.2")
    assert problems(clone.folder) == []


def test_linked_worktree(git, tmp_path):
    git.tag("v1.2")
    git.run("worktree", "add", "--quiet", str(tmp_path / "linked"), "v1.2")
    (tmp_path / "linked" / "new").touch()
    assert problems(git.folder) == []
    assert problems(tmp_path / "linked") == ["dirty"]


def test_submodule(git, tmp_path):
    inner = Repository("git", tmp_path / "inner")
    inner.commit({"lib.py": ""})
    allow = "-c", "protocol.file.allow=always"
    git.run(*allow, "submodule", "--quiet", "add", str(inner.folder), "vendor")
    git.run("config", "-f", ".gitmodules", "submodule.vendor.ignore", "all")
    git.commit()
    git.tag("v1.2")
    state = vcs.state_read(git.folder, "x", "1.2")
    assert state.problems == []
    assert "vendor/lib.py" in state.tracked
    git.write({"vendor/lib.py": "changed"})
    assert problems(git.folder) == ["dirty"]
    # a project that is a submodule has tags of its own
    assert problems(git.folder / "vendor") == ["dirty", "untagged"]


def test_changes_that_git_was_told_not_to_look_at(git):
    git.tag("v1.2")
    for flag in ("assume-unchanged", "skip-worktree"):
        git.run("update-index", "--" + flag, "pkg.py")
        assert problems(git.folder) == []
        git.write({"pkg.py": "two = 2\n"})
        assert git.run("status", "--porcelain") == ""
        assert problems(git.folder) == ["dirty"]
        git.run("update-index", "--no-" + flag, "pkg.py")
        git.run("checkout", "--quiet", "pkg.py")


def test_environment_that_names_another_repository(git, tmp_path, monkeypatch):
    git.tag("v1.2")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nothing"))
    assert problems(git.folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_repository_of_another_user(git):
    git.tag("v1.2")
    for path in [git.folder, *git.folder.rglob("*")]:
        os.chown(path, 65534, 65534)
    with pytest.raises(vcs.VcsError, match="safe.directory %s" % git.folder):
        vcs.state_read(git.folder, "x", "1.2")


def test_sha256(tmp_path):
    folder = tmp_path / "repository"
    made = Repository("git", folder)
    shutil.rmtree(folder / ".git")
    made.run("init", "--quiet", "--object-format=sha256")
    made.commit(FILES)
    made.tag("v1.2")
    state = vcs.state_read(folder, "x", "1.2")
    assert state.problems == [] and len(state.revision) == 64
