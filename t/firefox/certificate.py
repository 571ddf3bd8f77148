# SPDX-License-Identifier: Apache-2.0
"""A certificate of a server, by an authority that exists for one test."""

import subprocess

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*words):
    subprocess.run(["openssl", *words], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make(folder, name):
    """Writes cert.pem and key.pem for the server NAME, and authority.pem, into a folder."""
    (folder / "name.cnf").write_text("subjectAltName=DNS:%s\n" % name)
    _openssl("req", "-x509", *KEY, "-days", "2", "-subj", "/CN=Authority of a test",
             "-keyout", folder / "authority.key", "-out", folder / "authority.pem")
    _openssl("req", "-new", *KEY, "-subj", "/CN=" + name,
             "-keyout", folder / "key.pem", "-out", folder / "name.csr")
    _openssl("x509", "-req", "-in", folder / "name.csr", "-days", "2",
             "-CA", folder / "authority.pem", "-CAkey", folder / "authority.key",
             "-set_serial", "1", "-extfile", folder / "name.cnf", "-out", folder / "cert.pem")


def base64_of(file):
    """The certificate in a file as Firefox takes it."""
    lines = file.read_text().splitlines()
    return "".join(line for line in lines if not line.startswith("-"))
