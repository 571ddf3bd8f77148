# SPDX-License-Identifier: Apache-2.0
"""Helpers of the tests of facts about clients of Sync 1.5."""

import json

# A browser asks for these first. A 404 for one of them makes it wipe the server.
READS = ("info/collections", "storage/meta/global", "storage/crypto/keys")


def modified_of(answer):
    """The time in the header and, of an answer to a PUT, in the body."""
    assert answer.text == answer.headers["X-Last-Modified"]
    return answer.text


def times(device):
    """{collection: the text of its time}"""
    return json.loads(device.get("info/collections").text, parse_float=str)


def fill(device):
    device.put("storage/meta/global", {"payload": "m"})
    return device.put("storage/crypto/keys", {"payload": "k"})


def shortest(text):
    """The number as JavaScript and Rust write it."""
    return text.rstrip("0").rstrip(".")
