"""The proxy that wget goes through: one host, its checked addresses, one password, no thread left."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from pathlib import Path

import pytest

from tests.origin import Origin, Page
from tests.transfer_fixtures import wait_for
from videod.errors import FetchFailed
from videod.process import Tools
from videod.transfer import wget
from videod.transfer.door import Door
from videod.transfer.guard import Endpoint
from videod.transfer.sources import PLAIN
from videod.transfer.urls import check_url


def ask(door: Door, text: str, password: str | None = None) -> bytes:
    """What the door says to a raw request; {login} in it is the password's header."""
    login = base64.b64encode(f"job:{door.password if password is None else password}".encode()).decode()
    with socket.create_connection(("127.0.0.1", door.port), 5) as one:
        one.sendall(text.replace("{login}", f"Proxy-Authorization: Basic {login}").replace("\n", "\r\n").encode())
        answer = b""
        while piece := one.recv(65536):
            answer += piece
        return answer


def test_it_reaches_what_is_permitted(origin: Origin) -> None:
    url = origin.put("/a?b=c", b"hello")
    url = origin.put("/a", b"hello") + "?b=c"
    with Door() as door:
        door.permit("127.0.0.1", origin.port, [Endpoint("127.0.0.1", origin.port)])
        answer = ask(door, f"GET {url} HTTP/1.1\nHost: {url}\n{{login}}\nProxy-Connection: Keep-Alive\nX-Own: 1\n\n")
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"hello")
    seen = origin.seen("/a")[0]
    assert seen.path == "/a?b=c" and seen.headers["x-own"] == "1" and seen.headers["connection"] == "close"
    assert not [name for name in seen.headers if name.startswith("proxy")]


@pytest.mark.parametrize("password", ["", "wrong", "job"])
def test_nobody_else_gets_in(origin: Origin, password: str) -> None:
    url = origin.put("/a", b"hello")
    with Door() as door:
        door.permit("127.0.0.1", origin.port, [Endpoint("127.0.0.1", origin.port)])
        for request in (
            f"GET {url} HTTP/1.1\n{{login}}\n\n",
            f"CONNECT 127.0.0.1:{origin.port} HTTP/1.1\n{{login}}\n\n",
        ):
            assert ask(door, request, password).startswith(b"HTTP/1.1 407")
            assert ask(door, request.replace("{login}\n", "")).startswith(b"HTTP/1.1 407")
    assert not origin.seen() and door.password not in repr(door)


@pytest.mark.parametrize(
    "request_text",
    [
        "GET http://127.0.0.2:{port}/a HTTP/1.1",
        "GET http://127.0.0.1:1/a HTTP/1.1",
        "CONNECT 127.0.0.2:{port} HTTP/1.1",
        "CONNECT localhost:{port} HTTP/1.1",
        "GET http://user@127.0.0.2:{port}/ HTTP/1.1",
        "GET https://127.0.0.1:{port}/ HTTP/1.1",
        "POST http://127.0.0.1:{port}/ HTTP/1.1",
        "GET /a HTTP/1.1",
        "GET http://[::1/a HTTP/1.1",
        "CONNECT x HTTP/1.1",
        "nonsense",
    ],
)
def test_it_refuses_all_else(origin: Origin, request_text: str) -> None:
    with Door() as door:
        door.permit("127.0.0.1", origin.port, [Endpoint("127.0.0.1", origin.port)])
        answer = ask(door, request_text.replace("{port}", str(origin.port)) + "\n{login}\n\n")
    assert answer.startswith(b"HTTP/1.1 4") and not origin.seen()


def test_the_checked_address_is_the_one_connected_to(origin: Origin) -> None:
    # the name resolves nowhere: only the address handed in can have been used
    origin.put("/a", b"hello")
    with Door() as door:
        door.permit("no.such.host.invalid", 80, [Endpoint("127.0.0.9", 1), Endpoint("127.0.0.1", origin.port)])
        answer = ask(door, "GET http://no.such.host.invalid/a HTTP/1.1\nHost: no.such.host.invalid\n{login}\n\n")
        assert answer.endswith(b"hello") and origin.seen("/a")[0].headers["host"] == "no.such.host.invalid"
        door.permit("no.such.host.invalid", 80, [Endpoint("127.0.0.1", 1)])
        assert ask(door, "CONNECT no.such.host.invalid:80 HTTP/1.1\n{login}\n\n").startswith(b"HTTP/1.1 502")
        assert "127.0.0.1 port 1: Connection refused" in door.failure


def test_a_tunnel_carries_tls(tls_files: tuple[Path, Path, Path]) -> None:
    with Origin("localhost", tls=tls_files[1:]) as origin, Door() as door:
        origin.put("/a", b"x" * 100000)
        door.permit("localhost", origin.port, [Endpoint("127.0.0.1", origin.port)])
        one = socket.create_connection(("127.0.0.1", door.port), 5)
        login = base64.b64encode(f"job:{door.password}".encode()).decode()
        one.sendall(f"CONNECT localhost:{origin.port} HTTP/1.1\r\nProxy-Authorization: Basic {login}\r\n\r\n".encode())
        assert one.recv(1000).startswith(b"HTTP/1.1 200")
        trusting = ssl.create_default_context(cafile=str(tls_files[0]))
        trusting.verify_flags &= ~ssl.VERIFY_X509_STRICT  # our CA is as simple as many private ones
        with trusting.wrap_socket(one, server_hostname="localhost") as safe:
            safe.sendall(b"GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := safe.recv(65536):
                answer += piece
        assert answer.endswith(b"x" * 100000)


def test_all_threads_end_with_it(origin: Origin) -> None:
    url = origin.put("/slow", Page(b"x" * 1000, stall_after=10))
    before = set(threading.enumerate())
    door = Door()
    door.permit("127.0.0.1", origin.port, [Endpoint("127.0.0.1", origin.port)])
    login = base64.b64encode(f"job:{door.password}".encode()).decode()
    half = socket.create_connection(("127.0.0.1", door.port), 5)  # says nothing at all
    waiting = socket.create_connection(("127.0.0.1", door.port), 5)
    waiting.sendall(f"GET {url} HTTP/1.1\r\nProxy-Authorization: Basic {login}\r\n\r\n".encode())
    assert waiting.recv(1000)
    door.close()
    assert not [t for t in set(threading.enumerate()) - before if t.name.startswith("door")]
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", door.port), 1)
    half.close(), waiting.close()


def test_close_does_not_wait_for_a_host_that_does_not_answer() -> None:
    # a listener whose queue is full answers no SYN
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        full = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            full.append(one)
        door = Door()
        door.permit("127.0.0.1", port, [Endpoint("127.0.0.1", port)])
        client = socket.create_connection(("127.0.0.1", door.port), 5)
        login = base64.b64encode(f"job:{door.password}".encode()).decode()
        client.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nProxy-Authorization: Basic {login}\r\n\r\n".encode())
        wait_for(lambda: len(door._open) == 2)
        closing = threading.Thread(target=door.close)
        closing.start()
        closing.join(5)
        assert not closing.is_alive()
        for one in (*full, client):
            one.close()


def test_a_silent_tunnel_ends(origin: Origin) -> None:
    url = origin.put("/slow", Page(b"x" * 1000, stall_after=10))
    with Door(idle=0.2) as door:
        door.permit("127.0.0.1", origin.port, [Endpoint("127.0.0.1", origin.port)])
        with pytest.raises(ConnectionResetError):  # a plain end would pass for the end of a body without length
            ask(door, f"GET {url} HTTP/1.1\n{{login}}\n\n")


def test_a_reset_stays_a_reset(origin: Origin) -> None:
    url = origin.put("/cut", Page(b"x" * 1000000, length=-1, cut_after=100000, reset=True))
    with Door() as door:
        door.permit("127.0.0.1", origin.port, [Endpoint("127.0.0.1", origin.port)])
        with pytest.raises(ConnectionResetError):
            ask(door, f"GET {url} HTTP/1.1\n{{login}}\n\n")


class Upstream:
    """Another proxy: what the door asks of it, and a fixed answer."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.heads = answer, list[bytes]()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        one, _ = self.listener.accept()
        with one:
            self.heads.append(one.recv(65536))
            one.sendall(self.answer)

    def stop(self) -> None:
        self.thread.join(5)
        self.listener.close()


def test_through_another_proxy() -> None:
    other = Upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    with Door(f"http://me:p%40ss@127.0.0.1:{other.port}") as door:
        door.permit("h.example.org", 80, ())
        assert ask(door, "GET http://h.example.org/a?b HTTP/1.1\nHost: h.example.org\n{login}\n\n").endswith(b"hello")
    other.stop()
    assert other.heads[0].startswith(b"GET http://h.example.org/a?b HTTP/1.1\r\n")
    assert b"Basic " + base64.b64encode(b"me:p@ss") in other.heads[0]
    assert door.password.encode() not in base64.b64decode(other.heads[0].rpartition(b"Basic ")[2].split(b"\r\n")[0])


def test_another_proxy_that_refuses() -> None:
    other = Upstream(b"HTTP/1.1 403 No\r\n\r\n")
    with Door(f"http://127.0.0.1:{other.port}") as door:
        door.permit("h.example.org", 443, ())
        assert ask(door, "CONNECT h.example.org:443 HTTP/1.1\n{login}\n\n").startswith(b"HTTP/1.1 502")
        assert "the proxy answered" in door.failure and "403" in door.failure
    other.stop()
    assert other.heads[0].startswith(b"CONNECT h.example.org:443 HTTP/1.1\r\n")


def test_wget_goes_through_it_and_nowhere_else(origin: Origin, tools: Tools, tmp_path: Path) -> None:
    url = origin.put("/a", b"hello")
    request = wget.Request(check_url(url), tmp_path / "out", PLAIN)
    with Door() as door:
        door.permit("127.0.0.1", origin.port + 1, [Endpoint("127.0.0.1", origin.port)])
        answer = wget.run(request, door, tools, lambda found: None, lambda size: None)
        assert answer.status == 403 and not origin.seen()
        door.permit("127.0.0.1", origin.port, [Endpoint("127.0.0.1", origin.port)])
        answer = wget.run(request, door, tools, lambda found: None, lambda size: None)
    assert answer.status == 200 and answer.length == 5 and (tmp_path / "out").read_bytes() == b"hello"
    assert not list(tools.scratch.iterdir())


def test_a_proxy_that_is_gone_is_a_failed_fetch() -> None:
    with Door("http://no.such.proxy.invalid:3128") as door:
        door.permit("h.example.org", 80, ())
        assert ask(door, "GET http://h.example.org/ HTTP/1.1\n{login}\n\n").startswith(b"HTTP/1.1 502")
        assert "no.such.proxy.invalid" in door.failure
    assert issubclass(FetchFailed, Exception)
