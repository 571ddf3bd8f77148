#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The sync of e2e.t through httpd and mod_weave, on every MPM, and with a
configuration file of Mozilla's server, which is changed while httpd runs.
"""

import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "supp"))

from e2e import (  # noqa: E402
    INI, MPMS, PYTHON, REFUSED, TOP, WAIT_S, WORSE_THAN_NOTICE, Httpd, Tap, made_folder)


def sign_up(url, name):
    """The status of an attempt."""
    body = b'{"email": "x@example.org", "password": "long enough"}'
    request = urllib.request.Request(url + "user/1.0/" + name, body, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def outdated(httpd, pattern):
    """What `weavectl status` says, once the pattern is in it, or at last."""
    end = time.monotonic() + WAIT_S
    said = ""
    while time.monotonic() < end and not re.search(pattern, said):
        time.sleep(0.1)
        said = httpd.weavectl("status")[1]
    return said


def check_changes(tap, httpd, url):
    """allow_new_users = false, and a sign-up passed five seconds later."""
    ini = httpd.folder / "sync.ini"
    good = ini.read_text()
    open_ = good.replace("[auth]", "[auth]\nstrict_usernames = false")
    closed = open_.replace("[auth]", "[auth]\nallow_new_users = false")
    wrong = closed.replace("retry_after = 60", "retry_after = soon")
    found = []
    for text, name in ((open_, "one"), (closed, "two")):
        ini.write_text(text)
        httpd.graceful()
        found.append(httpd.weavectl("reload"))
        found.append(sign_up(url, name))
    tap.ok([found[0][0], found[1]] == [0, 200], "change: open to all", found)
    tap.ok([found[2][0], found[3]] == [0, 400],
           "change: weavectl reload returns when it counts", found)
    ini.write_text(wrong)
    httpd.graceful()
    said = outdated(httpd, "has failed")
    tap.ok(re.search(r"outdated: .*goes on, since what the sync.ini says now has failed", said),
           "change: a bad value shows in weavectl status", said)
    tap.ok("last error: " in said and "retry_after: must be" in said,
           "change: with the reason", said)
    ini.write_text(closed)
    httpd.graceful()
    status, said = httpd.weavectl("reload")
    tap.ok(status == 0 and "outdated" not in httpd.weavectl("status")[1],
           "change: and is mended", said)
    ini.write_text(good)


def mozilla_ini(port):
    """A file as the guides have it: what they tell people to set, and [wsgi]."""
    text = (TOP / "server/tests/mozilla.conf").read_text()
    text = text.replace("localhost:5000", "127.0.0.1:%d" % port)
    text = text.replace("%(here)s/", "%(here)s/data/")
    return INI.partition("[storage]")[0] + text


def check_mozilla(tap, folder):
    httpd = Httpd(folder, MPMS[0])
    ini = folder / "sync.ini"
    ini.write_text(mozilla_ini(httpd.port))
    ini.chmod(0o600)  # workers need not be able to read it
    status, said = httpd.configtest()
    tap.ok(status == 0, "Mozilla: configtest takes it", said)
    tap.ok("[storage] display_config: does nothing here" in said,
           "Mozilla: and has a word", said)
    tap.ok(not list((folder / "data").iterdir()), "Mozilla: and opens no database")
    with httpd.running() as url:
        sync(tap, "Mozilla", url)
        check_changes(tap, httpd, url)
    ini.write_text(ini.read_text().replace("use = false", "use = perhaps")
                   .replace("\nquota_size", "\nquota_sise"))
    status, said = httpd.configtest()
    places = [number for number, line in enumerate(ini.read_text().splitlines(), 1)
              if line.startswith(("use = perhaps", "quota_sise", "use_quota"))]
    found = re.findall(r"WEAVE0275: %s:(\d+): " % re.escape(str(ini)), said)
    tap.ok(status != 0, "Mozilla: with mistakes, configtest fails", said)
    tap.ok(sorted(map(int, found)) == places, "Mozilla: and has them all", said)


def sync(tap, mpm, url):
    process = subprocess.Popen([PYTHON, TOP / "tests/e2e.t"], text=True,
                               env={**os.environ, "WEAVE_E2E_URL": url},
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    with process:
        for line in process.stdout:
            tap.take(line.rstrip("\n"), mpm)
    tap.ok(process.returncode == 0, mpm + ": the whole of it")


def main():
    tap = Tap()
    with made_folder("weave-e2e-") as folder:
        (folder / "sync.ini").write_text(INI)
        for mpm in MPMS:
            httpd = Httpd(folder, mpm)
            with httpd.running() as url:
                sync(tap, mpm, url)
            bad = [line for line in httpd.log().splitlines()
                   if WORSE_THAN_NOTICE.search(line) and not REFUSED.search(line)]
            tap.ok(not bad, mpm + ": nothing at warn or above in the error log", *bad)
        check_mozilla(tap, folder)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
