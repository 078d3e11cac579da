"""Callbacks: signed, tried again with back-off, no slot held, none lost by kill -9, one delivery id each."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.world import FAKETIME
from tests.daemon import ROOT, Daemon, events, final, push, until
from tests.origin import Origin, Page
from videod import postman
from videod.backoff import delay_after
from videod.config import load
from videod.jobqueue.outbox import Letter
from videod.postman import sign

SECRET = "correct horse"


@pytest.fixture
def receiver() -> Iterator[Origin]:
    with Origin() as made:
        yield made


@pytest.fixture
def serving(daemon: Daemon) -> Daemon:
    daemon.start(allow_hosts="* 127.0.0.1", callback_secret=SECRET, retry_delay=0.05)
    return daemon


def due_now(r) -> None:
    """Let what was put off be due."""
    for member in r.zrange("videod:outbox", 0, -1):
        r.zadd("videod:outbox", {member: 1}, xx=True)


def signed(headers: dict, body: bytes) -> None:
    at, _, given = headers["x-videod-signature"].partition(",v1=")
    expected = hmac.new(SECRET.encode(), at.removeprefix("t=").encode() + b"." + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(given, expected)
    assert abs(int(at.removeprefix("t=")) - time.time()) < 60


def test_each_end_is_told(serving: Daemon, r, receiver: Origin) -> None:
    url = receiver.put("/hook", Page(status=200))
    cases = {"done": {}, "dead": {"fail": "not_found"}, "bad": {"seconds": "never"}}
    for ident, more in cases.items():
        push(r, {"id": ident, "kind": "sleep", "callback": url, "meta": {"m": ident}, **more})
    push(r, {"id": "late", "kind": "sleep", "seconds": 60, "callback": url})
    until(lambda: r.hget("videod:job:late", "state") == "running", 10, "it runs")
    assert serving.command("cancel", "late").returncode == 0
    until(lambda: len(receiver.seen("/hook")) == 4, 10, "all are told")
    told = {json.loads(seen.body)["id"]: seen for seen in receiver.seen("/hook")}
    for ident, event in (("done", "done"), ("dead", "dead"), ("bad", "dead"), ("late", "cancelled")):
        seen = told[ident]
        assert seen.method == "POST"
        assert seen.headers["x-videod-event"] == event
        assert seen.headers["content-type"] == "application/json"
        assert json.loads(seen.body) == final(r, ident)
        signed(seen.headers, seen.body)
    assert len({seen.headers["x-videod-delivery"] for seen in told.values()}) == 4
    until(lambda: r.zcard("videod:outbox") == 0, 5, "the outbox is empty")


def test_a_retry_is_no_end(serving: Daemon, r, receiver: Origin) -> None:
    url = receiver.put("/hook", Page(status=200))
    push(r, {"id": "t", "kind": "sleep", "fail": "fetch_failed", "max_attempts": 3, "callback": url})
    final(r, "t")
    until(lambda: receiver.seen("/hook"), 10, "it is told")
    assert [seen.headers["x-videod-event"] for seen in receiver.seen("/hook")] == ["dead"]


def test_tried_again_under_the_same_delivery_id(serving: Daemon, r, receiver: Origin) -> None:
    moved = Page(status=302, headers={"Location": "/elsewhere"})
    url = receiver.put("/hook", Page(status=500), Page(silent=True), moved, Page(status=204))
    push(r, {"id": "t", "kind": "sleep", "callback": url})
    for n in range(1, 5):
        until(lambda n=n: len(receiver.seen("/hook")) == n, 10, f"try {n}")
        if n < 4:
            until(lambda n=n: r.zcard("videod:outbox") == 1 and f'"tries":{n}' in r.zrange("videod:outbox", 0, 0)[0],
                  5, "it is put off")  # fmt: skip
            due_now(r)
    until(lambda: r.zcard("videod:outbox") == 0, 5, "it is delivered")
    assert len({seen.headers["x-videod-delivery"] for seen in receiver.seen("/hook")}) == 1
    assert len({seen.body for seen in receiver.seen("/hook")}) == 1
    assert not receiver.seen("/elsewhere")
    until(lambda: "delivered, try 4" in serving.log, 5, "and that is said, a moment later")


def test_the_delay_grows_to_an_hour() -> None:
    delays = [delay_after(n, 10.0) for n in range(1, 12)]
    assert 7.5 <= delays[0] <= 12.5 and 15 <= delays[1] <= 25
    assert all(2700 <= delay <= 4500 for delay in delays[9:])


def test_given_up_after_a_day(serving: Daemon, r, receiver: Origin) -> None:
    url = receiver.put("/hook", Page(status=500))
    push(r, {"id": "old", "kind": "sleep", "callback": url})
    until(lambda: '"tries":1' in "".join(r.zrange("videod:outbox", 0, 0)), 10, "it failed once")
    letter = json.loads(r.zrange("videod:outbox", 0, 0)[0])
    r.delete("videod:outbox")
    r.zadd("videod:outbox", {json.dumps({**letter, "since": time.time() - 90_000}): 1})
    until(lambda: r.zcard("videod:outbox") == 0, 5, "it is given up")
    until(lambda: "given up after a day" in serving.log, 5, "and that is said")


def test_a_node_whose_clock_is_wrong_gives_none_up(daemon: Daemon, r, receiver: Origin) -> None:
    """Written by a node two days behind, delivered by one whose clock is right."""
    if not FAKETIME.exists():
        pytest.skip("needs libfaketime")
    behind = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "-2d", "DONT_FAKE_MONOTONIC": "1"}
    url = receiver.put("/hook", Page(status=500), Page(status=500), Page(status=204))
    daemon.write(allow_hosts="* 127.0.0.1", node="other")
    assert daemon.command("start", "prod", env={**os.environ, **behind}).returncode == 0
    push(r, {"id": "t", "kind": "sleep", "callback": url})
    until(lambda: '"tries":1' in "".join(r.zrange("videod:outbox", 0, 0)), 10, "it failed once")
    assert daemon.stop() == 0
    daemon.start()
    due_now(r)
    until(lambda: '"tries":2' in "".join(r.zrange("videod:outbox", 0, 0)), 10, "it failed twice")
    due_now(r)
    until(lambda: r.zcard("videod:outbox") == 0, 5, "it is delivered")
    assert len(receiver.seen("/hook")) == 3


def test_a_receiver_that_hangs_holds_up_nobody(serving: Daemon, r, receiver: Origin) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    hangs = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    url = receiver.put("/hook", Page(status=200))
    push(r, *({"id": f"h{n}", "kind": "sleep", "callback": hangs} for n in range(3)))
    held = [silent.accept()[0] for _ in range(3)]
    push(r, *({"id": f"j{n}", "kind": "sleep", "callback": url} for n in range(20)))
    until(lambda: len(receiver.seen("/hook")) == 20, 8, "the others are told, and slots are free")
    begun = time.monotonic()
    assert serving.stop() == 0
    assert time.monotonic() - begun < 5, "stop does not wait for a receiver"
    assert r.zcard("videod:outbox") == 3
    for connection in (*held, silent):
        connection.close()


def drip(where: socket.socket, over: threading.Event) -> None:
    """Serve each caller a byte of an endless head now and then; ends with `over`."""
    callers: list[socket.socket] = []
    where.settimeout(0.2)
    while not over.wait(0.2):
        with contextlib.suppress(TimeoutError):
            callers.append(where.accept()[0])
        for caller in callers:
            with contextlib.suppress(OSError):
                caller.send(b"H")
    for caller in callers:
        caller.close()


def test_a_receiver_that_drips_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is never silent for long, and would hold one of four hands for ever."""
    over = threading.Event()
    monkeypatch.setattr(postman, "LONGEST_SECONDS", 1.0)
    (tmp_path / "videod.ini").write_text(f"[DEFAULT]\nallow_hosts = * 127.0.0.1\nstate_dir = {tmp_path}\n")
    settings = load(str(tmp_path / "videod.ini")).settings("prod")
    with socket.create_server(("127.0.0.1", 0)) as where:
        thread = threading.Thread(target=drip, args=(where, over))
        thread.start()
        url = f"http://127.0.0.1:{where.getsockname()[1]}/"
        assert "no whole answer within 1 s" in postman.deliver(Letter("d", url, "done", "x" * (1 << 20)), settings)
        assert "no whole answer within 1 s" in postman.deliver(Letter("d", url, "done", "{}"), settings)
        over.set()
        thread.join()


def test_who_answers_slowly_is_told_whole(tmp_path: Path) -> None:
    """A body that fits no buffer, to who reads late, and an answer whose body never comes."""
    (tmp_path / "videod.ini").write_text(f"[DEFAULT]\nallow_hosts = * 127.0.0.1\nstate_dir = {tmp_path}\n")
    settings = load(str(tmp_path / "videod.ini")).settings("prod")
    got: list[int] = []
    body = "x" * (16 << 20)

    def answer(where: socket.socket) -> None:
        with where.accept()[0] as caller, caller.makefile("rb") as file:
            time.sleep(1)  # longer than one wait of a patient socket
            while (line := file.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    got.append(len(body) - int(line.split(b":")[1]))
            got.append(len(file.read(len(body))))
            caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")

    with socket.create_server(("127.0.0.1", 0)) as where:
        thread = threading.Thread(target=answer, args=(where,))
        thread.start()
        url = f"http://127.0.0.1:{where.getsockname()[1]}/"
        assert postman.deliver(Letter("d", url, "done", body), settings) == ""
        thread.join()
    assert got == [0, len(body)]


def test_kill_9_loses_none(serving: Daemon, r, receiver: Origin) -> None:
    url = receiver.put("/hook", Page(status=503))
    push(r, *({"id": f"k{n}", "kind": "sleep", "callback": url} for n in range(10)))
    for n in range(10):
        final(r, f"k{n}")
    serving.kill()
    assert r.zcard("videod:outbox") == 10
    before = {seen.headers["x-videod-delivery"] for seen in receiver.seen("/hook")}
    receiver.put("/hook", Page(status=200))
    told = len(receiver.seen("/hook"))
    serving.start()
    due_now(r)
    wanted = {f"k{n}" for n in range(10)}
    # one that was under way when the daemon died may be seen only now, and comes again
    until(lambda: {json.loads(seen.body)["id"] for seen in receiver.seen("/hook")[told:]} == wanted, 10, "all are told")
    after = receiver.seen("/hook")[told:]
    assert before <= {seen.headers["x-videod-delivery"] for seen in after}


def test_secrets_and_forbidden_receivers(daemon: Daemon, r, receiver: Origin) -> None:
    daemon.start(allow_hosts="* 127.0.0.1")
    url = receiver.put("/hook", Page(status=500)).replace("http://", "http://user:pa55word@") + "?sig=s3cret"
    push(r, {"id": "hidden", "kind": "sleep", "callback": url})
    until(lambda: receiver.seen("/hook"), 10, "it is told")
    until(lambda: "answered 500" in daemon.log, 5, "and the failure is said")
    seen = receiver.seen("/hook")[0]
    assert seen.headers["authorization"].startswith("Basic ") and seen.path == "/hook?sig=s3cret"
    assert "x-videod-signature" not in seen.headers, "there is no key to sign with"
    for text in ("pa55word", "s3cret"):
        assert text not in daemon.log
        assert not any(text in json.dumps(event) for event in events(r))
    push(r, {"id": "inward", "kind": "sleep", "callback": "http://169.254.169.254/latest"})
    assert final(r, "inward")["error"]["code"] == "bad_message"
    assert "callback" in final(r, "inward")["error"]["message"]


def test_the_receiver_of_the_docs(daemon: Daemon, r) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [sys.executable, str(ROOT / "docs" / "examples" / "receiver.py"), str(port)]
    environ = {**os.environ, "CALLBACK_SECRET": SECRET}
    receiver = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environ)
    try:
        daemon.start(allow_hosts="* 127.0.0.1", callback_secret=SECRET)
        url = f"http://127.0.0.1:{port}/"
        push(r, {"id": "doc", "kind": "sleep", "callback": url, "meta": "ä"})
        assert receiver.stdout
        assert json.loads(receiver.stdout.readline()) == final(r, "doc")
        until(lambda: r.zcard("videod:outbox") == 0, 10, "it answered 2xx")
        # a letter that was delivered before, one that was tampered with, one with another key
        for body, headers, status in (
            (b"{}", {}, 403),
            (b'{"event":"done"}', {"X-Videod-Signature": f"t={int(time.time())},v1=00"}, 403),
            (b"{}", {"X-Videod-Signature": sign(b"{}", SECRET, int(time.time()) - 4000)}, 403),
            (b"{}", {"X-Videod-Signature": sign(b"{}", "other", int(time.time()))}, 403),
            (b"{}", {"X-Videod-Signature": sign(b"{}", SECRET, int(time.time())), "X-Videod-Delivery": "n"}, 204),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("POST", "/", body, headers)
            assert connection.getresponse().status == status
            connection.close()
        assert json.loads(receiver.stdout.readline()) == {}
    finally:
        receiver.kill()
        receiver.communicate()
