# SPDX-License-Identifier: Apache-2.0
"""Which modules of the server import which others; docs/design_sync.md has the reasons."""

import ast
import pathlib

import pytest

SOURCES = pathlib.Path(__file__).resolve().parent.parent / "src"
NAME = "weave.server"
LIBRARIES = {"falcon", "sqlalchemy"}

# Functions of texts, keys and a clock, also for the doctor and for weavectl.
PURE = ("base64url", "claims", "clients", "config", "fetch", "hawk", "oauth", "rs256",
        "rules", "secret_file", "setting_up", "stamps", "tokens")  # fmt: skip
WITHOUT_FALCON = ("admission", "batches", "jwks", "members", "people", "settings_table", "storage")


def module_of(path):
    parts = path.relative_to(SOURCES).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_of(path): ast.parse(path.read_text()) for path in SOURCES.glob("weave/**/*.py")}


def imported(name, nodes):
    """The modules of the server, and the libraries, that the statements import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = name.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found = [base, *("%s.%s" % (base, alias.name) for alias in node.names)]
        else:
            continue
        for other in found:
            if other in TREES and other != NAME:
                yield other
            elif other.partition(".")[0] in LIBRARIES:
                yield other.partition(".")[0]


GRAPH = {name: set(imported(name, ast.walk(tree))) for name, tree in TREES.items()}
# Without what a function imports when it is called.
AT_START = {name: set(imported(name, tree.body)) for name, tree in TREES.items()}


def below(name, graph):
    """All that a module needs, others' imports with it."""
    found, left = set(), [name]
    while left:
        for other in graph.get(left.pop(), ()):
            if other not in found:
                found.add(other)
                left.append(other)
    return found


def test_no_circle():
    assert [name for name in sorted(TREES) if name in below(name, GRAPH)] == []


@pytest.mark.parametrize("names, libraries", [(PURE, LIBRARIES), (WITHOUT_FALCON, {"falcon"})])
def test_what_modules_do_without(names, libraries):
    for name in names:
        assert not below("%s.%s" % (NAME, name), AT_START) & libraries, name


def test_what_a_server_does_not_load():
    """Commands, the doctor, and the parts of Sync 1.5 where it is off."""
    loaded = below(NAME + ".wsgi", AT_START)
    assert NAME + ".storage_api" in loaded
    for name in ("sync15", "token_api", "api15", "hawk", "tokens", "jwks", "schema15", "batches"):
        assert "%s.%s" % (NAME, name) not in loaded
    everything = below(NAME + ".wsgi", GRAPH)
    assert NAME + ".batches" in everything
    assert not {name for name in everything if ".commands." in name or ".doctor." in name}
