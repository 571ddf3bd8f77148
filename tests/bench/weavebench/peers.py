# SPDX-License-Identifier: Apache-2.0
"""The servers that others put behind httpd, or in its place.

Each is Debian's package, with two processes of as many threads as our
workers have, over UNIX sockets, without an access log.
"""

import os
import shutil
import time
from pathlib import Path

from . import BenchError
from .httpd import CHILDREN, run_text, unprivileged_user
from .program import Program, free_port

KEEP_ALIVE_S = 60
# room for all connections of wrk in the backlog
BACKLOG = 128
WORKERS_TIMEOUT_S = 10

UWSGI = """\
[uwsgi]
plugin = python3
socket = {socket}
chmod-socket = 666
listen = {backlog}
master = true
die-on-term = true
need-app = true
processes = {processes}
threads = {threads}
virtualenv = {virtualenv}
wsgi-file = {application}
disable-logging = true
{identity}
"""

GUNICORN = """\
bind = "unix:{socket}"
backlog = {backlog}
umask = 0
workers = {processes}
worker_class = "gthread"
threads = {threads}
keepalive = {keep_alive}
worker_tmp_dir = "/dev/shm"
pythonpath = "{root}"
accesslog = None
{identity}
"""

NGINX = """\
daemon off;
{identity}
worker_processes {processes};
pid {root}/nginx.pid;
error_log {root}/error.log warn;
events {{
    worker_connections 1024;
}}
http {{
    access_log off;
    keepalive_timeout {keep_alive};
    keepalive_requests 1000000000;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    scgi_temp_path {root}/scgi;
    uwsgi_temp_path {root}/uwsgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            {parameters}
            uwsgi_pass unix:{socket};
        }}
    }}
}}
"""

# /etc/nginx/uwsgi_params
PARAMETERS = {
    "QUERY_STRING": "$query_string", "REQUEST_METHOD": "$request_method",
    "CONTENT_TYPE": "$content_type", "CONTENT_LENGTH": "$content_length",
    "REQUEST_URI": "$request_uri", "PATH_INFO": "$document_uri",
    "DOCUMENT_ROOT": "$document_root", "SERVER_PROTOCOL": "$server_protocol",
    "REQUEST_SCHEME": "$scheme", "HTTPS": "$https if_not_empty",
    "REMOTE_ADDR": "$remote_addr", "REMOTE_PORT": "$remote_port",
    "SERVER_PORT": "$server_port", "SERVER_NAME": "$server_name",
}


def program(name):
    """Where it is, or where one would look for it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    return Path(path or f"/usr/bin/{name}")


def identity(lines):
    """`lines` with the ordinary user's {user}, {uid} and {gid}, or ""."""
    user = unprivileged_user()
    return lines.format(user=user.pw_name, uid=user.pw_uid,
                        gid=user.pw_gid) if user else ""


class Backend(Program):
    """A master process with workers as its children, behind a socket."""

    def __init__(self, root, command, **popen):
        super().__init__(root, command, Path(root) / "app.sock", **popen)
        self.root.chmod(0o755)
        user = unprivileged_user()
        if user:  # uWSGI is that user when it makes its socket
            os.chown(self.root, user.pw_uid, user.pw_gid)

    def start(self, **options):
        """The socket is there before the workers are."""
        super().start(**options)
        deadline = time.monotonic() + WORKERS_TIMEOUT_S
        while len(self.python_pids()) < CHILDREN:
            if time.monotonic() > deadline:
                log = self.log()
                self.stop()
                raise BenchError(f"{self.name} starts no workers:\n"
                                 + log[-4000:])
            time.sleep(0.02)


def uwsgi(bench, threads):
    root = Path(bench.root("uwsgi"))
    back = Backend(root, [str(program("uwsgi")), "--ini",
                          str(root / "uwsgi.ini")])
    back.name = "uWSGI"
    (root / "uwsgi.ini").write_text(UWSGI.format(
        socket=back.address, backlog=BACKLOG, processes=CHILDREN,
        threads=threads, virtualenv=bench.virtualenv,
        application=bench.application,
        identity=identity("uid = {uid}\ngid = {gid}")))
    return back


def gunicorn(bench, threads):
    """In the bench's virtualenv, though the package lies outside of it."""
    root = Path(bench.root("gunicorn"))
    python = str(bench.virtualenv / "bin" / "python")
    packages = run_text("/usr/bin/python3", "-c", "import gunicorn, os\n"
                        "print(os.path.dirname(os.path.dirname("
                        "gunicorn.__file__)))")
    back = Backend(
        root, [python, "-m", "gunicorn", "-c", str(root / "conf.py"),
               "bench_app"],
        env={**os.environ, "PYTHONPATH": packages})
    back.name = "gunicorn"
    # it imports a module: the same file under another name
    (root / "bench_app.py").symlink_to(bench.application)
    (root / "conf.py").write_text(GUNICORN.format(
        socket=back.address, backlog=BACKLOG, processes=CHILDREN,
        threads=threads, keep_alive=KEEP_ALIVE_S, root=root,
        identity=identity("user = {uid}\ngroup = {gid}")))
    return back


def nginx(bench, socket):
    root = Path(bench.root("nginx"))
    root.chmod(0o755)
    front = Program(root, [str(program("nginx")), "-e",
                           str(root / "error.log"), "-c",
                           str(root / "nginx.conf")], free_port())
    front.name = "nginx"
    (root / "nginx.conf").write_text(NGINX.format(
        root=root, port=front.port, socket=socket, processes=CHILDREN,
        keep_alive=KEEP_ALIVE_S, identity=identity("user {user};"),
        parameters="\n            ".join(
            f"uwsgi_param {name} {value};"
            for name, value in PARAMETERS.items())))
    return front
