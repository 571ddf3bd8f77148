# SPDX-License-Identifier: Apache-2.0
"""`python setup.py test` on every setuptools."""

import os
import shlex
import tempfile

from setuptools import Command

from distutils.errors import DistutilsError  # isort: skip: setuptools brings it

from mozupload.testing import TestsFailed, tests_run


class TestCommand(Command):
    """Runs the project's tests against its sources; fails when they fail, or there are none."""

    # pytest must not take it for a test
    __test__ = False

    description = "run the tests with pytest or unittest, whichever they are written for"
    user_options = [("args=", "a", "arguments for pytest or `python -m unittest`")]

    def initialize_options(self):
        self.args = None

    def finalize_options(self):
        self.args = shlex.split(self.args or "")

    def run(self):
        source = self._source_make()
        # some tests ask for the version or the entry points
        with tempfile.TemporaryDirectory(prefix="mozupload-test-") as metadata:
            self._metadata_make(metadata)
            try:
                tests_run(os.curdir, source, self.args, metadata)
            except TestsFailed as problem:
                raise DistutilsError(str(problem))

    def _source_make(self):
        """The folder that the packages can be imported from."""
        folders = self.distribution.package_dir or {}
        if self.distribution.has_ext_modules() or set(folders) - {""}:
            self.run_command("build")
            return self.get_finalized_command("build").build_lib
        return folders.get("", os.curdir)

    def _metadata_make(self, folder):
        command = self.reinitialize_command("egg_info")
        command.egg_base = folder
        self.run_command("egg_info")
        # a command after this one makes its own, where they belong
        self.reinitialize_command("egg_info")
