# SPDX-License-Identifier: Apache-2.0
"""The keys of Mozilla's servers: server-full (Sync 1.1) and syncserver (1.5), and their parts.

Guides for such servers have configuration files that name all of them. Here a
key of the same meaning is taken over under its name here (ALIASES), and one that
would change nothing is left alone (IDLE, IDLE_SECTIONS). Of some, the value
decides (JUDGED): what this server does not have, and people would miss, is
refused. Whoever checks the file is told all of it.
"""

_CAPTCHA = "there are no captchas here"
_MAIL = "no mail is sent: `weave-server set-password` sets a password"
_CACHE = "there is no memcached here: all records are in storage.sqluri"
_LDAP = "accounts are in auth.sqluri, not in LDAP"
_END = "mod_weave lets requests finish before it ends a process"
_ELSEWHERE = "no other server is asked about accounts"
_ONE_NODE = "this server is the node of all accounts"
_SECRET = "the file of sync15.secret_file has the secrets: Firefox fetches new tokens by itself"
_NO_BROWSERID = "Firefox signs in with OAuth tokens, and nobody with BrowserID any more"
_ORDERED = "lists are ordered by time or id in any case"

# key there: key here
ALIASES = {
    "auth.fallback_node": "nodes.fallback_node",
    "storage.pool_overflow": "storage.pool_max_overflow",
    "storage.max_request_bytes": "sync15.max_request_bytes",
    "storage.max_post_records": "sync15.max_post_records",
    "storage.max_post_bytes": "sync15.max_post_bytes",
    "storage.max_total_records": "sync15.max_total_records",
    "storage.max_total_bytes": "sync15.max_total_bytes",
    "storage.max_record_payload_bytes": "sync15.max_record_payload_bytes",
    "syncserver.public_url": "sync15.public_url",
    "syncserver.sqluri": "storage.sqluri",
    "syncserver.allow_new_users": "sync15.allow_new_users",
}

# key: why it does nothing here
IDLE = {
    "global.clean_shutdown": _END,
    "global.graceful_shutdown_interval": _END,
    "global.hard_shutdown_interval": _END,
    "global.shared_secret": _CAPTCHA,
    "captcha.public_key": _CAPTCHA,
    "captcha.private_key": _CAPTCHA,
    "captcha.use_ssl": _CAPTCHA,
    "storage.display_config": "the configuration is never shown to clients",
    "storage.batch_size": "a POST is written in one transaction",
    "storage.cache_servers": _CACHE,
    "storage.memcached_json": _CACHE,
    "storage.cache_key_prefix": _CACHE,
    "storage.cached_collections": _CACHE,
    "storage.cache_only_collections": _CACHE,
    "storage.batch_upload_enabled": "batches are always taken",
    "storage.force_consistent_sort_order": _ORDERED,
    "storage.check_node_status": "`weavectl maintenance` does that",
    "storage.no_pool": "pool_size and pool_recycle say what is kept open",
    "storage.shard": "one table holds all records",
    "storage.shardsize": "one table holds all records",
    "auth.no_pool": "pool_size and pool_recycle say what is kept open",
    "auth.check_account_state": "accounts are there or deleted, nothing else",
    "auth.check_node": _ONE_NODE,
    "auth.cache_servers": "logins are remembered in auth.sqluri, not in memcached",
    "auth.cache_timeout": _ELSEWHERE,
    "auth.cache.type": "logins are remembered in auth.sqluri",
    "auth.cache.data_dir": "logins are remembered in auth.sqluri",
    "auth.cache.lock": "logins are remembered in auth.sqluri",
    "auth.proxy_scheme": _ELSEWHERE,
    "auth.proxy_location": _ELSEWHERE,
    "auth.proxy_timeout": _ELSEWHERE,
    "auth.sreg_location": _ELSEWHERE,
    "auth.sreg_path": _ELSEWHERE,
    "auth.sreg_scheme": _ELSEWHERE,
    "auth.whoami_uri": _ELSEWHERE,
    "auth.ldapuri": _LDAP,
    "auth.ldap_timeout": _LDAP,
    "auth.ldaptimeout": _LDAP,
    "auth.ldap_use_pool": _LDAP,
    "auth.ldap_pool_size": _LDAP,
    "auth.use_tls": _LDAP,
    "auth.bind": _LDAP,
    "auth.passwd": _LDAP,
    "auth.additional": _LDAP,
    "auth.bind_user": _LDAP,
    "auth.bind_password": _LDAP,
    "auth.admin_user": _LDAP,
    "auth.admin_password": _LDAP,
    "auth.users_root": _LDAP,
    "nodes.backend": _ONE_NODE,
    "nodes.sqluri": _ONE_NODE,
    "nodes.create_tables": _ONE_NODE,
    "nodes.pool_size": _ONE_NODE,
    "nodes.pool_recycle": _ONE_NODE,
    "smtp.host": _MAIL,
    "smtp.port": _MAIL,
    "smtp.sender": _MAIL,
    "smtp.user": _MAIL,
    "smtp.username": _MAIL,
    "smtp.password": _MAIL,
    "syncserver.secret": _SECRET,
    "syncserver.force_wsgi_environ": "signatures are checked with sync15.public_url, "
    "whatever a proxy changes",
    "syncserver.browserid_verifier": _NO_BROWSERID,
}

# section: why nothing in it does anything here
_METRICS = "nothing is sent to a metrics server"
_PASTE = "httpd serves the application and has its log, not Paste"
IDLE_SECTIONS = {
    "cef": "sign-ups, logins and refusals are in httpd's logs, not in a CEF log",
    "reset_codes": _MAIL,
    "tokenserver": "tokens are made for this server alone, by the keys of [sync15]",
    "hawkauth": _SECRET,
    "endpoints": _ONE_NODE,
    "browserid": _NO_BROWSERID,
    "powerhose": _NO_BROWSERID,
    "app": _METRICS,
    "metlog": _METRICS,
    "metlog_loader": _METRICS,
    "heka": _METRICS,
    "heka_loader": _METRICS,
    "server:main": _PASTE,
    "app:main": _PASTE,
    "loggers": _PASTE,
    "handlers": _PASTE,
    "formatters": _PASTE,
}


def _class_name(value):
    """The last part of a dotted name, in small letters."""
    return str(value).rsplit(".", 1)[-1].lower()


def _storage_backend(value):
    name = _class_name(value)
    if name in ("sql", "sqlstorage"):
        return None, "records are in an SQL database in any case"
    if name in ("memcached", "memcachedsqlstorage", "redisqlstorage"):
        return None, "the SQL database of storage.sqluri has all records, no cache"
    return "records are in the SQL database of storage.sqluri: remove this key", None


def _auth_backend(value):
    name = _class_name(value)
    if name in ("sql", "sqlauth", "sqluser"):
        return None, "accounts are in an SQL database in any case"
    if "ldap" in name:
        what = "LDAP is not supported"
    elif "sreg" in name or "proxy" in name:
        what = "no other server is asked about accounts"
    else:
        what = "this backend is not supported"
    return (
        what + ": accounts are in the SQL database of auth.sqluri. Remove this "
        "key; people sign up again, or accounts are made with "
        "PUT /user/1.0/NAME",
        None,
    )


def _identity_provider(value):
    if str(value).rstrip("/") == "https://accounts.firefox.com":
        return None, "accounts are Mozilla's in any case"
    return (
        "name the keys of that account server in sync15.jwks_url, and remove this key",
        None,
    )


def _refused_when_true(error):
    def judge(value):
        if value is False:
            return None, "it is so in any case"
        return error, None

    return judge


# key: a function of its value, which returns (what is wrong, None) or (None, why
# it does nothing)
JUDGED = {
    "storage.backend": _storage_backend,
    "auth.backend": _auth_backend,
    "auth.proxy": _refused_when_true(
        "no other server is asked about accounts: remove this key, and the "
        "accounts are in auth.sqluri"
    ),
    "syncserver.identity_provider": _identity_provider,
    "captcha.use": _refused_when_true(
        "captchas are not supported: set `use = false`. `allow_new_users = "
        "false` in [auth] ends all sign-ups"
    ),
}
