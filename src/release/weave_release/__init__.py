# SPDX-License-Identifier: Apache-2.0
"""Releases on a node: from a share to what serves (docs/design_release.md)."""
