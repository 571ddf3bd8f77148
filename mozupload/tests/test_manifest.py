# SPDX-License-Identifier: Apache-2.0
"""The manifest: what makes one, and what is refused."""

import json

import pytest

from mozupload import manifest

HASH = "0" * 64


def file(name, project, version, role):
    return manifest.File(name, HASH, 10, project, version, role)


def members(**more):
    found = {
        "name": "weaveserver",
        "project": "WeaveServer",
        "version": "1.1.5",
        "files": [
            file("WeaveServer-1.1.5.tar.gz", "weaveserver", "1.1.5", "application"),
            file("falcon-3.1-py3-none-any.whl", "falcon", "3.1", "dependency"),
        ],
        "requires": {"falcon": "3.1"},
        "system": {"sqlalchemy": "1.4.46"},
        "python": ["3.11"],
    }
    found.update(more)
    return found


def test_round_trip():
    made = manifest.make(**members(vcs=None, unheard_of={"x": 1}))
    read = manifest.manifest_read(made.data())
    assert read.release == "weaveserver-1.1.5"
    assert [file.name for file in read.files_of("dependency")] == [
        "falcon-3.1-py3-none-any.whl"
    ]
    assert read.requires == {"falcon": "3.1"} and read.vcs is None
    # a newer writer's members stay
    assert read.members["unheard_of"] == {"x": 1} and read.data() == made.data()
    assert manifest.path_of("Weave.Server", "1") == "releases/weave-server-1.json"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b"{" * 100000,
        b"[" * 100000,
        b'{"format": 2}',
        b'{"format": true}',
        b'{"format": 1, "format": 1}',
        b'{"format": NaN}',
        b" " * (1 << 20) + b"{}",
    ],
)
def test_no_manifest(data):
    with pytest.raises(manifest.ManifestError):
        manifest.manifest_read(data)


def _file(**more):
    row = {"name": "weaveserver-1.1.5.tar.gz", "sha256": HASH, "size": 1, "role": "application"}
    row.update({"project": "weaveserver", "version": "1.1.5"}, **more)
    return [row]


@pytest.mark.parametrize(
    "more",
    [
        {"name": "WeaveServer"},
        {"name": "../weaveserver"},
        {"name": None},
        {"project": "other"},
        {"version": "1.1.5/.."},
        {"requires": {"-r": "1"}},
        {"requires": {"flask": "1"}},
        {"requires": {"falcon": 3}},
        {"requires": ["falcon"]},
        {"requires": {"sqlalchemy": "1.4.46"}},
        {"files": {}},
        {"files": []},
        {"files": [1]},
        {"files": _file(name="../x.whl")},
        {"files": _file(name="/etc/x.whl")},
        {"files": _file(name="-r.whl")},
        {"files": _file(sha256=HASH[1:])},
        {"files": _file(sha256=HASH.replace("0", "A"))},
        {"files": _file(size=-1)},
        {"files": _file(size=True)},
        {"files": _file(size=1.5)},
        {"files": _file(role="other")},
        {"files": _file(project="other")},
        {"files": _file(version="1.1.4")},
        {"files": _file() + _file(name="WeaveServer-1.1.5.tar.gz")},
        {"files": _file() * 10001},
        {"python": "3.11"},
        {"platforms": [1]},
        {"vcs": "git"},
        {"by": 1},
        {"by": "alice\x1b[2J"},
        {"at": "today\n"},
        {"allowed": ["dirty\r"]},
        {"vcs": {"kind": "git", "url": "\x07"}},
    ],
)
def test_refused(more):
    good = json.loads(manifest.make(**members()).data().decode())
    with pytest.raises(manifest.ManifestError):
        manifest.manifest_read(json.dumps(dict(good, **more)).encode())
