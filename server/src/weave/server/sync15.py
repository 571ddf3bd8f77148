# SPDX-License-Identifier: Apache-2.0
"""Sync 1.5 of one site: its parts, made as the settings want them.

This module is imported where [sync15] has a secret_file, and only there.
"""

from weave.server import token_api
from weave.server.admission import Admission
from weave.server.hawk_authenticator import HawkAuthenticator
from weave.server.jwks import Jwks
from weave.server.members import Members, is_current
from weave.server.secret_file import read_secrets


class Sync15:
    """Members, keys and tokens. ConfigError where the file of the secrets is wrong."""

    def __init__(self, settings, database, create_tables):
        self.settings = settings
        self.secrets = read_secrets(settings["sync15.secret_file"])
        self.public_url = settings["sync15.public_url"]
        self.members = Members(
            database,
            create_tables,
            Admission(settings["sync15.allow_new_users"]),
            self.public_url,
        )
        self.keys = Jwks(database, settings["sync15.jwks_url"])
        self.authenticator = HawkAuthenticator(
            self.secrets, self.public_url, is_current
        )

    def add_routes(self, app):
        duration = self.settings["sync15.token_duration"]
        tokens = token_api.Tokens(
            self.members, self.keys, self.secrets, self.public_url, duration
        )
        token_api.add_routes(app, tokens)
