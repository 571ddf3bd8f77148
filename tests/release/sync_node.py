# SPDX-License-Identifier: Apache-2.0
"""A node for the Sync server, with a database of SQLite, and sdists of the server."""

import subprocess

import nodes
from fetching import DISTRIBUTION

INI = """
[wsgi]
virtualenv = {home}/current
script = share/weave/weave.wsgi
[workers]
user = nobody
processes = 2
[maintenance]
style = sync
[storage]
sqluri = sqlite:///{folder}/data/weave.db
[auth]
strict_usernames = false
[release]
home = {home}
find_links = {share}
python = {python}
system_site_packages = true
migrate = weave-server migrate
warmup = /__heartbeat__
"""


def node_make():
    """A nodes.Node whose sync.ini is that of the Sync server, with an empty share."""
    made = nodes.Node()
    (made.folder / "data").mkdir()
    made.own(made.folder / "data", nodes.WORKERS)
    made.ini.write_text(INI.format(home=made.home, folder=made.folder, share=made.share,
                                   python=DISTRIBUTION))
    return made


def sdist_make(sources, folder):
    """Makes an sdist of the server, whose sources are a copy, in a folder."""
    subprocess.run([DISTRIBUTION, "setup.py", "-q", "sdist", "-d", str(folder)], cwd=str(sources),
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
