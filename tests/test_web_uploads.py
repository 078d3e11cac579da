"""Uploads of the web side: tus to the letter, forms, limits, quotas, what expires, what is hostile."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import RedisServer
from tests.daemon import Daemon, until
from tests.media_fixtures import Studio
from tests.relay import Pair, Relay
from tests.transfer_fixtures import small
from tests.web import TUS, Client, Web, serving

pytest.importorskip("starlette")
MIB = 1 << 20


@pytest.fixture
def web(daemon: Daemon, r) -> Iterator[Web]:
    daemon.sections = "[web]\nmax_upload = 20M\nquota_bytes = 60M\nquota_jobs = 3\n"
    daemon.write(stall_timeout=2)
    with serving(daemon) as made:
        yield made


@pytest.fixture
def video(studio: Studio) -> Path:
    return studio.film("silent").path


def files(daemon: Daemon) -> list[Path]:
    return sorted((daemon.state / "web/uploads").glob("*/file"))


def place_of(client: Client, length: int, name: str = "a.mp4") -> str:
    made = client.create(name, length)
    assert made.status == 201, made.data
    return str(made.headers["location"])


# ------------------------------------------------------------- tus
def test_options(client: Client) -> None:
    done = client.ask("OPTIONS", "/files")
    assert done.status == 204 and done.headers["tus-version"] == "1.0.0"
    assert done.headers["tus-max-size"] == str(20 * MIB) and done.headers["tus-checksum-algorithm"] == "sha256"
    assert set(done.headers["tus-extension"].split(",")) >= {"creation", "expiration", "checksum", "termination"}


def test_pieces_offsets_and_the_page(client: Client, daemon: Daemon, video: Path) -> None:
    data = video.read_bytes()
    place = place_of(client, len(data))
    half = len(data) // 2
    done = client.patch(place, 0, data[:half])
    assert (done.status, done.headers["upload-offset"]) == (204, str(half))
    assert "upload-expires" in done.headers and "videod-page" not in done.headers
    for wrong in (0, half - 1, half + 1, len(data)):
        assert client.patch(place, wrong, b"x").status == 409
    told = client.head(place)
    assert (told.headers["upload-offset"], told.headers["upload-length"]) == (str(half), str(len(data)))
    assert client.patch(place, half, data[half:] + b"x").status == 413
    assert int(client.head(place).headers["upload-offset"]) >= half
    at = int(client.head(place).headers["upload-offset"])
    done = client.patch(place, at, data[at:])
    page = done.headers["videod-page"]
    assert done.status == 204 and client.state(page)["state"] == "queued"
    # a lost answer: the page is told again, the job is not queued again
    assert client.head(place).headers["videod-page"] == page
    assert client.patch(place, len(data), b"").headers["videod-page"] == page
    assert client.state(page)["place"] == 1 and len(files(daemon)) == 1
    assert client.ask("DELETE", place, headers={**TUS, "X-CSRF-Token": client.token()}).status == 409
    assert files(daemon)[0].read_bytes() == data


def test_with_its_first_bytes_and_checksums(client: Client, daemon: Daemon, video: Path) -> None:
    data = video.read_bytes()
    good = "sha256 " + base64.b64encode(hashlib.sha256(data[:1000]).digest()).decode()
    headers = {**TUS, "Upload-Length": str(len(data)), "Content-Type": "application/offset+octet-stream"}
    headers |= {"X-CSRF-Token": client.token(), "Upload-Checksum": good}
    made = client.ask("POST", "/files", headers=headers, body=data[:1000])
    assert (made.status, made.headers["upload-offset"]) == (201, "1000")
    place = made.headers["location"]
    done = client.patch(place, 1000, data[1000:], **{"Upload-Checksum": good})
    assert done.status == 460 and client.head(place).headers["upload-offset"] == "1000"
    assert client.patch(place, 1000, b"x", **{"Upload-Checksum": "md5 AAAA"}).status == 400
    assert client.patch(place, 1000, data[1000:]).status == 204


def test_what_is_not_tus(client: Client) -> None:
    token = {"X-CSRF-Token": client.token()}
    assert client.ask("POST", "/files", headers={"Upload-Length": "5", **token}).status == 412
    for length in ("", "-1", "x", "1" * 19, "0", "٣", "05"):
        headers = {**TUS, **token, "Upload-Length": length.encode().decode("latin-1")}
        assert client.ask("POST", "/files", headers=headers).status == 400
    for metadata in ("filename !!!", "filename " + "A" * 5000):
        headers = {**TUS, **token, "Upload-Length": "5", "Upload-Metadata": metadata}
        assert client.ask("POST", "/files", headers=headers).status == 400
    assert client.create("a.mp4", 5, **{"Upload-Defer-Length": "1"}).status == 400
    place = place_of(client, 100)
    assert client.patch(place, 0, b"x", **{"Upload-Offset": "00"}).status == 400
    assert client.patch(place, 0, b"x", **{"Content-Type": "text/plain"}).status == 415
    assert client.ask("DELETE", place, headers={**TUS, **token}).status == 204
    assert client.head(place).status == 404 and client.patch(place, 0, b"x").status == 404


def test_one_writer_at_a_time(web: Web, client: Client) -> None:
    place = place_of(client, 1000)
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    head = f"PATCH {place} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nX-CSRF-Token: {client.token()}\r\n"
    head += "Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Length: 900\r\n"
    head += "Content-Type: application/offset+octet-stream\r\n\r\n"
    with socket.create_connection(("127.0.0.1", web.port)) as slow:
        slow.sendall(head.encode() + b"\0\0\0\x18ftypisom" + b"y" * 488)
        until(lambda: client.patch(place, 0, b"").status == 423, 10, "it is locked")
        # who sends nothing more is cut off, and what came stays
        slow.settimeout(20)
        assert b" 408 " in slow.recv(10_000)
    until(lambda: client.head(place).headers["upload-offset"] == "500", 10, "what came is there")
    assert client.patch(place, 500, b"x" * 100).status == 204


def test_who_asks_for_nothing_is_cut_off(web: Web, client: Client) -> None:
    token = client.token()
    silent, slow = (socket.create_connection(("127.0.0.1", web.port)) for _ in range(2))
    with silent, slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: local")
        for one in (silent, slow):
            one.settimeout(10)
            assert one.recv(100) == b""
    assert client.get("/healthz").status == 200
    with socket.create_connection(("127.0.0.1", web.port)) as slow:
        head = f"POST /logout HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\ntoken={token}"
        slow.sendall(head.encode())
        slow.settimeout(10)
        assert b" 408 " in slow.recv(10_000)
    large = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (200 << 10)
    with socket.create_connection(("127.0.0.1", web.port), 10) as one:
        answer = b""
        with contextlib.suppress(ConnectionError):  # it is cut off, maybe before the answer was read
            one.sendall(large)
            answer = one.recv(100)
        assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert client.get("/healthz").status == 200


def test_a_broken_connection_keeps_what_came(web: Web, client: Client, daemon: Daemon) -> None:
    place = place_of(client, 10 * MIB)
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    head = f"PATCH {place} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nX-CSRF-Token: {client.token()}\r\n"
    head += f"Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Length: {10 * MIB}\r\n"
    head += "Content-Type: application/offset+octet-stream\r\n\r\n"
    with socket.create_connection(("127.0.0.1", web.port)) as broken:
        broken.sendall(head.encode() + b"\0" * (3 * MIB))
        until(lambda: files(daemon)[0].stat().st_size >= 2 * MIB, 10, "most of it is there")
    until(lambda: client.patch(place, 0, b"").status == 409, 10, "it is free again")
    assert int(client.head(place).headers["upload-offset"]) == 3 * MIB


def test_redis_away_at_the_last_byte(web: Web, client: Client, redis_server: RedisServer, video: Path) -> None:
    data = video.read_bytes()
    place = place_of(client, len(data))
    token = client.token()
    redis_server.kill()
    try:
        done = client.patch(place, 0, data, **{"X-CSRF-Token": token})
        assert done.status == 503 and int(done.headers["retry-after"]) > 0
        assert client.get("/healthz").status == 503
        done = client.get("/")
        assert done.status == 503 and b"Nothing is lost" in done.data and done.headers["refresh"] == "5"
    finally:
        redis_server.start()
    assert client.head(place).headers["upload-offset"] == str(len(data))
    page = client.patch(place, len(data), b"").headers["videod-page"]
    assert client.state(page)["state"] == "queued"


def test_redis_hangs(web: Web, client: Client, redis_server: RedisServer) -> None:
    """All threads that ask Redis may wait for it: whether all is well is told nevertheless."""
    token = client.token()
    pid = redis_server.client().info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    held = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(50)]
    try:
        for one in held:
            one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        done = Client(web).get("/healthz", timeout=8)  # a command has 10 s
        assert (done.status, done.json()) == (503, {"ok": False, "redis": False})
        for path, status in (("/static/style.css", 200), ("/static/none.css", 404), ("/nowhere", 404)):
            assert client.get(path, timeout=8).status == status
    finally:
        os.kill(pid, signal.SIGCONT)
        for one in held:
            one.close()
    until(lambda: client.get("/healthz").status == 200, 10, "it answers again")
    assert client.create("a.mp4", 5, **{"X-CSRF-Token": token}).status == 201


def test_it_ends_while_redis_hangs(web: Web, client: Client, redis_server: RedisServer) -> None:
    pid, before = redis_server.client().info("server")["process_id"], threads(web)
    os.kill(pid, signal.SIGSTOP)
    held = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(before + 2)]
    try:
        for one in held:
            one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: threads(web) >= before + 2, 10, "they wait for Redis")
        web.process.send_signal(signal.SIGTERM)
        assert web.process.wait(8) == 0  # a command has 10 s
    finally:
        os.kill(pid, signal.SIGCONT)
        for one in held:
            one.close()


def threads(web: Web) -> int:
    return len(os.listdir(f"/proc/{web.process.pid}/task"))


class Partition(Relay):
    """While it is `cut`, what is sent over a connection gets lost; it never ends."""

    def __init__(self, target: Path) -> None:
        self.cut, self.over = False, threading.Event()
        super().__init__(target)

    def passed(self, pair: Pair, data: bytes, *, up: bool) -> bool:
        pair.doomed = pair.doomed or self.cut
        if pair.doomed:
            self.over.wait()
        return not pair.doomed


def test_redis_behind_a_partition(daemon: Daemon, redis_server: RedisServer) -> None:
    """All is well as soon as Redis is, though what was asked before still waits for an answer."""
    with Partition(redis_server.socket) as relay:
        daemon.write(redis=f"redis://127.0.0.1:{relay.port}/0")
        with serving(daemon) as web:
            client = Client(web)
            assert client.get("/healthz").status == 200
            relay.cut = True
            assert client.get("/healthz", timeout=8).status == 503
            relay.cut = False
            until(lambda: client.get("/healthz").status == 200, 5, "it is told")  # a command has 10 s
            relay.over.set()


# ------------------------------------------------------------- limits
def test_limits_before_a_byte_is_taken(client: Client, daemon: Daemon) -> None:
    assert client.create("a.mp4", 20 * MIB + 1).status == 413
    assert client.create("a.mp4", 10**17).status == 413
    assert files(daemon) == []
    for _ in range(3):
        place_of(client, 20 * MIB)
    done = client.create("a.mp4", 1)
    assert done.status == 429 and int(done.headers["retry-after"]) > 3600 and b"hours" in done.data
    assert Client(client.web).create("a.mp4", 1).status == 201


def test_what_was_announced_and_never_came_counts_no_more(client: Client, video: Path, r) -> None:
    token = {"X-CSRF-Token": client.token()}
    for _ in range(5):
        place = place_of(client, 20 * MIB)
        assert client.patch(place, 0, b"\0" * 1000).status == 204
        assert client.ask("DELETE", place, headers={**TUS, **token}).status == 204
        assert client.ask("DELETE", place, headers={**TUS, **token}).status == 404
    (key,) = r.scan_iter("videod:quota:*")
    assert int(r.hget(key, "bytes")) == 5000
    place = place_of(client, 20 * MIB, "film.mp4")
    assert client.patch(place, 0, b"<!DOCTYPE html>" + b"x" * 4985).status == 415
    assert int(r.hget(key, "bytes")) == 10_000
    # counted in a day that is over
    place = place_of(client, MIB)
    r.hset(key, "bytes", 7)
    r.pexpire(key, 86_400_000 + 120_000)
    assert client.ask("DELETE", place, headers={**TUS, **token}).status == 204
    assert int(r.hget(key, "bytes")) == 7


def test_so_many_jobs_a_day(client: Client, video: Path) -> None:
    for _ in range(3):
        client.upload(video)
    place = place_of(client, video.stat().st_size)
    assert client.patch(place, 0, video.read_bytes()).status == 429


def test_so_many_files_a_day(client: Client) -> None:
    for _ in range(30):
        place_of(client, 1)
    assert client.create("a.mp4", 1).status == 429


def test_so_many_unfinished_at_once(client: Client, daemon: Daemon, video: Path) -> None:
    daemon.sections = "[web]\n"
    daemon.write()
    client.web.stop()
    client.web.start()
    token = {"X-CSRF-Token": client.token()}
    with ThreadPoolExecutor(10) as many:
        all_ = [*many.map(lambda _: client.create("a.mp4", 9, **token), range(120))]
    places = [done.headers["location"] for done in all_ if done.status == 201]
    assert len(places) == 100 == len(files(daemon)) and {done.status for done in all_} == {201, 429}
    done = client.create("a.mp4", 9, **token)
    assert done.status == 429 and "100 of your uploads" in done.json()["detail"] and done.headers["retry-after"]
    refused = client.ask("POST", "/upload", **form(client, ("a.mp4", video.read_bytes())))
    assert refused.status == 429 and b"100 of your uploads" in refused.data
    assert Client(client.web).create("a.mp4", 9).status == 201  # somebody else
    assert client.ask("DELETE", places[0], headers={**TUS, **token}).status == 204
    client.upload(video)  # which is finished then
    assert client.create("a.mp4", 9, **token).status == 201
    assert client.create("a.mp4", 9, **token).status == 429


@contextlib.contextmanager
def on_small_disk(web: Web, daemon: Daemon, folder: Path, size: str) -> Iterator[Path]:
    """The web side with a disk of its own for its folder; whoever uses it stops it."""
    web.stop()
    with small(folder, size):
        daemon.sections = f"[web]\nfolder = {folder}\n"
        daemon.write(min_free=0)
        web.start()
        yield folder


def test_no_room_that_the_disk_does_not_tell(web: Web, client: Client, daemon: Daemon, tmp_path: Path) -> None:
    """It has bytes, and no inodes."""
    with on_small_disk(web, daemon, tmp_path / "full", "1m,nr_inodes=5") as folder:
        statuses = {client.create("a.mp4", 9).status for _ in range(3)}
        assert 507 in statuses <= {201, 507}
        assert all((path / "info.json").exists() for path in (folder / "uploads").iterdir())
        assert client.ask("POST", "/upload", **form(client, ("a.mp4", b"\0" * 9))).status == 507
        assert web.stop() == 0


def test_what_is_announced_has_room_together(web: Web, client: Client, daemon: Daemon, tmp_path: Path) -> None:
    with on_small_disk(web, daemon, tmp_path / "full", "64m") as folder:
        token = {"X-CSRF-Token": client.token()}
        with ThreadPoolExecutor(4) as many:
            all_ = [*many.map(lambda _: client.create("a.mp4", 20 * MIB, **token), range(4))]
        assert sorted(done.status for done in all_) == [201, 201, 201, 507]
        place = next(done.headers["location"] for done in all_ if done.status == 201)
        assert client.patch(place, 0, bytes(20 * MIB)).status == 204  # what has come is counted once
        assert client.create("a.mp4", 20 * MIB, **token).status == 507
        assert client.create("a.mp4", 2 * MIB, **token).status == 201
        for file in folder.glob("uploads/*/file"):  # nobody goes on with them
            os.utime(file, (0, time.time() - 3600))
        assert client.create("a.mp4", 20 * MIB, **token).status == 201
        assert web.stop() == 0


def test_no_room(web: Web, client: Client, daemon: Daemon) -> None:
    place = place_of(client, 1000)
    web.stop()
    daemon.write(min_free="8000000G")
    web.start()
    assert client.create("a.mp4", 10).status == 507
    assert client.patch(place, 0, b"\0" * 1000).status == 507
    assert client.head(place).headers["upload-offset"] == "0"


NO_VIDEOS = [
    (b"<!DOCTYPE html><p>hello</p>", "web page"),
    (b"\xef\xbb\xbf  <svg onload=alert(1)>", "web page"),
    (b"<?xml version='1.0'?><a/>", "web page"),
    (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
    (b"PK\x03\x04\x14\0", "ZIP"),
    (b"\x7fELF\x02\x01", "program"),
    (b"MZ\x90\0", "program"),
    (b"#!/bin/sh\nrm -rf /\n", "script"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF", "picture"),
    (b"\x89PNG\r\n\x1a\n\0\0", "picture"),
    (b"RIFF\0\0\0\0WEBPVP8 ", "picture"),
    (b"\0\0\0\x18ftypheic\0\0\0\0", "picture"),
    (b"#EXTM3U\nhttp://169.254.169.254/a\n", "playlist"),
    (b"ffconcat version 1.0\nfile /etc/passwd\n", "text"),
    ("Grüße, nur Text".encode() * 100, "text"),
]


def test_what_is_no_video_is_refused_by_its_content(web: Web, daemon: Daemon) -> None:
    for data, what in NO_VIDEOS:
        client = Client(web)
        place = place_of(client, len(data), "film.mp4")
        done = client.patch(place, 0, data)
        assert done.status == 415 and what in done.json()["detail"], data
        assert files(daemon) == [] and client.head(place).status == 404
        # the first bytes alone decide, also in two pieces
        place = place_of(client, 2000, "film.mp4")
        assert client.patch(place, 0, data[:3]).status == 204
        assert client.patch(place, 3, (data + b"\n" * 1000)[3:1000]).status == 415, data
        assert files(daemon) == []


# ------------------------------------------------------------- forms
def form(client: Client, *chosen: tuple[str, bytes], token: str = "") -> dict:
    fields = [("token", token or client.token()), *(("file", (name, data, "video/mp4")) for name, data in chosen)]
    return {"fields": fields}


def test_a_form_without_javascript(client: Client, daemon: Daemon, video: Path) -> None:
    data = video.read_bytes()
    done = client.ask("POST", "/upload", **form(client, ("a b.mp4", data)))
    assert done.status == 303 and done.headers["location"].startswith("/j/w")
    assert "a b.mp4" in client.page(done.headers["location"])
    assert files(daemon)[0].read_bytes() == data
    done = client.ask("POST", "/upload", **form(client, ("b.mp4", data), ("c.mp4", data)))
    assert (done.status, done.headers["location"]) == (303, "/")
    assert all(name in client.page("/") for name in ("b.mp4", "c.mp4"))
    assert [file.read_bytes() == data for file in files(daemon)] == [True] * 3


def test_one_of_several_files_is_no_video(client: Client, video: Path) -> None:
    data = video.read_bytes()
    done = client.ask(
        "POST", "/upload", **form(client, ("d.mp4", data), ("e<.mp4", b"<html>" + b"x" * 5000), ("f", data))
    )
    said = done.data.decode()
    assert done.status == 415 and "“e&lt;.mp4” is no video" in said and "Not taken: e&lt;.mp4, and what came" in said
    ((taken, name),) = re.findall(r'<a href="(/j/[^"]*)">([^<]*)</a>', said)
    assert name == "d.mp4" and client.state(taken)["state"] == "queued"


def test_forms_that_are_wrong(client: Client, daemon: Daemon, video: Path) -> None:
    assert client.ask("POST", "/upload", **form(client)).status == 400
    assert client.ask("POST", "/upload", **form(client, ("", b""))).status == 400
    assert client.ask("POST", "/upload", **form(client, ("a.mp4", b""))).status == 400
    assert client.ask("POST", "/upload", **form(client, ("a.mp4", b"<html>" + b"x" * 5000))).status == 415
    done = client.ask("POST", "/upload", **form(client, ("a.mp4", b"\0" * (20 * MIB + 1))))
    assert done.status == 413 and b"larger than announced or allowed" in done.data
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"", b"--x", b"nothing", b"--x\r\nContent-Disposition: " + b"a" * 9000, b"--x\r\n\r\n"):
        assert client.ask("POST", "/upload", headers=kind, body=body).status in (400, 403)
    assert client.ask("POST", "/upload", body=b"a=b").status == 415
    assert files(daemon) == [] and list((daemon.state / "web/uploads").iterdir()) == []


def test_a_form_that_breaks_leaves_nothing(web: Web, client: Client, daemon: Daemon) -> None:
    token = client.token()
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    begin = f'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\n{token}\r\n'
    begin += '--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
    head = f"POST /upload HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Length: 1000000\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    uploads = daemon.state / "web/uploads"
    for rest in (b"\r\n--x\r\n\x01: y\r\n", b""):
        with socket.create_connection(("127.0.0.1", web.port), 20) as one:
            one.sendall((head + begin).encode() + bytes(10_000))
            until(lambda: list(uploads.iterdir()), 10, "it has begun")
            if rest:
                one.sendall(rest)
                assert b" 400 " in one.recv(1000)
        until(lambda: not list(uploads.iterdir()), 10, "nothing is left")


# ------------------------------------------------------------- hostile names and addresses
NAMES = ["../../etc/passwd", "..", "/etc/shadow", "a\\..\\b.mp4", "<script>alert(1)</script>.mp4", "\u202egpj.mp4"]
NAMES += ["a\r\nSet-Cookie: x=y.mp4", "x" * 3000 + ".mp4", "{id}{n}{{7*7}}.mp4", "%2e%2e%2f.mp4", "\ud800.mp4", '";x="']


def test_names_lead_nowhere(client: Client, daemon: Daemon, video: Path, r) -> None:
    daemon.sections = "[web]\n"
    daemon.write()
    client.web.stop()
    client.web.start()
    daemon.start(max_worker=2)
    before = {str(path) for path in daemon.folder.rglob("*")}
    pages = []
    for name in NAMES:
        metadata = "filename " + base64.b64encode(name.encode("utf-8", "surrogatepass")).decode()[:4000]
        headers = {**TUS, "Upload-Length": str(video.stat().st_size), "X-CSRF-Token": client.token()}
        made = client.ask("POST", "/files", headers={**headers, "Upload-Metadata": metadata})
        assert made.status == 201, name
        pages.append(client.patch(made.headers["location"], 0, video.read_bytes()).headers["videod-page"])
    for page in pages:
        state = client.ended(page)
        assert state["state"] == "done"
        text = client.page(page)
        assert "<script>alert" not in text and "\u202e" not in text and "49" not in state["outputs"][0]["name"]
        kept = client.get(state["outputs"][0]["href"] + "?download")
        assert kept.status == 200 and "set-cookie" not in kept.headers and "x=y" not in kept.headers
    new = {str(path.relative_to(daemon.state / "web")) for path in daemon.folder.rglob("*") if str(path) not in before
           and "web/" in str(path)}  # fmt: skip
    assert all(path.split("/")[0] in ("uploads", "results", ".lock") for path in new)


def test_paths_lead_nowhere(client: Client, daemon: Daemon, video: Path) -> None:
    page = client.upload(video)
    ident = page.removeprefix("/j/")
    results = daemon.state / "web/results" / ident
    for place in ("../secret", "..%2f..%2fsecret", "%2e%2e", "a" * 24, "secret", "." * 24, "a/b", "%00" * 24):
        assert client.head(f"/files/{place}").status == 404
        assert client.get(f"/j/{place}").status == 404
        assert client.get(f"/j/{place}/files/1").status == 404
        assert client.get(f"{page}/files/{place}").status == 404
    daemon.start()
    state = client.ended(page)
    (file,) = results.glob("*.mp4")
    file.unlink()
    file.symlink_to("/etc/passwd")
    assert client.get(state["outputs"][0]["href"]).status == 404
    assert client.get(f"{page}/files/99").status == 404 and client.get(f"{page}/files/-1").status == 404


RANGES = [
    ("bytes=0-0", 206, (0, 1)),
    ("bytes=100-", 206, (100, None)),
    ("bytes=-10", 206, (-10, None)),
    ("bytes=5-10000000000", 206, (5, None)),
    ("bytes=10000000000-", 416, None),
    ("bytes=-0", 416, None),
    ("bytes=7-3", 200, (0, None)),
    ("bytes=0-1,5-6", 200, (0, None)),
    ("lines=1-2", 200, (0, None)),
    ("bytes=" + "9" * 30 + "-", 200, (0, None)),
]


def test_ranges(daemon: Daemon, client: Client, video: Path) -> None:
    page = client.upload(video)
    daemon.start()
    (output,) = client.ended(page)["outputs"]
    whole = client.get(output["href"])
    for asked, status, part in RANGES:
        done = client.get(output["href"], headers={"Range": asked})
        assert done.status == status, asked
        if part:
            assert done.data == whole.data[part[0] : part[1]], asked
        else:
            assert done.headers["content-range"] == f"bytes */{output['bytes']}"
    etag = whole.headers["etag"]
    assert client.get(output["href"], headers={"If-None-Match": etag}).status == 304
    changed = client.get(output["href"], headers={"Range": "bytes=0-0", "If-Range": '"other"'})
    assert changed.status == 200 and len(changed.data) == output["bytes"]
    told = client.ask("HEAD", output["href"])
    assert told.headers["content-length"] == str(output["bytes"]) and told.data == b""


# ------------------------------------------------------------- what expires
def test_what_expires(web: Web, client: Client, daemon: Daemon, video: Path, r) -> None:
    half, waiting = place_of(client, 1000), client.upload(video)
    assert client.patch(half, 0, b"\0" * 100).status == 204
    old = time.time() - 2 * 86400
    for file in files(daemon):
        os.utime(file, (old, old))
    web.stop()
    web.start()
    until(lambda: len(files(daemon)) == 1, 10, "the unfinished one is gone")
    assert client.head(half).status == 404 and client.state(waiting)["state"] == "queued"
    daemon.start()
    assert client.ended(waiting)["state"] == "done"
    results = daemon.state / "web/results" / waiting.removeprefix("/j/")
    os.utime(results, (old - 7 * 86400, old - 7 * 86400))
    web.stop()
    web.start()
    until(lambda: not results.exists(), 10, "the result is gone")
    assert len(files(daemon)) == 1  # its job has just ended
    r.hset(f"videod:job:{results.name}", "ended_at", "2026-01-01T00:00:00.000Z")
    web.stop()
    web.start()
    until(lambda: not files(daemon), 10, "the source is gone")
    state = client.state(waiting)
    assert state["state"] == "done" and client.get(state["outputs"][0]["href"]).status == 404


# ------------------------------------------------------------- who reads nothing
def test_results_that_nobody_reads(web: Web, daemon: Daemon, client: Client, video: Path) -> None:
    page = client.upload(video)
    daemon.start()
    (output,) = client.ended(page)["outputs"]
    (file,) = (daemon.state / "web/results" / page.removeprefix("/j/")).glob("*.mp4")
    os.truncate(file, 20 * MIB)
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    asked = f"GET {output['href']} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(reading_nothing(web, asked)) for _ in range(40)]
        statuses = [one.recv(12)[9:] for one in slow]
        refused = statuses.count(b"429")
        assert set(statuses) == {b"200", b"429"} and refused <= 8
        assert client.ask("HEAD", output["href"]).status == 200
        # each is ended, though it still reads nothing, and makes room for others
        until(lambda: connections(web, slow) == refused, 20, "the connections are gone")
    assert len(client.get(output["href"]).data) == 20 * MIB


def connections(web: Web, of: list[socket.socket]) -> int:
    """How many of these the process still holds."""
    ports = {f"{one.getsockname()[1]:04X}" for one in of}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # without an inode it is the kernel's alone
    held = [row for row in rows if row[1].endswith(f":{web.port:04X}") and row[9] != "0"]
    return len({row[2][-4:] for row in held} & ports)


@contextlib.contextmanager
def reading_nothing(web: Web, asked: bytes) -> Iterator[socket.socket]:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(10)
        one.connect(("127.0.0.1", web.port))
        one.sendall(asked)
        yield one
