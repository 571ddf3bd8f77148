# SPDX-License-Identifier: Apache-2.0
"""A real Firefox in a profile of its own, without a screen, controlled from outside."""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from marionette import Marionette

PROGRAMS = ("firefox-esr", "firefox")
# How long it may take until one listens, in seconds: machines of CI are slow.
START_S = 120
ACTIONS = pathlib.Path(__file__).with_name("inside.js").read_text(encoding="utf-8")
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG, <linux/prctl.h>

# A day: no sync begins because of the time.
NEVER_S = 86400
# Nothing listens there.
NOWHERE = "http://127.0.0.1:9/"

PREFERENCES = {
    "marionette.port": 0,
    # nothing is asked of anybody but of our server
    "identity.fxaccounts.auth.uri": NOWHERE + "v1",
    "identity.fxaccounts.remote.root": NOWHERE,
    "identity.fxaccounts.remote.oauth.uri": NOWHERE + "v1",
    "identity.fxaccounts.remote.profile.uri": NOWHERE + "v1",
    "identity.fxaccounts.remote.pairing.uri": "ws://127.0.0.1:9/",
    "services.settings.server": NOWHERE,
    "network.trr.mode": 5,
    "network.dns.localDomains": "sync.example.org",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.aboutwelcome.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.startup.page": 0,
    "browser.startup.homepage": "about:blank",
    "browser.safebrowsing.update.enabled": False,
    "browser.safebrowsing.provider.google4.updateURL": "",
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.push.connection.enabled": False,
    "extensions.blocklist.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "toolkit.telemetry.unified": False,
    "toolkit.telemetry.server": NOWHERE,
    "dom.ipc.processCount": 1,
    "dom.ipc.processPrelaunch.enabled": False,
    # a sync begins when a test wants it
    "services.sync.scheduler.activeInterval": NEVER_S,
    "services.sync.scheduler.idleInterval": NEVER_S,
    "services.sync.scheduler.immediateInterval": NEVER_S,
    "services.sync.scheduler.fxa.singleDeviceInterval": NEVER_S,
    "services.sync.syncedTabs.syncDelayAfterTabChange": NEVER_S,
    # and says all that it does
    "services.sync.log.logger": "Trace",
    "services.sync.log.appender.file.level": "Trace",
    "services.sync.log.appender.file.logOnSuccess": True,
    "services.sync.log.keepLogsOnReset": True,
}


def program():
    """The path of an installed Firefox; None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def _die_with_parent():
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)


class Browser:
    """A running one, in FOLDER, whose token server is at TOKEN_SERVER. close() ends it."""

    def __init__(self, folder, token_server, **preferences):
        self.folder = pathlib.Path(folder)
        self.profile = self.folder / "profile"
        self.profile.mkdir(parents=True)
        self._write_preferences(dict(PREFERENCES, **preferences), token_server)
        self._log = (self.folder / "output").open("wb")
        self._process = subprocess.Popen(
            [program(), "--headless", "--no-remote", "--marionette",
             "--remote-allow-system-access", "--profile", str(self.profile)],
            env=self._environment(), stdin=subprocess.DEVNULL, stdout=self._log,
            stderr=self._log, start_new_session=True, preexec_fn=_die_with_parent)
        try:
            self.marionette = Marionette(self._wait_for_port())
            self("waitForDefaults")
        except BaseException:
            self.close()
            raise

    def _write_preferences(self, values, token_server):
        values["identity.sync.tokenserver.uri"] = token_server
        lines = ["user_pref(%s, %s);\n" % (json.dumps(name), json.dumps(value))
                 for name, value in values.items()]  # fmt: skip
        (self.profile / "user.js").write_text("".join(lines), encoding="utf-8")

    def _environment(self):
        return {
            "HOME": str(self.folder), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8",
            "TMPDIR": str(self.folder), "MOZ_CRASHREPORTER_DISABLE": "1",
            "DBUS_SESSION_BUS_ADDRESS": "disabled:", "GSETTINGS_BACKEND": "memory",
        }  # fmt: skip

    def _wait_for_port(self):
        file = self.profile / "MarionetteActivePort"
        end = time.monotonic() + START_S
        while time.monotonic() < end and self._process.poll() is None:
            text = file.read_text() if file.exists() else ""
            if text.strip():
                return int(text)
            time.sleep(0.05)
        raise RuntimeError("Firefox does not listen: " + self.output())

    def output(self):
        return (self.folder / "output").read_text(encoding="utf-8", errors="replace")

    def __call__(self, action, *args):
        """Calls a function of inside.js; returns its result."""
        return self.marionette.call(ACTIONS, action, *args)

    @contextlib.contextmanager
    def halted(self):
        """It stands still while this context lasts."""
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def sync_logs(self):
        """The texts of the logs of its syncs, the oldest first."""
        files = sorted((self.profile / "weave" / "logs").glob("*.txt"))
        return [file.read_text(encoding="utf-8", errors="replace") for file in files]

    def close(self):
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()
