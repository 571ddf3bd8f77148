# SPDX-License-Identifier: Apache-2.0
"""A small project in a repository, and mozupload run on it as people run it."""

import glob
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import archives
from repositories import Repository, environment

SOURCES = pathlib.Path(__file__).resolve().parent.parent / "src"

SETUP_CFG = """[metadata]
name = WeaveApp
version = 1.1.5
[options]
py_modules = weaveapp
install_requires =
    {requires}
[mozupload]
{config}
"""
# pip takes seconds to install setuptools for a build
FAST = "no_build_isolation = true"
FILES = {
    "setup.py": "from setuptools import setup\n\nsetup()\n",
    "pyproject.toml": '[build-system]\nrequires = ["setuptools>=60"]\n'
    'build-backend = "setuptools.build_meta"\n',
    "weaveapp.py": "VERSION = 1\n",
    "README.md": "An application.\n",
}


def links_make(folder):
    """Fills a folder with what builds a wheel, and with small dependencies."""
    for path in glob.glob("/usr/share/python-wheels/setuptools-*.whl"):
        shutil.copy(path, folder)
    archives.installed_wheel(folder, "wheel")
    archives.wheel(folder, "Falcon", "3.1.1", ["tiny-dep>=1"])
    archives.wheel(folder, "Falcon", "3.1.0", ["tiny-dep>=1"])
    archives.wheel(folder, "tiny-dep", "1.5")
    archives.wheel(folder, "sqlx", "1.4.50", ["greenx"])
    archives.wheel(folder, "other", "2.0")
    archives.sdist(folder, "only-sdist", "0.3")


class Project:
    """A project with its folder and repository; links: pip's only source."""

    def __init__(self, kind, folder, links, requires, below="", config=FAST):
        self.links = links
        self.repository = Repository(kind, pathlib.Path(folder))
        self.folder = self.repository.folder / below
        self.folder.mkdir(exist_ok=True)
        files = dict(FILES)
        files["setup.cfg"] = SETUP_CFG.format(requires="\n    ".join(requires), config=config)
        files = {os.path.join(below, name): text for name, text in files.items()}
        files[".gitignore"] = files[".hgignore"] = ""
        self.repository.commit(files)

    def environment(self, *paths):
        found = environment()
        for name in list(found):
            if name.startswith(("PIP_", "PYTHON", "WEAVE_")):
                del found[name]
        found["PYTHONPATH"] = os.pathsep.join(map(str, paths or [SOURCES]))
        found["PIP_CONFIG_FILE"] = os.devnull
        found["PYTHONWARNINGS"] = "ignore"
        found["PIP_NO_INDEX"] = "1"
        found["PIP_FIND_LINKS"] = str(self.links)
        return found

    def run(self, *command, status=0, paths=(), **more):
        """What a command of Python in the project's folder says, which ends with the status."""
        env = dict(self.environment(*paths), **more)
        done = subprocess.run(
            [sys.executable] + list(map(str, command)), cwd=self.folder, env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        text = done.stdout.decode("utf-8", "replace")
        assert done.returncode == status, text
        return text

    def sdist(self):
        """The sdist, as somebody's build has left it in dist/."""
        shutil.rmtree(self.folder / "dist", ignore_errors=True)
        self.run("setup.py", "-q", "sdist")
        (path,) = (self.folder / "dist").iterdir()
        return path

    def upload(self, *arguments, status=0, **more):
        return self.run("-m", "mozupload", *arguments, status=status, **more)


def mozupload_installed(folder):
    """A folder for PYTHONPATH in which mozupload is installed, with its entry points."""
    copy = pathlib.Path(folder) / "source"
    shutil.copytree(SOURCES.parent, copy, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    code = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    env = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=copy, env=env, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (wheel,) = copy.glob("mozupload-*.whl")
    target = pathlib.Path(folder) / "site"
    with zipfile.ZipFile(str(wheel)) as archive:
        archive.extractall(str(target))
    return target
