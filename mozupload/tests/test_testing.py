# SPDX-License-Identifier: Apache-2.0
"""`python setup.py test`, on each setuptools there is here."""

import json
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

from installed import TOP, installed_make
from mozupload import testing
from repositories import Repository, environment

SETUP = {
    "setup.py": "from setuptools import setup; setup()\n",
    "setup.cfg": "[metadata]\nname = hello\nversion = 1.2\n[options]\npy_modules = hello\n",
    "hello.py": "def answer():\n    return 42\n",
}
UNITTEST = """
import unittest, hello
class HelloTest(unittest.TestCase):
    def test_answer(self):
        self.assertEqual(hello.answer(), 42)
"""
PYTEST = "import hello\ndef test_answer():\n    assert hello.answer() == 42\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder for PYTHONPATH: mozupload as if it were installed there."""
    return installed_make(tmp_path_factory.mktemp("installed"))


def pythons():
    """(Python, wheel of setuptools or None): this one, and one of pyenv's for each version.

    From 3.12 on Python has no setuptools; the wheel is from its own tests.
    """
    found = {sys.version_info[:2]: (sys.executable, None)}
    for folder in sorted(pathlib.Path.home().glob(".pyenv/versions/3.*")):
        version = tuple(int(part) for part in folder.name.split(".")[:2])
        wheels = sorted(folder.glob("lib/python*/test/**/setuptools-*.whl"))
        has_one = list(folder.glob("lib/python*/site-packages/setuptools"))
        if version >= (3, 8) and (has_one or wheels):
            wheel = None if has_one else wheels[-1]
            found.setdefault(version, (str(folder / "bin" / "python3"), wheel))
    return sorted(set(found.values()), key=str)


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"

    def write(*parts):
        for name, text in dict(pair for part in parts for pair in part.items()).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder

    return write


def setup_py(folder, installed, *arguments, python=sys.executable, path=()):
    """(exit status, output) of setup.py."""
    environment = dict(
        {key: value for key, value in os.environ.items() if not key.startswith("PY")},
        PYTHONPATH=os.pathsep.join([str(installed)] + list(path)),
    )
    done = subprocess.run(
        [python, "setup.py"] + list(arguments), cwd=folder, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout.decode()


@pytest.mark.parametrize("python,wheel", pythons())
def test_unittest_on_each_setuptools(project, installed, tmp_path, python, wheel):
    folder = project(SETUP, {"tests/test_hello.py": UNITTEST})
    path = []
    if wheel:
        path = [str(tmp_path / "setuptools")]
        zipfile.ZipFile(wheel).extractall(path[0])
    status, text = setup_py(folder, installed, "test", python=python, path=path)
    assert status == 0 and "Ran 1 test" in text, text
    project({"hello.py": "def answer():\n    return 41\n"})
    status, text = setup_py(folder, installed, "test", "sdist", python=python, path=path)
    assert status == 1 and "41 != 42" in text, text
    assert "error: The tests of %s failed: unittest says why above." % folder in text
    assert not (folder / "dist").exists()


@pytest.mark.skipif(not any(wheel for _, wheel in pythons()), reason="needs pyenv's Python 3.12")
def test_sdist_mozupload_with_a_newer_setuptools(installed, tmp_path, monkeypatch):
    """With a build of the wheel that is isolated, from what the share then has, too."""
    python, wheel = [pair for pair in pythons() if pair[1]][-1]
    for key, value in environment().items():
        monkeypatch.setenv(key, value)
    repository = Repository("git", tmp_path / "repository")
    repository.commit(SETUP)
    repository.tag("1.2")
    zipfile.ZipFile(wheel).extractall(tmp_path / "setuptools")
    (tmp_path / "share").mkdir()
    more = ["--share", str(tmp_path / "share"), "--no-index", "--find-links", str(wheel.parent)]
    status, text = setup_py(
        repository.folder, installed, "-q", "sdist", "mozupload", *more,
        python=python, path=[str(tmp_path / "setuptools")]
    )
    assert status == 0, text
    (manifest,) = (tmp_path / "share" / "releases").iterdir()
    files = json.loads(manifest.read_text())["files"]
    assert sorted((file["role"], file["project"]) for file in files) == [
        ("application", "hello"), ("application", "hello"),
        ("build", "setuptools"), ("build", "wheel"),
    ]


def test_pytest(project, installed):
    folder = project(SETUP, {"tests/test_hello.py": PYTEST})
    status, text = setup_py(folder, installed, "-q", "test")
    assert status == 0 and "1 passed" in text, text
    status, text = setup_py(folder, installed, "-q", "test", "--args=-k 'nothing or none'")
    assert status == 1 and "error: pytest found no test in" in text, text
    project({"hello.py": "def answer():\n    return 41\n"})
    status, text = setup_py(folder, installed, "-q", "test")
    assert status == 1 and "1 failed" in text, text
    assert "error: The tests of %s failed: pytest says why above." % folder in text


def test_leaves_no_metadata_and_others_make_theirs(project, installed):
    folder = project(SETUP, {"tests/test_hello.py": UNITTEST + """
    def test_metadata(self):
        import importlib.metadata
        self.assertEqual(importlib.metadata.version("hello"), "1.2")
"""})
    status, text = setup_py(folder, installed, "-q", "test")
    assert status == 0 and "Ran 2 tests" in text, text
    assert not list(folder.glob("*.egg-info")) and not (folder / "build").exists()
    status, text = setup_py(folder, installed, "-q", "test", "sdist")
    assert status == 0 and (folder / "dist" / "hello-1.2.tar.gz").exists(), text
    assert (folder / "hello.egg-info").is_dir()


def test_sources_in_src(project, installed):
    folder = project(
        SETUP,
        {
            "setup.cfg": SETUP["setup.cfg"] + "package_dir =\n    = src\n",
            "src/hello.py": SETUP["hello.py"],
            "src/inner/__init__.py": "",
            "src/inner/test_inner.py": UNITTEST,
            "tests/__init__.py": "",
            "tests/test_hello.py": UNITTEST,
        },
    )
    os.remove(folder / "hello.py")
    status, text = setup_py(folder, installed, "-q", "test")
    assert status == 0 and "Ran 2 tests" in text, text


def test_sources_that_must_be_built(project, installed):
    """A package whose folder has another name can only be imported once it is built."""
    folder = project(
        SETUP,
        {
            "setup.cfg": "[metadata]\nname = hello\nversion = 1.2\n[options]\n"
            "packages = hello\npackage_dir =\n    hello = lib\n",
            "lib/__init__.py": SETUP["hello.py"],
            "tests/test_hello.py": UNITTEST,
        },
    )
    os.remove(folder / "hello.py")
    status, text = setup_py(folder, installed, "-q", "test")
    assert status == 0 and "Ran 1 test" in text, text


def test_no_test_is_a_failure(project, installed):
    folder = project(SETUP, {"tests/data.txt": ""})
    status, text = setup_py(folder, installed, "-q", "test")
    assert status == 1 and "error: unittest found no test in %s." % folder in text


def test_a_test_that_cannot_be_imported_is_a_failure(project, installed):
    folder = project(SETUP, {"tests/test_hello.py": "import unittest, missing_module\n"})
    status, text = setup_py(folder, installed, "-q", "test")
    assert status == 1 and "missing_module" in text, text


def test_a_project_s_own_command_goes_before(project, installed):
    own = """
from setuptools import Command, setup
class Own(Command):
    user_options = []
    initialize_options = finalize_options = lambda self: None
    def run(self):
        print("its own")
setup(cmdclass={"test": Own})
"""
    folder = project(SETUP, {"setup.py": own})
    status, text = setup_py(folder, installed, "-q", "test")
    assert status == 0 and text.strip().endswith("its own"), text


def test_arguments_for_unittest(project, installed):
    folder = project(SETUP, {"tests/__init__.py": "", "tests/test_hello.py": UNITTEST})
    status, text = setup_py(folder, installed, "-q", "test", "-a", "-v tests.test_hello")
    assert status == 0 and "test_answer" in text, text


def test_without_setup_py(project, capfd):
    folder = project(SETUP, {"tests/test_hello.py": UNITTEST})
    testing.tests_run(folder)
    project({"hello.py": "def answer():\n    return 41\n"})
    with pytest.raises(testing.TestsFailed, match="failed: unittest"):
        testing.tests_run(folder)
    assert "41 != 42" in capfd.readouterr().err


def test_which_tests_need_pytest(project, tmp_path, monkeypatch):
    folder = project(SETUP, {"tests/test_hello.py": UNITTEST, "build/test_x.py": PYTEST,
                             ".tox/test_x.py": PYTEST, "venv/pyvenv.cfg": "",
                             "venv/test_x.py": PYTEST})
    assert not testing._is_for_pytest(folder)
    for name, text in (
        ("conftest.py", ""),
        ("pytest.ini", ""),
        ("pyproject.toml", "[build-system]\n[tool.pytest.ini_options]\n"),
        ("tox.ini", "[pytest]\n"),
        ("tests/test_more.py", "import pytest\n"),
        ("tests/more_test.py", "async def test_it():\n    pass\n"),
    ):
        project({name: text})
        assert testing._is_for_pytest(folder), name
        os.remove(folder / name)
    project({"tests/test_more.py": PYTEST})
    monkeypatch.setattr(testing.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(testing.TestsFailed, match="pytest, which this Python lacks"):
        testing.tests_run(folder)


@pytest.mark.skipif(not (TOP.parent / "server").is_dir(), reason="only in the whole repository")
def test_server(installed):
    arguments = "--args=-q -p no:cacheprovider tests/test_data.py"
    status, text = setup_py(TOP.parent / "server", installed, "-q", "test", arguments)
    assert status == 0 and " passed" in text, text
