# SPDX-License-Identifier: Apache-2.0
"""An older manifest put back: what this node has seen and installed before says so.

HOME/channels.json has, for each channel and for the newest of each name, the newest
release that it ever led to: {"channels": {KEY: {"release": NAME-VERSION, "at": TIME}}}.
"""

import json

from . import files
from .errors import ReleaseError

NAME = "channels.json"
MOST = 1 << 20


def installed_check(job, manifest):
    """Refuses another manifest than that of a release which is installed under this name."""
    if job.again:
        return
    for release in job.home.releases():
        if not release.is_ready or release.fact("manifest") is None:
            continue
        if (release.fact("name"), release.fact("version")) != (manifest.name, manifest.version):
            continue
        if release.fact("manifest") != manifest.members:
            raise ReleaseError(
                "the manifest of %s %s is another than when this node installed it"
                % (manifest.name, manifest.version),
                hint="A version is uploaded once: give what has changed a new one. If you know "
                     "why it differs, `weavectl install --again` takes it.")


def channel_check(job, manifest):
    """What to remember of this way to the release, or None; refuses one that goes back in time.

    Naming NAME==VERSION is the way to go back: it is remembered too, with a channel.
    """
    request = job.request
    if request.file or (request.version and not request.channel):
        return None
    key = request.channel or "newest of %s" % manifest.name
    _project_check(job, manifest)
    before = _read(job.home).get(key)
    fresh = {"release": manifest.release, "at": manifest.at}
    if request.version or not isinstance(before, dict) or before == fresh:
        return key, fresh
    if _seconds(fresh) < _seconds(before):
        raise ReleaseError(
            "%s leads to %s of %s, and has led this node to %s of %s"
            % ("the channel " + key if request.channel else "the newest manifest of the shares",
               manifest.release, manifest.at or "no date", before.get("release"),
               before.get("at")),
            hint="If the release engineer went back, say so: `weavectl install %s==%s%s`." % (
                manifest.name, manifest.version,
                " --channel " + key if request.channel else ""))
    return key, fresh


def _project_check(job, manifest):
    """Refuses a channel that has come to lead to another project, when no name was said."""
    current = job.home.current()
    serves = current and current.fact("name")
    if serves and not job.request.name and serves != manifest.name:
        raise ReleaseError(
            "the channel %s leads to %s, and %s serves here"
            % (job.request.channel, manifest.release, serves),
            hint="If another project is to serve, say so: `weavectl install %s --channel %s`."
            % (manifest.name, job.request.channel))


def remember(home, key_and_fresh):
    """Writes down what channel_check() has returned. OSError when the disk is full."""
    key, fresh = key_and_fresh
    channels = _read(home)
    if channels.get(key) == fresh:
        return
    channels[key] = fresh
    data = json.dumps({"channels": channels}, indent=1).encode("utf-8") + b"\n"
    with files.folder(home.path + "/.") as fd:
        files.file_replace(NAME, data, fd)


def _seconds(entry):
    """When a manifest was made; 0 when it does not say so."""
    return files.seconds_of(entry.get("at")) or 0


def _read(home):
    """The channels that were seen. A damaged file counts as none: it protects, it does not rule."""
    try:
        with files.folder(home.path + "/.") as fd:
            found = files.json_read(NAME, fd, MOST).get("channels")
    except (OSError, files.Damaged):
        return {}
    return found if isinstance(found, dict) else {}
