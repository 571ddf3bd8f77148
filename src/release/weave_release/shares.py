# SPDX-License-Identifier: Apache-2.0
"""Shares, as PLAN and FETCH read them: waited for, and with errors that name the cure."""

import contextlib
import os
import time

from mozupload import names
from mozupload.share import ShareError, ShareMissing

from .errors import ReleaseError
from .words import shown

WAIT_STEP_S = 0.5


@contextlib.contextmanager
def share_errors(but=()):
    """Turns what a share says, which may quote a server, into a ReleaseError of one line."""
    try:
        yield
    except but:
        raise
    except ShareError as problem:
        text = shown(" ".join(str(problem).split()), 400).rstrip(".")
        raise ReleaseError(text, hint="When the share is all right again, the same command goes "
                                      "on.") from problem


def wait_for(job, what, call, wait_s=None):
    """Returns call(), again and again while the share has not (yet) what is asked for.

    NFS shows a new file up to a minute later than the manifest that names it. wait_s: for
    how long, instead of the job's.
    """
    wait_s = job.wait_share_s if wait_s is None else wait_s
    until = time.monotonic() + wait_s
    told = False
    while True:
        try:
            return call()
        except ShareMissing:
            if time.monotonic() >= until:
                raise
            if not told:
                job.say("%s is not there yet: waiting for up to %d s" % (what, wait_s))
                told = True
        time.sleep(min(WAIT_STEP_S, max(0.01, until - time.monotonic())))


def download(job, share, name, path, limit=None):
    """Copies a file of a share to path; returns (sha256, bytes) of the copy."""
    fd = os.open(path + ".part", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        def once():
            os.lseek(fd, 0, os.SEEK_SET)
            os.ftruncate(fd, 0)
            return share.fetch(name, fd, limit=limit)

        with share_errors():
            found = wait_for(job, name, once)
    except BaseException:
        os.unlink(path + ".part")
        raise
    finally:
        os.close(fd)
    os.rename(path + ".part", path)
    return found


def tags_error(job, project, version, wheels_there):
    """The ReleaseError for a project whose wheels are all for others."""
    tags = {tag for name in wheels_there for tag in names.wheel_split(name)[2]}
    pythons = sorted({tag[0] for tag in tags})
    ours = {tag[0] for tag in job.python.tags}
    if not ours.intersection(pythons):
        return ReleaseError(
            "the wheel of %s %s is for %s, this node has %s"
            % (project, version, " and ".join(pythons), job.python.short),
            hint="Upload the release for it too (mozupload --python %s), or set release.python."
            % ".".join(job.python.version.split(".")[:2]))
    best = min(job.python.tags, key=job.python.tags.get)
    return ReleaseError(
        "the wheel of %s %s is for %s, this node has %s"
        % (project, version, " and ".join(sorted({tag[2] for tag in tags})), best[2]),
        hint="Upload the release for it too (mozupload --platform %s)." % best[2])
