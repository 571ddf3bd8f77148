# SPDX-License-Identifier: Apache-2.0
"""The command line of weavectl's commands for releases."""

import argparse
import os
import sys

from . import arguments, words
from .words import DEFAULT_INI

# Command, module that has run(context) for inner, what `weavectl help` says.
COMMANDS = (
    ("init", "init", "make release.home and a first /etc/sync.ini"),
    ("install", "install", "take a release from a share, prove it, serve it"),
    ("checkout", "checkout", "the same with a revision of a repository"),
    ("switch", "switch", "serve a release that is ready"),
    ("rollback", "rollback", "serve the release before"),
    ("releases", "listing", "show the releases of this node"),
    ("verify", "verify", "compare the files of a release with its record"),
    ("prune", "prune", "remove old releases"),
)


def own_arguments_split(argv):
    """Takes apart what weavectl adds, up to `--`, and what was typed."""
    at = argv.index("--")
    parser = argparse.ArgumentParser(prog="weave-release")
    parser.add_argument("--weavectl", required=True)
    parser.add_argument("--libdir", required=True)
    return parser.parse_args(argv[:at]), argv[at + 1:]


def common_add(parser):
    """The options of every command of weavectl."""
    for short, name, metavar, text in (
            ("-d", "--directory", "DIR", "the WeaveRuntimeDir of the httpd"),
            ("-s", "--state-dir", "DIR", "the WeaveStateDir"),
            ("-i", "--ini", "INI", "the sync.ini, as WeaveApp has it (%s)" % DEFAULT_INI)):
        parser.add_argument(short, name, metavar=metavar, default=argparse.SUPPRESS, help=text)


class Parser(argparse.ArgumentParser):
    """Errors may quote what somebody else has put into the command line."""

    def error(self, message):
        super().error(words.escape(message))


def parser_make(word):
    """A parser, and that of the command WORD, which alone has its arguments."""
    parser = Parser(prog="weavectl", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, _, text in COMMANDS:
        command = commands.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False,
            epilog="Exit status: 0 done, 1 it failed, 2 the command line is wrong.")
        common_add(command)
        command.add_argument("--json", action="store_true", help="for programs")
        if name == word:
            arguments.ADD[name](command)
    return parser, commands.choices.get(word, parser)


def words_check(options, rest, parser):
    """Ends with 2 for a word too many, options that do not go together, and INI without -i."""
    inis = [word for word in rest + [getattr(options, "version", None),
                                     getattr(options, "what", None)]
            if word and word.endswith(".ini")]
    if inis:
        parser.error("the sync.ini is named with -i: -i %s" % inis[0])
    if rest:
        parser.error("unrecognized arguments: %s" % " ".join(rest))
    if options.command == "install" and not options.in_place:
        for name in ("drain", "wait"):
            if getattr(options, name):
                parser.error("--%s goes with --in-place alone" % name)


def command_first(argv):
    """The words with the command before all options, which may stand anywhere."""
    names = [row[0] for row in COMMANDS]
    at = 0
    while at < len(argv) and argv[at] not in names:
        at += 2 if argv[at] in ("-d", "-s", "-i", "--directory", "--state-dir", "--ini") else 1
    if at >= len(argv):
        return argv
    if "help" in argv[:at]:
        return [argv[at], "--help"]
    return [argv[at]] + argv[:at] + argv[at + 1:]


def options_parse(argv):
    """The options of the command line as an argparse.Namespace; exits with 2 where it is wrong."""
    argv = command_first(argv)
    parser, of_command = parser_make(argv[0] if argv else None)
    options, rest = parser.parse_known_args(argv)
    words_check(options, rest, of_command)
    if getattr(options, "ini", DEFAULT_INI) == "":
        parser.error("the INI is empty")
    try:
        options.cwd = os.getcwd()
    except OSError as error:
        print("weavectl: the folder that you are in: %s\n  cd /" % error.strerror, file=sys.stderr)
        raise SystemExit(1) from error
    options.ini = os.path.normpath(os.path.join(options.cwd, getattr(options, "ini", DEFAULT_INI)))
    for name, variable in (("directory", "WEAVE_RUNTIME_DIR"), ("state_dir", "WEAVE_STATE_DIR")):
        if not getattr(options, name, None):
            setattr(options, name, os.environ.get(variable) or None)
    return options
