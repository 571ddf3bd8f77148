# SPDX-License-Identifier: Apache-2.0
"""Releases of Python applications in a share: what is written, and read by nodes.

The modules names, manifest and share are on nodes, too (as `weavectl install`):
they need Python 3.8 and the standard library, nothing else.
"""

VERSION = "0.4.0"
