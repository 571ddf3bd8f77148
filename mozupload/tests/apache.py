# SPDX-License-Identifier: Apache-2.0
"""A real Apache httpd with mod_dav on a port of its own, in a folder of its own."""

import glob
import http.client
import os
import pathlib
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

MODULES = ("mpm_event", "unixd", "authn_core", "authn_file", "authz_core", "authz_user")
MODULES += ("auth_basic", "alias", "dir", "autoindex", "dav", "dav_fs", "mime", "log_config")

CONFIG = """
ServerRoot {top}
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
PidFile {top}/httpd.pid
DefaultRuntimeDir {top}
ErrorLog {top}/error.log
LogFormat "%{{usec}}t %m %U %>s" short
CustomLog {top}/access.log short
{user}
StartServers 1
DavLockDB {top}/lock/db
TypesConfig /dev/null
AddType text/html .html
AddEncoding x-gzip .gz .tgz
DocumentRoot {top}/share
<Directory {top}>
    Require all granted
    Options {options}
</Directory>
<Directory {top}/share>
    Dav On
</Directory>
Alias /nodav {top}/nodav
<Location /private>
    AuthType Basic
    AuthName private
    AuthUserFile {top}/users
    Require valid-user
</Location>
"""


def port_held():
    """A socket that nobody else gets the port of; httpd may listen there all the same."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


PROBE = "/does-it-serve"


def answers(port, tls=False):
    """Whether httpd answers. It listens before it has read its configuration a second time,
    and comes not up where what that names has changed; TERM before it serves is lost with -X."""
    made = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    if tls:
        made = http.client.HTTPSConnection("127.0.0.1", port, timeout=60,
                                           context=ssl._create_unverified_context())
    try:
        made.request("GET", PROBE)
        return made.getresponse().status > 0
    except (OSError, http.client.HTTPException):
        return False
    finally:
        made.close()


class Apache:
    """Starts httpd; share: the folder that it serves and that takes PUT; url: its URL."""

    def __init__(self, options="Indexes", tls=False):
        # not pytest's folder, which is for one user alone
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="apache-"))
        self.top.chmod(0o755)
        self.share = self.top / "share"
        for folder in (self.top, self.share, self.top / "lock", self.share / "private",
                       self.top / "nodav"):
            folder.mkdir(exist_ok=True)
        (self.top / "users").write_text("alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
        tls_lines = self._certificate_make() if tls else ""
        self._held = port_held()
        self.port = self._held.getsockname()[1]
        self.url = "http%s://127.0.0.1:%d/" % ("s" * tls, self.port)
        self._start(options, tls_lines)

    def _certificate_make(self):
        """A certificate for 127.0.0.1 in `certificate`; httpd's lines for it."""
        self.certificate = self.top / "cert.pem"
        key = self.top / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                   "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(self.certificate),
                   "-keyout", str(key)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        lines = "SSLEngine On\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\n"
        return lines % (self.certificate, key)

    def _start(self, options, tls_lines):
        """Returns when httpd has come up."""
        user = ""
        if os.getuid() == 0:
            user = "User nobody\nGroup %s" % self._group()
            for folder, _, _ in os.walk(self.top):
                shutil.chown(folder, "nobody", self._group())
        lines = []
        for name in MODULES + (("ssl", "socache_shmcb") if tls_lines else ()):
            found = glob.glob("/usr/lib*/*/modules/mod_%s.so" % name)
            if found:
                lines.append("LoadModule %s_module %s" % (name, found[0]))
        config = self.top / "httpd.conf"
        text = CONFIG.format(top=self.top, port=self.port, user=user, options=options)
        config.write_text("\n".join(lines) + text + tls_lines)
        program = shutil.which("apache2") or shutil.which("httpd") or "/usr/sbin/apache2"
        self.process = subprocess.Popen([program, "-X", "-f", str(config)],
                                        stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while not answers(self.port, bool(tls_lines)):
            assert self.process.poll() is None and time.monotonic() < deadline, (
                self.top / "error.log").read_text()
            time.sleep(0.05)

    @staticmethod
    def _group():
        import grp

        return grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name

    def log(self):
        """[(method, path, status)] of the requests that are logged, as they came.

        httpd logs a request after its answer has left, and a thread may log before another."""
        lines = (self.top / "access.log").read_text().splitlines()
        rows = sorted(tuple(line.split()) for line in lines if PROBE not in line)
        return [row[1:] for row in rows]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(300)
        self._held.close()
        shutil.rmtree(self.top)
