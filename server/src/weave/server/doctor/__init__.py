# SPDX-License-Identifier: Apache-2.0
"""Looks at a server from outside, as a browser does, and says what is to be mended."""
