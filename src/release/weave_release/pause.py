# SPDX-License-Identifier: Apache-2.0
"""What the broker does for an install in place: maintenance on and off, and new workers.

Both are commands of weavectl itself. A maintenance of ours is known by its message, in the
state file, which is root's: nothing that inner says can end one that somebody else has set.
"""

import json
import os
import time

from . import httpd, weaved
from .errors import ReleaseError
from .weaved import ABSENT, EMBEDDED, FAILED, STOPPED

MESSAGE = "A new version is being installed."
POLL_SECONDS = 0.2
STATE_FILE = "maintenance.json"
STATE_MOST = 1 << 20
QUIET_POLLS = 2     # a request may be between httpd and its worker
LAST_LINES = 10


def call_maintenance(broker, request):
    """{"mode": "look"|"on"|"drain"|"off"|"wait", "wait_s": 600, "restore": {...}|None}"""
    modes = {"look": look, "on": switch_on, "drain": switch_on, "off": switch_off,
             "wait": idle_wait}
    mode = request.get("mode")
    if mode not in modes:
        raise ReleaseError("%r is no mode of maintenance" % mode)
    return modes[mode](broker, request)


def call_reload(broker, request):
    """New workers; it returns when they serve. {"generation": 8} or {"graceful": True}"""
    node = weaved.node_get(broker)
    if node.kind in (EMBEDDED, FAILED):
        return httpd.graceful(broker, node)
    weavectl_run(broker, "the new workers do not serve", "reload", broker.options.ini)
    return {"generation": weaved.node_get(broker).app.get("generation")}


# ---- the commands ----

def weavectl_run(broker, what, *words):
    """Runs a command of weavectl. ReleaseError when it fails: `what`, and the reason it gives."""
    status, output, problem = weaved.weavectl_run(broker, *words)
    if status != 0:
        lines = [line for line in (problem + "\n" + output).splitlines() if line.strip()]
        raise ReleaseError("%s: %s" % (what, lines[0] if lines else "weavectl has failed"),
                           lines=lines[1:LAST_LINES])


def setting_own(broker, node):
    """What weavectl has set for this application alone and is not over, or None.

    It is in the state file, whether httpd runs or not.
    """
    path = os.path.join(node.state_dir, STATE_FILE)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            said = json.loads(file.read(STATE_MOST).decode())
    except (OSError, ValueError):
        return None
    now_us = time.time() * 1000000
    for entry in said.get("entries") or []:
        if entry.get("ini") == broker.options.ini and (
                not entry.get("until_us") or entry["until_us"] > now_us):
            return entry
    return None


def is_ours(setting):
    return bool(setting) and setting.get("message") == MESSAGE


# ---- the modes ----

def look(broker, request):
    """Whether httpd runs and has the application, and what is set for it.

    "before" is what our maintenance would replace and is to be set again, "other" says who
    has set one that stays as it is.
    """
    node = weaved.node_get(broker)
    own = setting_own(broker, node)
    mode = mode_of(node)
    found = {
        "httpd": node.kind not in (STOPPED, ABSENT), "embedded": node.kind == EMBEDDED,
        "has_served": node.kind == EMBEDDED or bool(node.app.get("generation")),
        "outdated": node.app.get("outdated"), "is_ours": is_ours(own), "other": "",
        "before": None}
    if not own or is_ours(own):
        return found
    if own.get("mode") == "backoff":
        found["before"] = own
    elif own.get("mode") == "on" or mode in (None, "on"):
        found["other"] = own.get("by") or "somebody else"
    else:
        raise ReleaseError(
            "%s has set maintenance %s for %s, which is not on yet"
            % (own.get("by") or "somebody", own.get("mode"), broker.options.ini),
            "wait until it is on, or end it: weavectl maintenance off -i %s" % broker.options.ini)
    return found


def mode_of(node):
    """The maintenance that is in force; None: not known."""
    return (node.app.get("maintenance") or {}).get("mode")


def switch_on(broker, request):
    """Maintenance on, and nothing in Python any more.

    Where the time for what is in Python is over, that is an error, and it is on.
    """
    words = ["maintenance", request["mode"], broker.options.ini, "--message", MESSAGE]
    if request.get("wait_s"):
        words += ["--wait", "%ds" % int(request["wait_s"])]
    weavectl_run(broker, "maintenance", *words)
    return {}


def switch_off(broker, request):
    """Ends our maintenance, and no other. {"left": what holds now, a sentence, or ""}"""
    own = setting_own(broker, weaved.node_get(broker))
    if not is_ours(own):
        return {"left": "maintenance %s of %s stays" % (own.get("mode"), own.get("by"))
                if own else ""}
    words = restore_words(request.get("restore"))
    if words:
        status = weaved.weavectl_run(broker, "maintenance", words[0], broker.options.ini,
                                     *words[1:])[0]
        if status == 0:
            return {"left": "maintenance %s is in force again, as before" % words[0]}
    # its status is 1 as well where something else still holds
    problem = weaved.weavectl_run(broker, "maintenance", "off", broker.options.ini)[2]
    node = weaved.node_get(broker)
    if is_ours(setting_own(broker, node)):
        raise ReleaseError("maintenance: %s" % problem)
    mode = mode_of(node)
    return {"left": "" if mode in (None, "off") else
            "maintenance %s, which somebody else has set, stays" % mode}


def restore_words(before):
    """The words of `weavectl maintenance` for a backoff that was set before ours, or [].

    weavectl itself looks at what they say, which has been in the hands of inner.
    """
    if not isinstance(before, dict) or before.get("mode") != "backoff":
        return []
    words = ["backoff"]
    until, retry = before.get("until_us"), before.get("retry_after_s")
    if isinstance(until, int) and until:
        seconds = until // 1000000 - int(time.time())
        if seconds < 1:
            return []
        words += ["--for", "%ds" % seconds]
    if isinstance(retry, int) and retry:
        words += ["--retry-after", str(retry)]
    return words


def idle_wait(broker, request):
    """Waits until nothing is in Python any more, under a maintenance of somebody else's."""
    until = time.monotonic() + int(request.get("wait_s") or 0)
    quiet = 0
    while quiet < QUIET_POLLS:
        count = requests_count(weaved.node_get(broker).app)
        quiet = quiet + 1 if count == 0 else 0
        if count and time.monotonic() > until:
            raise ReleaseError("the time is over, and %d requests are still in Python" % count)
        time.sleep(POLL_SECONDS)
    return {}


def requests_count(app):
    count = app.get("running") or 0     # of an embedded application
    for generation in app.get("generations") or []:
        for worker in generation.get("workers") or []:
            count += (worker.get("running") or 0) + (worker.get("queued") or 0)
    return count
