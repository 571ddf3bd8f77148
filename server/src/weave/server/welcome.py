# SPDX-License-Identifier: Apache-2.0
"""The page for people who open the server's URL in a browser."""

import re
from html import escape

from weave.server import clients, http
from weave.server.version import VERSION

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Sync server</title>
<style>
:root { color-scheme: light dark; --text: #222; --back: #f4f4f2; --main: #fff;
        --line: #ddd; --code: #eef1f4; --link: #0645ad; --foot: #666; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --back: #17181a; --main: #212327; --line: #3c4046;
          --code: #32363c; --link: #8ab4f8; --foot: #a0a4aa; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
       max-width: 42em; margin: 0 auto; padding: 2em 1em; }
main { background: var(--main); border: 1px solid var(--line); border-radius: 6px;
       padding: 1em 2em; }
h1 { font-size: 1.6em; margin-bottom: 0; }
h2 { font-size: 1.15em; margin-top: 1.6em; }
h3 { font-size: 1em; margin-bottom: 0; }
code { background: var(--code); border-radius: 3px; padding: .15em .4em; font-size: .875em;
       overflow-wrap: anywhere; user-select: all; }
a { color: var(--link); }
footer { color: var(--foot); font-size: .9em; margin: 1em 0 0 2em; }
@media (max-width: 30em) {
  body { padding: .5em; }
  main { padding: .5em 1em; }
  ol { padding-left: 1.5em; }
  footer { margin-left: 1em; }
}
</style>
</head>
<body>
<main>
<h1>This is a Sync server</h1>
<p>It keeps bookmarks, passwords and open tabs of your browsers the same, for {for}
Browsers encrypt what they store here: the server cannot read it.</p>
{firefox}<h2>{others}</h2>
<ol>
<li>Open <code>about:config</code>.</li>
<li>Set <code>services.sync.serverURL</code> to <code>{url}</code>, with the slash at
its end.</li>
<li>Set up Sync as usual, in the menu or the preferences. {sign_up}</li>
<li>On each further device, set the same URL before you pair it.</li>
</ol>
<p>Keep the recovery key: nobody can read the data without it.</p>
{no_firefox}</main>
<footer>{footer}</footer>
</body>
</html>
"""
_OPEN = "Anybody may make an account."
_CLOSED = "New accounts are not made here; the old ones go on."
_OTHERS = "Pale&nbsp;Moon, Basilisk and others that speak Firefox Sync&nbsp;1.1."
_NO_FIREFOX = """<h2>Today's Firefox</h2>
<p>It speaks another protocol, Sync&nbsp;1.5 with a Mozilla account, and cannot use this
server.</p>
"""


def _firefox(base, admission):
    """The setup of today's Firefox, as HTML."""
    parts = ["<h2>Today's Firefox</h2>\n"]
    for name, steps in clients.setups(base):
        items = "".join("<li>%s</li>\n" % _marked(step) for step in steps)
        parts.append("<h3>%s</h3>\n<ol>\n%s</ol>\n" % (escape(name), items))
    for text in (clients.ADMISSION[admission], clients.MOZILLA, clients.PHONES):
        parts.append("<p>%s</p>\n" % escape(text))
    return "".join(parts)


def _marked(step):
    """The HTML of a step; text between backticks becomes <code>."""
    texts = escape(step).split("`")
    texts[1::2] = ["<code>%s</code>" % text for text in texts[1::2]]
    return "".join(texts)


class Welcome:
    """The page at /: how a browser is set up. It has versions where they are no secret."""

    def __init__(self, settings):
        self._settings = settings

    def _footer(self, root):
        pages = [self._settings["global.heartbeat_page"]]
        text = "weave.server"
        if self._settings["global.debug_page"]:
            pages.append(self._settings["global.debug_page"])
            text += " " + VERSION
        links = [
            '<a href="%s/%s">/%s</a>' % (escape(root), page, page)
            for page in map(escape, pages)
        ]
        return text + " &middot; " + " &middot; ".join(links)

    def _of_firefox(self, site):
        """{mark: HTML} of the parts that depend on whether Sync 1.5 is served."""
        if not self._settings["sync15.secret_file"]:
            return {
                "for": _OTHERS,
                "firefox": "",
                "others": "Setting up a browser",
                "no_firefox": _NO_FIREFOX,
            }
        base = self._settings["sync15.public_url"] or site
        return {
            "for": "today's Firefox, and for " + _OTHERS,
            "firefox": _firefox(base, self._settings["sync15.allow_new_users"]),
            "others": "Pale&nbsp;Moon and Basilisk",
            "no_firefox": "",
        }

    def on_get(self, req, resp):
        site = http.site_url(req)
        url = self._settings["nodes.fallback_node"] or site
        open_to_all = self._settings["auth.allow_new_users"]
        parts = {
            **self._of_firefox(site),
            "url": escape(url),
            "sign_up": _OPEN if open_to_all else _CLOSED,
            "footer": self._footer(req.root_path.rstrip("/")),
        }
        # In one step: marks in the Host header are text.
        page = re.sub(r"\{(\w+)\}", lambda mark: parts[mark.group(1)], _PAGE)
        resp.content_type = "text/html; charset=utf-8"
        resp.set_header("X-Frame-Options", "DENY")
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.set_header(
            "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"
        )
        resp.data = page.encode("utf-8")
