# SPDX-License-Identifier: Apache-2.0
"""A client of Marionette, the remote control that every Firefox has: protocol level 3.

A message is its length in decimal, a colon, and JSON: [0, id, command, parameters] goes there,
[1, id, error, result] comes back.
"""

import json
import socket

# How long one command may take, in seconds: a bound against hanging, no more.
COMMAND_S = 300

# The whole of a script: ACTIONS are functions by name. What one of them throws comes back as text.
SCRIPT = """
const [name, args, done] = arguments;
(async () => { %s; return actions[name](...args); })().then(
  value => done({ value: value === undefined ? null : value }),
  error => done({ error: `${error}\\n${error.stack || ""}` }));
"""


class MarionetteError(Exception):
    """The browser has refused a command, or a script has thrown."""


class Marionette:
    """A session of Marionette, in the context of the browser itself ("chrome")."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), COMMAND_S)
        self._file = self._socket.makefile("rb")
        self._last = 0
        self._receive()  # the browser speaks first
        self.command("WebDriver:NewSession", capabilities={"alwaysMatch": {}})
        self.command("WebDriver:SetTimeouts", script=COMMAND_S * 1000)
        self.command("Marionette:SetContext", value="chrome")

    def _receive(self):
        digits = b""
        while not digits.endswith(b":"):
            byte = self._file.read(1)
            if not byte:
                raise MarionetteError("the browser has closed the connection")
            digits += byte
        return json.loads(self._file.read(int(digits[:-1])).decode("utf-8"))

    def command(self, name, **parameters):
        """The result of one command. MarionetteError where the browser refuses."""
        self._last += 1
        text = json.dumps([0, self._last, name, parameters]).encode("utf-8")
        self._socket.sendall(b"%d:%s" % (len(text), text))
        while True:
            _, number, error, result = self._receive()
            if number == self._last:
                if error:
                    raise MarionetteError("%(error)s: %(message)s" % error)
                return result

    def call(self, actions, name, *args):
        """Calls the asynchronous function NAME of the script ACTIONS; returns its result.

        MarionetteError with the text and the stack of what it throws.
        """
        answer = self.command(
            "WebDriver:ExecuteAsyncScript", script=SCRIPT % actions, args=[name, list(args)],
            newSandbox=True, sandbox="system")["value"]
        if "error" in answer:
            raise MarionetteError("%s: %s" % (name, answer["error"]))
        return answer["value"]

    def close(self):
        self._file.close()
        self._socket.close()
