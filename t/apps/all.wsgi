# SPDX-License-Identifier: Apache-2.0
"""Hands each request to the application of t/apps that its path names.

The first segment below the mount, or the header ``X-App``, names the file. The
environ goes through untouched and so does whatever the application returns:
the suites see mod_weave, not this dispatcher.
"""
import importlib.machinery
import importlib.util
import os
import re
import sys
import threading

_HERE = os.path.dirname(os.path.abspath(__file__))
_applications = {}
_lock = threading.Lock()


def _load(name):
    path = os.path.join(_HERE, name + ".wsgi")
    loader = importlib.machinery.SourceFileLoader("app_" + name, path)
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module.application


def _find(environ):
    segments = environ.get("PATH_INFO", "").split("/")
    default = next((s for s in segments if s not in ("", ".", "..")), "hello")
    name = environ.get("HTTP_X_APP", default)
    if not re.fullmatch(r"\w+", name):
        return None
    with _lock:
        if name not in _applications:
            try:
                _applications[name] = _load(name)
            except FileNotFoundError:
                return None
        return _applications[name]


def application(environ, start_response):
    chosen = _find(environ)
    if chosen is None:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"no such test application\n"]
    return chosen(environ, start_response)
