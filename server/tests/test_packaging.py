# SPDX-License-Identifier: Apache-2.0
"""The distribution holds what it must."""

import configparser
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

SERVER = pathlib.Path(__file__).parent.parent
SOURCES = SERVER / "src"
MODULES = {str(path.relative_to(SOURCES)) for path in SOURCES.glob("weave/**/*.py")}
BUILD = """
from setuptools import build_meta
build_meta.build_sdist("dist")
build_meta.build_wheel("dist")
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The folder with an sdist and a wheel, which a copy of the sources has made."""
    source = tmp_path_factory.mktemp("packaging") / "server"
    ignore = shutil.ignore_patterns("*.egg-info", "__pycache__", "dist", "build")
    shutil.copytree(SERVER, source, ignore=ignore)
    subprocess.run([sys.executable, "-c", BUILD], cwd=source, check=True, capture_output=True)
    return source / "dist"


def test_sdist(dist):
    (archive,) = dist.glob("WeaveServer-*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.split("/", 1)[-1] for name in tar.getnames()}
    needed = {"weave.wsgi", "README.md", "setup.cfg", "setup.py", "pyproject.toml"}
    assert needed <= names
    assert MODULES and {"src/" + name for name in MODULES} <= names
    assert "src/weave/__init__.py" not in names, "weave is a namespace"


def test_wheel(dist):
    """A virtualenv gets all modules, the command and the script, and nothing else."""
    (archive,) = dist.glob("WeaveServer-*.whl")
    with zipfile.ZipFile(archive) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (entries,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
        points = configparser.ConfigParser(delimiters="=")
        points.read_string(wheel.read(entries).decode("utf-8"))
    data = pathlib.Path(entries).parts[0].replace(".dist-info", ".data")
    assert names == MODULES | {data + "/data/share/weave/weave.wsgi"}
    assert points["console_scripts"]["weave-server"] == "weave.server.__main__:main"
    assert points["mod_weave.check"]["weave.server.wsgi"] == "weave.server.check:check"
