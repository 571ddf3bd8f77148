# SPDX-License-Identifier: Apache-2.0
"""Which pip is run, and pip's own reading of versions, tags and requirements.

Only for inner and its programs: nothing of this is imported by root.
"""

import functools
import glob
import importlib
import importlib.util
import os
import site
import subprocess
import sys

from .errors import ReleaseError

OLDEST = (23, 0)            # that has --report, and runs beside another Python
_MODULES = ("version", "specifiers", "requirements", "markers", "tags")

# What a Python has of pip: the wheel of its ensurepip, and the folder of an installed one.
_PROBE = """
import importlib.util, os
try:
    import ensurepip
    print(getattr(ensurepip, "_WHEEL_PKG_DIR", None) or "")
    print(os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"))
except ImportError:
    print("\\n")
found = importlib.util.find_spec("pip")
print(os.path.dirname(found.origin) if found and found.origin else "")
"""


def pip_path(python):
    """The path that `PYTHON PATH ...` runs pip with; it hides no package and adds none.

    ReleaseError where that Python has no pip that is new enough.
    """
    try:
        output = subprocess.run([python, "-I", "-c", _PROBE], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as problem:
        raise ReleaseError("%s cannot be run: %s" % (python, problem),
                           hint="release.python must be a Python that runs.") from problem
    *folders, installed = output.decode("utf-8", "surrogateescape").split("\n")[:3]
    # an installed one is compiled, and starts four times as fast as one in a wheel
    runner = os.path.join(installed, "__pip-runner__.py")
    if installed and os.path.exists(runner) and _version(installed) >= OLDEST:
        return runner
    wheel = _wheel(*folders)
    if wheel:
        return os.path.join(wheel, "pip")
    raise ReleaseError("%s has no pip of version %d.%d or newer" % ((python,) + OLDEST),
                       hint="Install python3-venv or python3-pip, or for a Python of your own its "
                            "`-m ensurepip`.")


@functools.lru_cache(None)
def packaging():
    """The package `packaging` with the modules that are used here: pip's own, or a free one."""
    return _vendored("packaging", _MODULES)


def version_read(text):
    """The version as packaging has it, or None when the text is none."""
    version = packaging().version
    try:
        return version.Version(text) if len(text) <= 128 and text.isascii() else None
    except version.InvalidVersion:
        return None


def version_same(one, other):
    """Whether two texts are the same version: 1.0 and 1.0.0 are."""
    first = version_read(one)
    return first is not None and first == version_read(other)


def toml(text):
    """A TOML text as a dict; ValueError when it is none."""
    try:
        import tomllib
    except ImportError:
        tomllib = _vendored("tomli")
    return tomllib.loads(text)


def _vendored(package, parts=()):
    """A package that pip brings along, or else a free one, with these modules of it."""
    for folder in _folders():
        sys.path.append(folder)
        try:
            for name in ("pip._vendor." + package, package):
                try:
                    module = importlib.import_module(name)
                    for part in parts:
                        importlib.import_module("%s.%s" % (name, part))
                    return module
                except ImportError:
                    continue
        finally:
            sys.path.remove(folder)
    raise ReleaseError("there is no pip beside %s" % sys.executable,
                       hint="Install python3-venv or python3-pip.")


def _folders():
    """Where pip may lie for the Python that runs: it has been started without them."""
    yield from site.getsitepackages()
    spec = importlib.util.find_spec("ensurepip")
    if spec and spec.origin:
        import ensurepip
        bundled = os.path.join(os.path.dirname(spec.origin), "_bundled")
        wheel = _wheel(str(getattr(ensurepip, "_WHEEL_PKG_DIR", None) or ""), bundled)
        if wheel:
            yield wheel


def _wheel(*folders):
    """The newest pip's wheel in these folders, or None."""
    wheels = [path for folder in folders if folder
              for path in glob.glob(os.path.join(glob.escape(folder), "pip-*.whl"))]
    numbers = {_numbers(os.path.basename(path).split("-")[1]): path for path in wheels}
    return numbers[max(numbers)] if numbers and max(numbers) >= OLDEST else None


def _version(installed):
    """The version of an installed pip: that of its metadata beside it."""
    found = glob.glob(os.path.join(glob.escape(os.path.dirname(installed)), "pip-*.dist-info"))
    return max([_numbers(os.path.basename(path).split("-")[1][:-len(".dist")]) for path in found]
               or [(0,)])


def _numbers(version):
    return tuple(int(part) for part in version.split(".") if part.isdigit())
