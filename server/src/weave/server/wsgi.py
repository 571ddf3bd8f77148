# SPDX-License-Identifier: Apache-2.0
"""The WSGI entry point: `application`.

The sync.ini is named by environ["weave.ini"] in a request, or else by WEAVE_INI
in the process environment. When that is set before this module is imported, the
application is made, and what is wrong with its configuration raised, at once.
"""

import atexit
import os
import threading

from weave.server.app import Databases, create_application
from weave.server.config import ConfigError


class Application:
    """One application for each sync.ini, made when it is first needed."""

    def __init__(self):
        self._lock = threading.Lock()
        self._by_path = {}

    def __call__(self, environ, start_response):
        path = environ.get("weave.ini") or os.environ.get("WEAVE_INI")
        return self.load(path)(environ, start_response)

    def load(self, path):
        """The application of the file path; ConfigError."""
        if not path:
            raise ConfigError(
                "no sync.ini: the server that hosts this application must set "
                'environ["weave.ini"], or WEAVE_INI in the process environment'
            )
        made = self._by_path.get(path)
        if made is None:
            with self._lock:
                if path not in self._by_path:
                    databases = Databases()
                    self._by_path[path] = create_application(path, databases)
                    atexit.register(databases.end)
                made = self._by_path[path]
        return made


application = Application()

if os.environ.get("WEAVE_INI"):
    application.load(os.environ["WEAVE_INI"])
