# SPDX-License-Identifier: Apache-2.0
"""Who is asking: Basic credentials, and the passwords of accounts."""

import base64
import binascii
import logging

from sqlalchemy.exc import SQLAlchemyError

from weave.server import accounts, logins
from weave.server.accounts import Account, canonical_name
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
        raise unauthorized("there are no Basic credentials", challenge=True)
    if len(encoded) > MAX_CREDENTIALS_CHARS:
        raise unauthorized("the credentials are too long")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise unauthorized("the credentials are malformed") from None
    name, colon, password = decoded.partition(":")
    if not colon:
        raise unauthorized("the credentials are malformed")
    return name, password


def _claim(req, name):
    """(canonical name, password, network) of who says to be name; 401."""
    login, password = _credentials(req)
    try:
        login = canonical_name(login)
        if login != canonical_name(name):
            raise unauthorized("the credentials are of another name than the path")
    except ValueError:
        raise unauthorized("there is no user name") from None
    return login, password, logins.network(req.remote_addr)


def _refused(account):
    # The log may tell what the answer does not.
    is_nobody = account.user_id is None
    return unauthorized("the name has no account" if is_nobody else "the password is wrong")


class Authenticator:
    """Tells whose request it is, and makes the hashes of new passwords.

    What Argon2 is asked on behalf of a request is asked here, so that it is
    bounded. Raises Busy where it would be too much.
    """

    def __init__(self, accounts_, passwords, logins_, records_database):
        self._accounts = accounts_
        self._passwords = passwords
        self._logins = logins_
        self._records_database = records_database

    def account(self, req, name):
        """The Account called name in the URL, if it is the one that asks; 401."""
        login, password, network = _claim(req, name)
        account = self._accounts.find(login) or self._nobody(login)
        known = self._recall(account, password, network)
        if known is None:
            self._demand(account, password, network)
        return account

    def read(self, req, name, act):
        """Returns act(connection, user_id) of the user who asks; 401.

        The transaction of act reads one state of the database of the records, and
        may be repeated. The account is read in the same one where that is possible,
        and where the password need not be verified first.
        """
        login, password, network = _claim(req, name)
        database = self._accounts.database
        if database is not self._records_database:
            user_id = self.account(req, name).user_id
            return self._records_database.read(
                lambda connection: act(connection, user_id)
            )

        def read(connection):
            account = accounts.find(connection, login) or self._nobody(login)
            if self._recall(account, password, network) is None:
                return account, None
            return None, act(connection, account.user_id)

        stranger, result = database.read(read)
        if stranger is None:
            return result
        self._demand(stranger, password, network)
        return database.read(lambda connection: act(connection, stranger.user_id))

    def _nobody(self, name):
        """The Account of a name that has none; no password is right.

        Nobody can tell from the answer, or from its time, that there is none.
        """
        return Account(name, None, None, self._passwords.hash_of_nobody(name))

    def _recall(self, account, password, network):
        """True for a password that is remembered; None for an unknown one; else 401."""
        known = self._passwords.recall(account.password_hash, password, network)
        if known is False:
            raise _refused(account)
        return known

    def _demand(self, account, password, network):
        if not self._verify(account, password, network):
            raise _refused(account)

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
        buckets = (
            logins.of_address(network),
            logins.of_both(account.name, network),
            logins.of_name(account.name),
        )
        known, waits = self._logins.look((here, anywhere), buckets)
        if here not in known:
            # A stranger in that network.
            if any(waits[:2]):
                raise Busy("too many attempts from " + network, max(waits))
            if anywhere not in known and not self._meet(
                account, password, network, buckets, waits[2]
            ):
                return False
            self._logins.note_verified(here, anywhere)
        self._passwords.remember(stored, password, network)
        if self._passwords.is_outdated(stored):
            self._renew(account, password, network)
        return True

    def _meet(self, account, password, network, buckets, wait):
        """Whether it is the password, for one that no process knows.

        wait is how long the bucket of the name, which is the last one, is full.
        """
        try:
            if wait:
                raise Busy("too many attempts for " + account.name, wait)
            with self._passwords.strangers.taken():
                # Others may have failed while this one waited.
                self._logins.check(*buckets)
                right = self._passwords.verify(account.password_hash, password, network)
                if not right:
                    self._logins.charge(*buckets)
                return right
        except Busy:
            # Busy tells that the password is not known: that costs an attempt, too.
            self._logins.charge(*buckets[:2])
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
