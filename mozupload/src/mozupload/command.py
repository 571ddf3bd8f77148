# SPDX-License-Identifier: Apache-2.0
"""python setup.py sdist mozupload: the command of setuptools.

Tried with setuptools 56.0, 58.1, 65.5, 66.1.1 and 67.6.1; newer ones were only read.
"""

import os
import sys

from setuptools import Command


class _Rows:
    """An attribute that is made of the table of options when somebody asks for it.

    Each setup.py of this Python gets the command; most never ask.
    """

    def __init__(self, make):
        self._make = make

    def __get__(self, command, owner):
        from .options import rows

        return [self._make(*row) for row in rows() if self._make(*row)]


class MozuploadCommand(Command):
    """Uploads what `sdist` has made just before."""

    description = "put the sdist, and all that it needs, into a share as a release"
    user_options = _Rows(lambda name, kind, takes, text: (name + "=" * bool(takes), None, text))
    boolean_options = _Rows(lambda name, kind, takes, text: kind == "flag" and name)

    def initialize_options(self):
        from .options import attribute, rows

        for name, kind, _, _ in rows():
            setattr(self, attribute(name), 0 if kind == "flag" else None)

    def finalize_options(self):
        pass

    def run(self):
        from .__main__ import problem_text, say

        if self.test:
            self.run_command("test")
        try:
            self._upload(say)
        except Exception as problem:
            text = problem_text(problem)
            if text is None:
                raise
            raise SystemExit("\n".join(_prefixed(text)))

    def _upload(self, say):
        from .errors import UploadError
        from .options import attribute, options_make, rows
        from .upload import upload

        made = [
            (command, path)
            for command, _, path in getattr(self.distribution, "dist_files", [])
            if command in ("sdist", "bdist_wheel")
        ]
        if "sdist" not in dict(made):
            raise UploadError("Nothing was made to upload: say `python setup.py sdist mozupload`.")
        for name, kind, _, _ in rows():
            given = [word for word in sys.argv if word.partition("=")[0] == "--" + name]
            if kind == "many" and len(given) > 1:
                raise UploadError(
                    "Say --%s once, with commas between: setuptools takes the last of several."
                    % name
                )
        given = {attribute(row[0]): getattr(self, attribute(row[0])) for row in rows()}
        given["test"] = False
        upload([path for _, path in made], options_make(given, os.getcwd()), say)


def _prefixed(text):
    for line in text.splitlines():
        yield line if line.startswith(" ") else "mozupload: " + line


def command_add(dist):
    """Adds the command to a distribution (entry point setuptools.finalize_distribution_options).

    A plain entry point of distutils.commands would win or lose by the order of sys.path.
    """
    dist.cmdclass.setdefault("mozupload", MozuploadCommand)
