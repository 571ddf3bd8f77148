# SPDX-License-Identifier: Apache-2.0
"""Uploading to a folder: what is there afterwards, whatever happens in the middle."""

import ctypes
import errno
import json
import os
import pathlib
import resource
import shutil
import signal
import stat
import subprocess
import tarfile
import tempfile
import time

import drafts
import pytest

from mozupload import publish, share, writing
from mozupload.errors import UploadError


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "share"
    made.mkdir()
    return made


def test_layout(folder, tmp_path):
    lines = drafts.upload(folder, drafts.draft(tmp_path / "new"), channel="prod")
    assert set(drafts.files_of(folder)) == {
        "Weave-1.0.tar.gz",
        "Weave-1.0-py3-none-any.whl",
        "falcon-3.1-py3-none-any.whl",
        "releases/weave-1.0.json",
        "channels/prod",
        "index.html",
        "SHA256SUMS",
        "simple/index.html",
        "simple/index.json",
        "simple/weave/index.html",
        "simple/weave/index.json",
        "simple/falcon/index.html",
        "simple/falcon/index.json",
    }
    assert list(drafts.believed(folder)) == ["1.0"]
    assert share.share_open(str(folder)).channel("prod") == "weave-1.0"
    for name in ("Weave-1.0.tar.gz", "falcon-3.1-py3-none-any.whl", "releases/weave-1.0.json"):
        (line,) = [line for line in lines if name in line]
        assert line.endswith("stored")
    subprocess.run(["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=folder, check=True)
    page = json.loads((folder / "simple/weave/index.json").read_text())
    assert page["_releases"] == ["1.0"] and page["versions"] == ["1.0"]
    assert all(file["size"] and file["hashes"]["sha256"] for file in page["files"])


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_rights_do_not_depend_on_the_umask(folder, tmp_path, umask):
    folder.chmod(0o2775)
    made = drafts.draft(tmp_path / "new")
    before = os.umask(umask)
    try:
        drafts.upload(folder, made, channel="prod")
    finally:
        os.umask(before)
    for top, folders, files in os.walk(folder):
        for name in files:
            assert stat.S_IMODE(os.stat(os.path.join(top, name)).st_mode) == 0o644, name
        for name in folders:
            assert stat.S_IMODE(os.stat(os.path.join(top, name)).st_mode) == 0o2775, name


def test_again_changes_nothing(folder, tmp_path):
    made = drafts.draft(tmp_path / "new")
    drafts.upload(folder, made)
    before = drafts.files_of(folder)
    drafts.upload(folder, made)
    assert drafts.files_of(folder) == before
    # the same files without the manifest: an upload that was cut off
    (folder / "releases/weave-1.0.json").unlink()
    lines = drafts.upload(folder, made)
    assert drafts.files_of(folder) == before
    assert len([line for line in lines if "is there already" in line]) == 3


def test_releases_share_their_dependencies(folder, tmp_path):
    drafts.upload(folder, drafts.draft(tmp_path / "one", "1.0"))
    drafts.upload(folder, drafts.draft(tmp_path / "two", "1.1"))
    assert sorted(drafts.believed(folder)) == ["1.0", "1.1"]
    page = json.loads((folder / "simple/weave/index.json").read_text())
    assert page["_releases"] == ["1.0", "1.1"] and len(page["files"]) == 4
    assert len((folder / "SHA256SUMS").read_text().splitlines()) == 5


def _repacked(path):
    """The same sdist as another run of setup.py makes it: other times, other order."""
    with tarfile.open(str(path)) as archive:
        members = [(info, archive.extractfile(info)) for info in archive]
        with tarfile.open(str(path) + ".new", "w:gz", compresslevel=1) as out:
            for info, content in reversed(members):
                info.mtime += 100
                out.addfile(info, content)
    os.rename(str(path) + ".new", str(path))


def test_same_sdist_packed_again_counts_as_the_same(folder, tmp_path):
    made = drafts.draft(tmp_path / "new")
    drafts.upload(folder, made)
    before = drafts.files_of(folder)
    _repacked(tmp_path / "new/Weave-1.0.tar.gz")
    drafts.upload(folder, made)
    assert drafts.files_of(folder) == before
    # and the manifest that finishes a cut upload names what the share has
    (folder / "releases/weave-1.0.json").unlink()
    drafts.upload(folder, made)
    assert drafts.files_of(folder) == before


def test_damaged_archive_is_another_content(folder, tmp_path):
    made = drafts.draft(tmp_path / "one")
    data = (tmp_path / "one/Weave-1.0.tar.gz").read_bytes()
    # the name in the head of gzip does not count
    for place in range(10 + len("Weave-1.0.tar") + 1, len(data) - 4, 20):
        path = folder / "Weave-1.0.tar.gz"
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1:])
        with pytest.raises(UploadError, match="already"):
            drafts.upload(folder, made)


def test_other_content_is_refused(folder, tmp_path):
    drafts.upload(folder, drafts.draft(tmp_path / "one"))
    before = drafts.files_of(folder)
    with pytest.raises(UploadError, match="Weave-1.0.tar.gz already.*--allow-other-content"):
        drafts.upload(folder, drafts.draft(tmp_path / "two", text="other"))
    assert drafts.files_of(folder) == before
    # without a manifest, too: an upload may be on its way
    (folder / "releases/weave-1.0.json").unlink()
    with pytest.raises(UploadError, match="already"):
        drafts.upload(folder, drafts.draft(tmp_path / "two", text="other"))


def test_other_content_is_allowed(folder, tmp_path):
    drafts.upload(folder, drafts.draft(tmp_path / "one"))
    drafts.upload(folder, drafts.draft(tmp_path / "two", text="other"), replace=True)
    (found,) = drafts.believed(folder).values()
    assert found.allowed == ["other-content"]
    assert (folder / "Weave-1.0.tar.gz").read_bytes() == (
        tmp_path / "two/Weave-1.0.tar.gz"
    ).read_bytes()
    subprocess.run(["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=folder, check=True)


def test_what_another_release_has_is_never_replaced(folder, tmp_path):
    drafts.upload(folder, drafts.draft(tmp_path / "one"))
    before = drafts.files_of(folder)
    made = drafts.draft(tmp_path / "two", "1.1")
    falcon = drafts.archives.wheel(tmp_path / "two", "falcon", "3.1", files={"x.py": "1"})
    assert falcon.name == "falcon-3.1-py3-none-any.whl"
    with pytest.raises(UploadError, match="belongs to weave-1.0, too"):
        drafts.upload(folder, made, replace=True)
    assert drafts.files_of(folder) == before


def _no_links(*arguments, **more):
    raise OSError(errno.EPERM, "no hard links here")


class _OldLibrary:
    """A C library without renameat2()."""

    def __init__(self, *arguments, **more):
        pass


@pytest.mark.parametrize("library", [ctypes.CDLL, _OldLibrary])
def test_file_systems_without_hard_links(folder, tmp_path, monkeypatch, library):
    monkeypatch.setattr(os, "link", _no_links)
    monkeypatch.setattr(writing.ctypes, "CDLL", library)
    drafts.upload(folder, drafts.draft(tmp_path / "one"))
    assert list(drafts.believed(folder)) == ["1.0"]
    before = drafts.files_of(folder)
    assert not [name for name in before if ".mozupload-" in name]
    writer = writing.writer_open(str(folder))
    # the other upload comes between our look and our rename
    temporary = writer._temporary_write(str(folder), writing.Source(b"other"))
    with pytest.raises(FileExistsError):
        writer._name_give(temporary, str(folder / "Weave-1.0.tar.gz"))
    os.unlink(temporary)
    assert drafts.files_of(folder) == before


def test_temporary_files_of_cut_uploads_go_after_a_day(folder, tmp_path):
    for name, age in ((".mozupload-old", 2 * 86400), (".mozupload-new", 3600)):
        (folder / name).write_text("x")
        os.utime(folder / name, (time.time() - age,) * 2)
    drafts.upload(folder, drafts.draft(tmp_path / "one"))
    assert (folder / ".mozupload-new").exists() and not (folder / ".mozupload-old").exists()


def test_plain_archives_stay_visible(folder, tmp_path):
    """A share may have archives without a manifest; the page of all files has them, too."""
    drafts.archives.wheel(folder, "plain", "1.0")
    for version in ("1.0", "1.1"):
        drafts.upload(folder, drafts.draft(tmp_path / version, version))
        page = (folder / "index.html").read_text()
        assert '<a href="plain-1.0-py3-none-any.whl">' in page
        assert '<a href="Weave-1.0.tar.gz#sha256=' in page
        assert "plain" not in (folder / "SHA256SUMS").read_text()


def test_damaged_manifest_of_another_release(folder, tmp_path):
    drafts.upload(folder, drafts.draft(tmp_path / "one"))
    (folder / "releases/other-1.json").write_text("{")
    lines = drafts.upload(folder, drafts.draft(tmp_path / "two", "1.1"))
    assert any("other-1 is left out of the index" in line for line in lines)
    (folder / "releases/weave-1.1.json").write_text("{")
    with pytest.raises(UploadError, match="weave-1.1.*is damaged"):
        drafts.upload(folder, drafts.draft(tmp_path / "two", "1.1"))


def test_folder_that_may_not_be_written(folder, tmp_path):
    made = drafts.draft(tmp_path / "one")
    (folder / "releases").write_text("in the way")
    with pytest.raises((share.ShareError, OSError)):
        drafts.upload(folder, made)


# ---- killed ----

STEPS = ("open", "mkdir", "chmod", "fchmod", "fsync", "link", "unlink", "rename")


def _killed(step, work):
    """Whether a process was killed before the given call of the system; the first is 1."""
    child = os.fork()
    if child == 0:
        count = [0]

        def counted(name):
            real = getattr(os, name)

            def call(*arguments, **more):
                count[0] += 1
                if count[0] == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **more)

            return call

        for name in STEPS:
            setattr(os, name, counted(name))
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def test_full_disk(folder, tmp_path):
    """Nothing is left of what could not be written, and again is whole."""
    made = drafts.draft(tmp_path / "one")
    big = drafts.archives.wheel(tmp_path / "one", "falcon", "3.1", files={"x": "x" * 100000})

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))
        with pytest.raises(share.ShareError, match="cannot be written: File too large"):
            drafts.upload(folder, made)

    assert big.stat().st_size > 50000 and _at_once([work]) == [0]
    assert {name.partition("-")[0] for name in drafts.files_of(folder)} == {"Weave"}
    assert drafts.believed(folder) == {}
    drafts.upload(folder, made)
    assert list(drafts.believed(folder)) == ["1.0"]


@pytest.mark.parametrize("link", [os.link, _no_links])
def test_killed_before_each_step(tmp_path, monkeypatch, link):
    """Nodes see no release or a whole one, and the same upload again finishes it."""
    monkeypatch.setattr(writing, "LOCK_S", 0)
    if link is not os.link:
        monkeypatch.setattr(os, "link", link)
        monkeypatch.setattr(writing.ctypes, "CDLL", _OldLibrary)
    one, two = drafts.draft(tmp_path / "one", "1.0"), drafts.draft(tmp_path / "two", "1.1")
    base = tmp_path / "base"
    base.mkdir()
    drafts.upload(base, one, channel="prod")
    whole = tmp_path / "whole"
    shutil.copytree(base, whole)
    drafts.upload(whole, two, channel="prod")
    step, seen = 0, set()
    while True:
        step += 1
        folder = tmp_path / "share"
        shutil.copytree(base, folder)
        killed = _killed(step, lambda: drafts.upload(folder, two, channel="prod"))
        found = drafts.believed(folder)
        channel = share.share_open(str(folder)).channel("prod")
        assert "1.0" in found and channel in ("weave-1.0", "weave-1.1")
        assert channel == "weave-1.0" or "1.1" in found
        seen.add(("1.1" in found, channel))
        drafts.upload(folder, two, channel="prod")
        after = drafts.files_of(folder)
        for name in [name for name in after if os.path.basename(name).startswith(".")]:
            del after[name]
        assert after == drafts.files_of(whole)
        shutil.rmtree(folder)
        if not killed:
            break
    assert step > 50 and len(seen) == 3


# ---- two at once ----


def _at_once(works):
    """Runs functions in processes that begin together; the exit statuses."""
    go_read, go_write = os.pipe()
    children = []
    for work in works:
        child = os.fork()
        if child == 0:
            os.close(go_write)
            os.read(go_read, 1)
            try:
                work()
                os._exit(0)
            except UploadError:
                os._exit(7)
            except BaseException:
                os._exit(1)
        children.append(child)
    os.close(go_read)
    os.close(go_write)
    return [os.WEXITSTATUS(os.waitpid(child, 0)[1]) for child in children]


@pytest.mark.parametrize("attempt", range(4))
def test_two_uploads_at_once(folder, tmp_path, attempt):
    same = [drafts.draft(tmp_path / "one"), drafts.draft(tmp_path / "two")]
    _repacked(tmp_path / "two/Weave-1.0.tar.gz")
    done = _at_once([lambda made=made: drafts.upload(folder, made) for made in same])
    assert done == [0, 0]
    assert list(drafts.believed(folder)) == ["1.0"]
    others = [drafts.draft(tmp_path / name, "2.0", text=name) for name in ("three", "four")]
    done = _at_once([lambda made=made: drafts.upload(folder, made) for made in others])
    assert sorted(done) == [0, 7]
    others = [drafts.draft(tmp_path / version, version) for version in ("3.0", "3.1", "3.2")]
    done = _at_once([lambda made=made: drafts.upload(folder, made) for made in others])
    assert done == [0, 0, 0]
    found = sorted(drafts.believed(folder))
    assert found == ["1.0", "2.0", "3.0", "3.1", "3.2"]
    page = json.loads((folder / "simple/weave/index.json").read_text())
    assert page["_releases"] == found


# ---- signed ----


@pytest.fixture(scope="module")
def gnupg():
    """A GNUPGHOME with the key of release@localhost. Its socket needs a short path."""
    home = tempfile.mkdtemp(prefix="gpg-")
    before = os.environ.get("GNUPGHOME")
    os.environ["GNUPGHOME"] = home
    command = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key"]
    subprocess.run(command + ["release@localhost", "ed25519", "sign", "never"], check=True)
    with open(os.path.join(home, "keys.gpg"), "wb") as out:
        subprocess.run(["gpg", "--batch", "--export"], stdout=out, check=True)
    yield pathlib.Path(home)
    subprocess.run(["gpgconf", "--kill", "all"], check=False)
    if before is None:
        del os.environ["GNUPGHOME"]
    else:
        os.environ["GNUPGHOME"] = before
    shutil.rmtree(home)


def _verify(gnupg, folder, release="weave-1.0"):
    path = folder / "releases" / (release + ".json")
    command = ["gpgv", "--quiet", "--keyring", str(gnupg / "keys.gpg"), str(path) + ".asc"]
    return subprocess.run(command + [str(path)], stderr=subprocess.DEVNULL).returncode == 0


def test_signed(folder, tmp_path, gnupg):
    made = drafts.draft(tmp_path / "one")
    drafts.upload(folder, made, key="release@localhost")
    assert _verify(gnupg, folder)
    before = drafts.files_of(folder)
    drafts.upload(folder, made, key="release@localhost")
    assert drafts.files_of(folder) == before
    # cut off before the signature: the manifest that is there is signed
    (folder / "releases/weave-1.0.json.asc").unlink()
    drafts.upload(folder, made, key="release@localhost")
    assert _verify(gnupg, folder)
    made = drafts.draft(tmp_path / "two", text="other")
    drafts.upload(folder, made, key="release@localhost", replace=True)
    assert _verify(gnupg, folder)
    # a signature of what was replaced must not stay
    drafts.upload(folder, drafts.draft(tmp_path / "three", text="again"), replace=True)
    assert not (folder / "releases/weave-1.0.json.asc").exists()


def test_key_that_is_missing(gnupg):
    publish.signing.key_check("release@localhost")
    with pytest.raises(UploadError, match="no secret key other@localhost"):
        publish.signing.key_check("other@localhost")
    with pytest.raises(UploadError, match="could not sign"):
        publish.signing.sign("other@localhost", b"x")
