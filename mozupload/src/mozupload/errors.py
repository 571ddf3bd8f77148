# SPDX-License-Identifier: Apache-2.0
"""What ends an upload."""


class UploadError(Exception):
    """An upload cannot go on; its text is one sentence (or more) for people."""
