# SPDX-License-Identifier: Apache-2.0
"""Checks the keys of [sync15] against each other, and against those of other sections."""

import os
from urllib.parse import urlsplit

from weave.server.clients import is_this_machine
from weave.server.config import ERROR, NOTICE, ConfigError

# A body has ids, names and commas beside its payloads. Browsers leave that much room for
# them below the longest body.
ROOM_BYTES = 4096

# (the smaller key, the larger one, by how much)
_ORDER = (
    ("max_record_payload_bytes", "max_post_bytes", 0),
    ("max_post_bytes", "max_request_bytes", ROOM_BYTES),
)

# The default of release.home; it counts where the virtualenv is below it.
_USUAL_HOME = "/var/sync"


def problems(settings, config):
    """Yields (severity, key, what is wrong and the cure); config is the file as it was read."""
    if settings.is_set("sync15.public_url"):
        yield from _public_url(settings["sync15.public_url"])
    url = settings["sync15.jwks_url"]
    if urlsplit(url).scheme == "http" and not is_this_machine(url):
        yield ERROR, "sync15.jwks_url", (
            "must begin with https, since whoever changes these keys on their way can "
            "be any user"
        )
    path = settings["sync15.secret_file"]
    if path is None:
        if "syncserver" in config.sections():
            yield ERROR, "sync15.secret_file", (
                "is missing: [syncserver] is of a server for Sync 1.5. `weave-server init`, "
                "or under mod_weave `weavectl init`, makes the file and shows the lines"
            )
        return
    yield from _limits(settings)
    home = _release_home(config)
    if home and _is_below(path, home):
        yield ERROR, "sync15.secret_file", (
            "is in %s, where releases are made and removed: move the file beside the "
            "sync.ini, and name it here" % home
        )


def _public_url(url):
    if is_this_machine(url):
        yield NOTICE, "sync15.public_url", (
            "only browsers on this machine reach localhost: name the URL that all "
            "browsers use"
        )
    elif urlsplit(url).scheme == "http":
        yield NOTICE, "sync15.public_url", (
            "phones refuse http://, and whoever listens on the way can use the token of a "
            "browser: give the web server a certificate, and write https:// here"
        )


def host_problems(host, settings, common):
    """The same of the settings of one host; common are those of all others."""
    url = settings["sync15.public_url"]
    if (
        settings["sync15.secret_file"]
        and url is not None
        and url == common["sync15.public_url"]
        and urlsplit(url).netloc.lower() != host
        and settings["storage.sqluri"] != common["storage.sqluri"]
    ):
        yield NOTICE, "storage.sqluri", (
            "browsers that come to %s for a token would be sent to %s, which has another "
            "database and does not know them: set sync15.public_url in [host:%s]"
            % (host, url, host)
        )


def _limits(settings):
    for name, other, room in _ORDER:
        value, most = settings["sync15." + name], settings["sync15." + other] - room
        if value <= most:
            continue
        # the one that is set is the one to mend; the other may be the default
        key = "sync15." + (name if settings.is_set("sync15." + name) else other)
        less = " less %d" % room if room else ""
        yield ERROR, key, (
            "%s (%d) must not be more than %s (%d)%s, since browsers would send what is "
            "refused then: set %s = %d, or raise %s"
            % (name, value, other, most + room, less, name, most, other)
        )


def _release_home(config):
    """The folder of releases, or None where mod_weave makes none."""
    entry = config.find("release", "home")
    try:
        if entry:
            return str(entry.value(typed=False))
        virtualenv = config.find("wsgi", "virtualenv")
        if virtualenv and _is_below(str(virtualenv.value(typed=False)), _USUAL_HOME):
            return _USUAL_HOME
    except ConfigError:
        pass  # a variable in it is not set, which mod_weave reports
    return None


def _is_below(path, folder):
    path, folder = os.path.realpath(path), os.path.realpath(folder)
    return os.path.commonpath((path, folder)) == folder
