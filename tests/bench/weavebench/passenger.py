# SPDX-License-Identifier: Apache-2.0
"""Phusion Passenger as a module of a private httpd.

Its free edition gives a process of Python one request at a time: there are no
threads to configure, only processes.
"""

import time

from . import BenchError, process
from .httpd import CHILDREN, Httpd, run_text, unprivileged_user
from .workloads import WORKLOADS, check

CONFIGURATION = """\
PassengerRoot "{locations}"
PassengerInstanceRegistryDir "{root}"
PassengerLogFile "{root}/error.log"
# nothing here asks or tells anything outside
PassengerDisableSecurityUpdateCheck On
PassengerDisableAnonymousTelemetry On
PassengerPython "{virtualenv}/bin/python"
PassengerMaxPoolSize {processes}
PassengerMinInstances {processes}
PassengerAppRoot "{root}/app"
PassengerAppType wsgi
PassengerStartupFile passenger_wsgi.py
{user}
"""

# it starts one after the other, with a ruby for each
PROCESS_TIMEOUT_S = 5
ENDING_TIMEOUT_S = 15


class PassengerHttpd(Httpd):
    """Its watchdog and its core are children of httpd's parent."""

    name = "httpd with Passenger"
    processes = CHILDREN

    def python_pids(self):
        return [pid for pid in self.pids()
                if "wsgi-loader.py" in process.command(pid)]

    def start(self, **options):
        """Passenger starts the application's processes at the first request."""
        super().start(**options)
        try:
            check(self.name, self.port, WORKLOADS["hello"], self.log)
            deadline = time.monotonic() + PROCESS_TIMEOUT_S * self.processes
            while len(self.python_pids()) < self.processes:
                if time.monotonic() > deadline:
                    raise BenchError(f"{self.name} starts too few processes:"
                                     f"\n{self.log()[-4000:]}")
                time.sleep(0.1)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        """Its core and its processes may outlive httpd for a moment."""
        mine = self.pids() if self.running else []
        super().stop()
        if left := process.wait_ended(mine, ENDING_TIMEOUT_S):
            raise BenchError(f"{self.name} has left processes {left}")


def passenger(bench, processes):
    server = bench.httpd(
        "passenger", "Include passenger.conf",
        bench.installation.load_lines("passenger"), PassengerHttpd)
    server.processes = processes
    user = unprivileged_user()
    application = server.root / "app"
    (application / "public").mkdir(parents=True)
    (application / "passenger_wsgi.py").symlink_to(bench.application)
    (server.root / "passenger.conf").write_text(CONFIGURATION.format(
        locations=run_text("passenger-config", "--root"), root=server.root,
        virtualenv=bench.virtualenv, processes=processes,
        user=f"PassengerUser {user.pw_name}" if user else
        "PassengerUserSwitching Off"))
    return server
