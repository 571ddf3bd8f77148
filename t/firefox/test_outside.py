# SPDX-License-Identifier: Apache-2.0
"""A server as it is in real life: https, the port of that, the name of a house, and a path."""

import certificates
from account import Account
from site15 import NAME
from test_devices import UNWANTED, WELL
from test_faults import urls

OUTSIDE = "/house/sync/"
SITE = {"outside": OUTSIDE}


def test_a_browser_syncs_with_a_path_of_an_https_server(site, folder, start):
    account, browser = Account("eve"), start()
    browser("trust", certificates.base64_of(site.authority.path))
    browser("addBookmarks", urls("home", 3))
    browser("addLogin", {"origin": "https://a.example", "username": "u", "password": "p"})
    assert browser("signIn", account.sign_in()) == WELL
    assert browser("endpoint") == "https://%s%s1.5/%d/" % (NAME, OUTSIDE, site.uid(account))
    # its id has braces, which are escaped in paths
    (login,) = site.ids(account, "passwords")
    assert login.startswith("{")
    assert browser("getRecord", "passwords", login) == 200
    assert len(site.ids(account, "bookmarks")) >= 3
    assert site.complaints(r"\[ssl:warn\]") == []
    assert site.asked(UNWANTED) == []
    assert all(OUTSIDE in line for line in site.asked())
