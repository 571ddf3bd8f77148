# SPDX-License-Identifier: Apache-2.0
"""Finds mistakes in a sync.ini, without opening a database."""

from weave.server.config import ERROR, ConfigError
from weave.server.database import url_problem
from weave.server.settings import read


def problems(path):
    """All Problems of the sync.ini path, by file and line."""
    try:
        settings, hosts, found = read(path)
    except ConfigError as error:
        return sorted(error.problems)
    found = set(found)
    for site in (settings, *hosts.values()):
        for section in ("storage", "auth"):
            name = section + ".sqluri"
            if site[name] is None:
                continue  # wrong, or missing: that is said
            wrong = url_problem(site[name], site[section + ".create_tables"])
            if wrong:
                found.add(site.problem(ERROR, name, wrong))
        found.update(_secret_problems(site))
    return sorted(found)


def _secret_problems(site):
    """Yields what is wrong with the file of the secrets, where the site serves Sync 1.5."""
    path = site["sync15.secret_file"]
    if path is None:
        return
    from weave.server.secret_file import read_secrets

    try:
        read_secrets(path)
    except ConfigError as error:
        for problem in error.problems:
            where = "%s, line %d" % (path, problem.line) if problem.line else path
            text = "%s: %s" % (where, problem.message)
            yield site.problem(ERROR, "sync15.secret_file", text)


def check(path):
    """Yields (line, message, severity) for each problem, for mod_weave."""
    for problem in problems(path):
        yield problem.line, problem.message, problem.severity
