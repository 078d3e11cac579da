"""Uploads by PUT: against nginx as it is, and against a server on a bad day."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from tests.origin import Origin, Page
from tests.transfer_fixtures import RESULT, WebDav, settings_of, wait_for
from videod.config import Settings
from videod.errors import Cancelled, Failure, TimedOut, UploadDenied, UploadFailed
from videod.process import Tools
from videod.transfer.body import Broken, pieces
from videod.transfer.guard import Guard
from videod.transfer.http import Http
from videod.transfer.upload import Target, check, holds, send, target
from videod.transfer.urls import check_url

DIGEST = hashlib.sha256(RESULT).hexdigest()


def place(template: str, name: str = "clip") -> Target:
    return target(template, id="job:1", n=1, name=name, ext="mp4")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


def test_into_nginx(nginx: WebDav, result: Path, settings: Settings, tools: Tools) -> None:
    seen: list[float] = []
    where = place(f"{nginx.url}/new/{{id}}/ü {{name}}.{{ext}}?X-Amz-Signature=s3cret", name="a b?c")
    check(where, settings)
    sent = send(result, where, settings, tools, on_progress=seen.append)
    assert (nginx.root / "new/job:1/ü a_b_c.mp4").read_bytes() == RESULT
    assert (sent.bytes, sent.sha256) == (len(RESULT), DIGEST) and "s3cret" not in sent.url and "?" not in sent.url
    assert seen == sorted(seen) and len(seen) > 3 and seen[-1] == 1.0
    result.write_bytes(b"new")
    send(result, where, settings, tools)
    assert (nginx.root / "new/job:1/ü a_b_c.mp4").read_bytes() == b"new"


def test_overwrite_false_at_nginx(nginx: WebDav, result: Path, settings: Settings, tools: Tools) -> None:
    where = place(f"{nginx.url}/once.mp4")
    for there in (False, True):
        assert holds(where, {DIGEST: len(RESULT)}, settings, tools) == there
        assert send(result, where, settings, tools, overwrite=False).sha256 == DIGEST
    assert not holds(where, {DIGEST[::-1]: len(RESULT)}, settings, tools)
    for other in (b"other", os.urandom(len(RESULT))):
        (nginx.root / "once.mp4").write_bytes(other)
        with pytest.raises(UploadDenied, match="other content"):
            send(result, where, settings, tools, overwrite=False)
        assert (nginx.root / "once.mp4").read_bytes() == other


def test_what_nginx_refuses(nginx: WebDav, result: Path, settings: Settings, tools: Tools) -> None:
    for folder, status in (("private", 401), ("none", 405), ("small", 413)):
        with pytest.raises(UploadDenied, match=f"{status}"):
            send(result, place(f"{nginx.url}/{folder}/a.mp4"), settings, tools)
    login = nginx.url.replace("http://", "http://me:s3cret@")
    sent = send(result, place(f"{login}/private/a.mp4"), settings, tools)
    assert "s3cret" not in sent.url and (nginx.root / "private/a.mp4").read_bytes() == RESULT
    with pytest.raises(UploadDenied) as error:
        send(result, place(f"{login}x/private/a.mp4".replace("s3cret", "wr0ng")), settings, tools)
    assert "wr0ng" not in str(error.value)


def test_what_is_sent(origin: Origin, result: Path, settings: Settings, tools: Tools) -> None:
    send(result, place(origin.url.replace("//", "//u:p@") + "/a.mp4"), settings, tools)
    send(result, place(origin.url + "/a.mp4?sig=%2B1"), settings, tools, overwrite=False)
    plain, _, signed = origin.seen()
    assert plain.headers["content-length"] == str(len(RESULT)) and "transfer-encoding" not in plain.headers
    assert plain.headers["authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
    assert plain.headers["content-type"] == "video/mp4" and "if-none-match" not in plain.headers
    # a signature made without a content type does not stand one
    assert "content-type" not in signed.headers and signed.headers["if-none-match"] == "*"
    assert signed.path == "/a.mp4?sig=%2B1" and origin.stored[signed.path] == RESULT


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, None),
        (201, None),
        (204, None),
        (401, UploadDenied),
        (403, UploadDenied),
        (404, UploadDenied),
        (405, UploadDenied),
        (400, UploadDenied),
        (411, UploadDenied),
        (301, UploadDenied),
        (408, UploadFailed),
        (429, UploadFailed),
        (500, UploadFailed),
        (503, UploadFailed),
        (507, UploadFailed),
    ],
)
def test_what_a_status_means(
    origin: Origin, result: Path, settings: Settings, tools: Tools, status: int, expected: type[Failure] | None
) -> None:
    where = place(origin.put("/a.mp4", Page(status=status, headers={"Location": "/b"})) + "?sig=s3cret")
    if expected is None:
        assert send(result, where, settings, tools).sha256 == DIGEST
        return
    with pytest.raises(expected, match=str(status)) as error:
        send(result, where, settings, tools)
    assert type(error.value) is expected and "s3cret" not in str(error.value) and len(origin.seen()) == 1


@pytest.mark.parametrize(("status", "same"), [(412, True), (412, False), (409, False)])
def test_taken_between_the_look_and_the_put(
    origin: Origin, result: Path, settings: Settings, tools: Tools, status: int, same: bool
) -> None:
    there = Page(RESULT if same else b"other")
    url = origin.put("/a.mp4", Page(status=404), Page(status=status), there)
    if same:
        assert send(result, place(url), settings, tools, overwrite=False).sha256 == DIGEST
    else:
        with pytest.raises(UploadDenied, match="other content"):
            send(result, place(url), settings, tools, overwrite=False)
    assert [seen.method for seen in origin.seen()][:2] == ["HEAD", "PUT"]


def test_a_taken_name_that_cannot_be_read(origin: Origin, result: Path, settings: Settings, tools: Tools) -> None:
    url = origin.put("/a.mp4", Page(status=403), Page(status=412), Page(status=403))
    with pytest.raises(UploadDenied, match="other content"):
        send(result, place(url), settings, tools, overwrite=False)


@pytest.mark.parametrize("status", [307, 308])
def test_redirects_that_keep_the_method(
    origin: Origin, result: Path, settings: Settings, tools: Tools, status: int
) -> None:
    with Origin("127.0.0.2") as other:
        url = origin.redirect("/a.mp4", other.url + "/b.mp4?sig=1", status)
        sent = send(result, place(url.replace("//", "//u:p@")), settings, tools)
        assert other.stored["/b.mp4?sig=1"] == RESULT and sent.sha256 == DIGEST
        assert "authorization" not in other.seen()[0].headers
    assert sent.url == origin.url + "/a.mp4"


def test_a_redirect_inward_or_in_a_circle(origin: Origin, result: Path, tmp_path: Path, tools: Tools) -> None:
    settings = settings_of(tmp_path, allow_hosts="* 127.0.0.1")
    with Origin("127.0.0.2") as inner:
        for location in (
            f"{inner.url}/b",
            f"http://0x7f000002:{inner.port}/b",
            "file:///etc/passwd",
            "http://169.254.169.254/",
        ):
            with pytest.raises(UploadDenied):
                send(result, place(origin.redirect("/a", location, 307)), settings, tools)
        assert not inner.requests
    with pytest.raises(UploadFailed, match="redirects"):
        send(result, place(origin.redirect("/loop", "/loop", 307)), settings, tools)
    assert len(origin.seen("/loop")) < 10


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/a",
        "http://127.1:{port}/a",
        "http://localhost:{port}/a",
        "http://[::1/a",
        "http://169.254.169.254/a",
        "http://h:0/a",
    ],
)
def test_the_guard_comes_first(origin: Origin, result: Path, tmp_path: Path, tools: Tools, url: str) -> None:
    settings = settings_of(tmp_path, allow_hosts="*")
    where = place(url.replace("{port}", str(origin.port)))
    for call in (lambda: check(where, settings), lambda: send(result, where, settings, tools)):
        with pytest.raises(UploadDenied):
            call()
    assert not origin.requests


def test_the_web_side_reaches_no_private_network(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, allow_hosts="*")
    check(place("http://10.1.2.3/a"), settings)
    with pytest.raises(UploadDenied):
        check(place("http://10.1.2.3/a"), settings, private=False)


def test_servers_that_fail(origin: Origin, result: Path, settings: Settings, tools: Tools) -> None:
    tools.stall_timeout = 0.5
    urls = ["http://127.0.0.1:1/a", "http://no.such.host.invalid/a", origin.put("/silent", Page(silent=True))]
    urls.append(origin.put("/stall", Page(b"x", 500, stall_after=0, read_body=False)))
    urls.append(origin.url.replace("http:", "https:") + "/a")
    for url in urls:
        with pytest.raises(UploadFailed) as error:
            send(result, place(url + "?sig=s3cret"), settings, tools)
        assert "\n" not in str(error.value) and "s3cret" not in str(error.value) and "0x" not in str(error.value)


def test_a_server_that_never_answers(result: Path, settings: Settings, tools: Tools, origin: Origin) -> None:
    tools.stall_timeout = 0.5
    release = threading.Event()

    class Silent(Origin):
        def take(self, seen: object) -> None:
            release.wait(10)

    with Silent() as silent:
        started = time.monotonic()
        with pytest.raises(UploadFailed, match="timed out"):
            send(result, place(silent.url + "/a"), settings, tools)
        assert time.monotonic() - started < 5
        release.set()


def test_cancel_and_deadline(origin: Origin, result: Path, settings: Settings, tools: Tools) -> None:
    result.write_bytes(b"x" * (64 << 20))
    where = place(origin.put("/a.mp4", Page(status=201)))
    with pytest.raises(Cancelled):
        send(result, where, settings, tools, on_progress=lambda part: tools.cancel.set() if part > 0.1 else None)
    mine = Tools(tools.guardian, type(tools.cancel)(), tools.scratch)
    with pytest.raises(TimedOut):
        send(result, where, settings, mine, on_progress=lambda part: setattr(mine, "deadline", 0.0))
    wait_for(lambda: not origin.stored)


def test_over_tls(tls_files: tuple[Path, Path, Path], result: Path, tmp_path: Path, tools: Tools) -> None:
    trusting = settings_of(tmp_path, {"source localhost": {"ca_file": str(tls_files[0]), "header": "X-Key: s3cret"}})
    with Origin("localhost", tls=tls_files[1:]) as secure:
        send(result, place(secure.url + "/a.mp4"), trusting, tools)
        assert secure.stored["/a.mp4"] == RESULT and "x-key" not in secure.seen()[0].headers
        with pytest.raises(UploadFailed, match="certificate"):
            send(result, place(secure.url + "/b.mp4"), settings_of(tmp_path), tools)
    with Origin("127.0.0.2", tls=tls_files[1:]) as wrong:  # trusted, but not for this name
        named = settings_of(tmp_path, {"source 127.0.0.2": {"ca_file": str(tls_files[0])}})
        with pytest.raises(UploadFailed, match="match|certificate"):
            send(result, place(wrong.url + "/a.mp4"), named, tools)
        assert not wrong.stored


# -- the client itself, as callbacks and downloads use it


@pytest.fixture
def client(settings: Settings) -> Http:
    return Http(Guard.of(settings), read=5.0)


def test_connections_are_kept_and_redirects_are_not_followed(origin: Origin, client: Http) -> None:
    origin.put("/a", b"hello"), origin.redirect("/r", "/a")
    with client:
        for _ in range(3):
            with client.request("GET", check_url(origin.url + "/a"), {"X-A": "1"}) as response:
                assert (response.status, b"".join(pieces(response))) == (200, b"hello")
        with client.request("GET", check_url(origin.url + "/r")) as response:
            assert response.status == 302
        with client.request("POST", check_url(origin.url + "/p"), body=b"event") as response:
            assert response.status == 201
    assert len({seen.port for seen in origin.seen()}) == 1
    assert origin.stored["/p"] == b"event" and len(origin.seen("/a")) == 3


@pytest.mark.parametrize("page", [Page(RESULT, cut_after=1000), Page(RESULT, chunked=True, cut_after=1000)])
def test_a_cut_body_is_no_success(origin: Origin, client: Http, page: Page) -> None:
    with client, pytest.raises(Broken), client.request("GET", check_url(origin.put("/a", page))) as response:
        list(pieces(response))


def test_an_endless_body_is_not_read_to_its_end(origin: Origin, client: Http) -> None:
    url = origin.put("/a", Page(RESULT, rate=1000))
    started = time.monotonic()
    with client, client.request("GET", check_url(url)) as response:
        assert response.status == 200
    assert time.monotonic() - started < 3


def test_it_goes_to_the_checked_address_under_the_asked_name(
    origin: Origin, client: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    real = socket.getaddrinfo
    asked: list[str] = []

    def look_up(host: str, *more: object, **kw: object) -> object:
        asked.append(host)
        return real("127.0.0.1" if host == "localhost" else host, *more, **kw)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    origin.put("/a", b"hello")
    with client, client.request("GET", check_url(f"http://LOCALHOST:{origin.port}/a")) as response:
        assert b"".join(pieces(response)) == b"hello"
    assert origin.seen()[0].headers["host"] == f"localhost:{origin.port}"
    assert asked.count("localhost") == 1


def test_an_answer_before_the_file(result: Path, settings: Settings, tools: Tools) -> None:
    """It says nothing of what was not sent."""
    result.write_bytes(b"x" * (64 << 20))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hasty() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(1000)
                client.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=hasty)
        thread.start()
        with pytest.raises(UploadFailed):
            send(result, place(f"http://127.0.0.1:{listener.getsockname()[1]}/a"), settings, tools)
        thread.join()


def test_cancel_before_the_answer(result: Path, settings: Settings, tools: Tools) -> None:
    result.write_bytes(b"x")
    tools.stall_timeout = 3.0
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def begin() -> None:
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError):
                client.sendall(b"HTTP/1.1 201 Cre")
                tools.cancel.set()
                while client.recv(1000):
                    pass

        thread = threading.Thread(target=begin)
        thread.start()
        with pytest.raises(Cancelled):
            send(result, place(f"http://127.0.0.1:{listener.getsockname()[1]}/a"), settings, tools)
        thread.join()


def test_a_refusal_before_the_file_over_tls(
    tls_files: tuple[Path, Path, Path], result: Path, tmp_path: Path, tools: Tools
) -> None:
    result.write_bytes(b"x" * (64 << 20))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls_files[1:])
    settings = settings_of(tmp_path, {"source localhost": {"ca_file": str(tls_files[0])}})
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            with context.wrap_socket(listener.accept()[0], server_side=True) as client:
                client.recv(1000)
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(UploadDenied, match="403"):
            send(result, place(f"https://localhost:{listener.getsockname()[1]}/a"), settings, tools)
        thread.join()
