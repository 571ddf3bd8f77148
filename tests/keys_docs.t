#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""docs/keys says what the key table says, and its examples work."""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import keys_docs  # noqa: E402


def main():
    rows = keys_docs.keys()
    results = [(key["name"], keys_docs.check_key(key)) for key in rows]
    results.append(("the index", keys_docs.check_index(rows)))
    results.append(("nothing is left over", ", ".join(keys_docs.orphans(rows))))
    print("1..%d" % len(results))
    for number, (name, wrong) in enumerate(results, 1):
        print("%sok %d - %s" % ("not " if wrong else "", number, name))
        if wrong:
            print("# " + wrong.replace("\n", "\n# "))
    return any(wrong for _, wrong in results)


if __name__ == "__main__":
    sys.exit(main())
