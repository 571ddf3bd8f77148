# SPDX-License-Identifier: Apache-2.0
"""weave-server doctor at a real httpd with mod_weave, and through a second one before it,
which ends TLS and is a proxy."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

import pytest
from client15 import KEY

import certificates
from conftest import THROUGH_HTTPD, eventually
from doctoring import notes, wrongs

if THROUGH_HTTPD:
    import apache
    import e2e

pytestmark = pytest.mark.skipif(not THROUGH_HTTPD, reason="only through httpd")

SCRIPT = """
import os
os.environ["WEAVE_INI"] = {ini!r}
from weave.server.wsgi import application
"""
INI = """
[wsgi]
script = %(here)s/weave.wsgi
python_path = %(here)s/src
[workers]
processes = 2
threads = 4
[storage]
sqluri = sqlite:///%(here)s/data/weave.db
create_tables = true
[sync15]
secret_file = %(here)s/data/secret
jwks_url = http://127.0.0.1:1/
public_url = {url}
"""
PROXY = """
ServerRoot "{folder}"
ServerName localhost
Listen 127.0.0.1:{port}
PidFile "{folder}/proxy.pid"
DefaultRuntimeDir "{folder}"
ErrorLog "{folder}/proxy_log"
{modules}
{user}
SSLEngine on
SSLCertificateFile "{certificate}"
SSLCertificateKeyFile "{key}"
ProxyPass / "http://127.0.0.1:{behind}/"
"""
# Of the httpd with the application, where bodies must be short.
LIMITED = """
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
    LimitRequestBody 1000000
</VirtualHost>
"""
MODULES = ("mpm_event", "unixd", "authz_core", "ssl", "proxy", "proxy_http")


def port_of(holder):
    return holder.getsockname()[1]


class Server:
    """The httpd with the application, and the proxy before it, which has the public URL."""

    def __init__(self, folder, stack):
        self.folder = folder
        self._proxy_port, limited = (
            port_of(stack.enter_context(e2e.hold_port())) for _ in range(2)
        )
        self.url = "https://localhost:%d" % self._proxy_port
        self.limited_url = "http://127.0.0.1:%d" % limited
        script = SCRIPT.format(ini=str(folder / "sync.ini"))
        ini = INI.replace("{url}", self.url)
        self._httpd = apache.make_httpd(folder, script, ini, LIMITED.format(port=limited))
        stack.callback(self._httpd.holder.close)
        secret = folder / "data" / "secret"
        secret.write_text("5ec2e7" * 10)
        secret.chmod(0o600)
        apache.give(secret)
        (folder / "tls").mkdir()
        self._authority = certificates.Authority(folder / "tls")
        self.own_url = stack.enter_context(self._httpd.running()).rstrip("/")
        stack.enter_context(self._proxy())

    def run(self, command, *words):
        """(exit status, what is said) of weave-server, called by whoever runs the test."""
        done = subprocess.run(
            [sys.executable, "-m", "weave.server", command, *words],
            env=dict(
                os.environ,
                PYTHONPATH=str(self.folder / "src"),
                SSL_CERT_FILE=str(self._authority.path),
            ),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    def doctor(self, url):
        return self.run("doctor", url, "--ini", str(self.folder / "sync.ini"))

    @contextlib.contextmanager
    def _proxy(self):
        times = (certificates.day(-1), certificates.day(400))
        certificate, key = self._authority.make("leaf", *times)
        user = e2e.server_user()
        conf = self.folder / "proxy.conf"
        conf.write_text(
            PROXY.format(
                folder=self.folder,
                port=self._proxy_port,
                behind=self._httpd.port,
                modules="\n".join(self._modules()),
                user="User %s\nGroup #%d" % (user.pw_name, user.pw_gid) if user else "",
                certificate=certificate,
                key=key,
            )
        )
        command = [self._httpd.program, "-f", conf, "-DFOREGROUND"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            eventually(lambda: self._listens(process), "the proxy listens")
            yield
        finally:
            process.terminate()
            process.wait()

    def _modules(self):
        libexec = e2e.ask_apxs("LIBEXECDIR")
        builtin = subprocess.check_output([self._httpd.program, "-l"], text=True)
        for name in MODULES:
            if "mod_%s.c" % name not in builtin:
                yield 'LoadModule %s_module "%s/mod_%s.so"' % (name, libexec, name)

    def _listens(self, process):
        assert process.poll() is None, (self.folder / "proxy_log").read_text()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self._proxy_port), 1).close()
            return True


@pytest.fixture(scope="module")
def server():
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="weave-doctor-"))
        os.chmod(name, 0o755)
        yield Server(pathlib.Path(name), stack)


def test_a_real_httpd(server):
    """Without keys at first, and by the URL of the proxy's server; then as browsers do."""
    status, said = server.doctor(server.own_url)
    assert status == 1
    keys, url = wrongs(said)
    assert keys.startswith("the server has no public keys of the account server, and http:")
    assert url.startswith("public_url in [sync15] of the sync.ini is %s/, and" % server.url)
    assert "ok    a small sync, from the first request to the last, is as it must be" in said

    document = server.folder / "keys"
    document.write_bytes(KEY.jwks())
    assert server.run("fetch-keys", str(server.folder / "sync.ini"), str(document))[0] == 0
    status, said = server.doctor(server.url + "/")
    assert (status, wrongs(said)) == (0, []), said
    assert "ok    TLS: the certificate is good for localhost, for " in said
    assert "ok    clients are sent to %s/" % server.url in said
    # mod_proxy keeps neither Host nor scheme, which is no matter
    seen = "the server sees itself as %s/; public_url makes that harmless" % server.own_url
    assert any(note.startswith(seen) for note in notes(said)), said
    assert "ok    paths and queries arrive as browsers send them" in said
    assert "ok    a small sync, from the first request to the last, is as it must be" in said

    users = server.run("users", "list", str(server.folder / "sync.ini"))[1]
    assert len(users.splitlines()) == 1, users
    owners = {file.stat().st_uid for file in (server.folder / "data").iterdir()}
    assert owners == {(server.folder / "data").stat().st_uid}


def test_a_limit_for_bodies(server):
    said = server.run("doctor", server.limited_url)[1]
    (wrong,) = wrongs(said)
    assert wrong.startswith("a body of 2625536 bytes is refused on the way to the application")
