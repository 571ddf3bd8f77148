# SPDX-License-Identifier: Apache-2.0
"""Repositories of Git and Mercurial, by file, http and ssh, and hostile ones."""

import os
import subprocess
import tempfile

import pytest

import repositories
from repositories import Work
from weave_release import repository
from weave_release.errors import ReleaseError

KINDS = ("git", "hg")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """What inner has as HOME, as empty as there."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    os.mkdir(tmp_path / "home")


@pytest.fixture(params=KINDS)
def work(request, tmp_path):
    return Work(request.param, tmp_path / "an app")


@pytest.fixture
def open_(tmp_path):
    return lambda where, log=None: repository.repository_open(
        str(getattr(where, "path", where)), str(tmp_path / "mirror"), log)


def files(folder):
    return sorted(os.path.relpath(os.path.join(path, name), folder)
                  for path, _, names in os.walk(folder) for name in names)


def export(opened, revision, folder, **more):
    folder.mkdir()
    opened.export(opened.revision(revision).id, str(folder), **more)
    return files(folder)


# ---- revisions ----

def test_tag_branch_and_ids(work, open_):
    first = work.commit(a="1", tag="v1-rc1")
    second = work.commit(a="2")
    opened = open_(work)
    assert opened.revision("v1-rc1") == (first, "v1-rc1")
    branch = opened.revision("main" if work.kind == "git" else "default")
    assert branch.tag == ""
    assert opened.revision(second) == (second, "")
    assert opened.revision(first[:9]) == (first, "")
    assert opened.tags(first) == ["v1-rc1"]
    # hg's own commit of .hgtags is one more
    assert opened.tag_before(second) == ("v1-rc1", 1 if work.kind == "git" else 2)


def test_what_is_no_revision(work, open_):
    work.commit(a="1")
    opened = open_(work)
    for text in ("0", "HEAD", "nothing", "deadbeef", "f" * 40):
        with pytest.raises(ReleaseError, match="has no revision %s " % text):
            opened.revision(text)


def test_new_commits_moved_and_removed_names(work, open_):
    opened = open_(work)
    work.commit(a="1", tag="v1")
    opened.revision("v1")
    second = work.commit(a="2")
    work.do("tag", "-f", "v1", second) if work.kind == "git" else work.do(
        "tag", "-f", "-r", second, "v1")
    assert opened.revision("v1").id == second
    if work.kind == "git":
        work.do("tag", "-d", "v1")
        work.do("branch", "v1/x")
        with pytest.raises(ReleaseError):
            opened.revision("v1")


def test_a_commit_that_was_taken_back(tmp_path, open_):
    work = Work("git", tmp_path / "app")
    work.commit(a="1")
    second = work.commit(a="2")
    opened = open_(work)
    assert opened.revision(second).id == second
    work.do("reset", "-q", "--hard", "HEAD~1")
    opened.update()
    with pytest.raises(ReleaseError, match="that a branch or tag leads to"):
        opened.revision(second)


def test_a_known_id_needs_no_repository(work, open_, tmp_path):
    first = work.commit(a="1", tag="v1")
    opened = open_(work)
    opened.update()
    os.rename(work.path, tmp_path / "away")
    assert opened.revision(first).id == first
    with pytest.raises(ReleaseError, match="cannot be read"):
        opened.revision("v1")
    # the network was away, no more than that
    assert opened.revision(first).id == first


def test_sha256(tmp_path, open_):
    repositories.run("git", "init", "-q", "--object-format=sha256", str(tmp_path / "app"))
    work = Work("git", tmp_path / "app")
    first = work.commit(a="1")
    assert len(first) == 64 and open_(work).revision(first).id == first


# ---- files ----

def test_export(work, open_, tmp_path):
    work.write("bin/run", "#!/bin/sh", executable=True)
    work.write("d/ä", "A")
    os.symlink("d/ä", os.path.join(work.path, "link"))
    work.commit(tag="v1")
    work.commit(a="later")
    names = export(open_(work), "v1", tmp_path / "out")
    assert [name for name in names if name != ".hgtags"] == ["bin/run", "d/ä", "link"]
    assert os.stat(tmp_path / "out/bin/run").st_mode & 0o777 == 0o755
    assert os.readlink(tmp_path / "out/link") == "d/ä"


def test_a_link_that_leads_out(work, open_, tmp_path):
    os.symlink("/etc/passwd", os.path.join(work.path, "link"))
    work.commit(tag="v1")
    with pytest.raises(ReleaseError, match="the link link leads out of it"):
        export(open_(work), "v1", tmp_path / "out")


def test_attributes_of_the_repository(tmp_path, open_):
    """They may say what git archive leaves out and how it changes files; archives stay whole."""
    work = Work("git", tmp_path / "app")
    wheel = b"PK\r\n\0$Format:%H$\n"
    work.write("a.whl", wheel)
    work.commit(tests="kept", **{".gitattributes": "tests export-ignore\n*.whl filter=evil "
                                                   "text eol=crlf export-subst ident\n"})
    raw = work.do("rev-parse", "HEAD:a.whl")
    blob = subprocess.run(["git", "cat-file", "blob", raw], cwd=work.path, check=True,
                          stdout=subprocess.PIPE).stdout
    assert "tests" in export(open_(work), "main", tmp_path / "out")
    assert (tmp_path / "out/a.whl").read_bytes() == blob


def test_too_many_files_are_noticed_before_git_archive(tmp_path, open_, monkeypatch):
    work = Work("git", tmp_path / "app")
    for number in range(9):
        work.write(str(number))
    work.commit()
    monkeypatch.setattr(repository.tree, "MAX_FILES", 8)
    monkeypatch.setattr(repository.Git, "_archive", None)
    with pytest.raises(ReleaseError, match="more than 8 files"):
        export(open_(work), "main", tmp_path / "out")


# ---- hostile repositories ----

@pytest.mark.parametrize("owner", ["own", "foreign"])
def test_configuration_of_the_repository_runs_nothing(work, open_, tmp_path, owner):
    work.write(".gitattributes", "* filter=evil export-subst\n")
    first = work.commit(a="$Format:%G?$", tag="v1")
    mark = tmp_path / "mark"
    repositories.hostile(work, mark)
    if owner == "foreign":
        if os.getuid() != 0:
            pytest.skip("only root can give a repository to somebody else")
        subprocess.run(["chown", "-R", str(repositories.NOBODY), work.path], check=True)
    opened = open_(work)
    assert opened.revision("v1").id == first
    assert "a" in export(opened, "v1", tmp_path / "out")
    assert not mark.exists()


def test_only_this_repository_is_safe(tmp_path, open_):
    """git goes on to refuse what belongs to somebody else, but for the one that is asked for."""
    work = Work("git", tmp_path / "app")
    first = work.commit(a="1")
    opened = open_(work)
    assert opened.revision("main").id == first
    with open(opened.mirror + ".config", encoding="utf-8") as file:
        said = [line.split(" = ")[1] for line in file.read().splitlines() if "directory" in line]
    assert sorted(said) == sorted('"%s"' % path for path in (
        opened.mirror, work.path, work.path + "/.git"))


def test_environment_has_no_effect(work, open_, monkeypatch, tmp_path):
    first = work.commit(a="1", tag="v1")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_EXEC_PATH", "GIT_SSH_COMMAND", "GIT_CONFIG_COUNT",
                 "HGRCPATH", "HG", "HGDEMANDIMPORT", "PYTHONPATH", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "/nonexistent")
    home = tmp_path / "home"
    (home / ".gitconfig").write_text("[url \"file:///nonexistent\"]\ninsteadOf = file://\n")
    (home / ".hgrc").write_text("[alias]\nlog = !false\n")
    assert open_(work).revision("v1").id == first


# ---- a mirror ----

def test_a_mirror_that_was_cut_off_is_made_anew(work, open_):
    first = work.commit(a="1", tag="v1")
    opened = open_(work)
    opened.update()
    # what a kill leaves: the mark, and locks
    open(opened.mirror + ".busy", "w").close()
    lock = "packed-refs.lock" if work.kind == "git" else ".hg/store/lock"
    open(os.path.join(opened.mirror, lock), "w").close()
    assert opened.revision(first).id == first
    assert not os.path.exists(opened.mirror + ".busy")


def test_another_repository_in_the_same_place(work, open_, tmp_path):
    work.commit(a="1", tag="v1")
    opened = open_(work)
    opened.update()
    os.rename(work.path, tmp_path / "away")
    other = Work(work.kind, work.path)
    other.commit(b="2", tag="v2")
    if work.kind == "git":
        assert opened.revision("v2").tag == "v2"
        return
    with pytest.raises(ReleaseError, match="unrelated") as refused:
        opened.revision("v2")
    assert "remove %s" % opened.mirror in refused.value.hint


def test_a_program_that_is_not_there(work, open_, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ReleaseError, match="^%s is not installed on this node" % work.kind):
        open_(work).revision("v1")


# ---- repositories in repositories ----

@pytest.fixture
def nested(work, tmp_path):
    """An application with a library in it; returns (work, path of the library)."""
    lib = Work(work.kind, tmp_path / "lib")
    lib.commit(code="1")
    if work.kind == "git":
        work.do("-c", "protocol.file.allow=always", "submodule", "add", "-q", "../lib", "ext/lib")
    else:
        repositories.run("hg", "clone", "-q", lib.path, os.path.join(work.path, "ext/lib"))
        work.write(".hgsub", "ext/lib = ../lib\n")
    work.commit(a="1", tag="v1")
    return work


def test_repositories_within(nested, open_, tmp_path):
    """They are left out unless they are wanted."""
    opened = open_(nested)
    (tmp_path / "out").mkdir()
    left = opened.export(opened.revision("v1").id, str(tmp_path / "out"))
    assert left == ["ext/lib"]
    assert "ext/lib/code" not in files(tmp_path / "out")
    names = export(opened, "v1", tmp_path / "all", with_subrepos=True)
    assert "a" in names and "ext/lib/code" in names


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path,source", [
    ("lib", "ext::touch x"), ("lib", "-oProxyCommand=x:y"), ("lib", "file:///x;id"),
    ("../lib", "../lib"), (".git/lib", "../lib"), ("/lib", "../lib")])
def test_hostile_repositories_within(kind, path, source, tmp_path, open_, monkeypatch):
    os.makedirs(tmp_path / "app" / ("." + kind))
    opened = open_(tmp_path / "app")
    with pytest.raises(ReleaseError):
        opened._within_add([], path, source, "f" * 40, kind == "hg")


def test_repositories_within_of_other_kinds(tmp_path, open_, monkeypatch):
    os.makedirs(tmp_path / "app" / ".hg")
    opened = open_(tmp_path / "app")
    texts = {".hgsub": "# comment\nlib = [svn]x\n", ".hgsubstate": "%s lib\n" % ("f" * 40)}
    monkeypatch.setattr(opened, "_cat", lambda revision, path: texts[path])
    with pytest.raises(ReleaseError, match="is a repository of svn"):
        opened._within("f" * 40)
    texts[".hgsub"] = "lib = [git]../lib\n"
    (path, location, revision), = opened._within("f" * 40)
    assert (path, location.kind, location.path) == ("lib", "git", str(tmp_path / "lib"))


# ---- http and ssh ----

@pytest.fixture(scope="module")
def apache():
    # pytest closes its own folders for other users again and again
    with tempfile.TemporaryDirectory() as folder:
        ids = {}
        for kind in KINDS:
            ids[kind] = Work(kind, folder + "/app-" + kind).commit(a="1", tag="v1")
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", str(repositories.NOBODY), folder], check=True)
        repositories.everybody(folder)
        server = repositories.Apache(folder)
        server.ids = ids
        yield server
        server.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_http(kind, apache, open_, tmp_path):
    where = "%s/%s/app-%s" % (apache.url, kind, kind)
    opened = open_(where)  # and asks which kind it is
    assert opened.kind == kind
    assert opened.revision("v1") == (apache.ids[kind], "v1")
    assert "a" in export(opened, "v1", tmp_path / "out")


def test_http_without_a_repository(apache, open_):
    with pytest.raises(ReleaseError, match="is no repository that can be read"):
        open_(apache.url + "/nothing")
    with pytest.raises(ReleaseError, match="app-none.git cannot be read"):
        open_(apache.url + "/git/app-none.git").revision("v1")


def test_ssh(work, open_, tmp_path, monkeypatch):
    first = work.commit(a="1", tag="v1")
    os.rename(work.path, tmp_path / "app")
    calls = repositories.ssh_make(str(tmp_path / "bin"))
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path / "bin", os.environ["PATH"]))
    slash = "" if work.kind == "git" else "/"
    opened = open_("%s+ssh://git@host.invalid/%s%s" % (work.kind, slash, tmp_path.name and str(
        tmp_path)[1:] + "/app"))
    assert opened.revision("v1") == (first, "v1")
    with open(calls, encoding="utf-8") as file:
        assert "-o BatchMode=yes" in file.read()


def test_the_short_form_of_ssh(tmp_path, open_, monkeypatch):
    first = Work("git", tmp_path / "app").commit(a="1")
    repositories.ssh_make(str(tmp_path / "bin"))
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path / "bin", os.environ["PATH"]))
    assert open_("git@host.invalid:%s/app" % tmp_path).revision("main").id == first


def test_ssh_of_nobody(work, open_, tmp_path, monkeypatch):
    repositories.ssh_make(str(tmp_path / "bin"))
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path / "bin", os.environ["PATH"]))
    with pytest.raises(ReleaseError, match="is no repository that can be read.*no such host"):
        open_("ssh://git@other.invalid/app")
