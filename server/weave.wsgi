# SPDX-License-Identifier: Apache-2.0
from weave.server.wsgi import application  # noqa: F401
