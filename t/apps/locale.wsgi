# SPDX-License-Identifier: Apache-2.0
"""The locale that C libraries find in the application's process."""
import ctypes
import json
import locale
import os

_CODESET = 14  # of glibc's nl_langinfo()

_c = ctypes.CDLL(None)
_c.setlocale.restype = ctypes.c_char_p
_c.nl_langinfo.restype = ctypes.c_char_p
_c.strtod.restype = ctypes.c_double


def _to_wide(text):
    """What mbstowcs() makes of bytes, or None."""
    to = ctypes.create_unicode_buffer(20)
    count = _c.mbstowcs(to, text, ctypes.c_size_t(20))
    return to.value if count < 20 else None


def _to_bytes(text):
    """What wcstombs() makes of them, or None."""
    to = ctypes.create_string_buffer(40)
    count = _c.wcstombs(to, ctypes.c_wchar_p(text), ctypes.c_size_t(40))
    return to.value.decode("latin-1") if count < 40 else None


def _of_apr():
    """The encoding that APR, and so Subversion, takes the system's text for.
    APR is in the process already, in both modes."""
    apr = ctypes.CDLL("libapr-1.so.0")
    apr.apr_os_locale_encoding.restype = ctypes.c_char_p
    apr.apr_pool_create_ex.argtypes = [ctypes.c_void_p] * 4
    apr.apr_os_locale_encoding.argtypes = [ctypes.c_void_p]
    pool = ctypes.c_void_p()
    apr.apr_pool_create_ex(ctypes.addressof(pool), None, None, None)
    return apr.apr_os_locale_encoding(pool).decode()


def _printed(number):
    to = ctypes.create_string_buffer(40)
    _c.snprintf(to, ctypes.c_size_t(40), b"%.1f", ctypes.c_double(number))
    return to.value.decode()


def application(environ, start_response):
    if environ["PATH_INFO"].endswith("/hop"):
        start_response("200 OK", [("TRAILER", "x"), ("Content-Type", "a/b")])
        return []
    result = {
        "ctype": _c.setlocale(locale.LC_CTYPE, None).decode(),
        "others": sorted({_c.setlocale(n, None).decode() for n in range(1, 6)}),
        "codeset": _c.nl_langinfo(_CODESET).decode(),
        "wide": _to_wide("é€".encode()) == "é€",
        "bytes": _to_bytes("é€") == "é€".encode().decode("latin-1"),
        "apr": _of_apr(),
        "printed": _printed(1.5),
        "read": _c.strtod(b"1.5", None),
        "python": [locale.str(2.5), "%.1f" % 3.5, os.fsencode("é").hex()],
        "lang": os.environ.get("LANG"),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(result).encode()]
