# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of a project: with pytest where they are written for it, else with unittest."""

import importlib.util
import os
import re
import subprocess
import sys

# Where pytest is configured: a file, and what it must hold.
_PYTEST_FILES = (
    ("pytest.ini", r""),
    (".pytest.ini", r""),
    ("pyproject.toml", r"^\[tool\.pytest\b"),
    ("tox.ini", r"^\[pytest\]"),
    ("setup.cfg", r"^\[tool:pytest\]"),
)
_PYTEST_CODE = re.compile(r"^(?:\s*(?:import|from)\s+pytest\b|(?:async )?def test_?\w*\()", re.M)
_TEST_FILE = re.compile(r"(?:test.*|.*_test|conftest)\.py\Z")
_TEST_FOLDERS = ("tests", "test")
_FOLDERS_WITHOUT_TESTS = frozenset(("build", "dist", "node_modules", "__pycache__"))

# `python -m unittest discover` looks in one folder only, and before Python 3.12
# it is content with no test at all. The status is pytest's for that.
_STATUS_NO_TEST = 5
_UNITTEST = """
import sys, unittest
suite = unittest.TestSuite()
for start in sys.argv[1:]:
    suite.addTest(unittest.TestLoader().discover(start))
if not suite.countTestCases():
    sys.exit(%d)
sys.exit(not unittest.TextTestRunner().run(suite).wasSuccessful())
""" % _STATUS_NO_TEST


class TestsFailed(Exception):
    """The tests did not pass, or none ran; the text is one sentence for people."""

    # pytest must not take it for a test
    __test__ = False


def command_add(distribution):
    """Gives `setup.py` the command `test`; a project's own goes before.

    An entry point in setuptools.finalize_distribution_options. setuptools looks
    in cmdclass first: up to version 71 it has a `test` of its own, and 72 has
    taken it out.
    """
    from mozupload.test_command import TestCommand

    distribution.cmdclass.setdefault("test", TestCommand)


def tests_run(folder, source=None, arguments=(), metadata=None):
    """Runs the tests of the project in a folder with this Python; their output is ours.

    source is the folder that its packages lie in: without one, src/ where it is
    there, else the folder itself. metadata is a folder with an .egg-info of the
    project. arguments go to pytest or `python -m unittest`. Raises TestsFailed.
    """
    folder = os.path.abspath(folder)
    if source is None:
        source = "src" if os.path.isdir(os.path.join(folder, "src")) else "."
    source = os.path.normpath(os.path.join(folder, source))
    if _is_for_pytest(folder):
        tool = "pytest"
        if importlib.util.find_spec("pytest") is None:
            raise TestsFailed(
                "The tests are written for pytest, which this Python lacks: `%s -m pip install"
                " pytest`, or Debian's package python3-pytest." % sys.executable
            )
        command = ["-m", "pytest"] + list(arguments)
    else:
        tool = "unittest"
        starts = _unittest_starts(folder, source)
        command = ["-m", "unittest"] + list(arguments) if arguments else ["-c", _UNITTEST] + starts
    path = [source] + [metadata] * bool(metadata) + [os.environ.get("PYTHONPATH", "")]
    environment = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join(filter(None, path)),
        # byte code would be untracked files, and an old one is taken for that of
        # a source with the same size and second
        PYTHONDONTWRITEBYTECODE="1",
    )
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    status = subprocess.call([sys.executable] + command, cwd=folder, env=environment)
    if status == _STATUS_NO_TEST:
        raise TestsFailed("%s found no test in %s." % (tool, folder))
    if status:
        raise TestsFailed("The tests of %s failed: %s says why above." % (folder, tool))


def _is_for_pytest(folder):
    """Whether a project's tests need pytest."""
    for name, pattern in _PYTEST_FILES:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and re.search(pattern, _text_read(path), re.M):
            return True
    for path in _test_files(folder):
        if os.path.basename(path) == "conftest.py" or _PYTEST_CODE.search(_text_read(path)):
            return True
    return False


def _test_files(folder):
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in _FOLDERS_WITHOUT_TESTS
            and not os.path.exists(os.path.join(parent, name, "pyvenv.cfg"))
        ]
        for name in files:
            if _TEST_FILE.match(name):
                yield os.path.join(parent, name)


def _text_read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _unittest_starts(folder, source):
    """The folders in which unittest looks for tests, without meeting any twice."""
    starts = [source]
    if source != folder:
        starts.append(folder)
    for name in _TEST_FOLDERS:
        path = os.path.join(folder, name)
        # one that is a package is found from the folder
        if os.path.isdir(path) and not os.path.exists(os.path.join(path, "__init__.py")):
            starts.append(path)
    return starts
