# SPDX-License-Identifier: Apache-2.0
"""What weave-server can do: each module has its COMMANDS, and __main__.py runs them."""
