# SPDX-License-Identifier: Apache-2.0
"""The public keys of the account server, by which tokens are checked."""

import sys

from weave.server.commands.command import (
    HOST,
    INI,
    Command,
    Failed,
    argument,
    site_of,
    sync15_of,
)
from weave.server.jwks import MAX_BYTES, KeysError

BY_HAND = (
    "open %s with a browser on any machine, save it to a file, copy that file here, and run "
    "`weave-server fetch-keys %s FILE`"
)


def fetch_keys(arguments, sites):
    site = site_of(arguments, sites)
    keys, url = sync15_of(site).keys, site.settings["sync15.jwks_url"]
    try:
        count = keys.fetch_now() if arguments.file is None else keys.load(arguments.file)
    except KeysError as error:
        told = str(error)
        if arguments.file is not None:
            told = "this file has no keys of the account server: " + told
        raise Failed("%s: %s" % (told, BY_HAND % (url, arguments.ini))) from None
    print("the public keys of the account server are stored (%d)" % count)


def _document(path):
    """The bytes of a file, for argparse: it is read with the rights of the caller."""
    if path == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1) if sys.stdin else b""
    # One byte more than allowed shows that the document is too long.
    with open(path, "rb") as file:
        return file.read(MAX_BYTES + 1)


COMMANDS = (
    Command(
        ("fetch-keys",),
        "store the public keys of the account server, from its URL or from a file",
        fetch_keys,
        (
            INI,
            argument(
                "file",
                metavar="FILE",
                nargs="?",
                type=_document,
                help="what a browser has saved from the URL of jwks_url in [sync15]; "
                "- is the input",
            ),
            HOST,
        ),
    ),
)
