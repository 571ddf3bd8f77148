# SPDX-License-Identifier: Apache-2.0
"""docs/releasing.md: what it says to type is run as it is written."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import zipfile

import pytest

from index_server import index_serve
from installed import installed_make
from mozupload import tree, vcs
from repositories import Repository, environment

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = TOP / "docs" / "releasing.md"
BUILD = pathlib.Path(os.environ.get("BUILD", "build"))
BUILD = BUILD if BUILD.is_absolute() else TOP / BUILD
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="only in the whole repository")


def section(title):
    """The text of a section of the page."""
    found = re.search(r"^## %s\n(.*?)(?=^## |\Z)" % title, PAGE.read_text(), re.M | re.S)
    return found.group(1)


def blocks(text):
    """The indented blocks, each as text."""
    found = re.findall(r"(?:^    .*\n(?:\n+(?=    ))?)+", text, re.M)
    return [re.sub(r"^    ", "", block, flags=re.M) for block in found]


def answers(block):
    """The lines of a block that say what it prints."""
    code = re.sub(r"<<'?EOF'?\n.*?^EOF$", "", block, flags=re.M | re.S)
    return [line[2:] for line in code.splitlines() if line.startswith("# ")]


def pattern(line):
    """The line as it may be said another time: ids, numbers and blanks differ."""
    text = re.escape(re.sub(r"\s+", " ", line.strip()))
    text = re.sub(r"\b[0-9a-f]{12}\b", "[0-9a-f]{12}", text)
    text = re.sub(r"\d+(?:\\\.\d+)? ?(?:\\ )?(kB|s)\b", r"[\\d.]+ ?\1", text)
    return text.replace("\\ ", " ").replace("\\.\\.\\.", ".*")


def settings(home, **more):
    """The environment of somebody who has set nothing but what is given here."""
    found = {
        key: value
        for key, value in environment().items()
        if not key.startswith(("PIP_", "PYTHON", "WEAVE_", "VIRTUAL_ENV", "TWINE_"))
    }
    found.update(HOME=str(home), PIP_CONFIG_FILE=os.devnull, PATH="/usr/bin:" + os.environ["PATH"])
    return dict(found, **more)


def run(script, folder, environment, prefix=()):
    """What a script of bash prints, which must succeed."""
    done = subprocess.run(
        list(prefix) + ["bash", "-c", "set -e\numask 022\n" + script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    text = done.stdout.decode()
    assert done.returncode == 0, text
    return text


def sources_copy(name, folder):
    ignore = shutil.ignore_patterns("*.egg-info", "__pycache__", "build", "dist", ".*")
    shutil.copytree(TOP / name, folder, ignore=ignore)


@pytest.fixture
def alice():
    """(a folder of somebody who is not root, how a command line becomes that person's)."""
    with tempfile.TemporaryDirectory(prefix="weave-releasing-") as folder:
        yield pathlib.Path(folder), NOBODY if os.geteuid() == 0 else []


def owner_set(folder):
    os.chmod(folder, 0o755)
    if os.geteuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, 65534, 65534, follow_symlinks=False)


def programs_copy(folder):
    """Copies what was built to where alice can read it, which may not be so of BUILD."""
    folder.mkdir()
    for path in BUILD.glob("weave*"):
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        else:
            shutil.copy2(path, folder / path.name, follow_symlinks=False)


def test_worked_example(alice):
    folder, prefix = alice
    sources_copy("mozupload", folder / "mod_weave" / "mozupload")
    parts = blocks(section("A worked example"))
    if (BUILD / "weavectl").is_file():
        programs_copy(folder / "mod_weave" / "build")
        parts += blocks(section("On a node"))
    owner_set(folder)
    assert len(parts) > 6
    script = "".join("echo '@@@ %d'\n%s\n" % pair for pair in enumerate(parts))
    environment = settings(folder)
    environment["PATH"] = "%s/mod_weave/build:%s" % (folder, environment["PATH"])
    text = run(script, folder, environment, prefix)
    said = re.split(r"^@@@ \d+\n", text, flags=re.M)[1:]
    assert len(said) == len(parts)
    for block, output in zip(parts, said):
        output = output.replace(str(folder), "/home/alice")
        lines = [re.sub(r"\s+", " ", line.strip()) for line in output.splitlines()]
        for answer in answers(block):
            while lines and not re.fullmatch(pattern(answer), lines[0]):
                lines.pop(0)
            assert lines, "%r is not said by\n%s\nwhich says\n%s" % (answer, block, output)


# ---- the table ----

WEAVE_SERVER = {
    "setup.py": "from setuptools import setup; setup()\n",
    "setup.cfg": "[metadata]\nname = WeaveServer\nversion = 1.1.4\n[options]\npy_modules = tiny\n"
    "install_requires = needed>=2\n[mozupload]\nno_build_isolation = true\n",
    "tiny.py": "import needed\n",
    "test_tiny.py": "import unittest\nclass T(unittest.TestCase):\n"
    "    def test(self):\n        pass\n",
    "MANIFEST.in": "include test_tiny.py\n",
}


def wheel_make(folder, name, version):
    """A wheel with one module that does nothing."""
    info = "%s-%s.dist-info/" % (name, version)
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / ("%s-%s-py3-none-any.whl" % (name, version)), "w") as wheel:
        wheel.writestr(name + ".py", "")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: %s\nVersion: %s\n"
                       % (name, version))
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
                       "Tag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")


def table_rows(title):
    """[(left, right)] of the commands in a table of two columns."""
    rows = re.findall(r"^\| `(.*?)` \| `(.*?)` \|$", section(title), re.M)
    assert len(rows) == 4
    return rows


def test_todays_words(tmp_path):
    """The right column, with plain pip against a share of ours."""
    (old, (test, upload, create, install)) = zip(*table_rows("The proposal's words, today's words"))
    assert old[0] == "python test" and "--install-options" in old[3]
    wheel_make(tmp_path / "elsewhere", "needed", "2.1")
    project = Repository("git", tmp_path / "project")
    project.commit(WEAVE_SERVER)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/usr/bin/python3")
    (tmp_path / "installed").mkdir()
    share = tmp_path / "share"
    share.mkdir()
    engineer = settings(
        tmp_path,
        PYTHONPATH=str(installed_make(tmp_path / "installed")),
        PIP_FIND_LINKS=str(tmp_path / "elsewhere"),
        PIP_NO_INDEX="1",
        WEAVE_SHARE=str(share),
    )
    engineer["PATH"] = "%s:%s" % (tmp_path / "bin", engineer["PATH"])
    assert "Ran 1 test" in run(test, project.folder, engineer)
    run("git tag WeaveServer-1.1.4\n" + upload, project.folder, engineer)
    assert {path.name for path in share.glob("*.*")} >= {
        "WeaveServer-1.1.4.tar.gz",
        "WeaveServer-1.1.4-py3-none-any.whl",
        "needed-2.1-py3-none-any.whl",
    }
    # what fails is not uploaded
    project.write({"test_tiny.py": WEAVE_SERVER["test_tiny.py"].replace("pass", "self.fail()")})
    text = run(
        "%s --test --allow-dirty || echo refused" % upload,
        project.folder,
        dict(engineer, WEAVE_SHARE=str(tmp_path / "elsewhere")),
    )
    assert "FAILED" in text and text.endswith("refused\n")
    assert not (tmp_path / "elsewhere" / "releases").exists()
    node = tmp_path / "node"
    node.mkdir()
    everybody = settings(tmp_path)
    install = install.replace("/share", str(share))
    run("%s\n%s\nbin/python -c 'import tiny'" % (create, install), node, everybody)
    assert "Requirement already satisfied" in run(install, node, everybody)

    # an archive of any name is what its metadata say
    shutil.copy(share / "WeaveServer-1.1.4.tar.gz", tmp_path / "WeaveServer1.1.4.tgz")
    run(
        "/usr/bin/python3 -m pip install --no-index --find-links share --target target"
        " --no-build-isolation ./WeaveServer1.1.4.tgz",
        tmp_path,
        everybody,
    )
    assert (tmp_path / "target" / "WeaveServer-1.1.4.dist-info").is_dir()
    assert (tmp_path / "target" / "needed.py").is_file()


# ---- the public index ----


def test_public_index(tmp_path):
    """The three lines of the page, for the sdist of server/."""
    (commands,) = blocks(section("The public index"))
    assert [line.split()[:2] for line in commands.splitlines()] == [
        ["twine", "check"], ["twine", "upload"], ["pip", "install"]
    ]
    run("%s %s" % (shlex.quote(str(TOP / "conf" / "sdist")), "dist"), tmp_path, settings(tmp_path))
    (sdist,) = (tmp_path / "dist").iterdir()
    commands = commands.replace("WeaveServer-1.1.4.tar.gz", sdist.name)
    # falcon and its like are those of the system
    run("python3 -m venv --without-pip --system-site-packages venv", tmp_path, settings(tmp_path))
    pip = tmp_path / "venv" / "bin" / "pip"
    pip.write_text('#!/bin/sh\nexec python -m pip "$@"\n')
    pip.chmod(0o755)
    with index_serve() as index:
        somebody = settings(
            tmp_path,
            TWINE_REPOSITORY_URL=index.url + "/",
            TWINE_USERNAME="alice",
            TWINE_PASSWORD="secret",
            TWINE_NON_INTERACTIVE="1",
            PIP_INDEX_URL=index.url + "/simple",
            # pip's 0 is the "no" of --no-build-isolation
            PIP_NO_BUILD_ISOLATION="0",
        )
        somebody["PATH"] = "%s:%s" % (pip.parent, somebody["PATH"])
        text = run(commands, tmp_path, somebody)
        assert index.files == {sdist.name: sdist.read_bytes()}
        assert index.fields[sdist.name]["name"] == "WeaveServer"
    assert "PASSED" in text and "Successfully installed WeaveServer-" in text
    run("weave-server --help", tmp_path, somebody)
    assert (pip.parent / "weave-server").is_file()


# ---- the projects of this repository ----


@pytest.mark.parametrize("name", ["mozupload", "server"])
def test_sdist_has_what_is_tracked(name, tmp_path):
    repository = Repository("git", tmp_path / "repository")
    folder = repository.folder / name
    sources_copy(name, folder)
    repository.commit()
    text = run(
        "/usr/bin/python3 setup.py -q sdist\ntwine check --strict dist/*.tar.gz",
        folder,
        settings(tmp_path),
    )
    assert "PASSED" in text
    (sdist,) = (folder / "dist").iterdir()
    state = vcs.state_read(folder, name, "1")
    assert [allowance for allowance, _ in state.problems] == ["untagged"]
    assert tree.sdist_compare(sdist, state) == []
