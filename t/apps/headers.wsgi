# SPDX-License-Identifier: Apache-2.0
"""Heads, right and wrong: the last segment names one of the table."""
from weave_test import case

PLAIN = ("Content-Type", "text/plain")


class Text(str):
    """A str, but not of type str, as PEP 3333 wants it."""


STATUS = {
    "ok": "200 OK",
    "three_digits": "200",
    "no_number": "abc OK",
    "no_reason": "200 ",
    "two_digits": "99 Low",
    "four_digits": "2000 OK",
    "no_space": "200OK",
    "informational": "103 Early Hints",
    "leading_space": " 200 OK",
    "trailing_space": "200 OK ",
    "cr": "200 O\rK",
    "lf": "200 OK\nX-Injected: 1",
    "crlf": "200 OK\r\nX-Injected: 1",
    "nul": "200 O\0K",
    "not_latin1": "200 \u20ac",
    "latin1": "200 caf\xe9",
    "bytes": b"200 OK",
    "int": 200,
    "none": None,
    "own_code": "299 Own Words",
    "own_reason": "404 Gone Fishing",
    "tab": "200 O\tK",
    "str_subclass": Text("200 OK"),
    "empty": "",
}

HEADERS = {
    "ok": [("X-Test", "value")],
    "empty_value": [("X-Test", "")],
    "latin1": [("X-Test", "caf\xe9")],
    "twice": [("X-Test", "b"), ("X-Test", "a"), ("X-Test", "c")],
    "cookies": [("Set-Cookie", "a=1; Path=/"), ("X-Between", "1"),
                ("Set-Cookie", "b=2")],
    "tab_inside": [("X-Test", "a\tb")],
    "colon_inside": [("X-Test", "a: b")],
    "lower": [("x-test", "low")],
    "type_twice": [("Content-Type", "text/html")],
    "server": [("Server", "mine"), ("Date", "Thu, 01 Jan 1970 00:00:00 GMT")],
    "location": [("Location", "/elsewhere")],
    "many": [("X-Many-%d" % i, "v%d" % i) for i in range(200)],
    "long": [("X-Test", "v" * 20000)],
    "name_bytes": [(b"X-Test", "v")],
    "name_int": [(1, "v")],
    "name_empty": [("", "v")],
    "name_space": [("X Test", "v")],
    "name_trailing_space": [("X-Test ", "v")],
    "name_colon": [("X-Test:", "v")],
    "name_crlf": [("X-Test\r\nX-Injected", "v")],
    "name_latin1": [("X-T\xe9st", "v")],
    "name_nul": [("X-Te\0st", "v")],
    "value_bytes": [("X-Test", b"v")],
    "value_int": [("X-Test", 1)],
    "value_none": [("X-Test", None)],
    "value_lf": [("X-Test", "a\nX-Injected: 1")],
    "value_cr": [("X-Test", "a\rb")],
    "value_crlf": [("X-Test", "a\r\n\r\nbody")],
    "value_fold": [("X-Test", "a\r\n b")],
    "value_nul": [("X-Test", "a\0b")],
    "value_control": [("X-Test", "a\x01b")],
    "value_not_latin1": [("X-Test", "\u20ac")],
    "value_subclass": [("X-Test", Text("v"))],
    "value_leading_space": [("X-Test", " v ")],
    "status_header": [("Status", "404 Not Found")],
    "hop_connection": [("Connection", "close")],
    "hop_keep_alive": [("Keep-Alive", "timeout=1")],
    "hop_transfer_encoding": [("Transfer-Encoding", "chunked")],
    "hop_te": [("TE", "trailers")],
    "hop_trailer": [("Trailer", "X")],
    "hop_upgrade": [("Upgrade", "websocket")],
    "hop_proxy_authenticate": [("Proxy-Authenticate", "Basic")],
    "length_text": [("Content-Length", "abc")],
    "length_negative": [("Content-Length", "-1")],
    "length_plus": [("Content-Length", "+4")],
    "length_huge": [("Content-Length", "99999999999999999999")],
    "length_twice": [("Content-Length", "4"), ("Content-Length", "5")],
    "tuple": (("X-Test", "v"),),
    "generator": (pair for pair in [("X-Test", "v")]),
    "dict": {"X-Test": "v"},
    "none": None,
    "triple": [("X-Test", "v", "w")],
    "single": [("X-Test",)],
    "not_a_pair": ["X-Test: v"],
    "pair_as_list": [["X-Test", "v"]],
}


def application(environ, start_response):
    name = case(environ)
    if "/status/" in environ["PATH_INFO"]:
        start_response(STATUS[name], [PLAIN])
    else:
        headers = HEADERS[name]
        if isinstance(headers, list) and name != "type_twice":
            headers = [PLAIN] + headers
        start_response("200 OK", headers)
    return [b"body"]
