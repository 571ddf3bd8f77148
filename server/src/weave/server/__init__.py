# SPDX-License-Identifier: Apache-2.0
"""A Weave server (Firefox Sync 1.1 and 1.5): WSGI application, storage and accounts."""

from weave.server.version import VERSION

__version__ = VERSION
