# SPDX-License-Identifier: Apache-2.0
"""How the code is built: names, sizes, floors and circles (docs/design.md)."""

import ast
import collections
import os
import re

import csource

FUNCTION_LINES = 60

# Which folders of src/ make one program, and so have one room for names. A
# floor may use what is in its own folder and in those that are named for it.
FLOORS = {
    "src/core": (),
    "src/engine": (),
    "src/httpd": ("src/core",),
    "src/httpd/parent": ("src/httpd", "src/core"),
    "src/httpd/child": ("src/httpd", "src/core"),
    "src/worker": ("src/core",),
    "src/super": ("src/core",),
    "src/ctl": ("src/core",),
}


# Python packages, whose modules import each other in one direction.
PACKAGES = ("src/release/weave_release", "mozupload/src/mozupload")


class Source:
    def __init__(self, name, text):
        blanked = csource.blank(text)
        self.name = name
        self.folder = os.path.dirname(name)
        self.program = "/".join(self.folder.split("/")[:2])
        self.functions = list(csource.functions(blanked))
        self.defines = csource.globals_of(blanked)
        self.mentions = csource.mentioned(blanked)
        self.includes = re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.M)


def check_functions(error, sources):
    for source in sources:
        for function in source.functions:
            if function.lines > FUNCTION_LINES:
                error(source, function.line, f"{function.name}: {function.lines} lines, "
                      f"{FUNCTION_LINES} are allowed")


def check_names(error, sources):
    """A function says what it does to what, and gdb shows nothing but that."""
    defined = collections.defaultdict(list)
    for source in sources:
        for function in source.functions:
            defined[source.program, function.name].append(source.name)
            if function.static and "_" not in function.name:
                error(source, function.line, f"{function.name}: a name of one bare word")
    for source in sources:
        for function in source.functions:
            others = [name for name in defined[source.program, function.name]
                      if name != source.name]
            if others:
                error(source, function.line,
                      f"{function.name} is defined in {', '.join(others)} too")


def check_floors(error, sources):
    """Nothing uses what stands above it or beside it."""
    of_name = collections.defaultdict(set)
    for source in sources:
        for name in source.defines:
            of_name[name].add(source.folder)
    for source in sources:
        allowed = {source.folder, *FLOORS.get(source.folder, ())}
        for header in source.includes:
            if "/" in header:
                error(source, 1, f"includes {header} by a folder")
        for name in sorted(source.mentions - source.defines):
            folders = {folder for folder in of_name[name] if folder.startswith(source.program)}
            if folders and not folders & allowed:
                error(source, 1, f"uses {name} of {', '.join(sorted(folders))}")


def uses(sources):
    """{file: {file: what it uses of that}} within each program."""
    found = {}
    for source in sources:
        found[source.name] = {
            other.name: sorted(other.defines & source.mentions)
            for other in sources
            if other is not source and other.program == source.program
            and other.defines & source.mentions}
    return found


def check_circles(error, sources):
    """Files of a program can be put in an order in which each uses earlier ones."""
    graph = uses(sources)
    by_name = {source.name: source for source in sources}
    for circle in csource.circles({name: set(graph[name]) for name in graph}):
        for name in circle:
            for other in sorted(set(graph[name]) & set(circle)):
                error(by_name[name], 1, f"is in a circle: it uses {', '.join(graph[name][other])}"
                      f" of {other}")


def modules_of(files):
    """{folder: {module: tree}} of the Python packages."""
    packages = collections.defaultdict(dict)
    for name, text in files:
        folder, _, leaf = name.rpartition("/")
        if leaf.endswith(".py") and folder in PACKAGES:
            packages[folder][leaf[:-len(".py")]] = ast.parse(text)
    return packages


def check_modules(lint, files):
    """Modules of a package import each other in one direction, and no private names."""
    for folder, trees in modules_of(files).items():
        uses = {module: set() for module in trees}
        for module, tree in trees.items():
            taken, modules = [], set()
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.level == 1:
                    names = {alias.name for alias in node.names}
                    uses[module].update({node.module or name for name in names} & set(trees))
                    taken += [(node.lineno, name) for name in names]
                    if not node.module:
                        modules.update(alias.asname or alias.name for alias in node.names)
                elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    taken += [(node.lineno, node.attr)] * (node.value.id in modules)
            for line, name in taken:
                if name.startswith("_"):
                    lint.error(f"{folder}/{module}.py", line, f"uses {name} of another module")
        for circle in csource.circles(uses):
            lint.error(f"{folder}/{circle[0]}.py", 1,
                       f"is in a circle of imports: {', '.join(circle)}")


def check(lint, files):
    """Looks at C and Python files; FILES are pairs of a name and a text."""
    check_modules(lint, files)
    code = [Source(name, text) for name, text in files if name.endswith((".c", ".h"))]
    of_src = [source for source in code if source.name.startswith("src/")]
    units = [source for source in of_src if source.name.endswith(".c")]

    def error(source, line, text):
        lint.error(source.name, line, text)

    check_functions(error, code)
    check_names(error, of_src)
    check_floors(error, units)
    check_circles(error, units)
