# SPDX-License-Identifier: Apache-2.0
"""What weavectl becomes for install and its relatives: see weave_release/cli.py."""

import sys

from weave_release import cli

sys.exit(cli.main(sys.argv[1:]))
