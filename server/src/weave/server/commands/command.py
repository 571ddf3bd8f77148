# SPDX-License-Identifier: Apache-2.0
"""The form that a command of weave-server has."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Tuple


class Failed(Exception):
    """str() is what to tell the administrator."""


@dataclass(frozen=True)
class Argument:
    """Something on the command line: the parameters of argparse's add_argument()."""

    names: Tuple[str, ...]
    options: Dict[str, Any]


def argument(*names, **options):
    return Argument(names, options)


INI = argument("ini", metavar="INI", help="the sync.ini, such as /etc/sync.ini")
INI_OR_ENVIRONMENT = argument(
    "ini", metavar="INI", nargs="?", help="the sync.ini; without it $WEAVE_INI"
)
# For commands of one site.
HOST = argument(
    "--host",
    metavar="NAME",
    type=str.lower,
    help="that of [host:NAME] in the sync.ini, where it has databases of its own",
)


@dataclass(frozen=True)
class Command:
    """A command of weave-server. `words` is its name: two words for a subcommand.

    run(arguments, sites) prints the answer, and raises Failed where it fails. sites is
    {host: Site} of the sync.ini, opened with the rights of the owner of the databases; the
    site of all other hosts has the key None. Where `opens` is false, sites is None.
    """

    words: Tuple[str, ...]
    help: str
    run: Callable[[Any, Optional[Dict]], None]
    arguments: Tuple[Argument, ...] = (INI,)
    opens: bool = True
    # Whether a sync.ini must be named; otherwise sites is None where none is.
    needs_ini: bool = True
    # Whether all mistakes in the sync.ini are reported first, warnings included.
    reports: bool = False
    # Whether tables are made, whatever create_tables says.
    creates: bool = False
    # Whether tables are made or looked at before it runs, as a server does at its start.
    prepares: bool = True


def site_of(arguments, sites):
    """The Site that --host names, or the common one; Failed."""
    if arguments.host in sites:
        return sites[arguments.host]
    known = ", ".join(sorted(filter(None, sites))) or "none"
    raise Failed("the sync.ini has no [host:%s]; it has %s" % (arguments.host, known))


def sync15_of(site):
    """The Sync15 of a Site; Failed where it serves Sync 1.1 alone."""
    if site.sync15 is None:
        raise Failed(
            "Sync 1.5 is off: set secret_file in [sync15] of the sync.ini (`weavectl init`, or "
            "`weave-server init`, makes the file)"
        )
    return site.sync15


def databases_of(sites):
    """The Databases of all sites, each once."""
    return dict.fromkeys(
        database
        for site in sites.values()
        for database in (site.storage_database, site.auth_database)
    )
