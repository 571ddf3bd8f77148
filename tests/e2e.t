#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real sync over HTTP, end to end.

Against the server at WEAVE_E2E_URL; where that is not set, against one of the
standard library on a free port of the loopback interface.
"""

import contextlib
import json
import os
import pathlib
import secrets
import sys
import tempfile
import threading
import traceback
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from tap.tracker import Tracker

SERVER = pathlib.Path(__file__).resolve().parent.parent / "server"
sys.path[:0] = [str(SERVER / "tests"), str(SERVER / "src")]

from client import Connection, SyncClient, SyncError  # noqa: E402

INI = """
[storage]
sqluri = sqlite:///%(here)s/weave.db
create_tables = true
"""

PASSWORD = "pass:wörd with a colon"


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format, *args):
        pass


@contextlib.contextmanager
def own_server():
    """The URL of the application under wsgiref."""
    with tempfile.TemporaryDirectory() as folder:
        ini = pathlib.Path(folder, "sync.ini")
        ini.write_text(INI, encoding="utf-8")
        os.environ["WEAVE_INI"] = str(ini)
        from weave.server.wsgi import application

        with make_server("127.0.0.1", 0, application, Server, QuietHandler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield "http://127.0.0.1:%d/" % server.server_port
            finally:
                server.shutdown()
                thread.join()


class Session:
    """Steps of one story, each a line of TAP; the story stops where it breaks."""

    def __init__(self, url):
        self.url = url
        email = "e2e-%s@example.org" % secrets.token_hex(8)
        self.client = SyncClient(url, email, PASSWORD)
        self.other = SyncClient(url, email, PASSWORD)

    def health(self):
        for path in ("/__heartbeat__", "/__lbheartbeat__"):
            connection = Connection(self.url)
            assert connection.request("GET", path).status == 200
            connection.close()

    def sign_up(self):
        assert self.client.is_free()
        assert self.client.sign_up() == self.client.name
        assert not self.client.is_free()
        expect(400, self.client.sign_up)

    def find_node(self):
        node = self.client.find_node()
        assert node == self.url, node
        self.other.find_node()

    def refuse_strangers(self):
        stranger = SyncClient(self.url, "nobody@example.org", PASSWORD)
        stranger.name = self.client.name
        stranger._password = "not the password"
        stranger.find_node()
        expect(401, stranger.info)
        stranger.close()

    def start_fresh(self):
        assert self.client.info() == {}
        error = expect(404, self.client.get, "meta", "global")
        assert error.headers["X-Weave-Timestamp"]
        assert self.client.wipe() > 0

    def upload_keys(self):
        meta = {"syncID": "abcdefghijkl", "storageVersion": 5}
        answer = self.client.put("meta", "global", meta)
        assert answer.text == answer.headers["X-Weave-Timestamp"]
        self.client.put("crypto", "keys", {"ciphertext": "…", "IV": "x", "hmac": "y"})
        assert json.loads(self.client.get("meta", "global")["payload"]) == meta
        assert set(self.client.info()) == {"meta", "crypto"}

    def upload_bookmarks(self):
        records = [
            {
                "id": "{bookmark-%04d}" % number,
                "sortindex": number,
                "payload": json.dumps({"title": "№ %d" % number, "pad": "x" * 500}),
            }
            for number in range(1050)
        ]
        stored, failed = self.client.upload("bookmarks", records)
        assert (len(stored), failed) == (1050, {})
        assert self.client.info("collection_counts")["bookmarks"] == 1050

    def upload_large(self):
        records = [{"id": "big%d" % i, "payload": "x" * 262144} for i in range(100)]
        stored, failed = self.client.upload("history", records)
        assert len(stored) + len(failed) == 100
        assert set(map(str, failed.values())) <= {"['retry bytes']"}
        assert stored

    def download_all(self):
        formats = ("application/newlines", "application/whoisi", "application/json")
        found = [self.other.download("bookmarks", f, sort="oldest") for f in formats]
        assert found[0] == found[1] == found[2]
        assert len(found[0]) == 1050
        assert json.loads(found[0][7]["payload"])["title"].startswith("№ ")
        self.last_sync = self.other.info()["bookmarks"]

    def download_newer(self):
        assert self.other.download("bookmarks", newer=self.last_sync) == []
        self.client.put("bookmarks", "{bookmark-0003}", {"title": "changed"})
        newer = self.other.download("bookmarks", newer=self.last_sync)
        assert [record["id"] for record in newer] == ["{bookmark-0003}"]

    def download_pages(self):
        pages = []
        for offset in range(0, 1050, 300):
            arguments = {"sort": "index", "limit": 300, "offset": offset}
            pages += self.other.download("bookmarks", **arguments)
        indices = [record["sortindex"] for record in pages]
        assert indices == sorted(indices, reverse=True)
        assert len(set(indices)) == 1050

    def form_history(self):
        """Ids in plain base64, which go unescaped into ?ids= and a path."""
        ids = ["q/Wz0+9nVYpBAAAA", "+++/////++++", "a+b=", "c+d=="]
        records = [{"id": id_, "payload": "of " + id_} for id_ in ids]
        assert self.client.upload("forms", records) == (ids, {})
        found = self.other.download("forms", sort="oldest")
        assert sorted(record["id"] for record in found) == sorted(ids)
        path = "storage/forms?ids=" + ",".join(ids)
        assert self.other.call("GET", path).json == sorted(ids)
        assert self.client.get("forms", "a+b=")["payload"] == "of a+b="
        assert self.client.call("GET", "storage/forms/a+b=").json["id"] == "a+b="
        self.client.call("DELETE", "storage/forms/a+b=")
        self.client.call("DELETE", "storage/forms?ids=" + ",".join(ids[:2]))
        assert self.other.ids("forms") == ["c+d=="]

    def conflict(self):
        expect(
            412,
            self.other.put,
            "bookmarks",
            "{bookmark-0003}",
            {"title": "mine"},
            self.last_sync,
        )
        record = self.client.get("bookmarks", "{bookmark-0003}")
        assert json.loads(record["payload"]) == {"title": "changed"}
        now = self.other.info()["bookmarks"]
        self.other.put("bookmarks", "{bookmark-0003}", {"title": "mine"}, now)

    def delete(self):
        self.client.delete("bookmarks", "{bookmark-0001}")
        expect(404, self.client.get, "bookmarks", "{bookmark-0001}")
        self.client.delete("bookmarks", ids="{bookmark-0002},{bookmark-0004}")
        assert self.client.info("collection_counts")["bookmarks"] == 1047
        self.client.delete("bookmarks")
        assert "bookmarks" not in self.client.info()
        assert self.client.ids("bookmarks") == []

    def change_password(self):
        assert self.client.change_password("another password") == "success"
        self.client.info()
        expect(401, self.other.info)

    def wipe(self):
        expect(400, self.client.call, "DELETE", "storage")
        assert "meta" in self.client.info()
        self.client.wipe()
        assert self.client.info() == {}

    def delete_account(self):
        assert self.client.delete_account() == "1"
        assert self.client.is_free()
        expect(401, self.client.info)


def expect(status, call, *arguments):
    """The SyncError with that status that call raises."""
    try:
        call(*arguments)
    except SyncError as error:
        assert error.status == status, error
        return error
    raise AssertionError("%d was expected" % status)


STEPS = (
    Session.health,
    Session.sign_up,
    Session.find_node,
    Session.refuse_strangers,
    Session.start_fresh,
    Session.upload_keys,
    Session.upload_bookmarks,
    Session.upload_large,
    Session.download_all,
    Session.download_newer,
    Session.download_pages,
    Session.form_history,
    Session.conflict,
    Session.delete,
    Session.change_password,
    Session.wipe,
    Session.delete_account,
)


def diagnostics():
    return "# " + traceback.format_exc().rstrip().replace("\n", "\n# ")


def run(url):
    """Whether all steps succeeded."""
    tap = Tracker(streaming=True, stream=sys.stdout, header=False, plan=len(STEPS))
    session = Session(url)
    try:
        for step in STEPS:
            name = step.__name__.replace("_", " ")
            try:
                step(session)
            except Exception:
                tap.add_not_ok("e2e", name, diagnostics=diagnostics())
                return False
            tap.add_ok("e2e", name)
        return True
    finally:
        session.client.close()
        session.other.close()


def main():
    url = os.environ.get("WEAVE_E2E_URL")
    with contextlib.nullcontext(url) if url else own_server() as url:
        return 0 if run(url.rstrip("/") + "/") else 1


if __name__ == "__main__":
    sys.exit(main())
