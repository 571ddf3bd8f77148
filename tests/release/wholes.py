# SPDX-License-Identifier: Apache-2.0
"""A node with a real httpd, and releases that come up or do not. The bench uses it, too."""

import collections
import os
import pathlib

import httpds
import nodes
import test_trust

WSGI = """#!python
import os
HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
%s
def application(environ, start_response):
    status = WARM if environ["PATH_INFO"] == "/warm" else "200 OK"
    start_response(status, [])
    return [b"ok" if environ["PATH_INFO"] == "/ok" else b"%s"]
"""
# of a release: what its application does when it is imported
FAILING = {
    "3.1": ("raise RuntimeError('no good')", "RuntimeError: no good"),
    "3.2": ("WARM = '500 No'", "was answered 500; a 2xx is needed"),
    "3.3": ("import time; time.sleep(600)", "not imported within limits.startup_timeout"),
    "3.4": ("os._exit(3)", "ended before it was ready"),
}
OPTIONS = ("warmup = /warm", "migrate = tiny-migrate", "[limits]", "startup_timeout = 10")
MIGRATE = """
import os
import sys

def main():
    env = os.environ
    print("migrates", os.getuid(), env["SECRET"], env["VIRTUAL_ENV"], env["WEAVE_INI"])
    sys.exit(%d)
"""


def put(node, version, code="", migrate=0, requires=("dep>=1",), **more):
    name = "Tiny-%s." % version
    node.release_make(version, requires=requires, files={
        name + "data/scripts/app.wsgi": WSGI % ("WARM = '200 OK'\n" + code, version),
        name + "dist-info/entry_points.txt":
            "[console_scripts]\ntiny-migrate = tiny_migrate:main\n",
        "tiny_migrate.py": MIGRATE % migrate,
    }, **more)


class Whole(nodes.Node):
    """A node whose httpd serves 1.0. Everything else is in its share."""

    def __init__(self, mode):
        super().__init__()
        workers = ("mode = embedded",) if mode == "embedded" else (
            "user = " + nodes.WORKERS, "processes = 2", "threads = 4")
        if os.getuid() != 0:
            workers = tuple(line for line in workers if not line.startswith("user"))
        self.ini_write(OPTIONS, workers + ("env.SECRET = hush",))
        for version in ("1.0", "2.0"):
            put(self, version)
        self.httpd = httpds.Httpd(self)
        self.said = self.install("Tiny==1.0")
        self.httpd.start()
        self.httpd.serves("1.0")

    def run(self, *words, **more):
        return super().run("-d", str(self.folder / "run"), *words, **more)

    def back_to(self, version):
        """Whatever a test before has left: VERSION serves."""
        for path in self.home.glob("releases/*/.weave/bad"):
            path.unlink()
        self.install("Tiny==" + version)
        self.httpd.serves(version)

    def close(self):
        self.httpd.close()
        super().close()


# A release that must not take over: what it is, WORDS of weavectl install, and what is said.
Failure = collections.namedtuple("Failure", "title words why")


def failures_put(node):
    """Puts releases that fail into the share, each in another way. Returns the Failures."""
    found = []
    for (version, (code, why)), title in zip(
            FAILING.items(), ("import error", "warm-up 500", "hang at import", "exit at import")):
        put(node, version, code)
        found.append(Failure(title, ("Tiny==" + version,), why))
    put(node, "3.5", requires=("absent>=1",))
    put(node, "3.6")
    damaged = node.share / "Tiny-3.6-py3-none-any.whl"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    put(node, "3.7", migrate=3)
    wheel = nodes.archives.wheel(node.share, "Tiny", "3.8", tag="cp27-cp27m-win32")
    node.manifest_write("Tiny", "3.8", [nodes.file_of(wheel, "tiny", "3.8", "application")])
    put(node, "3.9")
    keyring = ring_with_a_signature_of_another(node, "3.9")
    return found + [
        Failure("missing dependency", ("Tiny==3.5",), "absent"),
        Failure("bad checksum", ("Tiny==3.6",), "Tiny-3.6-py3-none-any.whl"),
        Failure("migration that fails", ("Tiny==3.7",),
                "release.migrate has failed with exit status 3"),
        Failure("wrong Python tag", ("Tiny==3.8",), "cp27"),
        Failure("bad signature", ("Tiny==3.9", "--keyring", keyring), "signature")]


def ring_with_a_signature_of_another(node, version):
    """A keyring of the release team; the manifest of VERSION is signed by somebody else."""
    ring = node.folder / "keys.gpg"
    keys = test_trust.Keys()
    try:
        ring.write_bytes(pathlib.Path(keys.ring).read_bytes())
        keys.sign(str(node.share / "releases" / ("tiny-%s.json" % version)), "other")
    finally:
        keys.close()
    return str(ring)
