#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What one user of weave.server may cost the others, through httpd and mod_weave.

In processes and embedded: the memory of a list that is larger than all of it
may be, and somebody who tries passwords. And what the log says of refusals. In
processes: uploads at once, and addresses that mod_remoteip knows.
"""

import contextlib
import http.client
import os
import pathlib
import re
import socket
import sqlite3
import sys
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP / "server/tests"), str(TOP / "tests/supp")]

from bulk import QUOTES_OF_A_RECORD, fill  # noqa: E402
from client import SyncClient, SyncError  # noqa: E402
from e2e import (  # noqa: E402
    INI, REFUSED, WAIT_S, WORSE_THAN_NOTICE, Httpd, Tap, ask_apxs, made_folder)

MODES = ("processes", "embedded")
WORKERS = "\n[workers]\nmode = %s\n"

EMAIL = "bounds@example.org"
PASSWORD = "correct horse battery"

RECORDS, RECORD_BYTES = 440, 256 * 1024
GROWTH_KB = 20 * 1024

# server/src/weave/server/logins.py: a name's bucket, and what runs at once
BURST, SLACK = 20, 8
ATTEMPTS, ATTACKERS = 60, 6


def memory_kb(parent, field="VmHWM"):
    """{pid: the field of its status} of a process and all that come from it."""
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            lines = (folder / "status").read_text().splitlines()
            values = dict(line.split(":", 1) for line in lines)
            peak = int(values[field].split()[0])
            found[int(folder.name)] = int(values["PPid"]), peak
    family, size = {parent}, 0
    while size != len(family):
        size = len(family)
        family |= {pid for pid, (mother, _) in found.items() if mother in family}
    return {pid: found[pid][1] for pid in family if pid in found}


def download(client):
    """(X-Weave-Records, quotation marks, length) of the large list, unheld."""
    connection = client._storage._http
    path = "/1.1/%s/storage/large?full=1" % client.name
    connection.request("GET", path, headers=client._authorization())
    response = connection.getresponse()
    quotes = length = 0
    for part in iter(lambda: response.read(65536), b""):
        quotes += part.count(b'"')
        length += len(part)
    return response.headers["X-Weave-Records"], quotes, length


class Data:
    """The database behind the server's back, as bulk.fill() wants it."""

    def __init__(self, path):
        self._path = path

    def run(self, statements):
        with contextlib.closing(sqlite3.connect(self._path, timeout=WAIT_S)) as connection:
            for statement, parameters in statements:
                connection.execute(statement, parameters)
            connection.commit()


def check_list(tap, mode, httpd, client):
    client.put("large", "0", "", sortindex=0)
    fill(Data(httpd.folder / "data/weave.db"), "large", RECORDS - 1, RECORD_BYTES)
    for _ in range(30):
        client.info()
    before = memory_kb(os.getpid())
    records, quotes, length = download(client)
    after = memory_kb(os.getpid())
    # json.dumps("") of the first record is two quotation marks more, escaped
    tap.ok((records, quotes) == (str(RECORDS), RECORDS * QUOTES_OF_A_RECORD + 2),
           mode + ": the list is whole", records, quotes)
    tap.ok(length > (RECORDS - 1) * RECORD_BYTES, mode + ": it is large", length)
    highest = max(before.values())
    grown = {pid: kb - before.get(pid, highest) for pid, kb in after.items()
             if kb - before.get(pid, highest) > GROWTH_KB and pid != os.getpid()}
    tap.ok(not grown, mode + ": no process grows with it", grown)


def attack(url, first, statuses):
    client = SyncClient(url, EMAIL, PASSWORD)
    client.find_node()
    for number in range(first, first + ATTEMPTS // ATTACKERS):
        client._password = "wrong password %d" % number
        try:
            client.info()
            statuses.append((200, {}))
        except SyncError as error:
            statuses.append((error.status, error.headers))
    client.close()


def check_attack(tap, mode, url, client):
    statuses, own = [], []
    threads = [threading.Thread(target=attack, args=(url, n * ATTEMPTS, statuses))
               for n in range(ATTACKERS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or len(own) < 50:
        try:
            client.info()
            own.append(200)
        except SyncError as error:
            own.append(error.status)
    for thread in threads:
        thread.join()
    verified = [status for status, _ in statuses if status == 401]
    refused = [headers for status, headers in statuses if status == 503]
    tap.ok(len(verified) + len(refused) == ATTEMPTS,
           mode + ": wrong passwords get a 401 or a 503", statuses)
    tap.ok(len(verified) <= BURST + SLACK, mode + ": few are verified", len(verified))
    tap.ok(all(int(headers["Retry-After"]) > 0
               and headers["X-Weave-Backoff"] == headers["Retry-After"]
               and headers["X-Weave-Timestamp"] for headers in refused),
           mode + ": the others are told when to come again")
    tap.ok(set(own) == {200}, mode + ": their owner is served all the while", own)


# Of each kind, and a secret that a log must not have.
SECRET = "tell nobody"
REFUSALS = (
    ("GET", "/info/collections", None, {"Authorization": ""}, 401),
    ("GET", "/info/quota", None, None, 401),
    ("PUT", "/storage/col/bad", '{"payload": "%s' % SECRET, {}, 400),
    ("GET", "/storage/col/none", None, {}, 404),
    ("PATCH", "/storage/col", None, {}, 405),
    ("PUT", "/storage/large/0", '{"payload": "%s"}' % SECRET, {"X-If-Unmodified-Since": "0"}, 412),
    ("POST", "/storage/long", SECRET * 2600000, {}, 413),
)


def check_refusals(tap, mode, httpd, client):
    """Each is in the error log once, with the id that the access log has."""
    ids, wrong, sent = {}, [], client._authorization()
    other = SyncClient("http://127.0.0.1:%d/" % httpd.port, EMAIL, SECRET)
    for method, path, body, headers, status in REFUSALS:
        path = "/1.1/%s%s" % (client.name, path)
        headers = other._authorization() if headers is None else dict(sent, **headers)
        connection = http.client.HTTPConnection("127.0.0.1", httpd.port, timeout=WAIT_S)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        if response.status != status:
            wrong.append((method, path, response.status))
        ids[method, path] = status
    tap.ok(not wrong, mode + ": refusals of each kind", *wrong)
    access, end = [], time.monotonic() + WAIT_S
    while len(access) < len(ids) and time.monotonic() < end:
        time.sleep(0.05)
        access = re.findall("^([A-Z]+) (.*) [45].. ([^- ].*)$",
                            (httpd.folder / ("access_" + mode)).read_text(), re.M)
        access = [line for line in access if line[:2] in ids]
    # what a worker says may come into the log a moment later
    while httpd.log().count("' is answered ") < len(ids) and time.monotonic() < end:
        time.sleep(0.05)
    log = httpd.log()
    for method, path, request in access:
        text = "%s '%s' is answered %d: " % (method, path, ids[method, path])
        lines = [line for line in log.splitlines() if text in line]
        tap.ok(len(lines) == 1 and lines[0].endswith("(request %s)" % request),
               "%s: %s has one line, with its id" % (mode, text), request, *lines)
    tap.ok(len(access) == len(ids), mode + ": the access log has the ids", *access)
    secrets = (SECRET, PASSWORD, sent["Authorization"].split()[1],
               other._authorization()["Authorization"].split()[1])
    tap.ok(not any(secret in log for secret in secrets), mode + ": and no secrets")


# ---- uploads ----

UPLOADS = 16
UPLOAD_BYTES = 26_000_000           # a list that is taken
TOO_LARGE_BYTES = 64 * 1024 * 1024  # one that is not
# Two lists are in work at a time in each process, and take up to ten times their size.
PEAK_KB = 20 * UPLOAD_BYTES // 1024
REST_KB = 60 * 1024


def upload(httpd, client, body, statuses):
    connection = http.client.HTTPConnection("127.0.0.1", httpd.port, timeout=WAIT_S * 5)
    try:
        connection.request("POST", "/1.1/%s/storage/up" % client.name, body,
                           client._authorization())
        statuses.append(connection.getresponse().status)
    except OSError as error:
        statuses.append(repr(error))
    connection.close()


def upload_all(httpd, client, body):
    """The statuses of UPLOADS at once, sorted."""
    statuses = []
    threads = [threading.Thread(target=upload, args=(httpd, client, body, statuses))
               for _ in range(UPLOADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(statuses, key=str)


def check_uploads(tap, httpd, client):
    before = memory_kb(os.getpid())

    def grown(field, kb):
        now = memory_kb(os.getpid(), field)
        return {pid: now[pid] - before.get(pid, 0) for pid in now
                if pid != os.getpid() and now[pid] - before.get(pid, 0) > kb}

    statuses = upload_all(httpd, client, b"x" * TOO_LARGE_BYTES)
    # 503 where all of them together are more than limits.spool_total.
    tap.ok(set(statuses) <= {413, 503},
           "uploads of 64 MiB: they are refused", *statuses)
    tap.ok(not grown("VmHWM", GROWTH_KB), "and cost no memory", grown("VmHWM", GROWTH_KB))
    record = '{"id": "%%d", "payload": "%s"}' % ("x" * 250000)
    body = ",".join(record % n for n in range(UPLOAD_BYTES // len(record)))
    statuses = upload_all(httpd, client, ("[%s]" % body).encode())
    tap.ok(set(statuses) <= {200, 503} and 200 in statuses,
           "uploads of 26 MB: they are taken, or come again", *statuses)
    tap.ok(not grown("VmHWM", PEAK_KB), "a few at a time", grown("VmHWM", PEAK_KB))
    # a worker that goes on looks every few seconds
    until = time.monotonic() + WAIT_S
    while grown("VmRSS", REST_KB) and time.monotonic() < until:
        client.info()
        time.sleep(0.1)
    tap.ok(not grown("VmRSS", REST_KB), "and leave no memory behind", grown("VmRSS", REST_KB))
    with socket.create_connection(("127.0.0.1", httpd.port), WAIT_S) as client:
        client.sendall(b"POST /1.1/nobody/storage/early HTTP/1.1\r\nHost: localhost\r\n"
                       b"Content-Length: %d\r\n\r\n" % TOO_LARGE_BYTES)
        response = http.client.HTTPResponse(client, method="POST")
        response.begin()
        tap.ok(response.status == 413, "LimitRequestBody: 413 before any of it", response.status)


# ---- addresses of clients ----


def check_addresses(tap, httpd):
    """Wrong passwords for many names; mod_remoteip says from where."""
    def status(address, number):
        connection = http.client.HTTPConnection("127.0.0.1", httpd.port, timeout=WAIT_S)
        client = SyncClient("http://127.0.0.1:%d/" % httpd.port, "%d@example.org" % number, "x")
        connection.request("GET", "/1.1/%s/info/collections" % client.name, None,
                           dict(client._authorization(), **{"X-Forwarded-For": address}))
        found = connection.getresponse().status
        connection.close()
        return found

    seen = [status("2001:db8:0:1::%x" % (n + 1), n) for n in range(BURST)]
    tap.ok(seen == [401] * BURST, "addresses: wrong passwords from one /64", *seen)
    # it loses one in six seconds, and this machine may be slow
    tap.ok(any(status("2001:db8:0:1:ffff::%x" % (n + 1), 100 + n) == 503 for n in range(99)),
           "addresses: until its bucket is full")
    tap.ok(status("2001:db8:0:2::1", 201) == 401, "addresses: another /64 has another one")
    tap.ok(status("192.0.2.1", 202) == 401, "addresses: and so has IPv4")


BOUNDS_CONF = """\
CustomLog "{folder}/access_{mode}" "%m %U %>s %L"
<LocationMatch "/storage/early$">
    LimitRequestBody 28311552
</LocationMatch>
<IfModule remoteip_module>
    RemoteIPHeader X-Forwarded-For
    RemoteIPInternalProxy 127.0.0.1
</IfModule>
"""

# Lines of the log that the uploads above are meant to cause.
EXPECTED = re.compile("limits.spool_total|is larger than the configured limit")


def main():
    tap = Tap()
    remoteip = pathlib.Path(ask_apxs("LIBEXECDIR"), "mod_remoteip.so")
    with made_folder("weave-bounds-") as folder:
        for mode in MODES:
            (folder / "sync.ini").write_text(INI + WORKERS % mode)
            httpd = Httpd(folder, "event")
            with (folder / "httpd.conf").open("a") as file:
                if remoteip.exists():
                    file.write("LoadModule remoteip_module %s\n" % remoteip)
                file.write(BOUNDS_CONF.format(folder=folder, mode=mode))
            with httpd.running() as url:
                client = SyncClient(url, EMAIL, PASSWORD)
                client.sign_up()
                client.find_node()
                check_list(tap, mode, httpd, client)
                check_refusals(tap, mode, httpd, client)
                check_attack(tap, mode, url, client)
                if mode == "processes":
                    check_uploads(tap, httpd, client)
                    if remoteip.exists():
                        check_addresses(tap, httpd)
                client.close()
            bad = [line for line in httpd.log().splitlines()
                   if WORSE_THAN_NOTICE.search(line)
                   and not REFUSED.search(line) and not EXPECTED.search(line)]
            tap.ok(not bad, mode + ": nothing else at warn or above in the log", *bad)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
