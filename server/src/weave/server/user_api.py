# SPDX-License-Identifier: Apache-2.0
"""The user API 1.0: /user/1.0/NAME"""

import falcon

from weave.server import http
from weave.server.accounts import NameTaken, canonical_name, is_email
from weave.server.passwords import MIN_CHARS
from weave.server.records import is_text

MAX_BODY_BYTES = 64 * 1024

CHANGED_MEANWHILE = "the account was changed or deleted meanwhile"


def _name(text):
    try:
        return canonical_name(text)
    except ValueError:
        raise http.bad_request(http.BAD_NAME) from None


def _is_weak(password, name):
    return (
        not is_text(password)
        or len(password) < MIN_CHARS
        or password.strip().lower() == name
    )


def _read_text(req, code):
    try:
        return http.read_body(req, MAX_BODY_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise http.bad_request(code) from None


class Resource:
    def __init__(self, accounts, authenticator):
        self._accounts = accounts
        self._authenticator = authenticator


class User(Resource):
    def __init__(self, accounts, authenticator, storage, settings):
        super().__init__(accounts, authenticator)
        self._storage = storage
        self._allow_new = settings["auth.allow_new_users"]
        self._strict = settings["auth.strict_usernames"]

    def on_get(self, _req, resp, name):
        """1 when the name is taken, 0 when it is free."""
        http.send_text(resp, "1" if self._accounts.find(_name(name)) else "0")

    def on_put(self, req, resp, name):
        """Signs up. The order of the checks is part of the protocol."""
        name = _name(name)
        if not self._allow_new:
            raise http.bad_request(http.UNSUPPORTED)
        if self._accounts.find(name):
            raise http.bad_request(http.EXISTS)
        email, password = self._application(req, name)
        try:
            self._authenticator.sign_up(req, name, email, password)
        except NameTaken:
            raise http.bad_request(http.EXISTS) from None
        http.send_text(resp, name)

    def on_delete(self, req, resp, name):
        account = self._authenticator.account(req, name)
        # Records first: if the account cannot be deleted then, its owner can
        # still ask again.
        self._forget_records(account)
        if not self._accounts.delete(account):
            raise http.unauthorized(CHANGED_MEANWHILE)
        # And what came meanwhile, from devices that were let in before.
        self._forget_records(account)
        http.send_text(resp, "1")

    def _forget_records(self, account):
        self._storage.write(account.user_id, lambda writer: writer.forget_user())

    def _application(self, req, name):
        """The checked (email, password) of a sign-up."""
        with http.json_body(req, MAX_BODY_BYTES) as body:
            if not isinstance(body, dict):
                raise http.bad_request(http.BAD_JSON)
        email, password = body.get("email"), body.get("password")
        if not is_email(email):
            raise http.bad_request(http.BAD_EMAIL)
        if self._strict and canonical_name(email) != name:
            raise http.bad_request(http.NAME_IS_NOT_EMAIL)
        if not isinstance(password, str) or not password:
            raise http.bad_request(http.NO_PASSWORD)
        if _is_weak(password, name):
            raise http.bad_request(http.WEAK_PASSWORD)
        return email, password


class Node(Resource):
    def __init__(self, accounts, authenticator, fallback_node):
        super().__init__(accounts, authenticator)
        self._node = fallback_node

    def on_get(self, req, resp, name):
        """The URL below which the user's storage is."""
        if self._accounts.find(_name(name)) is None:
            raise falcon.HTTPNotFound()
        http.send_text(resp, self._node or http.site_url(req))


class Password(Resource):
    def on_post(self, req, resp, name):
        if req.get_header("X-Weave-Password-Reset") is not None:
            if self._accounts.find(_name(name)) is None:
                raise falcon.HTTPNotFound()
            # No reset key was ever given out.
            raise http.bad_request(http.BAD_RESET_KEY)
        account = self._authenticator.account(req, name)
        password = _read_text(req, http.WEAK_PASSWORD)
        if _is_weak(password, account.name):
            raise http.bad_request(http.WEAK_PASSWORD)
        if not self._authenticator.change_password(req, account, password):
            raise http.unauthorized(CHANGED_MEANWHILE)
        http.send_text(resp, "success")


class Email(Resource):
    def on_post(self, req, resp, name):
        account = self._authenticator.account(req, name)
        email = _read_text(req, http.BAD_EMAIL)
        if not is_email(email):
            raise http.bad_request(http.BAD_EMAIL)
        if not self._accounts.set_email(account, email):
            raise http.unauthorized(CHANGED_MEANWHILE)
        http.send_text(resp, email)


class PasswordReset:
    """Resetting a password by mail is not offered."""

    def on_get(self, _req, _resp, name):
        _name(name)
        raise http.bad_request(http.UNSUPPORTED)


class NotOffered:
    """A page for people that servers of this kind may have."""

    def on_get(self, _req, resp):
        resp.status = falcon.HTTP_404
        http.send_text(resp, "This server does not offer that; please ask its owner.\n")

    on_post = on_get


def add_routes(app, accounts, authenticator, storage, settings):
    common = (accounts, authenticator)
    node = Node(*common, settings["nodes.fallback_node"])
    for version in http.VERSIONS:
        user = "/user/%s/{name}" % version
        app.add_route(user, User(*common, storage, settings))
        app.add_route(user + "/node/weave", node)
        app.add_route(user + "/password", Password(*common))
        app.add_route(user + "/email", Email(*common))
        app.add_route(user + "/password_reset", PasswordReset())
    for page in ("/weave-password-reset", "/weave-delete-account"):
        app.add_route(page, NotOffered())
