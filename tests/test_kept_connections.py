"""What a connection is kept for: no answer may hold what came behind, or is still to come of, another one."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.listener import Listener
from tests.transfer_fixtures import settings_of, wait_for
from videod.transfer.body import Broken, pieces
from videod.transfer.guard import Guard
from videod.transfer.http import MOST_ADDRESSES, Http
from videod.transfer.urls import check_url


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Told(Listener):
    """Answers each request with the next of what it was told to send; counts connections."""

    def __init__(self, *answers: bytes, tls: tuple[Path, Path] | None = None) -> None:
        self.connections = self.open = 0
        self._answers = iter(answers)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if self._tls and tls:
            self._tls.load_cert_chain(*tls)
        super().__init__()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/"

    def serve(self, client: socket.socket) -> None:
        self.connections += 1
        self.open += 1
        try:
            with self._tls.wrap_socket(client, server_side=True) if self._tls else client as one:
                while one.recv(65536):
                    one.sendall(next(self._answers))
        finally:
            self.open -= 1


@pytest.fixture
def http(tmp_path: Path, tls_files: tuple[Path, Path, Path]) -> Iterator[Http]:
    with Http(Guard.of(settings_of(tmp_path)), ca_file=str(tls_files[0]), read=5) as made:
        yield made


def ask(http: Http, url: str) -> bytes:
    with http.request("GET", check_url(url)) as response:
        return b"".join(pieces(response))


@pytest.mark.parametrize("secure", [False, True])
def test_a_connection_is_kept(http: Http, tls_files: tuple[Path, Path, Path], secure: bool) -> None:
    with Told(*map(answer, (b"1", b"2", b"")), tls=tls_files[1:] if secure else None) as server:
        assert [ask(http, server.url) for _ in range(3)] == [b"1", b"2", b""] and server.connections == 1


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n"


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("first", [answer(b"1"), CHUNKED])
def test_what_comes_behind_an_answer(
    http: Http, tls_files: tuple[Path, Path, Path], secure: bool, first: bytes
) -> None:
    """It ends where a buffer does: what was read with the answer is lost, the rest would be the next one."""
    behind = first.ljust(8192, b"x") + answer(b"wrong")
    with Told(first + b"x", behind, answer(b"2"), tls=tls_files[1:] if secure else None) as server:
        assert [ask(http, server.url) for _ in range(3)] == [b"1", b"1", b"2"] and server.connections == 3


@pytest.mark.parametrize("secure", [False, True])
def test_an_answer_that_nobody_asked_for(http: Http, tls_files: tuple[Path, Path, Path], secure: bool) -> None:
    """Of TLS it is decrypted together with the answer in front of it: the kernel knows nothing of it."""
    body = b"1" * (8192 - len(answer(b"1" * 8000)) + 8000)
    both = answer(body) + answer(b"wrong")
    with Told(both, answer(b"2"), tls=tls_files[1:] if secure else None) as server:
        assert [ask(http, server.url) for _ in range(2)] == [body, b"2"] and server.connections == 2


@pytest.mark.parametrize(
    "came", [b"GET /?sig=s3cret HTTP/1.1\r\n\r\n", b"HTTP/s3cret\x1b[2J 200 OK\r\n\r\n", b"\x1bs3cret\n"]
)
def test_what_is_no_answer_is_not_repeated(http: Http, came: bytes) -> None:
    with Told(came) as server, pytest.raises(Broken, match="no HTTP/1") as error:
        ask(http, server.url)
    assert "s3cret" not in str(error.value)


def test_many_hosts_behind_a_proxy(tmp_path: Path) -> None:
    with (
        Told(*[answer(b"1")] * 100) as proxy,
        Http(Guard.of(settings_of(tmp_path)), proxy=proxy.url, read=5) as http,
    ):
        assert {ask(http, f"http://127.1.0.{n}/") for n in range(100)} == {b"1"}
        wait_for(lambda: proxy.open <= MOST_ADDRESSES + 1)
