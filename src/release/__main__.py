# SPDX-License-Identifier: Apache-2.0
"""What weavectl becomes for install and its relatives: the broker, and, started by it, inner."""

import sys

from weave_release import cli, programs, users


def main(argv):
    """Runs the command that ARGV has. Returns the exit status."""
    if argv[:1] == ["--inner"]:
        users.user_become(users.user_by_uid(int(argv[2])))
        programs.memory_close()
        from weave_release import inner     # not as root, who imports none of its modules
        return inner.main(int(argv[1]))
    own, typed = cli.own_arguments_split(argv)
    options = cli.options_parse(typed)
    from weave_release import broker
    try:
        return broker.main(own, options)
    except KeyboardInterrupt:
        print("weavectl: interrupted", file=sys.stderr)
        return 1


sys.exit(main(sys.argv[1:]))
