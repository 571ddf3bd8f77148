# SPDX-License-Identifier: Apache-2.0
"""Shares that fail: NFS that shows files late or replaces them, web servers that cheat."""

import errno
import functools
import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading

import pytest
from conftest import BUILD, TOP
from fetching import Node, Share, make
from mozupload import share as shares
from test_fetch import refused

SHIM = str(BUILD / "tests" / "share_shim.so")

# In a program of its own: each case is (what the shim does, how long to wait).
_CASES = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from fetching import Node, python_of, fetch
from weave_release.errors import ReleaseError
python, said = python_of(), []
for number, (shim, wait) in enumerate(json.loads(sys.argv[4])):
    node = Node(os.path.join(sys.argv[2], str(number)), python, [sys.argv[3]])
    os.environ["WEAVE_TEST_SHARE"] = shim
    try:
        said.append([len(fetch.fetch(job, fetch.plan(job)))
                     for job in [node.job("app", wait_share_s=wait)]])
    except ReleaseError as problem:
        said.append(problem.message)
print(json.dumps(said))
"""


@pytest.fixture
def share(tmp_path):
    share = Share(tmp_path / "share")
    share.release("App", "1.0", [
        make.wheel(share.path, "App", "1.0", ["dep"], files={"big": "0123456789" * 30000}),
        make.wheel(share.path, "dep", "1.0")])
    return share


def test_nfs(share, tmp_path):
    """ESTALE is tried again thrice, ENOENT as long as --wait-share says; others end it."""
    assert os.path.exists(SHIM), "make build/tests/share_shim.so"
    wheel = os.path.join(share.path, "App-1.0-py3-none-any.whl")
    manifest = os.path.join(share.path, "releases", "app-1.0.json")

    def row(call, number, first, count, path):
        return "%s %d %d %d %s" % (call, number, first, count, path)

    cases = [
        (row("read", errno.ESTALE, 3, 1, wheel), 0), (row("open", errno.ESTALE, 1, 3, wheel), 0),
        (row("read", errno.ESTALE, 1, 3, manifest), 0),
        (row("open", errno.ENOENT, 1, 2, wheel), 60),
        (row("open", errno.ENOENT, 1, 2, manifest), 60),
        (row("read", errno.ESTALE, 3, 999, wheel), 0), (row("open", errno.ESTALE, 1, 4, wheel), 0),
        (row("open", errno.ENOENT, 1, 1, wheel), 0), (row("open", errno.ENOENT, 1, 999, wheel), 1),
        (row("read", errno.EIO, 3, 1, wheel), 60), (row("open", errno.EACCES, 1, 1, wheel), 60),
    ]
    output = subprocess.run(
        [sys.executable, "-c", _CASES, str(TOP / "tests" / "release"), str(tmp_path), share.path,
         json.dumps(cases)], env=dict(os.environ, LD_PRELOAD=SHIM), stdout=subprocess.PIPE,
        check=True).stdout
    said = json.loads(output.decode().splitlines()[-1])
    assert said[:5] == [[2]] * 5
    for text, words in zip(said[5:], ["Stale file handle", "Stale file handle", "has no App-1.0",
                                      "has no App-1.0", "Input/output error", "Permission denied"]):
        assert words in text


class Web(http.server.SimpleHTTPRequestHandler):
    """A share behind a web server; `cheat` maps paths to what is done instead."""

    cheat = {}
    seen = []

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.seen.append(self.path)
        kind, value = self.cheat.get(self.path, (None, None))
        if kind == "redirect":
            self.answer(302, Location=value)
        elif kind == "cut":             # fewer bytes than it announces
            data = open(self.translate_path(self.path), "rb").read()
            self.answer(200, data[:value], Content_Length=len(data))
        elif kind == "data":            # the length is right, the bytes are not
            self.answer(200, value, Content_Length=len(value))
        elif kind == "endless":
            self.answer(200)
            for _ in range(value):
                self.wfile.write(bytes(1 << 16))
        elif kind == "slow":
            self.answer(200, Content_Length=1 << 20)
            self.server.wait.wait(20)
        else:
            super().do_GET()

    def answer(self, status, data=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(data)

    def copyfile(self, source, outputfile):
        try:
            super().copyfile(source, outputfile)
        except ConnectionError:
            pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


@pytest.fixture
def web(share):
    """A web server for the share; `path` is its URL."""
    index = os.path.join(share.path, "simple", "app")
    os.makedirs(index)
    share.write("simple/app/index.json", b'{"_releases": ["1.0"]}')
    handler = type("Handler", (Web,), {"cheat": {}, "seen": []})
    server = Server(("127.0.0.1", 0), functools.partial(handler, directory=share.path))
    server.wait = threading.Event()
    server.handler = handler
    server.path = "http://127.0.0.1:%d/" % server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.wait.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def node(tmp_path, python, web):
    return Node(tmp_path / "home", python, [web])


WHEEL = "/App-1.0-py3-none-any.whl"


def test_http(node, web, share):
    found = node.prepare("app")
    assert [wheel.project for wheel in found.wheels] == ["app", "dep"]
    assert found.plan.share == web.path
    assert node.prepare("app") and web.handler.seen.count(WHEEL) == 1     # then from the store
    share.channel("prod", "app-1.0")
    assert node.plan(channel="prod").version == "1.0"


def test_http_that_cheats(node, web, share):
    whole = open(share.path + WHEEL, "rb").read()
    for kind, value, text in (
            ("cut", 70000, "ended after 70000 of|stopped in the middle"),
            ("cut", 0, "ended after 0 of|stopped"),
            ("data", whole[:-1], "bytes instead of"), ("data", whole + b"x", "more than the"),
            ("data", b"x" * len(whole), "is not the file that the manifest names"),
            ("endless", 10000, "more than the"),
            ("redirect", "file:///etc/passwd", "Redirection to url 'file:"),
            ("redirect", "http://localhost:%d/x" % web.server_port, "redirection to http://l"),
            ("redirect", "ftp://127.0.0.1/x", "redirection to ftp://"),
            ("redirect", WHEEL, "redirect|infinite loop")):
        web.handler.cheat = {WHEEL: (kind, value)}
        said = refused(node.prepare, "app")
        assert any(part in said for part in text.split("|")), said
        assert not [name for name in os.listdir(node.home.incoming_path + "/%d" % node.jobs)
                    if name.startswith("App")]
    web.handler.cheat = {WHEEL: ("redirect", "/other" + WHEEL)}
    os.mkdir(share.path + "/other")
    os.rename(share.path + WHEEL, share.path + "/other" + WHEEL)
    assert node.prepare("app").wheels                   # to the same host it may lead


def test_http_metadata_that_cheat(node, web):
    """The manifest and the index, not only the archives."""
    manifest, index = "/releases/app-1.0.json", "/simple/app/index.json"
    for path, kind, value, text in (
            (manifest, "cut", 50, "ended after 50"), (manifest, "data", b"{}", "cannot be used"),
            (manifest, "redirect", "file:///etc/passwd",
             "Redirection to url 'file:"),
            (manifest, "endless", 10000, "more than"), (index, "cut", 5, "ended after 5"),
            (index, "data", b"[1]", "is damaged"), (index, "data", b"{", "is damaged")):
        web.handler.cheat = {path: (kind, value)}
        assert text in refused(node.plan, "app")
    web.handler.cheat = {index: ("data", b'{"_releases": ["../../x", 7, "-r"]}')}
    assert refused(node.plan, "app")


def test_http_that_takes_its_time(node, web, monkeypatch):
    web.handler.cheat = {WHEEL: ("slow", 0)}
    monkeypatch.setattr(shares, "TIMEOUT_S", 1)
    assert "stopped in the middle" in refused(node.prepare, "app")
    # one that sends a little now and then
    now = [0.0]

    class Trickle:
        def read1(self, size):
            now[0] += 30
            return b"x"
    monkeypatch.setattr(shares.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(shares, "TIMEOUT_S", 60)
    read = shares._guard(Trickle(), "it")
    with pytest.raises(shares.ShareError, match="it is too slow: 3 bytes in 90 s"):
        while read(65536):
            pass


def test_http_that_goes_away(node, web):
    web.shutdown()
    web.server_close()
    assert "cannot be reached" in refused(node.plan, "app")
