# SPDX-License-Identifier: Apache-2.0
"""Which pip is found."""

import subprocess
import sys

import pytest
from weave_release import pypa
from weave_release.errors import ReleaseError


def test_a_pip_that_runs():
    said = subprocess.run([sys.executable, pypa.pip_path(sys.executable), "--version"],
                          stdout=subprocess.PIPE, check=True).stdout.decode()
    assert said.startswith("pip ") and int(said.split()[1].split(".")[0]) >= 23


def test_no_python_and_no_pip(tmp_path):
    with pytest.raises(ReleaseError, match="cannot be run"):
        pypa.pip_path(str(tmp_path / "python"))
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho; echo; echo\n")
    fake.chmod(0o755)
    with pytest.raises(ReleaseError, match="has no pip of version 23.0 or newer") as refused:
        pypa.pip_path(str(fake))
    assert "python3-venv" in refused.value.hint


def test_packaging():
    packaging = pypa.packaging()
    assert packaging.version.Version("1.10") > packaging.version.Version("1.9")
    assert packaging.requirements.Requirement("a>=1; python_version > '3'").name == "a"
    assert next(iter(packaging.tags.sys_tags()))
