# SPDX-License-Identifier: Apache-2.0
"""The settings that people type into today's Firefox, so that it syncs with this server.

weavectl, `weave-server init` and the page at / show the same text. It has to be exact: a
missing slash is the mistake that people search for longest. This module needs nothing but
Python: the Makefile copies it for weavectl.
"""

import re
import textwrap
from urllib.parse import urlsplit

PREFERENCE = "identity.sync.tokenserver.uri"

# The path of the token server, below the URL of the server. The desktop uses its preference
# as it is; the phones cut a slash at the end, and append this path where it is missing.
TOKEN_PATH = "1.0/sync/1.5"

# Stands for a URL that is not known.
UNKNOWN = "https://HOST/"

# (browser, steps). Text in backticks is typed or looked for; {token} and {base} are URLs.
SETUPS = (
    (
        "Firefox on the desktop",
        (
            "Where it is signed in already, sign out.",
            "Open `about:config`.",
            "Set `%s` to `{token}`" % PREFERENCE,
            "Sign in with a Mozilla account, in the menu under Sync. Signing out sets the "
            "preference back: set it again before you sign in again.",
        ),
    ),
    (
        "Firefox for Android",
        (
            "Where it is signed in already, sign out.",
            "In Settings, About Firefox, tap the logo five times.",
            "Back in Settings, under Sync Debug, set Custom Sync server to `{token}`",
            "Start Firefox again, and sign in.",
        ),
    ),
    (
        "Firefox for iOS",
        (
            "Where it is signed in already, sign out.",
            "In Settings, tap the version five times or more.",
            "In Advanced Sync Settings, near the top, use a custom token server: `{base}`",
            "Sign in.",
        ),
    ),
)

MOZILLA = (
    "Accounts are Mozilla's: it sees that you sign in, and sends notices between your "
    "devices. What you sync is here, encrypted by the browser."
)
PHONES = "Phones want https, with a certificate that they trust."

# {value of sync15.allow_new_users: the sentence that says who may begin to use the server}
ADMISSION = {
    "first": "The first Mozilla account that comes may use this server; its administrator "
    "lets others in.",
    "true": "Everybody with a Mozilla account may use this server.",
    "false": "Those who use this server go on; its administrator lets others in.",
}
_OLD = "Pale Moon, Basilisk and others that speak Sync 1.1"

# The name of RFC 6761, section 6.3, and the loopback addresses of RFC 6890.
_LOOPBACK = re.compile(r"localhost|::1|127(\.[0-9]{1,3}){1,3}", re.ASCII)


def http_url(text):
    """The text, which is an http or https URL without a query; ValueError where it is not."""
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or parts.query or parts.fragment or not text.isprintable() or " " in text:
        raise ValueError("must be a URL such as https://sync.example.org/")
    return text


def node_url(text):
    """The URL of a server with a slash at its end; ValueError where it is none."""
    url = http_url(text if "://" in text else "https://" + text).rstrip("/")
    if url.endswith(TOKEN_PATH):
        raise ValueError("must be the URL of the server alone, without " + TOKEN_PATH)
    return url + "/"


def is_this_machine(url):
    """Whether only programs on the server's own machine reach the URL; False for None."""
    host = urlsplit(url).hostname if url else None
    return bool(host and _LOOPBACK.fullmatch(host))


def token_url(base):
    """The URL to which the desktop's preference is set."""
    return base.rstrip("/") + "/" + TOKEN_PATH


def setups(base):
    """[(browser, [step])] for the server with the URL base, or None where it is not known."""
    base = base or UNKNOWN
    return [
        (name, [_filled(step, base) for step in steps]) for name, steps in SETUPS
    ]


def _filled(step, base):
    return step.replace("{token}", token_url(base)).replace("{base}", base.rstrip("/"))


def text(base, admission):
    """All setups as lines for a terminal; admission is the value of sync15.allow_new_users."""
    lines = []
    for name, steps in setups(base):
        lines.append(name + ":")
        for number, step in enumerate(steps, 1):
            lines.append("    %d. %s" % (number, step.replace("`", "")))
    url = (base or UNKNOWN).rstrip("/") + "/"
    lines += [_OLD + ":", "    Set services.sync.serverURL to " + url]
    notes = [ADMISSION.get(admission, ""), MOZILLA, PHONES]
    if not base:
        notes.append(
            "HOST stands for the name of this server, with its port and path where it "
            "has them. The page at / has the same with the right URL."
        )
    return lines + textwrap.wrap(" ".join(filter(None, notes)), 76)
