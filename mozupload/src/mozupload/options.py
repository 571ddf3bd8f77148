# SPDX-License-Identifier: Apache-2.0
"""The options of an upload: one table for setup.py, setup.cfg and the command line."""

import configparser
import os
import re
import types

from . import names, publish, tree, vcs
from .errors import UploadError

# name, kind, what it takes, help. Kinds: one text, many (may be repeated), flag.
OPTIONS = (
    ("share", "one", "WHERE", "the share: a folder, or an http(s) URL that takes PUT"),
    ("channel", "one", "NAME", "let this channel name the release, when it is in the share"),
    ("sign", "one", "KEY", "sign the manifest with this key of gpg"),
    ("python", "many", "VERSION", "the nodes' Python, where it is not the one here: 3.11"),
    ("platform", "many", "TAG", "the nodes' platform as wheels name it: manylinux_2_36_x86_64"),
    ("system", "many", "NAME[==VERSION]", "leave out what the nodes' distribution provides"),
    ("find-links", "many", "WHERE", "where pip looks for what is not in the share"),
    ("index-url", "one", "URL", "the index that pip asks for what is not in the share"),
    ("extra-index-url", "many", "URL", "another index for pip"),
    ("no-index", "flag", None, "pip asks no index"),
    ("constraint", "many", "FILE", "versions of dependencies, as pip's --constraint"),
    ("no-build-isolation", "flag", None, "build the wheel with what is installed here"),
    ("test", "flag", None, "run the project's tests, and upload nothing when they fail"),
    ("list", "flag", None, "say what would be uploaded, and upload nothing"),
)

YANKED = "yanked"
ALLOW = (
    tuple(vcs.ALLOW)
    + tuple(tree.ALLOW)
    + ((YANKED, "a dependency that its index has withdrawn"),)
    + tuple(publish.ALLOW)
)

_TRUE = {"1": True, "true": True, "yes": True, "on": True}
_FALSE = {"": False, "0": False, "false": False, "no": False, "off": False}


def attribute(name):
    """An option's name in Python."""
    return name.replace("-", "_")


def rows():
    """OPTIONS, and one --allow-NAME for each refusal."""
    allow = tuple(("allow-" + name, "flag", None, "allow " + text) for name, text in ALLOW)
    return OPTIONS + allow


def split(text):
    """The texts of an option that may be repeated: between commas or blanks."""
    return [part for part in re.split(r"[,\s]+", text) if part]


def config_read(folder):
    """{option: value} of the section [mozupload] of a project's setup.cfg.

    Paths start at the project's folder.
    """
    parser = configparser.RawConfigParser()
    path = os.path.join(folder, "setup.cfg")
    try:
        with open(path, encoding="utf-8") as stream:
            parser.read_file(stream)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError, configparser.Error) as problem:
        raise UploadError("%s cannot be read: %s" % (path, problem))
    if not parser.has_section("mozupload"):
        return {}
    kinds = {attribute(name): kind for name, kind, _, _ in rows()}
    found = {}
    for key, text in parser.items("mozupload"):
        name = attribute(key)
        kind = kinds.get(name)
        if kind is None:
            raise UploadError("%s: [mozupload] has no option %r." % (path, key))
        if kind == "flag":
            value = dict(_TRUE, **_FALSE).get(text.lower())
            if value is None:
                raise UploadError("%s: %s is true or false, and not %r." % (path, key, text))
        else:
            value = split(text) if kind == "many" else text
        if name in ("share", "find_links", "constraint"):
            single = isinstance(value, str)
            paths = [_below(folder, part) for part in ([value] if single else value)]
            value = paths[0] if single else paths
        found[name] = value
    return found


def _below(folder, where):
    return where if "://" in where else os.path.join(folder, os.path.expanduser(where))


def options_make(given, folder):
    """The options as attributes, from {attribute: value}; None and [] mean not given.

    Raises UploadError when one cannot be meant.
    """
    made = types.SimpleNamespace(folder=os.path.abspath(folder))
    for name, kind, _, _ in rows():
        value = given.get(attribute(name))
        if kind == "many":
            value = split(value) if isinstance(value, str) else list(value or [])
        elif kind == "flag":
            value = bool(value)
        setattr(made, attribute(name), value or ("" if kind == "one" else value))
    made.share = made.share or os.environ.get("WEAVE_SHARE", "")
    made.allow = {name for name, _ in ALLOW if getattr(made, attribute("allow-" + name))}
    if not made.share:
        raise UploadError(
            "Say where the share is: --share FOLDER or URL, `share` in [mozupload] of "
            "setup.cfg, or $WEAVE_SHARE."
        )
    made.share = os.path.expanduser(made.share)
    if made.channel and not names.is_channel(made.channel):
        raise UploadError("--channel %r is no name of a channel." % made.channel)
    return made


def pip_arguments(options):
    """What pip is told of the sources besides the share."""
    arguments = []
    for where in options.find_links:
        arguments += ["--find-links", where]
    if options.index_url:
        arguments += ["--index-url", options.index_url]
    for url in options.extra_index_url:
        arguments += ["--extra-index-url", url]
    return arguments + (["--no-index"] if options.no_index else [])
