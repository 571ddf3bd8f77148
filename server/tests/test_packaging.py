# SPDX-License-Identifier: Apache-2.0
"""The distribution holds what it must."""

import pathlib
import shutil
import subprocess
import sys
import tarfile

SERVER = pathlib.Path(__file__).parent.parent


def test_sdist(tmp_path):
    source = tmp_path / "server"
    ignore = shutil.ignore_patterns("*.egg-info", "__pycache__", "dist", "build")
    shutil.copytree(SERVER, source, ignore=ignore)
    code = "from setuptools import build_meta; build_meta.build_sdist('dist')"
    subprocess.run(
        [sys.executable, "-c", code], cwd=source, check=True, capture_output=True
    )
    (archive,) = (source / "dist").glob("WeaveServer-*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.split("/", 1)[-1] for name in tar.getnames()}
    needed = {"weave.wsgi", "README.md", "setup.cfg", "setup.py", "pyproject.toml"}
    assert needed <= names
    modules = {
        str(path.relative_to(SERVER)) for path in SERVER.glob("src/weave/**/*.py")
    }
    assert modules and modules <= names
    assert "src/weave/__init__.py" not in names, "weave is a namespace"
