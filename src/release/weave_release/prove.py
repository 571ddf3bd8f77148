# SPDX-License-Identifier: Apache-2.0
"""A release comes up before it serves, and takes over when `current` leads to it.

Where an httpd has the application in worker processes, its weaved holds a candidate from
the proof to the switch. Otherwise a weaved of its own starts a worker for the proof alone
(`weavectl prove`), as the user that the application would run as.
"""

import json
import os
import re
import select
import signal
import subprocess
import time

from . import httpd, weaved
from .errors import ReleaseError
from .weaved import ABSENT, EMBEDDED, FAILED, STOPPED, WORKERS

STARTUP_SECONDS = 60   # limits.startup_timeout by default
SLACK_SECONDS = 60
POLL_SECONDS = 0.2
LINES = 10
OUTPUT_BYTES = 256 * 1024
_PREFIX = re.compile(r"^\[[^]]*\] \[weave:\w+\] \[pid [^]]*\] ")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400}


class Proof:
    """What the broker remembers from call_prove: how, and the connection that holds it."""

    def __init__(self, how, control=None, generation=0):
        self.how = how
        self.control = control
        self.generation = generation

    def close(self):
        if self.control is not None:
            self.control.close()
            self.control = None


def startup_seconds(broker):
    """limits.startup_timeout."""
    found = re.match(r"(\d+) ?([a-z]+)", broker.keys.get("limits.startup_timeout", ""))
    if not found or found.group(2) not in _UNITS:
        return STARTUP_SECONDS
    return int(found.group(1)) * _UNITS[found.group(2)]


def _warmup_text(status, milliseconds):
    return "%d in %d ms" % (status, milliseconds) if status else ""


def call_prove(broker, request):
    """Starts the release beside what serves. ReleaseError: why it does not come up."""
    path = broker.release_path(request)
    call_drop(broker, request)
    node = _node_await(broker)
    httpd.refuse_writer(broker, httpd.user_of(broker, node))
    if node.kind == WORKERS:
        return _prove_in_weaved(broker, path, node)
    answer = _prove_alone(broker, path, node)
    broker.state["proof"] = Proof("alone")
    return {"how": "alone", "generation": 0, "ms": answer.get("ms", 0),
            "warmup": _warmup_text(answer.get("warmup_status"), answer.get("warmup_ms"))}


def _failed(path, why, hint="", lines=()):
    return ReleaseError("%s does not come up: %s" % (os.path.basename(path), why), hint, lines)


def _prove_in_weaved(broker, path, node):
    control = weaved.again(lambda: weaved.Control(broker))
    seconds = startup_seconds(broker) + SLACK_SECONDS
    try:
        answer = control.ask("candidate", seconds, app=broker.options.ini,
                             link=os.path.join(broker.home, "current"), leads_to=path)
        if not answer["proven"]:
            _generation_await(broker, answer["generation"], seconds)
    except ReleaseError as error:
        control.close()
        log = node.error_log
        raise _failed(path, error.message, "more is in %s" % log if log else "") from error
    except BaseException:
        control.close()
        raise
    broker.state["proof"] = Proof("weaved", control, answer["generation"])
    return {"how": "weaved", "generation": answer["generation"], "ms": answer["ms"],
            "warmup": _warmup_text(answer["warmup_status"], answer["warmup_ms"])}


def _generation_await(broker, number, seconds):
    """Waits for a candidate that httpd wants by now, because `current` led there before."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        node = weaved.node_get(broker)
        if node.app.get("generation") == number:
            return
        if number not in [generation["number"] for generation in node.generations()]:
            raise ReleaseError(node.app.get("last_error") or "it was given up")
        time.sleep(POLL_SECONDS)
    raise ReleaseError("it does not come up in time")


# ---- alone ----


def _prove_alone(broker, path, node):
    """Has `weavectl prove` start a worker. Returns its answer."""
    user = httpd.user_of(broker, node)
    command = [broker.weavectl, "prove", "-i", broker.options.ini, "--release", path]
    if user is not None:
        command += ["--user", user.name] + (["--group", user.group_name] if user.group_name else [])
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=httpd.environment_of(node),
                               start_new_session=True)
    output, log = _output_read(broker, process, startup_seconds(broker) + 2 * SLACK_SECONDS)
    lines = _own_lines(log)[-LINES:]
    try:
        answer = json.loads(output)
    except ValueError:
        raise _failed(path, "weavectl prove has ended with %s" % process.returncode,
                      lines=lines) from None
    if process.returncode != 0:
        raise _failed(path, answer.get("error"), lines=lines)
    return answer


def _own_lines(log):
    """What the application has logged, without what httpd's log has in front of each line."""
    lines = [_PREFIX.sub("", line) for line in log.splitlines() if "[weave:info]" not in line]
    return [line for line in lines if not line.startswith(("WEAVE0080", "WEAVE0083"))]


def _output_read(broker, process, seconds):
    """What PROCESS prints, its log bounded, until it ends, or is told to."""
    until = time.monotonic() + seconds
    out, err = process.stdout.fileno(), process.stderr.fileno()
    texts = {out: b"", err: b""}
    open_ones = [out, err]
    try:
        while open_ones:
            if weaved.inner_has_ended(broker) or time.monotonic() > until:
                process.send_signal(signal.SIGTERM)
                until = time.monotonic() + seconds
            for fd in select.select(open_ones, [], [], POLL_SECONDS)[0]:
                data = os.read(fd, 65536)
                if not data:
                    open_ones.remove(fd)
                texts[fd] = (texts[fd] + data)[-OUTPUT_BYTES:]
        process.wait()
    except BaseException:
        process.send_signal(signal.SIGTERM)    # and it ends its weaved
        process.wait()
        raise
    finally:
        process.stdout.close()
        process.stderr.close()
    return texts[out].decode("utf-8", "replace"), texts[err].decode("utf-8", "replace")


# ---- the switch ----


def call_drop(broker, request):
    """The candidate is not wanted."""
    proof = broker.state.pop("proof", None)
    if proof is not None:
        proof.close()
    return {}


def call_switch(broker, request):
    """`current` has been moved: the release serves now, or as soon as httpd is started.

    {}: no httpd runs. {"absent": True}: it does not have the application.
    {"graceful": True, "notice": TEXT}: httpd's children were started anew.
    {"generation": N, "finishing": N}: it serves.
    """
    path = broker.release_path(request)
    proof = broker.state.pop("proof", None)
    try:
        if proof is not None and proof.control is not None:
            try:
                answer = proof.control.ask("switch", app=broker.options.ini)
                return {"generation": answer["generation"], "finishing": answer["finishing"]}
            except ReleaseError:
                pass  # it was dropped meanwhile, or weaved has died: as without a proof
        return _switch_anew(broker, path)
    finally:
        if proof is not None:
            proof.close()


def _switch_anew(broker, path):
    """Without a candidate. `current` leads to the release, so httpd has come to it, or will."""
    node = _node_await(broker)
    if node.kind in (STOPPED, ABSENT):
        return {"absent": True} if node.kind == ABSENT else {}
    if node.kind in (EMBEDDED, FAILED):
        return httpd.graceful(broker, node)
    coming = _coming(broker, node, path)
    if coming:
        _generation_await(broker, coming, startup_seconds(broker) + SLACK_SECONDS)
        node = weaved.node_get(broker)
    if weaved.release_of(broker, node.serving()) != path:
        status, _, problem = weaved.weavectl_run(broker, "reload", "-i", broker.options.ini)
        if status != 0:
            raise ReleaseError(problem or "weavectl reload fails")
        node = weaved.node_get(broker)
    return {"generation": node.app["generation"], "finishing": 0}


def _node_await(broker):
    """The Node of now; where weaved has died, once httpd has started the next one."""
    return weaved.again(lambda: weaved.node_get(broker))


def _coming(broker, node, path):
    """The number of a generation of the release that starts already, for httpd; or 0."""
    return next((generation["number"] for generation in node.generations()
                 if generation["state"] == "starting" and not generation.get("candidate")
                 and weaved.release_of(broker, generation.get("virtualenv")) == path), 0)
