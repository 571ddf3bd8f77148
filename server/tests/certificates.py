# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests of TLS, made by openssl; all have one key."""

import subprocess
import time

_CONFIG = """
[ca]
default_ca = all
[all]
database = index
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = policy
[policy]
commonName = supplied
[names]
basicConstraints = critical, CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
HERE = "DNS:localhost,IP:127.0.0.1"


def day(offset):
    """The time so many days from now, as Authority.make() takes it."""
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + offset * 24 * 3600))


def base64_of(path):
    """The certificate in a file as Firefox takes it."""
    lines = path.read_text().splitlines()
    return "".join(line for line in lines if not line.startswith("-"))


class Authority:
    """A CA in a folder; its own certificate is at `path`."""

    def __init__(self, folder):
        self._folder = folder
        self.path = folder / "ca.pem"
        (folder / "index").touch()
        words = ("req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem")
        words += ("-addext", "keyUsage = critical, keyCertSign, cRLSign")  # for Python 3.13
        self._openssl(*words, "-subj", "/CN=CA of a test", "-days", "30")
        words = ("req", *_KEY, "-keyout", "server.key", "-out", "request.pem")
        self._openssl(*words, "-subj", "/CN=server")

    def _openssl(self, *words):
        subprocess.run(
            ["openssl", *words], cwd=self._folder, check=True, capture_output=True
        )

    def make(self, name, first, last, names=HERE):
        """(certificate, key) of a server: paths. first and last: as day() has them."""
        config = self._folder / "config"
        config.write_text(_CONFIG.replace("{names}", names))
        words = ("ca", "-batch", "-notext", "-config", "config", "-cert", "ca.pem")
        words += ("-keyfile", "ca.key", "-in", "request.pem", "-out", name)
        times = ("-startdate", first, "-enddate", last)
        self._openssl(*words, *times, "-extensions", "names")
        return self._folder / name, self._folder / "server.key"

    def self_signed(self):
        words = ("req", "-x509", "-key", "server.key", "-out", "self", "-subj", "/CN=x")
        self._openssl(*words, "-days", "30", "-addext", "subjectAltName=" + HERE)
        return self._folder / "self", self._folder / "server.key"
