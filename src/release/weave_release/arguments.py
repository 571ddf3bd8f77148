# SPDX-License-Identifier: Apache-2.0
"""The options of each command.

The broker, which may be root, reads the command line by them; the modules of the commands
are loaded by inner alone.
"""

DEFAULT_HOME = "/var/sync"
DEFAULT_WAIT = "10m"    # for what is in Python, when an install in place begins


def init_add(parser):
    add = parser.add_argument
    add("--owner", metavar="USER",
        help="the user that releases belong to, neither root nor the workers'")
    add("--home", metavar="DIR",
        help="the folder for releases (release.home of the sync.ini, or else %s)" % DEFAULT_HOME)
    add("--public-url", metavar="URL",
        help="the Sync server as browsers reach it: for the sync.ini, and for what is said "
             "about browsers")
    add("-n", "--dry-run", action="store_true", help="say what would be done")


def install_add(parser):
    add = parser.add_argument
    add("what", nargs="?", metavar="NAME[==VERSION]|FILE",
        help="a project, of the version that the channel names, or an archive")
    add("--in-place", action="store_true",
        help="upgrade the one virtualenv, with maintenance on meanwhile")
    add("--drain", action="store_true",
        help="with --in-place: let running syncs finish first (maintenance drain)")
    add("--wait", metavar="TIME",
        help="with --in-place: how long what is in Python may take (%s)" % DEFAULT_WAIT)
    add("--channel", help="take what this channel of the share names (release.channel)")
    add("--find-links", action="append", default=[], metavar="DIR|URL",
        help="a share or folder of archives, before release.find_links")
    add("--keyring", metavar="FILE", help="whose signatures count (release.keyring)")
    add("--wait-share", default="60s", metavar="TIME",
        help="wait so long for files that the share does not show yet (60s)")
    making_add(parser)


def checkout_add(parser):
    add = parser.add_argument
    add("where", nargs="?", metavar="URL|PATH",
        help="the repository of the application (release.repository)")
    add("-r", "--revision", required=True, metavar="REVISION",
        help="a tag, a branch, or the id of a commit")
    add("--vendor", metavar="URL|PATH[@REV]",
        help="the repository with the archives that it needs, or a folder of the checkout "
             "(release.vendor). Without @REV, the file vendor.rev of the checkout says it")
    add("--project", default="", metavar="FOLDER",
        help="where in the repository the project is, when it is not at its top")
    add("--subrepos", action="store_true", help="take subrepositories and submodules, too")
    making_add(parser)
    # what install has, and a checkout has no use for
    parser.set_defaults(find_links=[], keyring=None, channel=None, wait_share="0s")


def making_add(parser):
    """The options of both commands that make a release."""
    add = parser.add_argument
    add("--dry-run", action="store_true", help="say what would be installed, and change nothing")
    add("--no-switch", action="store_true", help="make the release, for weavectl switch")
    add("--no-migrate", action="store_true", help="do not run release.migrate")
    add("--again", action="store_true", help="make it anew, also when a rollback has left it")


def switch_add(parser):
    add = parser.add_argument
    add("version", metavar="VERSION", help="one that `weavectl releases` shows")
    add("--again", action="store_true", help="also one that a rollback has left")
    add("--no-migrate", action="store_true", help="do not run release.migrate")
    add("--dry-run", action="store_true", help="only say what would be done")


def rollback_add(parser):
    parser.add_argument("version", nargs="?", metavar="VERSION",
                        help="one that has served; without it: the one that served before")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def releases_add(parser):
    add = parser.add_mutually_exclusive_group().add_argument
    add("--diff", nargs=2, metavar=("A", "B"), help="what differs in what the two consist of")
    add("--history", action="store_true", help="all that happened, oldest first")
    add("--names", action="store_true", help="only their names, oldest first")


def verify_add(parser):
    parser.add_argument("version", nargs="?", metavar="VERSION",
                        help="a release; without it: the one that serves")


def prune_add(parser):
    add = parser.add_argument
    add("--dry-run", action="store_true", help="only say what would go")
    add("--keep", type=_keep_read, metavar="N",
        help="how many that have served stay (release.keep)")
    add = parser.add_mutually_exclusive_group().add_argument
    add("--pin", metavar="VERSION", help="remove nothing; this one stays until --unpin")
    add("--unpin", metavar="VERSION", help="remove nothing; this one may go again")


def _keep_read(text):
    number = int(text)
    if not 1 <= number <= 1000:
        raise ValueError(text)
    return number


_keep_read.__name__ = "number from 1 to 1000"  # argparse names it

ADD = {"init": init_add, "install": install_add, "checkout": checkout_add, "switch": switch_add,
       "rollback": rollback_add, "releases": releases_add, "verify": verify_add,
       "prune": prune_add}
