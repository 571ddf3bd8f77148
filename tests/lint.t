#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What `make lint` refuses of how src/ is built (tests/lint/house.py)."""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lint"))
import house  # noqa: E402

GOOD = """/* static int word(void) */
static const char *text_of(int number);

__attribute__((format(printf, 1, 2))) static void
line_print(const char *form, ...)
{
    (void)form;
}

int app_find(const char *name)
{
    line_print("{ static int go(void) {");
    return other_find(name);
}
"""


OTHER = "int other_find(void)\n{\n    %s;\n}\n"


def made(name, body=""):
    return "static int %s(void)\n{\n%s}\n" % (name, body)


CASES = (
    ("nothing wrong", {"src/x/a.c": GOOD}, ()),
    ("one bare word", {"src/x/a.c": made("go")}, ("src/x/a.c:1: go: a name of one bare word",)),
    ("one name twice", {"src/x/a.c": made("app_go"), "src/x/y/b.c": made("app_go")}, (
        "src/x/a.c:1: app_go is defined in src/x/y/b.c too",
        "src/x/y/b.c:1: app_go is defined in src/x/a.c too")),
    ("one name in two programs", {"src/x/a.c": made("app_go"), "src/y/b.c": made("app_go")}, ()),
    ("60 lines", {"src/x/a.c": made("app_go", "    ;\n" * 59)}, ()),
    ("61 lines", {"tests/a.c": made("app_go", "    ;\n" * 60)},
     ("tests/a.c:1: app_go: 61 lines, 60 are allowed",)),
    ("a circle", {"src/x/a.c": GOOD, "src/x/b.c": OTHER % "app_find()"}, (
        "src/x/a.c:1: is in a circle: it uses other_find of src/x/b.c",
        "src/x/b.c:1: is in a circle: it uses app_find of src/x/a.c")),
    ("a chain", {"src/x/a.c": GOOD, "src/x/b.c": OTHER % "return 0"}, ()),
    ("a floor above", {"src/httpd/a.c": GOOD,
                       "src/httpd/child/b.c": OTHER % "return 0"},
     ("src/httpd/a.c:1: uses other_find of src/httpd/child",)),
    ("a floor beside", {"src/httpd/parent/a.c": GOOD,
                        "src/httpd/child/b.c": "int other_find;\n"},
     ("src/httpd/parent/a.c:1: uses other_find of src/httpd/child",)),
    ("a floor below", {"src/httpd/parent/a.c": GOOD, "src/httpd/b.c": "int other_find = 1;\n"}, ()),
    ("a header of a floor", {"src/httpd/a.c": '#include "child/b.h"\n'},
     ("src/httpd/a.c:1: includes child/b.h by a folder",)),
)


class Errors(list):
    def error(self, name, line, text):
        self.append("%s:%d: %s" % (name, line, text))


print("1..%d" % len(CASES))
for number, (what, files, wanted) in enumerate(CASES, 1):
    found = Errors()
    house.check(found, sorted(files.items()))
    good = sorted(found) == sorted(wanted)
    print("%s %d - %s" % ("ok" if good else "not ok", number, what))
    if not good:
        print("".join("# %s\n" % line for line in found), end="")
