# SPDX-License-Identifier: Apache-2.0
"""One upload, from the archives of a project to a release in the share."""

import datetime
import getpass
import os
import platform
import tempfile

from . import VERSION, collect, names, publish, share, signing, tree, vcs, writing
from .errors import UploadError
from .identity import archive_identity
from .options import YANKED, pip_arguments
from .pip import Pip


def upload(archives, options, say):
    """Uploads the release that the archives are of, or lists what it would upload.

    archives: paths of one sdist and of any wheels of it. options: options_make().
    say(text): tells people a line. Raises UploadError and its like; all of them are
    sentences for people.
    """
    sdist, wheels = archives_sort(archives)
    identity = archive_identity(sdist)
    writer = writing.writer_open(options.share)
    if options.sign:
        signing.key_check(options.sign)
    state = vcs.state_read(options.folder, identity.name, identity.version)
    problems = list(state.problems) + list(tree.sdist_compare(sdist, state))
    _refuse(problems, options)
    say("%s %s%s" % (identity.name, identity.version, _origin(state)))
    if options.test:
        _test(options.folder)
    publisher = publish.Publisher(
        writer, say, options.sign or None, publish.OTHER_CONTENT in options.allow
    )
    found = _present(publisher, sdist, identity, options)
    if found and not options.list:
        say("  is there already: %s uploaded it at %s" % (found.by or "somebody", found.at))
    elif not found:
        with tempfile.TemporaryDirectory(prefix="mozupload-") as folder:
            draft = _draft(sdist, wheels, state, problems, options, folder, say)
            if options.list:
                _list(draft, writer, say)
                return
            found = publisher.release(draft)
    if options.list:
        say("  is there already, and nothing would be uploaded")
        return
    publisher.finish(found, options.channel or None)
    _summary(found, publisher, options, say)


def archives_sort(archives):
    """(the sdist, [wheels]) of paths that must be archives of one release."""
    sdists, wheels, releases = [], [], {}
    for path in archives:
        if not names.is_archive(os.path.basename(path)):
            raise UploadError("%s is no archive of a Python distribution." % path)
        identity = archive_identity(path)
        releases[names.canonical(identity.name), identity.version] = path
        (wheels if identity.kind == "wheel" else sdists).append(path)
    if len(releases) > 1:
        raise UploadError(
            "There are archives of %s: name those of one release."
            % " and ".join("%s %s" % release for release in sorted(releases))
        )
    if not sdists:
        raise UploadError("Name an sdist, as `python setup.py sdist` makes it in dist/.")
    if len(sdists) > 1:
        raise UploadError(
            "There are two sdists: %s. Name one." % " and ".join(map(os.path.basename, sdists))
        )
    return sdists[0], wheels


def _refuse(problems, options):
    refused = [problem for problem in problems if problem[0] not in options.allow]
    if refused:
        lines = [
            "%s To upload all the same: --allow-%s." % (sentence, name)
            for name, sentence in refused
        ]
        raise UploadError("\n".join(lines))


def _origin(state):
    if not state.kind:
        return ""
    tag = ", tag " + state.tag if state.tag else ""
    return ", %s %s%s" % (state.kind, state.revision[:12], tag)


def _test(folder):
    from . import testing

    try:
        testing.tests_run(folder)
    except testing.TestsFailed as problem:
        raise UploadError(str(problem))


def _present(publisher, sdist, identity, options):
    """The manifest in the share when it is of this very sdist; else None, or refused."""
    found = publisher.present(names.canonical(identity.name), identity.version)
    if not found:
        return None
    if not publisher.is_present(found, sdist):
        if publisher.replace:
            return None
        raise UploadError(
            "%s has %s already, of another sdist (by %s, %s): give this one a new version, or "
            "say --allow-%s."
            % (publisher.writer.where, found.release, found.by, found.at, publish.OTHER_CONTENT)
        )
    wanted = {collect.system_split(text)[0] for text in options.system}
    if (
        (options.python and set(options.python) != set(found.python))
        or (options.platform and set(options.platform) != set(found.platforms))
        or wanted & set(found.requires)
    ):
        if publisher.replace:
            return None
        raise UploadError(
            "%s has %s already, for Python %s on %s, and without %s: other nodes need a new "
            "version, or say --allow-%s."
            % (
                publisher.writer.where,
                found.release,
                ", ".join(found.python),
                ", ".join(found.platforms),
                ", ".join(found.system) or "nothing",
                publish.OTHER_CONTENT,
            )
        )
    return found


def _draft(sdist, wheels, state, problems, options, folder, say):
    """Collects the release in a folder."""
    reader = share.share_open(options.share)
    where = options.share if publish.archives_known(reader) else None
    pip = Pip(where, pip_arguments(options))
    files, members = collect.Collector(pip, folder, options, say).collect(sdist, wheels)
    for name, version in sorted(pip.yanked):
        sentence = "%s %s has been withdrawn from its index: choose another version" % (
            name,
            version,
        )
        problems.append((YANKED, sentence))
        say("  %s" % sentence)
    _refuse(problems, options)
    now = datetime.datetime.now(datetime.timezone.utc)
    members.update(
        vcs=state.vcs,
        allowed=sorted({name for name, _ in problems}),
        by=_user(),
        at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        tools=_tools(pip),
    )
    return publish.Draft(files, **members)


def _user():
    """Who uploads; somebody without an entry in passwd is a number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid())


def _tools(pip):
    from importlib.metadata import PackageNotFoundError, version

    tools = {"mozupload": VERSION, "pip": pip.version(), "python": platform.python_version()}
    try:
        tools["setuptools"] = version("setuptools")
    except PackageNotFoundError:
        pass
    return tools


def _list(draft, writer, say):
    there = publish.archives_known(writer.reader)
    for file in draft.files:
        size = publish.size_text(os.path.getsize(file.path))
        state = "is there already" if file.name in there else "would be new"
        say(publish.row(file.name, size, state))
    for name, version in sorted(draft.members["system"].items()):
        say(publish.row("%s %s" % (name, version), "", "from the nodes' system"))
    say("Nothing was uploaded.")


def _summary(found, publisher, options, say):
    new = "nothing new"
    if publisher.stored:
        size = publish.size_text(publisher.stored_bytes)
        new = "%d of them new (%s)" % (publisher.stored, size)
    say(
        "%s %s is in %s: %d files, %s."
        % (found.project, found.version, publisher.writer.where, len(found.files), new)
    )
    if found.allowed:
        say("The manifest says what was allowed: %s." % ", ".join(found.allowed))
    say("On a node:   weavectl install %s==%s" % (found.project, found.version))
    if options.channel:
        say("or:          weavectl install --channel %s" % options.channel)
