# SPDX-License-Identifier: Apache-2.0
"""A Weave (Firefox Sync 1.1) server: WSGI application, storage and accounts."""

from weave.server.version import VERSION

__version__ = VERSION
