# SPDX-License-Identifier: Apache-2.0
"""Sync 1.5 of one site: its parts, made as the settings want them.

This module is imported where [sync15] has a secret_file, and only there.
"""

from dataclasses import fields
from functools import cached_property

from weave.server import storage15_api, token_api
from weave.server.admission import Admission
from weave.server.batches import forget_batches
from weave.server.doctor_api import Echo
from weave.server.hawk_authenticator import HawkAuthenticator
from weave.server.jwks import Jwks
from weave.server.members import Members, is_current
from weave.server.rules import Limits
from weave.server.secret_file import read_secrets


class Sync15:
    """Members, keys and tokens of a Site.

    The file of the secrets is read when it is first needed, so that commands such as
    purge and backup work without it: ConfigError where it is wrong.
    """

    def __init__(self, settings, storage, create_tables):
        database = storage.database
        self._duration = settings["sync15.token_duration"]
        self._secret_file = settings["sync15.secret_file"]
        self.public_url = settings["sync15.public_url"]
        self.members = Members(
            database,
            create_tables,
            Admission(settings["sync15.allow_new_users"]),
            self.public_url,
        )
        self.keys = Jwks(database, settings["sync15.jwks_url"])
        self.limits = Limits(
            **{field.name: settings["sync15." + field.name] for field in fields(Limits)}
        )
        self.storage = storage.under(self.limits.rules, forget_batches)

    @cached_property
    def secrets(self):
        return read_secrets(self._secret_file)

    def check(self):
        """ConfigError where a server would not start with these settings."""
        return self.secrets

    def add_routes(self, app, errors):
        """errors: the http.Errors of app."""
        tokens = token_api.Tokens(
            self.members, self.keys, self.secrets, self.public_url, self._duration
        )
        token_api.add_routes(app, errors, tokens)
        authenticator = HawkAuthenticator(self.secrets, self.public_url, is_current)
        storage15_api.add_routes(app, errors, self.storage, authenticator, self.limits)
        Echo(self.secrets, self.public_url, self.limits.max_request_bytes).install(app)
