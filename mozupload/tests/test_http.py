# SPDX-License-Identifier: Apache-2.0
"""Uploading to a web server: a real Apache with mod_dav."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import apache
import archives
import drafts
import projects
import pytest

from mozupload import share, writing
from mozupload.errors import UploadError


@pytest.fixture(scope="module")
def server():
    made = apache.Apache()
    yield made
    made.stop()


@pytest.fixture
def url(server, request):
    """A share of its own for each test."""
    name = request.node.name.replace("[", "-").replace("]", "")
    (server.share / name).mkdir()
    if os.getuid() == 0:
        shutil.chown(server.share / name, "nobody")
    return server.url + name + "/"


def _folder(server, url):
    return server.share / url.rstrip("/").rpartition("/")[2]


def test_layout(server, url, tmp_path):
    made = drafts.draft(tmp_path / "new")
    lines = drafts.upload(url, made, channel="prod")
    assert list(drafts.believed(url)) == ["1.0"]
    assert share.share_open(url).channel("prod") == "weave-1.0"
    other = tmp_path / "folder"
    other.mkdir()
    drafts.upload(other, made, channel="prod")
    assert drafts.files_of(_folder(server, url)) == drafts.files_of(other)
    assert len([line for line in lines if line.endswith("stored")]) == 4
    # the order that hides what is not whole
    base = "/" + url.rstrip("/").rpartition("/")[2] + "/"
    _logged(server, ("PUT", base + "channels/prod", "201"))
    puts = [path[len(base):] for method, path, status in server.log()
            if method == "PUT" and path.startswith(base)]
    assert puts[:4] == [
        "Weave-1.0.tar.gz",
        "Weave-1.0-py3-none-any.whl",
        "falcon-3.1-py3-none-any.whl",
        "releases/weave-1.0.json",
    ]
    assert puts[-2:] == ["SHA256SUMS", "channels/prod"]


def test_again_changes_nothing(server, url, tmp_path):
    made = drafts.draft(tmp_path / "new")
    drafts.upload(url, made)
    before = drafts.files_of(_folder(server, url))
    drafts.upload(url, made)
    drafts.upload(url + "?", made)
    assert drafts.files_of(_folder(server, url)) == before
    drafts.upload(url, drafts.draft(tmp_path / "next", "1.1"))
    assert sorted(drafts.believed(url)) == ["1.0", "1.1"]


def test_other_content(server, url, tmp_path):
    drafts.upload(url, drafts.draft(tmp_path / "one"))
    before = drafts.files_of(_folder(server, url))
    with pytest.raises(UploadError, match="already"):
        drafts.upload(url, drafts.draft(tmp_path / "two", text="other"))
    assert drafts.files_of(_folder(server, url)) == before
    drafts.upload(url, drafts.draft(tmp_path / "two", text="other"), replace=True)
    (found,) = drafts.believed(url).values()
    assert found.allowed == ["other-content"]


def test_another_upload_comes_between(server, url, monkeypatch):
    """If-None-Match: * is answered with 412, whatever was there when we looked."""
    writer = writing.writer_open(url)
    writer.put_new("weave-1.tar.gz", b"one")
    looks = []
    real = writer._found

    def found(path):
        looks.append(path)
        return None if len(looks) == 1 else real(path)

    monkeypatch.setattr(writer, "_found", found)
    with pytest.raises(writing.ShareConflict):
        writer.put_new("weave-1.tar.gz", b"two")
    path = "/test_another_upload_comes_between/weave-1.tar.gz"
    _logged(server, ("PUT", path, "412"))
    del looks[:]
    assert writer.put_new("weave-1.tar.gz", b"one") == "same"
    assert (_folder(server, url) / "weave-1.tar.gz").read_bytes() == b"one"


def test_what_was_stored_is_read_back(server, url, monkeypatch):
    """Look and rename are two steps in mod_dav: the other one's content may be there."""
    writer = writing.writer_open(url)
    real = writer._put

    def put(path, source, headers):
        real(path, source, headers)
        (_folder(server, url) / path).write_bytes(b"other")

    monkeypatch.setattr(writer, "_put", put)
    with pytest.raises(writing.ShareConflict):
        writer.put_new("weave-1.tar.gz", b"one")


def test_put_that_is_cut(server, url, tmp_path):
    """A connection that ends in the middle of the body leaves nothing, and again is whole."""
    path = "/" + url.rstrip("/").rpartition("/")[2] + "/Weave-1.0.tar.gz"
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        head = "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nIf-None-Match: *\r\n\r\n"
        connection.sendall((head % path).encode() + b"x" * 50000)
    _logged(server, ("PUT", path, "400"))
    assert drafts.files_of(_folder(server, url)) == {}
    drafts.upload(url, drafts.draft(tmp_path / "new"))
    assert list(drafts.believed(url)) == ["1.0"]


def _logged(server, row):
    """Waits until httpd has logged a request, which it does when it has done with it."""
    deadline = time.monotonic() + 60
    while row not in server.log():
        assert time.monotonic() < deadline, server.log()[-5:]
        time.sleep(0.02)


class _Cut:
    """The first half of a body, and then the end of the process."""

    def __init__(self, body):
        content = body.read()
        self._halves = [content[: len(content) // 2]]

    def read(self, size):
        if not self._halves:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._halves.pop()


def _cut_at(step):
    """Ends this process at the given request: before it, or in the middle of its body."""
    count = [0]
    real = share.HttpShare.request

    def request(self, method, path, body=None, headers=()):
        count[0] += 1
        if count[0] == step:
            if not hasattr(body, "read"):
                os.kill(os.getpid(), signal.SIGKILL)
            body = _Cut(body)
        return real(self, method, path, body, headers)

    share.HttpShare.request = request


def test_killed_at_each_request(server, url, tmp_path):
    """Before each request that has no body, and in the middle of each body."""
    one, two = drafts.draft(tmp_path / "one", "1.0"), drafts.draft(tmp_path / "two", "1.1")
    folder = _folder(server, url)
    drafts.upload(url, one, channel="prod")
    base, whole = tmp_path / "base", tmp_path / "whole"
    shutil.copytree(folder, base)
    drafts.upload(url, two, channel="prod")
    shutil.copytree(folder, whole)
    step, seen = 0, set()
    while True:
        step += 1
        _emptied(folder)
        shutil.copytree(base, folder, dirs_exist_ok=True)
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", "nobody", str(folder)], check=True)
        child = os.fork()
        if child == 0:
            try:
                _cut_at(step)
                drafts.upload(url, two, channel="prod")
                os._exit(0)
            except BaseException:
                os._exit(1)
        status = os.waitpid(child, 0)[1]
        found = drafts.believed(url)
        channel = share.share_open(url).channel("prod")
        assert "1.0" in found
        assert channel == "weave-1.0" or "1.1" in found
        seen.add(("1.1" in found, channel))
        drafts.upload(url, two, channel="prod")
        assert _settled(folder, whole)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            break
    assert step > 30 and len(seen) == 3


def _emptied(folder):
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _settled(folder, whole):
    """Whether the folder has what the other has, when httpd has taken its temporary files away."""
    deadline = time.monotonic() + 60
    while drafts.files_of(folder) != drafts.files_of(whole):
        if time.monotonic() > deadline:
            assert drafts.files_of(folder) == drafts.files_of(whole)
        time.sleep(0.05)
    return True


def test_two_uploads_at_once(server, url, tmp_path):
    results = []

    def work(made):
        try:
            drafts.upload(url, made)
            results.append("done")
        except UploadError:
            results.append("refused")

    def at_once(mades):
        del results[:]
        threads = [threading.Thread(target=work, args=(made,)) for made in mades]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(results)

    same = [drafts.draft(tmp_path / name) for name in ("one", "two")]
    assert at_once(same) == ["done", "done"]
    others = [drafts.draft(tmp_path / name, "2.0", text=name) for name in ("three", "four")]
    # where both had stored something of theirs before they saw the other, both refuse
    assert at_once(others) in (["done", "refused"], ["refused", "refused"])
    others = [drafts.draft(tmp_path / version, version) for version in ("3.0", "3.1", "3.2")]
    assert at_once(others) == ["done"] * 3
    found = sorted(drafts.believed(url))
    assert set(found) >= {"1.0", "3.0", "3.1", "3.2"}
    page = json.loads((_folder(server, url) / "simple/weave/index.json").read_text())
    assert page["_releases"] == found


def test_password(server, tmp_path, monkeypatch):
    made = drafts.draft(tmp_path / "new")
    with pytest.raises(share.ShareError, match=r"401.*\.netrc"):
        drafts.upload(server.url + "private", made)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login alice password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    drafts.upload(server.url + "private", made)
    monkeypatch.setenv("HOME", "/nowhere")
    where = server.url.replace("http://", "http://alice:secret@") + "private"
    drafts.upload(where, drafts.draft(tmp_path / "next", "1.1"))
    assert sorted(drafts.believed(where)) == ["1.0", "1.1"]


def test_plain_archives_stay_visible(server, url, tmp_path):
    """Our page takes the place of the listing by httpd, which had them."""
    archives.wheel(_folder(server, url), "plain", "1.0")
    before = share.share_open(url).archives()
    for version in ("1.0", "1.1"):
        drafts.upload(url, drafts.draft(tmp_path / version, version))
        assert set(before) < set(share.share_open(url).archives())


def test_first_upload_cut_off_before_its_index(server, url, tmp_path):
    """Where the server lists the archives, it lists the manifest: no plain share."""
    drafts.upload(url, drafts.draft(tmp_path / "new"))
    folder = _folder(server, url)
    shutil.rmtree(folder / "simple")
    (folder / "index.html").unlink()
    assert list(drafts.believed(url)) == ["1.0"]
    assert share.share_open(url).manifests("other") == []


def test_tls(tmp_path, monkeypatch):
    made = drafts.draft(tmp_path / "new")
    server = apache.Apache(tls=True)
    try:
        with pytest.raises(share.ShareError, match="cannot be reached.*certificate"):
            drafts.upload(server.url, made)
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        drafts.upload(server.url, made)
        assert list(drafts.believed(server.url)) == ["1.0"]
    finally:
        server.stop()


def test_server_that_takes_no_files(server, tmp_path):
    made = drafts.draft(tmp_path / "new")
    with pytest.raises(share.ShareError, match="Dav On"):
        drafts.upload(server.url + "nodav", made)
    with pytest.raises(share.ShareError, match="missing"):
        drafts.upload(server.url + "none/of/it", made)
    with pytest.raises(share.ShareError, match="cannot be reached"):
        drafts.upload("http://127.0.0.1:1/", made)


def test_command_line(server, url, tmp_path, links):
    """The first release brings its dependency along; the next one finds it in the share."""
    project = projects.Project("git", tmp_path / "project", links, ["falcon"])
    project.repository.tag("1.1.5")
    archive = project.sdist()
    said = project.upload(archive, "--share", url, "--constraint", _file(tmp_path, "falcon<3.1.1"))
    assert "from share and indexes" in said and "weavectl install WeaveApp==1.1.5" in said
    listed = project.upload(archive, "--share", url, "--list")
    assert "nothing would be uploaded" in listed
    (_folder(server, url) / "releases/weaveapp-1.1.5.json").unlink()
    said = project.upload(archive, "--share", url)
    assert "2 dependencies for" in said and "from the share" in said
    assert said.count("is there already") == 4
    (found,) = drafts.believed(url, "weaveapp").values()
    assert found.requires["falcon"] == "3.1.0"


def _file(folder, text):
    (folder / "constraints").write_text(text)
    return folder / "constraints"
