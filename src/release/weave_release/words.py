# SPDX-License-Identifier: Apache-2.0
"""Times, sizes, versions, commands and foreign texts as people are shown them."""

import re
import shlex
import time

DEFAULT_INI = "/etc/sync.ini"
_COMMAND = re.compile(r"(?<!runs `)\bweavectl (init|install|checkout|switch|rollback|releases|"
                      r"verify|prune|reload|status)\b(?! -i )")


def escape(text):
    """The text on one line and without control characters, as the C of weavectl has it.

    A control character becomes `\\x1b` or the like; of a longer one, and of what is no
    UTF-8 (os.fsdecode() has made surrogates of it), so does each byte.
    """
    return "".join(_escape_one(char) for char in str(text))


def _escape_one(char):
    code = ord(char)
    if 0x20 <= code < 0x7F or (code >= 0xA0 and not 0xD800 <= code < 0xE000):
        return char
    data = char.encode("utf-8", "surrogateescape" if 0xDC80 <= code <= 0xDCFF else "surrogatepass")
    return "".join("\\x%02x" % byte for byte in data)


def shown(text, most=100):
    """The text for a message: short, and without control characters."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= most else text[: most - 3] + "..."


def ini_option(ini):
    """ " -i INI", or "" for the sync.ini that weavectl takes by itself."""
    return "" if ini == DEFAULT_INI else " -i " + shlex.quote(ini)


def commands_named(text, ini):
    """The text, with the sync.ini in each command of weavectl that it names.

    Without it, who copies the command has it done to another application.
    """
    option = ini_option(ini)
    return _COMMAND.sub(lambda found: found.group() + option, str(text)) if option else str(text)


def sentence_lines(message, hint):
    """What standard error gets of a failure: the sentence, and the cure in a line of its own."""
    return "weavectl: %s\n%s" % (escape(message), "  %s\n" % escape(hint) if hint else "")


def counted(number, noun):
    """ "1 file", "7 files"."""
    return "%d %s%s" % (number, noun, "" if number == 1 else "s")


def duration(seconds):
    """ "41 ms", "0.4 s", "12.0 s", "3 min 5 s"."""
    if seconds < 0.1:
        return "%d ms" % (seconds * 1000)
    if seconds < 60:
        return "%.1f s" % seconds
    return "%d min %d s" % divmod(int(seconds), 60)


def age(seconds):
    """ "12 s", "5 min", "3 h", "12 days": how long ago something was."""
    for unit, length, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < length * most:
            return "%d %s" % (max(0, seconds) // length, unit)
    return "%d days" % (seconds // 86400)


def ago(at):
    """ "5 min" for a time in seconds since 1970."""
    return age(time.time() - at)


def size(count):
    """ "812 bytes", "8.1 MiB"."""
    if count < 1024:
        return "%d bytes" % count
    value = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024 or unit == "GiB":
            return "%.1f %s" % (value, unit)
    return ""


def changes(before, after):
    """What differs between the locks of two releases, as a list of objects, by name.

    Each has "name", "from" and "to": versions, or None where there is no such project.
    """
    found = []
    for name in sorted({**before, **after}):
        old, new = (_version(lock.get(name)) for lock in (before, after))
        if old != new:
            found.append({"name": name, "from": old, "to": new})
    return found


def _version(entry):
    version = entry.get("version") if isinstance(entry, dict) else None
    return version if isinstance(version, str) else None


def changes_text(found):
    """ "falcon 3.1.1 → 3.1.3   + argon2-cffi 21.1   - cgi2"."""
    words = []
    for change in found:
        if change["from"] is None:
            words.append("+ %(name)s %(to)s" % change)
        elif change["to"] is None:
            words.append("- %(name)s %(from)s" % change)
        else:
            words.append("%(name)s %(from)s → %(to)s" % change)
    return "   ".join(words)
