# SPDX-License-Identifier: Apache-2.0
"""mozupload as if it were installed, without the second that pip takes for it."""

import configparser
import pathlib

TOP = pathlib.Path(__file__).resolve().parent.parent


def installed_make(folder):
    """Makes a folder for PYTHONPATH, with metadata that have mozupload's entry points."""
    (folder / "mozupload").symlink_to(TOP / "src" / "mozupload")
    info = folder / "mozupload-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mozupload\nVersion: 0\n")
    parser = configparser.ConfigParser(delimiters="=")
    parser.read(TOP / "setup.cfg")
    points = parser["options.entry_points"].items()
    text = "".join("[%s]\n%s\n" % (group, rows.strip()) for group, rows in points)
    (info / "entry_points.txt").write_text(text)
    return folder
