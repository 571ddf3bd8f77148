# SPDX-License-Identifier: Apache-2.0
import logging

from weave.server.wsgi import application  # noqa: F401

# So that httpd's LogLevel decides what is logged, from info on. Not for the root:
# others would log each of their statements.
logging.basicConfig(format="%(message)s")
logging.getLogger("weave.server").setLevel(logging.INFO)
