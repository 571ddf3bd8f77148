# SPDX-License-Identifier: Apache-2.0
"""The sources on the path, and small archives made by hand."""

import pathlib
import sys

SOURCES = str(pathlib.Path(__file__).resolve().parent.parent / "src")
sys.path.insert(0, SOURCES)
