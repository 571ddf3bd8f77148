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


INI = argument("ini", help="the sync.ini")
INI_OR_ENVIRONMENT = argument("ini", nargs="?", help="the sync.ini; without it $WEAVE_INI")
# For commands of one site; {host: Site} has the common one as None.
HOST = argument(
    "--host",
    metavar="NAME",
    type=str.lower,
    help="that of [host:NAME] in the sync.ini, where it has databases of its own",
)


@dataclass(frozen=True)
class Command:
    """One command; `words` are its name, two of them where it stands below another.

    run(arguments, sites) does it; what it prints is its answer, and Failed its failure.
    sites is {host: Site} of the sync.ini, opened with the rights of the owner of the
    databases; the site of all other hosts has the key None. Where `opens` is false, sites
    is None and nothing is opened.
    """

    words: Tuple[str, ...]
    help: str
    run: Callable[[Any, Optional[Dict]], None]
    arguments: Tuple[Argument, ...] = (INI,)
    opens: bool = True
    # Whether it cannot do without a sync.ini; otherwise it opens nothing where none is named.
    needs_ini: bool = True
    # Whether all mistakes in the sync.ini are told first, and not only the first ones.
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


def databases_of(sites):
    """Those of all sites, each once."""
    return dict.fromkeys(
        database
        for site in sites.values()
        for database in (site.storage_database, site.auth_database)
    )
