# SPDX-License-Identifier: Apache-2.0
"""weavectl switch: serves a release that was made before, as with install --no-switch."""

from . import rollback


def run(context):
    """Returns the exit status."""
    return rollback.target_take(context, "switch", switch_target, leaves_bad=False)


def switch_target(context):
    """The release that is meant. ReleaseError when it cannot serve or is bad."""
    text = context.options.version
    release = context.home.find(text)
    rollback.ready_check(release)
    if not context.options.again:
        rollback.bad_check(release, text)
    return release
