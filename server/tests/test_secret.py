# SPDX-License-Identifier: Apache-2.0
"""The secret that processes of one user share."""

import os

import pytest

from weave.server import secret


def test_shared_secret(own_secret, caplog):
    found = secret.shared_secret()
    assert len(found) == secret.SIZE and secret.shared_secret() == found
    (file,) = own_secret.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert not caplog.text
    file.chmod(0o640)
    assert secret.shared_secret() != found
    assert "others may use it" in caplog.text


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "short", "long", "alien"])
def test_shared_secret_that_others_prepared(own_secret, monkeypatch, caplog, kind):
    path = own_secret / ("weave-server-%d" % os.geteuid())
    other = own_secret / "other"
    other.write_bytes(b"x" * 32)
    other.chmod(0o600)
    if kind == "link":
        path.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(path, 0o600)
    elif kind == "folder":
        path.mkdir()
    elif kind == "alien":
        other.rename(path)
        owner = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        path.rename(own_secret / ("weave-server-%d" % (owner + 1)))
    else:
        path.write_bytes(b"x" * (31 if kind == "short" else 33))
        path.chmod(0o600)
    first, second = secret.shared_secret(), secret.shared_secret()
    assert len({first, second, b"x" * 32}) == 3
    assert "each process verifies passwords for itself" in caplog.text


def test_shared_secret_without_the_folder(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(secret, "FOLDER", str(tmp_path / "nothing"))
    assert len(secret.shared_secret()) == secret.SIZE
    assert "No such file" in caplog.text
