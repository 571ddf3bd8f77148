# SPDX-License-Identifier: Apache-2.0
"""Who is asking: Basic credentials, and the passwords of accounts."""

import base64
import binascii
import logging

from sqlalchemy.exc import SQLAlchemyError

from weave.server import logins
from weave.server.accounts import canonical_name
from weave.server.database import reason
from weave.server.http import unauthorized
from weave.server.turns import Busy

log = logging.getLogger(__name__)

# Nothing that is longer can be a password that was set (user_api.MAX_BODY_BYTES).
MAX_CREDENTIALS_CHARS = 96 * 1024


def _credentials(req):
    """(name, password) of Basic authentication; 401 when there are none."""
    scheme, _, encoded = (req.get_header("Authorization") or "").partition(" ")
    if scheme.lower() != "basic":
        raise unauthorized(challenge=True)
    if len(encoded) > MAX_CREDENTIALS_CHARS:
        raise unauthorized()
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise unauthorized() from None
    name, colon, password = decoded.partition(":")
    if not colon:
        raise unauthorized()
    return name, password


class Authenticator:
    """Tells whose request it is, and makes the hashes of new passwords.

    What Argon2 is asked on behalf of a request is asked here, so that it is
    bounded. Raises Busy where it would be too much.
    """

    def __init__(self, accounts, passwords, logins_):
        self._accounts = accounts
        self._passwords = passwords
        self._logins = logins_

    def account(self, req, name):
        """The Account called name in the URL, if it is the one that asks; 401."""
        login, password = _credentials(req)
        try:
            login = canonical_name(login)
            if login != canonical_name(name):
                raise unauthorized()
        except ValueError:
            raise unauthorized() from None
        account = self._accounts.find(login)
        if account is None:
            raise unauthorized()
        network = logins.network(req.remote_addr)
        known = self._passwords.recall(account.password_hash, password, network)
        if known is None:
            known = self._verify(account, password, network)
        if not known:
            raise unauthorized()
        return account

    def sign_up(self, req, name, email, password):
        """Creates the account; raises NameTaken."""
        network = logins.network(req.remote_addr)
        bucket = logins.of_sign_up(network)
        with self._passwords.strangers.taken():
            self._logins.check(bucket)
            self._logins.charge(bucket)
            stored = self._passwords.hash(password)
        self._accounts.create(name, email, stored)
        self._note_verified(stored, password, network)

    def change_password(self, req, account, password):
        """Whether the account was still as it was read."""
        bucket = logins.of_new_password(account.name)
        with self._passwords.members.taken():
            self._logins.check(bucket)
            self._logins.charge(bucket)
            stored = self._passwords.hash(password)
        if not self._accounts.set_password_hash(account, stored):
            return False
        # Or its owner would be a stranger while somebody tries passwords.
        self._note_verified(stored, password, logins.network(req.remote_addr))
        return True

    def _verify(self, account, password, network):
        """Whether it is the password, for one that this process does not know."""
        stored = account.password_hash
        here, anywhere = self._passwords.tags(stored, password, network)
        known = self._logins.known(here, anywhere)
        if here not in known:
            if not self._meet(account, password, network, anywhere in known):
                return False
            self._logins.note_verified(here, anywhere)
        self._passwords.remember(stored, password, network)
        if self._passwords.is_outdated(stored):
            self._renew(account, password, network)
        return True

    def _meet(self, account, password, network, is_known):
        """Whether it is the password, for one who is new in that network."""
        address, name = logins.of_address(network), logins.of_name(account.name)
        waits = self._logins.waits(address, name)
        if waits[0]:
            raise Busy("too many attempts from " + network, max(waits))
        if is_known:
            return True
        try:
            if waits[1]:
                raise Busy("too many attempts for " + account.name, waits[1])
            with self._passwords.strangers.taken():
                # Others may have failed while this one waited.
                self._logins.check(address, name)
                right = self._passwords.verify(account.password_hash, password, network)
                if not right:
                    self._logins.charge(address, name)
                return right
        except Busy:
            # It was told that it is not known, and that is worth something.
            self._logins.charge(address)
            raise

    def _renew(self, account, password, network):
        try:
            with self._passwords.members.taken():
                renewed = self._passwords.hash(password)
            # When it was changed meanwhile, there is nothing to renew any more.
            if self._accounts.set_password_hash(account, renewed):
                self._note_verified(renewed, password, network)
        except (SQLAlchemyError, Busy) as error:
            # The next request can try again; this one need not fail for it.
            log.warning("a password hash could not be renewed: %s", reason(error))

    def _note_verified(self, stored, password, network):
        self._passwords.remember(stored, password, network)
        tags = self._passwords.tags(stored, password, network)
        self._logins.note_verified(*tags)
