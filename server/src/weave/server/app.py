# SPDX-License-Identifier: Apache-2.0
"""The application: settings in, WSGI callable out."""

import logging
import time

import falcon
from sqlalchemy.exc import SQLAlchemyError

from weave.server import health, http, off15, storage_api, user_api
from weave.server.accounts import Accounts
from weave.server.authenticator import Authenticator
from weave.server.cures import told
from weave.server.database import Database
from weave.server.logins import Logins
from weave.server.passwords import Passwords
from weave.server.refusals import Refusals
from weave.server.settings import load
from weave.server.storage import Storage
from weave.server.stream import Feeder
from weave.server.welcome import Welcome

log = logging.getLogger(__name__)

# How long a process that ends waits for others that use the same SQLite files.
# mod_weave gives Python 3 seconds for its end.
END_SECONDS = 2


class Databases:
    """One Database for each URL, whoever asks for it."""

    def __init__(self):
        self._by_url = {}

    def __iter__(self):
        return iter(self._by_url.values())

    def open(self, url, pool):
        if url not in self._by_url:
            self._by_url[url] = Database(url, pool)
        return self._by_url[url]

    def prepare(self):
        """Makes or checks all tables.

        A database that is away may come back: its tables are looked at again
        with each request until then. What an administrator has to mend is an
        error now (ConfigError).
        """
        for database in self:
            try:
                database.prepare()
            except SQLAlchemyError as error:
                log.error(told(error, " yet"))
            # A process that is forked from this one must not inherit them.
            database.close()

    def end(self):
        """Closes them at the end of the process, in END_SECONDS for all of them."""
        until = time.monotonic() + END_SECONDS
        for database in self:
            database.end(until)


class Site:
    """Accounts and storage as the settings want them.

    create_tables, unless None, stands in for what the settings say.
    """

    def __init__(self, settings, databases, passwords, create_tables=None):
        def creates(section):
            if create_tables is not None:
                return create_tables
            return settings[section + ".create_tables"]

        self.settings = settings
        self.passwords = passwords
        self.storage_database = databases.open(
            settings["storage.sqluri"], settings.pool("storage")
        )
        self.auth_database = databases.open(
            settings["auth.sqluri"], settings.pool("auth")
        )
        self.storage = Storage(
            self.storage_database,
            creates("storage"),
            settings["storage.standard_collections"],
            settings["storage.quota_size"] if settings["storage.use_quota"] else None,
        )
        self.accounts = Accounts(self.auth_database, creates("auth"))
        self.logins = Logins(self.auth_database, creates("auth"))
        # The Sync15 that serves today's Firefox, or None.
        self.sync15 = None
        if settings["sync15.secret_file"]:
            from weave.server.sync15 import Sync15

            self.sync15 = Sync15(settings, self.storage, creates("storage"))


def make_app(site):
    """The falcon.App of one Site."""
    settings = site.settings
    app = falcon.App(middleware=[http.Stamps(), Refusals()])
    app.req_options.strip_url_path_trailing_slash = True
    errors = http.Errors(settings["global.retry_after"])
    errors.install(app)
    authenticator = Authenticator(
        site.accounts, site.passwords, site.logins, site.storage_database
    )
    storage_api.add_routes(
        app,
        site.storage,
        authenticator,
        settings["storage.batch_max_count"],
        settings["storage.batch_max_bytes"],
    )
    user_api.add_routes(app, site.accounts, authenticator, site.storage, settings)
    if site.sync15:
        site.sync15.add_routes(app, errors)
    else:
        off15.add_routes(app, settings["global.retry_after"])
    if settings["global.welcome_page"]:
        app.add_route("/", Welcome(settings))
    # Of one path the last has it: `heartbeat_page = /` is for a load balancer.
    heartbeat = health.Heartbeat(site.storage.ping, site.accounts.ping)
    app.add_route("/" + settings["global.heartbeat_page"], heartbeat)
    app.add_route("/__lbheartbeat__", health.LoadBalancerHeartbeat())
    if settings["global.debug_page"]:
        databases = {"storage": site.storage_database, "auth": site.auth_database}
        app.add_route("/" + settings["global.debug_page"], health.Debug(databases))
    return app


class Hosts:
    """Gives each request to the application of its Host."""

    def __init__(self, default, by_host):
        self._default = default
        self._by_host = by_host

    def __call__(self, environ, start_response):
        host = environ.get("HTTP_HOST", "").lower()
        return self._by_host.get(host, self._default)(environ, start_response)


def create_application(path, databases=None):
    """The WSGI application that a sync.ini describes; ConfigError.

    databases, when given, is where it opens its databases.
    """
    settings, hosts = load(path)
    databases, passwords = databases or Databases(), Passwords()

    def make(settings):
        return make_app(Site(settings, databases, passwords))

    default = make(settings)
    by_host = {host: make(own) for host, own in hosts.items()}
    databases.prepare()
    return Feeder(Hosts(default, by_host) if by_host else default)
