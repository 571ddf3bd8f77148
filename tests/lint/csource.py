# SPDX-License-Identifier: Apache-2.0
"""C as clang-format leaves it here: the functions of a file, and what it mentions.

It takes no compiler: a definition begins in the first column, and its body is
between a "{" and a "}" that stand there alone.
"""

import collections
import re

Function = collections.namedtuple("Function", "name static line lines")

_NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
_ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\)")
_NAME = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
_VARIABLE = re.compile(r"^ ?(?!static\b|typedef\b|extern\b)[A-Za-z_][\w \t*]*?\b([A-Za-z_]\w*)"
                       r"(?:\[[^\]\n]*\])*\s*(?:=|;)", re.M)


def blank(text):
    """The text without comments and strings, its lines as they were."""
    return _NOISE.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


def functions(blanked):
    """Yields the functions that are defined in the text."""
    lines = blanked.split("\n")
    start = 0  # the line where the declaration begins that a "{" may end
    body = None
    for number, line in enumerate(lines):
        if body is None:
            if line == "{":
                body = number
            elif not line.strip() or line[0] in "#}" or line.rstrip().endswith(";"):
                start = number + 1
        elif line == "}":
            head = _ATTRIBUTE.sub("", " ".join(lines[start:body]))
            name = _NAME.search(head)
            if name:
                yield Function(name.group(1), bool(re.search(r"\bstatic\b", head)),
                               start + 1, number - body)
            body, start = None, number + 1


def globals_of(blanked):
    """The names of functions and variables that other files can use."""
    names = {function.name for function in functions(blanked) if not function.static}
    return names | set(_VARIABLE.findall(_ATTRIBUTE.sub("", blanked)))


def mentioned(blanked):
    return set(re.findall(r"\b[A-Za-z_]\w*\b", blanked))


def circles(uses):
    """The circles of a graph, {node: set of nodes}, as sorted lists of nodes.

    They are its strongly connected components (Tarjan's), of two and more.
    """
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(uses[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(uses):
        if node not in index:
            visit(node)
    return found
