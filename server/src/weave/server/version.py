# SPDX-License-Identifier: Apache-2.0
"""The version of the distribution; imports nothing, so that the build can read it."""

VERSION = "0.2.0"
