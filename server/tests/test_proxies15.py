# SPDX-License-Identifier: Apache-2.0
"""Sync 1.5 behind real proxies, which change Host, port, prefix and escapes of what they pass.

Behind none of them does a setting say what they change: browsers sign the URL in their
token, and that is what the server looks at first.
"""

import random
import shutil
import socket
import subprocess
import time
from urllib.parse import urlsplit

import pytest

import client15
from apache import e2e
from browsers15 import TOKEN_PATH, Wire
from farm15 import SECRET, running_farm15

# The application has a second mount, for proxies that add a prefix.
MOUNT = 'WeaveApp /deep "{folder}/sync.ini"\nAllowEncodedSlashes NoDecode\n'

HTTPD = """\
ServerRoot "{folder}"
ServerName localhost
Listen 127.0.0.1:{port}
PidFile "{folder}/front.pid"
DefaultRuntimeDir "{folder}"
ErrorLog "{folder}/front_log"
{modules}
{user}
AllowEncodedSlashes NoDecode
ProxyPass "/stripped/" "http://127.0.0.1:{back}/"
ProxyPass "/added/" "http://127.0.0.1:{back}/deep/"
ProxyPass "/raw/" "http://127.0.0.1:{back}/" nocanon
"""

NGINX = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx_log;
{user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port};
        location /stripped/ {{ proxy_pass http://127.0.0.1:{back}/; }}
        location /added/ {{ proxy_pass http://localhost:{back}/deep/; }}
        location /deep/ {{ proxy_pass http://127.0.0.1:{back}; }}
    }}
}}
"""

PREFIXES = {"httpd": ("/stripped", "/added", "/raw"), "nginx": ("/stripped", "/added", "/deep")}

# Ids in a path as Firefox writes it, and what they are.
ITEMS = {
    "%7Baa2e-4b%7D": "{aa2e-4b}",
    "abc-_DEF": "abc-_DEF",
    "a%20b": "a b",
    "!$&'()*+,;=:@~": "!$&'()*+,;=:@~",
    # Proxies write these as %7C, %5B and %5D, which browsers do not.
    "a|b[c]": "a|b[c]",
}
QUERIES = [
    "full=1&ids={aa2e-4b},a%20b",
    "full=1&limit=10&sort=oldest&newer=1.5",
    "ids=abc-_DEF,!$'()*,;:@~",
    "full=1&ids=%7Baa2e-4b%7D",
]


@pytest.fixture(scope="module")
def farm():
    with running_farm15("sqlite:///%(here)s/weave.db", MOUNT) as running:
        yield running


def modules(program):
    lines = e2e.load_modules(program, "event")
    libexec = e2e.ask_apxs("LIBEXECDIR")
    return lines + "".join(
        '\nLoadModule %s_module "%s/mod_%s.so"' % (name, libexec, name)
        for name in ("proxy", "proxy_http")
    )


def command_of(kind, folder, back, port):
    """The command of a proxy in the foreground, whose configuration it writes."""
    user = e2e.server_user()
    fields = {"folder": folder, "back": back, "port": port}
    if kind == "nginx":
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
        if program is None:
            pytest.skip("nginx is not installed")
        fields["user"] = "user %s;" % user.pw_name if user else ""
        text = NGINX.format(**fields)
        command = [program, "-c", str(folder / "front.conf"), "-e", str(folder / "nginx_log")]
    else:
        program = "%s/%s" % (e2e.ask_apxs("SBINDIR"), e2e.ask_apxs("PROGNAME"))
        fields["user"] = "User %s\nGroup #%d" % (user.pw_name, user.pw_gid) if user else ""
        text = HTTPD.format(modules=modules(program), **fields)
        command = [program, "-f", str(folder / "front.conf"), "-DFOREGROUND"]
    (folder / "front.conf").write_text(text)
    return command


@pytest.fixture(params=sorted(PREFIXES))
def front(request, farm, tmp_path):
    """(kind, port) of a proxy that runs."""
    holder = e2e.hold_port()
    port = holder.getsockname()[1]
    tmp_path.chmod(0o755)
    command = command_of(request.param, tmp_path, farm.port, port)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        wait_listening(process, port)
        yield request.param, port
    finally:
        process.terminate()
        process.wait()
        holder.close()


def wait_listening(process, port):
    until = time.monotonic() + e2e.WAIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)


def device_behind(farm, node):
    """A client15.Client of a new user, whose token has the URL node of a proxy."""
    wire = Wire(farm.port)
    fxa_uid = "%032x" % random.getrandbits(120)
    jwt = client15.KEY.jwt(sub=fxa_uid)
    uid = client15.ask_for_token(wire, TOKEN_PATH, jwt).json["uid"]
    wire.close()
    id_, key = client15.make_token(SECRET, uid, node)
    return client15.Client(Wire(urlsplit(node).port), "%s/1.5/%d" % (node, uid), id_, key)


def test_ids_that_httpd_reads_as_paths(farm):
    """The farm leaves %2F as it is, and takes `.` and `..` out, as httpd does by itself."""
    device = device_behind(farm, "http://127.0.0.1:%d" % farm.port)
    ids = {"a%2Fb": "a/b", "a%252Fb": "a%2Fb", "%2f%252f%2F/": "/%2f//"}
    for escaped, id_ in ids.items():
        device.put("storage/col/" + escaped, {"payload": escaped})
    for escaped, id_ in ids.items():
        found = device.get("storage/col/" + escaped).json
        assert (found["id"], found["payload"]) == (id_, escaped)
    device.post("storage/col", [{"id": ".", "payload": "x"}, {"id": "..", "payload": "x"}])
    for escaped in (".", "..", "%2E", "%2e%2e", "../%2E.", "../.", "a/.."):
        assert device.delete("storage/col/" + escaped, 400).json == 1
    assert device.get("storage/col/.", 400).json == 1
    device.get("storage/col/..%2f..", 404)
    assert sorted(device.get("storage/col").json) == sorted([*ids.values(), ".", ".."])
    device.delete("storage/col/a%2Fb")
    device.delete("storage/col?ids=.,%2E%2E,/%252f//")
    assert device.get("storage/col").json == ["a%2Fb"]
    device.transport.close()


def test_a_sync(front, farm):
    """With ids and queries that a proxy may write in other words."""
    kind, port = front
    for prefix in PREFIXES[kind]:
        device = device_behind(farm, "http://127.0.0.1:%d%s" % (port, prefix))
        device.get("info/collections")
        device.get("storage/meta/global", 404)
        for escaped, id_ in ITEMS.items():
            device.put("storage/passwords/" + escaped, {"payload": id_})
            assert device.get("storage/passwords/" + escaped).json["id"] == id_
        for query in QUERIES:
            assert device.get("storage/passwords?" + query).json
        records = [{"id": "r%d" % number, "payload": "x"} for number in range(150)]
        device.upload("bookmarks", records, since="0")
        assert len(device.get("storage/bookmarks").json) == 150
        device.delete("storage/passwords/%7Baa2e-4b%7D")
        device.delete("storage/passwords?ids=abc-_DEF,a%20b")
        device.delete(None)
        device.transport.close()
