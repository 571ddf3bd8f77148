# SPDX-License-Identifier: Apache-2.0
"""weave-server doctor: the connection and its certificate."""

import re
import socket

import pytest

import certificates
import proxies
from certificates import day
from doctoring import doctor, wrongs

pytestmark = pytest.mark.sqlite_only


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return certificates.Authority(tmp_path_factory.mktemp("ca"))


def look(capsys, tls, host="localhost"):
    """Runs the doctor at a server that has a certificate and nothing else; returns what it says."""
    with proxies.Front(tls) as front:
        status, said = doctor(capsys, "https://%s:%d/" % (host, front.port))
    assert status == 1  # since there is no weave server
    return said


def test_a_good_certificate(authority, capsys, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    said = look(capsys, authority.make("good", day(-1), day(90.5)))
    assert re.search(
        r"^ok    TLS: the certificate is good for localhost, for 90 days more \(TLSv1", said, re.M
    )
    assert "ends soon" not in said and "without TLS" not in said


def test_a_certificate_that_ends_soon(authority, capsys, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    said = look(capsys, authority.make("soon", day(-1), day(3)))
    assert "note  TLS: the certificate ends soon: look whether its renewal works" in said


@pytest.mark.parametrize(
    "first, last, names, sentence",
    [
        (-400, -1, certificates.HERE, "has expired: renew it, and let the web server read"),
        (2, 90, certificates.HERE, "is not valid yet: set the clock of this machine"),
        (-1, 90, "DNS:example.org", "is for another name: take a certificate that has this name"),
    ],
)
def test_a_certificate_that_is_wrong(
    first, last, names, sentence, authority, capsys, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    said = look(capsys, authority.make("wrong%d" % first, day(first), day(last), names))
    tls, other = wrongs(said)
    assert tls.startswith("TLS: the certificate of localhost " + sentence)
    # and all else is looked at
    assert "there is another server" in other


def test_a_certificate_for_another_address(authority, capsys, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    names = "DNS:localhost,IP:127.0.0.9"
    said = look(capsys, authority.make("address", day(-1), day(9), names), "127.0.0.1")
    assert "TLS: the certificate of 127.0.0.1 is for another address: take a URL" in said


def test_a_chain_that_leads_nowhere(authority, capsys):
    said = look(capsys, authority.make("unknown", day(-1), day(90)))
    assert "of localhost leads to no CA that this machine knows: give the whole chain" in said
    chain = authority.path.parent / "chain"
    certificate, key = authority.make("leaf", day(-1), day(90))
    chain.write_bytes(certificate.read_bytes() + authority.path.read_bytes())
    said = look(capsys, (chain, key))
    assert "of localhost is signed by a CA that this machine does not know: give the" in said
    said = look(capsys, authority.self_signed())
    assert "of localhost is signed by itself: give the whole chain" in said


def test_no_tls_at_the_port(capsys):
    with proxies.Front() as front:
        status, said = doctor(capsys, "https://127.0.0.1:%d/" % front.port)
    (wrong,) = wrongs(said)
    assert wrong.startswith("TLS: what answers at port %d speaks no TLS: switch it" % front.port)
    assert status == 1


def test_tls_that_is_broken(capsys):
    """It closes when it has read the first message."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer():
            connection, _ = server.accept()
            connection.recv(1)
            connection.sendall(b"\x15\x03\x01\x00\x02\x02\x28")  # an alert: handshake failure
            connection.close()

        with proxies.running(answer):
            _, said = doctor(capsys, "https://127.0.0.1:%d/" % port)
    (wrong,) = wrongs(said)
    assert wrong.startswith("TLS: no secure connection to 127.0.0.1:%d (" % port)
    assert wrong.endswith(": let the web server speak TLS 1.2 or 1.3")


def test_nothing_listens(capsys):
    with socket.socket() as held:  # so that nobody else gets the port
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        status, said = doctor(capsys, "127.0.0.1:%d" % port)
    assert wrongs(said) == [
        "nothing listens at 127.0.0.1:%d: start the web server, mend the port, or forward "
        "it in the router" % port
    ]
    assert status == 1


def test_a_name_without_an_address(capsys):
    _, said = doctor(capsys, "https://nowhere.invalid/")
    (wrong,) = wrongs(said)
    assert wrong.startswith("the name nowhere.invalid has no address (")
    assert wrong.endswith("): mend the URL, or make the record in the DNS")


def test_a_port_that_does_not_answer(capsys, monkeypatch):
    monkeypatch.setattr("weave.server.doctor.tls.TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        # the queue is full with them
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            _, said = doctor(capsys, "http://127.0.0.1:%d/" % address[1])
    assert "127.0.0.1:%d does not answer in 0 s: open the port" % address[1] in wrongs(said)[0]


def test_http_is_for_this_machine(capsys, monkeypatch):
    with proxies.Front() as front:
        _, said = doctor(capsys, front.url)
        assert "note  the URL is of this machine alone" in said
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda _, *more, **named: real("127.0.0.1", *more, **named)
        )
        _, said = doctor(capsys, "http://sync.example.org:%d/" % front.port)
        assert "note  the URL is without TLS: phones refuse it" in said
