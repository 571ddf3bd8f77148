# SPDX-License-Identifier: Apache-2.0
"""python -m mozupload dist/*: for people who build sdists otherwise than by setup.py."""

import argparse
import os
import sys

from . import VERSION
from .errors import UploadError
from .manifest import ManifestError
from .identity import ArchiveError
from .options import config_read, options_make, rows
from .share import ShareError
from .upload import upload
from .vcs import VcsError

DESCRIPTION = """Puts a release into a share: the sdist, its wheel, wheels of all that it
needs, and a manifest, which nodes believe. The section [mozupload] of the
project's setup.cfg may have the same options."""

PROBLEMS = (UploadError, ShareError, ManifestError, ArchiveError, VcsError)


PROJECT_FILES = ("setup.py", "setup.cfg", "pyproject.toml")


def say(text):
    """Tells people a line, at once."""
    print(text, flush=True)


def problem_text(problem):
    """What people are told when an upload ends; None: the problem is a fault of ours."""
    if isinstance(problem, PROBLEMS):
        return str(problem)
    if isinstance(problem, OSError):
        return "%s: %s." % (problem.filename or "The system says", problem.strerror or problem)
    return None


def parser_make():
    parser = argparse.ArgumentParser("mozupload", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_argument(
        "archives",
        metavar="FILE",
        nargs="+",
        help="the sdist (dist/*.tar.gz), and wheels of it, if there are any",
    )
    parser.add_argument(
        "--project",
        metavar="FOLDER",
        help="the project's folder (default: the one whose dist/ has FILE, else .)",
    )
    for name, kind, metavar, text in rows():
        more = {"metavar": metavar} if metavar else {}
        action = {"one": "store", "many": "append", "flag": "store_true"}[kind]
        parser.add_argument("--" + name, action=action, default=None, help=text, **more)
    return parser


def project_of(archives):
    """The folder of the project that the sdist was made in: builds put it into dist/."""
    for archive in archives:
        folder, name = os.path.split(os.path.dirname(os.path.abspath(archive)))
        if name == "dist" and not archive.endswith(".whl"):
            if any(os.path.exists(os.path.join(folder, file)) for file in PROJECT_FILES):
                return folder
    return os.curdir


def main(arguments=None):
    """The exit status: 0; 1 when nothing was uploaded; 2 for a wrong command line."""
    given = vars(parser_make().parse_args(arguments))
    project = given["project"] or project_of(given["archives"])
    try:
        found = config_read(project)
        found.update({name: value for name, value in given.items() if value is not None})
        upload(given["archives"], options_make(found, project), say)
    except KeyboardInterrupt:
        print("mozupload: interrupted. The same command again finishes it.", file=sys.stderr)
        return 1
    except Exception as problem:
        text = problem_text(problem)
        if text is None:
            raise
        for line in text.splitlines():
            print(line if line.startswith(" ") else "mozupload: " + line, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
