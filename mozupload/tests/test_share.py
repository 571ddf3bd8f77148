# SPDX-License-Identifier: Apache-2.0
"""A share as nodes read it: a folder, and a web server."""

import errno
import functools
import hashlib
import http.server
import os
import socketserver
import threading

import pytest

from mozupload import share

DATA = bytes(range(256)) * 1000


@pytest.fixture
def folder(tmp_path):
    top = tmp_path / "share"
    for path in ("releases", "simple/weave", "channels"):
        (top / path).mkdir(parents=True)
    (top / "weave-1.0.tar.gz").write_bytes(DATA)
    (top / "falcon-3.1-py3-none-any.whl").write_bytes(b"x")
    (top / "README").write_text("nothing")
    (top / ".tmp-weave-1.1.tar.gz").write_text("half of it")
    (top / "releases/weave-1.0.json").write_text("{}")
    (top / "releases/weave-1.0.json.asc").write_text("signed")
    (top / "releases/weave-2.0.json").write_text("{}")
    (top / "releases/weave-2-3.0.json").write_text("{}")
    (top / "simple/weave/index.json").write_text('{"_releases": ["1.0", "2.0", "../3"]}')
    (top / "channels/prod").write_text("weave-1.0\n")
    return top


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        if self.path == "/cut.tar.gz":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)
        elif self.path == "/away.tar.gz":
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/away.tar.gz")
            self.end_headers()
        elif self.path == "/locked.tar.gz":
            known = self.headers.get("Authorization") == "Basic YWxpY2U6cyB0"
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


@pytest.fixture
def url(folder):
    server = Server(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield "http://127.0.0.1:%d" % server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["folder", "file", "http"])
def opened(request, folder):
    if request.param == "http":
        return share.share_open(request.getfixturevalue("url"))
    return share.share_open("file://%s" % folder if request.param == "file" else str(folder))


def test_reading(opened, tmp_path):
    assert sorted(opened.manifests("weave")) == ["1.0", "2.0"]
    assert opened.manifests("falcon") == []
    assert opened.manifest("Weave", "1.0") == b"{}"
    assert opened.signature("weave", "1.0") == b"signed"
    assert opened.signature("weave", "2.0") is None
    with pytest.raises(share.ShareMissing):
        opened.manifest("weave", "7")
    assert opened.channel("prod") == "weave-1.0"
    assert opened.channel("stage") is None
    assert opened.archives() == ["falcon-3.1-py3-none-any.whl", "weave-1.0.tar.gz"]
    with open(tmp_path / "out", "w+b") as out:
        found = opened.fetch("weave-1.0.tar.gz", out.fileno())
        assert found == (hashlib.sha256(DATA).hexdigest(), len(DATA))
    assert (tmp_path / "out").read_bytes() == DATA


def test_what_is_refused(opened, tmp_path, folder):
    with open(tmp_path / "out", "wb") as out:
        with pytest.raises(share.ShareMissing):
            opened.fetch("other-1.0.tar.gz", out.fileno())
        for name in ("../x.whl", "/etc/x.whl", "-r.whl", "README"):
            with pytest.raises(share.ShareError, match="no plain name"):
                opened.fetch(name, out.fileno())
        with pytest.raises(share.ShareError, match="more than"):
            opened.fetch("weave-1.0.tar.gz", out.fileno(), limit=len(DATA) - 1)
    for name in ("../prod", ".", "", "a/b"):
        with pytest.raises(share.ShareError):
            opened.channel(name)
    (folder / "channels/bad").write_text("../../x-1.0")
    with pytest.raises(share.ShareError, match="bad"):
        opened.channel("bad")
    (folder / "releases/weave-3.0.json").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(share.ShareError, match="more than"):
        opened.manifest("weave", "3.0")


def test_no_share(tmp_path):
    with pytest.raises(share.ShareMissing, match="mounted"):
        share.share_open(str(tmp_path / "none"))
    for where in ("ftp://host/x", "file://host/x", "http:///x", "gopher://x"):
        with pytest.raises(share.ShareError):
            share.share_open(where)


def test_folder_empty(tmp_path):
    opened = share.share_open(str(tmp_path))
    assert opened.manifests("weave") == [] and opened.archives() == []


def test_fifo_and_folder_are_no_files(folder, tmp_path):
    os.mkfifo(folder / "fifo-1.0.tar.gz")
    (folder / "folder-1.0.tar.gz").mkdir()
    opened = share.share_open(str(folder))
    with open(tmp_path / "out", "wb") as out:
        for name in ("fifo-1.0.tar.gz", "folder-1.0.tar.gz"):
            with pytest.raises(share.ShareError, match="is no file"):
                opened.fetch(name, out.fileno())


@pytest.mark.parametrize("times", [1, 3, 4])
def test_stale_file_of_nfs(folder, tmp_path, monkeypatch, times):
    """The server replaced the file while it was read: it is read from the beginning."""
    real, left = share._reader, [times]

    def reader(stream):
        read = real(stream)

        def stale(size):
            if left[0] and stream.tell():
                left[0] -= 1
                raise share._ReadError(errno.ESTALE)
            return read(size)

        return stale

    monkeypatch.setattr(share, "_reader", reader)
    opened = share.share_open(str(folder))
    with open(tmp_path / "out", "w+b") as out:
        if times > share.STALE_TRIES:
            with pytest.raises(share.ShareError, match="weave-1.0.tar.gz"):
                opened.fetch("weave-1.0.tar.gz", out.fileno())
            return
        digest, size = opened.fetch("weave-1.0.tar.gz", out.fileno())
    assert size == len(DATA) and digest == hashlib.sha256(DATA).hexdigest()
    assert (tmp_path / "out").read_bytes() == DATA


def test_full_disk_is_no_fault_of_the_share(folder):
    opened = share.share_open(str(folder))
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OSError) as raised:
            opened._copy(lambda size: b"x", full, None, "x")
        assert raised.value.errno == errno.ENOSPC
    finally:
        os.close(full)


def test_http_faults(url, tmp_path):
    opened = share.share_open(url)
    with open(tmp_path / "out", "wb") as out:
        for name, text in (("cut", "10"), ("away", "302"), ("locked", "401")):
            with pytest.raises(share.ShareError, match=text):
                opened.fetch(name + ".tar.gz", out.fileno())
        opened = share.share_open(url.replace("http://", "http://alice:s%20t@"))
        assert "alice" not in opened.where
        assert opened.fetch("locked.tar.gz", out.fileno())[1] == 0
    with pytest.raises(share.ShareError, match="cannot be reached"):
        share.share_open("http://127.0.0.1:1/").archives()


def test_http_page_elsewhere(url, folder):
    """Links to other hosts, and out of the share, are no archives of it."""
    (folder / "index.html").write_text(
        "<a href='https://example.org/a-1.whl'>a</a> <a href='../b-1.whl'>b</a>"
        "<a href='c-1-py3-none-any.whl#sha256=0'>c</a> <a href='%2e%2e%2fd-1.whl'>d</a>"
        "<a href='releases/e-1.whl'>e</a>"
    )
    assert share.share_open(url).archives() == ["b-1.whl", "c-1-py3-none-any.whl"]


def test_http_simple_pages_alone(url, folder):
    (folder / "index.html").mkdir()
    (folder / "simple/index.html").write_text("<a href='weave/'>weave</a><a href='../x/'>x</a>")
    (folder / "simple/weave/index.html").write_text("<a href='../../weave-1.0.tar.gz'>x</a>")
    opened = share.share_open(url)
    assert opened._links("simple/weave/") == ["weave-1.0.tar.gz"]
    assert opened._links("simple/", folders=True) == ["weave"]
