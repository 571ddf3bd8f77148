# SPDX-License-Identifier: Apache-2.0
"""The commands of weave-server: each module has its COMMANDS, and __main__.py runs them."""
