# SPDX-License-Identifier: Apache-2.0
"""weavectl install: from a share to what serves."""

from .errors import ReleaseError


def arguments(parser):
    parser.add_argument("what", nargs="?", metavar="NAME[==VERSION]|FILE",
                        help="a project, or an archive of it")


def run(context):
    """The states of an install. Returns the exit status."""
    raise ReleaseError("weavectl install is being built")
