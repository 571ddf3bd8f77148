#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds docs/keys against the key table.

    tests/keys_docs.py           says what is missing, stale or left over
    tests/keys_docs.py --write   writes the generated parts anew

The top of each file, down to END, comes from the table; what follows is
written by hand and holds an example that the module accepts.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOOLS = os.path.join(ROOT, os.environ.get("BUILD", "build"), "tests")
DOCS = os.path.join(ROOT, "docs", "keys")
INDEX = os.path.join(DOCS, "README.md")
END = "<!-- end of what src/core/weave_keys.def says -->\n"
BEGIN_INDEX = "<!-- begin of what src/core/weave_keys.def says -->\n"

LEVELS = {
    "request": "request: may stand in a `<Location>` too",
    "child": "child: one value for the whole application",
    "process": "process: one value for the whole application; "
               "a new one takes new workers",
    "weavectl": "weavectl: it alone reads it, from the file; "
                "a new value restarts nothing",
}


def keys():
    """The rows of the table, as keys_dump prints them."""
    return json.loads(subprocess.check_output([os.path.join(TOOLS, "keys_dump")]))


def path_of(key):
    return os.path.join(DOCS, key["name"] + ".md")


def default_of(key):
    return key["default"] or "none"


def header(key):
    """The generated part of one file."""
    rows = [("Type", key["type"]), ("Allowed", key["allowed"])]
    if key["unit"]:
        rows.append(("Unit where none is written", key["unit"]))
    rows.append(("Default", default_of(key)))
    rows.append(("Level", LEVELS[key["level"]]))
    rows.append(("In embedded mode", "as described" if key["embedded"]
                 else "no meaning: noticed and ignored"))
    lines = ["# %s\n" % key["name"], "\n", key["help"] + "\n", "\n", "| | |\n",
             "| --- | --- |\n"]
    lines += ["| %s | %s |\n" % row for row in rows]
    return "".join(lines) + "\n" + END


def index(rows):
    """The generated part of the README: a table for each section."""
    text, section = BEGIN_INDEX, None
    for key in rows:
        if key["section"] != section:
            section = key["section"]
            text += "\n## [%s]\n\n| key | default | |\n| --- | --- | --- |\n" % section
        text += "| [%s](%s.md) | %s | %s |\n" % (
            key["name"].split(".", 1)[1], key["name"], default_of(key), key["help"])
    return text + "\n" + END


def read(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def prose(text):
    return text.split(END, 1)[1] if text and END in text else ""


def examples(text):
    """The ini files among the indented blocks of a text."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", prose(text), re.M)
    return [block for block in (re.sub("^    ", "", b.strip("\n") + "\n", flags=re.M)
                                for b in blocks) if block.startswith("[")]


def refusals(example):
    """What the module says to an example."""
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as stream:
        stream.write(example)
        stream.flush()
        return subprocess.check_output(
            [os.path.join(TOOLS, "conf_problems"), stream.name], text=True)


def check_key(key):
    """None, or what is wrong with the file of one key."""
    text = read(path_of(key))
    if text is None:
        return "docs/keys/%s.md is missing" % key["name"]
    if not text.startswith(header(key)):
        return "the table says otherwise: run tests/keys_docs.py --write"
    if len(prose(text).split()) < 20:
        return "there is nothing but the table"
    name = key["name"].split(".", 1)[1].replace("NAME", "")
    found = examples(text)
    if not any(re.search("^%s" % re.escape(name), e, re.M) for e in found):
        return "no example sets it"
    said = "".join(refusals(example) for example in found)
    return "an example is refused: " + said if said else None


def check_index(rows):
    text = read(INDEX) or ""
    return None if index(rows) in text else "run tests/keys_docs.py --write"


def orphans(rows):
    known = {os.path.basename(path_of(key)) for key in rows} | {"README.md"}
    return sorted(set(os.listdir(DOCS)) - known)


def write(path, text):
    if read(path) != text:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        print(os.path.relpath(path, ROOT))


def write_all(rows):
    for key in rows:
        write(path_of(key), header(key) + prose(read(path_of(key))))
    text = read(INDEX) or "# Keys of sync.ini\n\n"
    head = text.split(BEGIN_INDEX, 1)[0]
    write(INDEX, head + index(rows) + prose(text))


def main():
    rows = keys()
    if sys.argv[1:] == ["--write"]:
        write_all(rows)
        return 0
    wrong = ["%s: %s" % (key["name"], text)
             for key in rows for text in [check_key(key)] if text]
    wrong += ["README.md: " + text for text in [check_index(rows)] if text]
    wrong += ["docs/keys/%s: no such key" % name for name in orphans(rows)]
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
