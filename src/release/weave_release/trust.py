# SPDX-License-Identifier: Apache-2.0
"""Who vouches for a manifest: gpgv, with exactly the keys of release.keyring."""

import os
import shutil
import tempfile

from .errors import ReleaseError
from .words import shown

GPGV_SECONDS = 60
_GPG = "[GNUPG:] "
# Words of gpgv's status that say why a signature does not count, the first one found.
_REASONS = (
    ("BADSIG", "it is not the signature of this manifest"),
    ("REVKEYSIG", "its key was revoked"),
    ("EXPKEYSIG", "its key has expired"),
    ("EXPSIG", "it has expired"),
    ("NO_PUBKEY", "its key is not in %(keyring)s"),
    ("ERRSIG", "it cannot be checked"),
    ("NODATA", "it is no signature"),
)


def signature_check(title, manifest, signature, keyring, run, folder):
    """Returns who has signed the manifest's bytes, as "NAME KEY"; ReleaseError where nobody has.

    title is "weaveserver 1.1.5"; signature is bytes or None; folder is where temporary files
    may be; run as in job.Job.
    """
    keyring_check(keyring)
    if signature is None:
        raise ReleaseError("%s is not signed, and release.keyring demands it" % title,
                           hint="Upload it with a key (mozupload --sign).")
    if not shutil.which("gpgv"):
        raise ReleaseError("release.keyring is set, and there is no gpgv to check signatures with",
                           hint="Install gpgv.")
    with tempfile.TemporaryDirectory(dir=folder, prefix="gpgv-") as place:
        paths = [os.path.join(place, name) for name in ("manifest.asc", "manifest")]
        for path, data in zip(paths, (signature, manifest)):
            with open(path, "wb") as stream:
                stream.write(data)
        # --homedir: an empty one, so that no other key can be meant
        status, output = run(
            ["gpgv", "--homedir", place, "--keyring", keyring, "--weak-digest", "SHA1",
             "--status-fd", "1"] + paths, seconds=GPGV_SECONDS)
    words = [line[len(_GPG):].split(" ") for line in output.split("\n") if line.startswith(_GPG)]
    for word, reason in _REASONS:
        if any(row[0] == word for row in words):
            refuse(title, reason % {"keyring": keyring}, output)
    # several signatures, good and bad ones, are told apart above: all must be good
    good = [row for row in words if row[0] == "GOODSIG"]
    valid = [row for row in words if row[0] == "VALIDSIG"]
    if status != 0 or not good or len(good) != len(valid):
        refuse(title, "gpgv does not call it good", output)
    return "%s %s" % (shown(" ".join(good[0][2:])), valid[0][1][-16:])


def refuse(title, reason, output):
    raise ReleaseError("the signature of %s does not count: %s" % (title, reason),
                       hint="Have the release signed by a key of release.keyring, or add the "
                            "key there.", lines=output.splitlines()[-10:])


def keyring_check(keyring):
    """Refuses a keyring that gpgv could not use."""
    hint = "`gpg --export KEY > %s` writes one." % keyring
    try:
        with open(keyring, "rb") as stream:
            head = stream.read(64)
    except OSError as problem:
        if isinstance(problem, PermissionError):
            hint = "The owner of release.home must be able to read it: chmod a+r %s" % keyring
        raise ReleaseError("release.keyring: %s cannot be read (%s)" % (keyring, problem.strerror),
                           hint=hint) from None
    if not head:
        raise ReleaseError("release.keyring: %s has no key" % keyring, hint=hint)
    if head.lstrip().startswith(b"-----BEGIN"):
        raise ReleaseError("release.keyring: %s is text, which gpgv does not read" % keyring,
                           hint="`gpg --dearmor` makes the other form.")


def keyring_note(keyring):
    """A line where the user who runs the code of archives could add keys; else None."""
    folder = os.path.dirname(keyring) or "."
    if os.geteuid() != 0 and (os.access(keyring, os.W_OK) or os.access(folder, os.W_OK)):
        return ("%s can be changed by the owner of release.home, as whom the code of archives is "
                "built: it should belong to root" % keyring)
    return None
