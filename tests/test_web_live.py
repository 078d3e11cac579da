"""Events for browsers: the state first, then each change, after whatever happened in between."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest

pytest.importorskip("starlette")

from tests.conftest import RedisServer
from tests.daemon import Daemon, final, until
from tests.redis_servers import short_folder
from tests.web import Client, Web
from videod.config import Settings, load
from videod.errors import RedisAway
from videod.events import Teller
from videod.job import Head
from videod.jobqueue import Claim, Connection, JobQueue
from videod.jobqueue.pages import Page, Pages
from videod.jobqueue.stream import Batch, Stream
from videod.message import fresh
from videod.web.hub import MOST_OF_JOB, Hub
from videod.web.trouble import Trouble


def ident(n: int) -> str:
    return f"w{n:024d}"


def page(settings: Settings, connection: Connection, n: int, **more: Any) -> str:
    """A job of the web side that waits in line."""
    message = json.dumps({"id": ident(n), "kind": "sleep", **more})
    Pages(settings, connection).submit(Page(ident(n), "~nobody", "film.mp4", "", message, ""), None)
    return ident(n)


class Browser:
    """An EventSource: reads events until it is closed."""

    def __init__(self, web: Web, job: str, seen: str = "", cookie: str = "") -> None:
        self.states: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.lines: list[str] = []
        self.head = ""
        self.over = threading.Event()
        self._socket = socket.create_connection(("127.0.0.1", web.port))
        more = f"Last-Event-ID: {seen}\r\n" if seen else ""
        more += f"Cookie: {cookie}\r\n" if cookie else ""
        self._socket.sendall(f"GET /j/{job}/events HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode())
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with self._socket.makefile("rb") as file:
            while (line := file.readline()) not in (b"\r\n", b""):
                self.head += line.decode()
            try:
                while line := file.readline():
                    text = line.decode().rstrip("\r\n")
                    self.lines.append(text)
                    if text.startswith("id: "):
                        self.ids.append(text[4:])
                    elif text.startswith("data: "):
                        self.states.append(json.loads(text[6:]))
            except OSError:
                pass
        self.over.set()

    def told(self, state: str, seconds: float = 15) -> dict[str, Any]:
        """The first with this state."""
        return until(lambda: next((s for s in self.states if s["state"] == state), None), seconds, f"it is {state}")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


# ------------------------------------------------------------- the endpoint
def test_state_first_then_changes(daemon: Daemon, r, settings, connection, web: Web) -> None:
    job = page(settings, connection, 1)
    browsers = [Browser(web, job), Browser(web, job)]
    for browser in browsers:
        assert browser.told("queued")["place"] == 1
        assert "text/event-stream" in browser.head and "x-accel-buffering: no" in browser.head.lower()
        assert "no-store" in browser.head
    assert daemon.command("start", "prod").returncode == 0
    for browser in browsers:
        assert browser.told("done")["words"]
        assert browser.lines[1] == "retry: 2000"  # behind the length of its chunk
        assert [state["state"] for state in browser.states][0] == "queued"
    late = Browser(web, job)
    assert late.told("done") == browsers[0].states[-1]
    for browser in (*browsers, late):
        assert not {"node", "message", "log"} & set(browser.states[-1])
        browser.close()


def test_each_is_told_of_its_job_alone(daemon: Daemon, r, settings, connection, web: Web) -> None:
    one, two = page(settings, connection, 1), page(settings, connection, 2, seconds=60)
    daemon.command("start", "prod")
    browsers = [Browser(web, one), Browser(web, two)]
    browsers[0].told("done")
    browsers[1].told("running")
    assert all(state["state"] != "done" for state in browsers[1].states)
    assert daemon.command("cancel", two).returncode == 0
    browsers[1].told("cancelled")
    for browser in browsers:
        browser.close()


def test_places_in_line_are_told(daemon: Daemon, r, settings, connection, web: Web) -> None:
    jobs = [page(settings, connection, n) for n in range(3)]
    browser = Browser(web, jobs[2])
    assert browser.told("queued")["place"] == 3
    assert daemon.command("cancel", "-e", "prod", jobs[0]).returncode == 0
    until(lambda: browser.states[-1]["place"] == 2, 15, "the line is shorter")
    assert browser.states[-1]["words"] == "Place 2 in line."
    browser.close()


def test_who_comes_again_is_told_what_happened_meanwhile(daemon: Daemon, r, settings, connection, web: Web) -> None:
    job, other = page(settings, connection, 1, seconds=60), page(settings, connection, 2, seconds=60)
    daemon.command("start", "prod")
    browser = Browser(web, job)
    browser.told("running")
    browser.close()
    quiet = Browser(web, job, seen=browser.ids[-1])
    assert daemon.command("cancel", other).returncode == 0
    final(r, other)
    assert daemon.command("cancel", job).returncode == 0
    quiet.told("cancelled")
    quiet.close()
    again = Browser(web, job, seen=browser.ids[-1])
    assert again.told("cancelled")
    again.close()
    for odd in ("nonsense", "0-0_0-0", "9" * 30 + "-0_0-0", "1-1"):
        strange = Browser(web, job, seen=odd)
        strange.told("cancelled")
        strange.close()


def test_who_has_seen_all_is_told_nothing(daemon: Daemon, r, settings, connection, web: Web) -> None:
    job = page(settings, connection, 1)
    daemon.command("start", "prod")
    browser = Browser(web, job)
    browser.told("done")
    until(lambda: hears_nothing(web, job, browser.ids[-1]), 20, "nothing new is told")
    browser.close()


def hears_nothing(web: Web, job: str, seen: str) -> bool:
    """Whether a browser that has seen all up to this gets its first comment before any state."""
    found = Browser(web, job, seen)
    until(lambda: found.states or ":" in found.lines, 20, "it hears something")
    found.close()
    return not found.states


def test_a_job_of_somebody_else_is_not_there(daemon: Daemon, r, web: Web) -> None:
    client = Client(web)
    for job in ("w" + "x" * 24, "../../etc", "w", "%00"):
        done = client.get(f"/j/{job}/events")
        assert done.status == 404, job


def test_the_web_process_ends_while_browsers_wait(daemon: Daemon, r, settings, connection, web: Web) -> None:
    job = page(settings, connection, 1)
    browsers = [Browser(web, job) for _ in range(20)]
    for browser in browsers:
        browser.told("queued")
    assert web.stop() == 0
    for browser in browsers:
        assert browser.over.wait(10)
        browser.close()
    assert "Traceback" not in web.log


def test_a_slow_browser_gets_the_latest_state(daemon: Daemon, r, settings, connection, web: Web) -> None:
    """It does not read for a while: what it missed is not kept for it."""
    job, queue = page(settings, connection, 1), JobQueue(settings, connection)
    taken = queue.take()
    assert taken
    envelope = fresh(job, taken.element, taken.origin)
    ours = Claim.of(envelope, Teller(job, "convert", "n"), Head())
    record = {"state": "running", "kind": "convert", "token": envelope.token}
    queue.claim(taken, ours, token="", again=False, bad=False, record=record)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", web.port))
    slow.sendall(f"GET /j/{job}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    quick = Browser(web, job)
    quick.told("running")
    wide = "x" * 20_000
    for n in range(1, 1500):
        queue.progress(ours, wide, n / 20, "")
    until(lambda: quick.states[-1]["percent"] == 1499 / 20, 30, "the quick one is told")
    held = b""
    while f'"percent":{1499 / 20:g}'.encode() not in held[-200_000:]:
        held += slow.recv(1 << 20)
    assert held.count(b"event: state") < 1400
    slow.close()
    quick.close()


def test_redis_away_and_empty_when_it_is_back(daemon: Daemon) -> None:
    """All that is known is gone, and its streams begin anew: the truth is told."""
    with short_folder() as folder:
        server = RedisServer(folder)
        server.start()
        daemon.write(redis=server.url)
        settings = load(str(daemon.ini)).settings("prod")
        connection, web = Connection(settings), Web(daemon).start()
        browser = None
        try:
            job = page(settings, connection, 1, seconds=60)
            daemon.command("start", "prod")
            browser = Browser(web, job)
            browser.told("running")
            server.kill()
            server.start()  # with its AOF: nothing is lost
            assert until(lambda: daemon.command("cancel", "-e", "prod", job).returncode == 0, 20, "it is cancelled")
            browser.told("cancelled")
            server.client().flushall()
            until(lambda: browser.states[-1]["state"] != "cancelled", 20, "the truth is told")
            assert "Traceback" not in web.log and web.log.count("WARNING") <= 3, web.log
        finally:
            if browser:
                browser.close()
            web.stop()
            daemon.command("stop", "prod", "--now")
            connection.close()
            server.kill()


# ------------------------------------------------------------- the reader
def add(r, stream: str, job: str, at: str = "*", most: int = 1000) -> str:
    return r.xadd(f"videod:{stream}", {"id": job, "event": "progress", "json": "{}"}, id=at, maxlen=most)


def read(stream: Stream) -> Batch:
    return stream.read()


def test_the_reader_tells_of_both_streams(r, settings, connection) -> None:
    add(r, "events", "before")
    stream = Stream(settings, connection)
    assert read(stream) == Batch((), gap=True)
    add(r, "progress", "a")
    add(r, "events", "b")
    found = [*read(stream).entries]
    assert {(entry.job, entry.stream) for entry in found} == {("a", 1), ("b", 0)}
    assert read(stream) == Batch([], gap=False)


@pytest.mark.parametrize("what", ["deleted", "lower", "trimmed"])
def test_the_reader_tells_of_gaps(r, settings, connection, what: str) -> None:
    stream = Stream(settings, connection)
    for n in range(3):
        add(r, "progress", f"a{n}")
    read(stream)
    if what == "deleted":
        r.delete("videod:progress")
    elif what == "lower":
        r.delete("videod:progress")
        add(r, "progress", "low", "5-0")
    else:
        for n in range(2000):
            add(r, "progress", f"b{n}", most=600)
    until(lambda: read(stream).gap, 10, "the gap is told")
    assert read(stream).gap  # where it begins anew
    at = add(r, "progress", "new", "6-0" if what == "lower" else "*")
    assert [entry.job for entry in read(stream).entries] == ["new"], at


def test_the_reader_survives_what_is_no_event(r, settings, connection) -> None:
    stream = Stream(settings, connection)
    read(stream)
    r.xadd("videod:events", {"strange": b"\xff"})
    (entry,) = read(stream).entries
    assert (entry.job, entry.event, entry.json) == ("", "", b"{}")
    r.delete("videod:progress")
    r.set("videod:progress", "a text")
    with pytest.raises(RedisAway):
        read(stream)
    r.delete("videod:progress")
    assert read(stream).gap


def test_nobody_takes_all_places() -> None:
    """Who opens the page of one job again and again is refused; pages of other jobs are not."""
    hub = Hub(lambda job: None)
    hub.begun(((0, 0), (0, 0)))
    held = [hub.add("a", "0-0_0-0", queued=False) for _ in range(MOST_OF_JOB)]
    with pytest.raises(Trouble) as refused:
        hub.add("a", "0-0_0-0", queued=False)
    assert refused.value.status == 503 and hub.count == MOST_OF_JOB
    hub.remove(held[0])
    hub.add("a", "0-0_0-0", queued=False)
    hub.add("b", "0-0_0-0", queued=False)
    hub.close()
