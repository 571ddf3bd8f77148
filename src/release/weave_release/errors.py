# SPDX-License-Identifier: Apache-2.0
"""The errors that people are told."""


class ReleaseError(Exception):
    """Something is refused or has failed, and `message` is one sentence that says why.

    `hint` is the cure, where the sentence does not name it; `lines` are the last
    lines of what a program has said.
    """

    def __init__(self, message, hint="", lines=()):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.lines = list(lines)
