# SPDX-License-Identifier: Apache-2.0
"""Archives of distributions, made by hand: a build by pip takes a second each."""

import base64
import hashlib
import io
import pathlib
import tarfile
import zipfile


def metadata(name, version, requires=(), **more):
    lines = ["Metadata-Version: 2.1", "Name: " + name, "Version: " + version]
    lines += ["Requires-Dist: " + text for text in requires]
    lines += ["%s: %s" % (key.replace("_", "-"), value) for key, value in more.items()]
    return "\n".join(lines) + "\n"


def wheel(folder, name, version, requires=(), tag="py3-none-any", files=None, **more):
    """A wheel with one module that has VERSION; its path."""
    stem = name.replace("-", "_")
    module = stem.lower().replace(".", "_")
    info = "%s-%s.dist-info/" % (stem, version)
    members = {module + ".py": "VERSION = %r\n" % version}
    members.update(files or {})
    members[info + "METADATA"] = metadata(name, version, requires, **more)
    members[info + "WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: %s\n" % tag
    )
    rows = []
    for member, text in members.items():
        digest = hashlib.sha256(text.encode()).digest()
        code = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        rows.append("%s,sha256=%s,%d\n" % (member, code, len(text.encode())))
    members[info + "RECORD"] = "".join(rows) + info + "RECORD,,\n"
    path = pathlib.Path(folder, "%s-%s-%s.whl" % (stem, version, tag))
    with zipfile.ZipFile(str(path), "w") as archive:
        for member, text in members.items():
            archive.writestr(zipfile.ZipInfo(member, (2026, 1, 1, 0, 0, 0)), text)
    return path


def tar(path, members):
    """A tar archive, compressed as its name says, of {name: text or TarInfo}."""
    mode = {".gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2"}[str(path)[-3:]]
    with tarfile.open(str(path), mode) as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            data = content.encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


SETUP = "from setuptools import setup\nsetup(name=%r, version=%r, py_modules=[%r]%s)\n"


def sdist(folder, name, version, requires=(), filename=None, files=None):
    """An sdist with a setup.py and one module; its path."""
    module = name.lower().replace("-", "_")
    top = "%s-%s/" % (name, version)
    more = ", install_requires=%r" % list(requires) if requires else ""
    members = {
        top + "PKG-INFO": metadata(name, version, requires),
        top + "setup.py": SETUP % (name, version, module, more),
        top + module + ".py": "VERSION = %r\n" % version,
    }
    for member, text in (files or {}).items():
        members[top + member] = text
    return tar(pathlib.Path(folder, filename or "%s-%s.tar.gz" % (name, version)), members)


def installed_wheel(folder, name):
    """A wheel of a pure distribution that is installed here, as Debian's wheel is."""
    import importlib
    import importlib.metadata

    version = importlib.metadata.version(name)
    package = pathlib.Path(importlib.import_module(name).__file__).parent
    files = {
        str(path.relative_to(package.parent)): path.read_text(encoding="utf-8")
        for path in package.rglob("*.py")
    }
    files["%s-%s.dist-info/entry_points.txt" % (name, version)] = (
        "[distutils.commands]\nbdist_wheel = wheel.bdist_wheel:bdist_wheel\n"
    )
    return wheel(folder, name, version, files=files)
