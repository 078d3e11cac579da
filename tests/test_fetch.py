"""Fetching: whole or an honest error; hops checked; cut transfers taken up; nothing secret in any argv."""

from __future__ import annotations

import base64
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.listener import Listener
from tests.origin import Origin, Page
from tests.transfer_fixtures import ArgvWatch, settings_of, wait_for
from videod.config import Settings
from videod.errors import (
    Cancelled,
    Denied,
    DiskFull,
    Failure,
    FetchFailed,
    ForbiddenSource,
    NotFound,
    Stalled,
    TimedOut,
    TooBig,
    ToolCrashed,
)
from videod.process import Tools
from videod.transfer.fetch import Fetched, check, fetch

BODY = b"\0" + os.urandom((1 << 20) - 1)
OTHER = os.urandom((1 << 20) + 4321)
Get = Callable[..., Fetched]


@pytest.fixture
def get(tools: Tools, tmp_path: Path) -> Get:
    """fetch(url) into the scratch folder, with settings that let loopback be reached."""

    def run(url: str, settings: Settings | None = None, **more: object) -> Fetched:
        return fetch(url, tools.scratch, settings or settings_of(tmp_path), tools, **more)

    return run


@pytest.fixture
def secure(tls_files: tuple[Path, Path, Path]) -> Iterator[Origin]:
    with Origin("localhost", tls=tls_files[1:]) as server:
        yield server


def trusting(tmp_path: Path, tls_files: tuple[Path, Path, Path], **keys: str) -> Settings:
    return settings_of(tmp_path, {"source localhost": {"ca_file": str(tls_files[0])}}, **keys)


def test_a_whole_source(origin: Origin, get: Get, tools: Tools) -> None:
    seen: list[float] = []
    received: list[int] = []
    got = get(origin.put("/a/my%20clip.v1.mp4", BODY) + "?sig=1", on_progress=seen.append, on_bytes=received.append)
    assert got.path.read_bytes() == BODY and got.bytes == got.fetched_bytes == len(BODY) == sum(received)
    assert (got.name, got.url) == ("my_clip.v1", origin.url + "/a/my%20clip.v1.mp4") and got.ours
    assert seen == sorted(seen) and seen[-1] == 1.0
    request = origin.seen()[0].headers
    assert request["accept-encoding"] == "identity" and request["user-agent"].startswith("videod/")
    assert list(tools.scratch.iterdir()) == [got.path]
    assert not [t for t in threading.enumerate() if t.name.startswith("door")]


def test_over_tls(secure: Origin, get: Get, tmp_path: Path, tls_files: tuple[Path, Path, Path]) -> None:
    url = secure.put("/a.mp4", BODY)
    assert get(url, trusting(tmp_path, tls_files)).path.read_bytes() == BODY
    with pytest.raises(FetchFailed, match="certificate"):
        get(url)
    with pytest.raises(FetchFailed, match="certificate|host name"):  # trusted, but not for this name
        sections = {"source 127.0.0.2": {"ca_file": str(tls_files[0])}}
        with Origin("127.0.0.2", tls=tls_files[1:]) as other:
            get(other.put("/a.mp4", BODY), settings_of(tmp_path, sections))


def test_over_ipv6(get: Get) -> None:
    try:
        origin = Origin("::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with origin:
        assert get(origin.put("/a.mp4", BODY)).path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, NotFound),
        (410, NotFound),
        (401, Denied),
        (403, Denied),
        (400, Denied),
        (451, Denied),
        (416, Denied),
        (408, FetchFailed),
        (425, FetchFailed),
        (429, FetchFailed),
        (407, FetchFailed),
        (500, FetchFailed),
        (502, FetchFailed),
        (503, FetchFailed),
        (204, FetchFailed),
        (206, FetchFailed),
        (304, FetchFailed),
        (300, FetchFailed),
    ],
)
def test_what_a_status_means(origin: Origin, get: Get, status: int, expected: type[Failure]) -> None:
    page = Page(b"" if status in (204, 304) else b"sorry", status)
    with pytest.raises(expected) as error:
        get(origin.put("/a.mp4", page) + "?signature=s3cret")
    assert str(status) in str(error.value) and "s3cret" not in f"{error.value} {error.value.detail}"
    assert len(origin.seen()) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a", "https://127.0.0.1:1/a", "http://no.such.host.invalid/a"])
def test_no_server(get: Get, url: str) -> None:
    with pytest.raises(FetchFailed, match="refused|resolve"):
        get(url)


def test_no_tls_there(origin: Origin, get: Get) -> None:
    with pytest.raises(FetchFailed):
        get(origin.put("/a", BODY).replace("http:", "https:"))


def test_no_answer(origin: Origin, get: Get) -> None:
    with pytest.raises(FetchFailed):
        get(origin.put("/a", Page(silent=True)))


# -- cut transfers


@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_transfer_goes_on(origin: Origin, get: Get, reset: bool) -> None:
    cut = Page(BODY, cut_after=300_000, reset=reset)
    got = get(origin.put("/a.mp4", cut, Page(BODY, cut_after=200_000), Page(BODY)))
    assert got.path.read_bytes() == BODY
    first, second, third = origin.seen()
    assert first.range == "" and second.range.startswith("bytes=") and third.range.startswith("bytes=")
    assert second.headers["if-range"] == Page(BODY).tag
    if not reset:
        assert got.fetched_bytes == len(BODY) and (second.range, third.range) == ("bytes=300000-", "bytes=500000-")


def test_a_cut_transfer_goes_on_over_tls(
    secure: Origin, get: Get, tmp_path: Path, tls_files: tuple[Path, Path, Path]
) -> None:
    url = secure.put("/a.mp4", Page(BODY, cut_after=300_000), Page(BODY))
    assert get(url, trusting(tmp_path, tls_files)).path.read_bytes() == BODY
    assert secure.seen()[1].range == "bytes=300000-"


def test_by_its_date_where_there_is_no_strong_etag(origin: Origin, get: Get) -> None:
    for tag in ("", 'W/"weak"'):
        url = origin.put("/a.mp4", Page(BODY, cut_after=300_000, etag=tag), Page(BODY, etag=tag))
        assert get(url).path.read_bytes() == BODY
        assert origin.seen()[-1].headers["if-range"] == Page(BODY).last_modified


@pytest.mark.parametrize("more", [{"if_range": True}, {"if_range": False}, {"ranges": False}])
def test_a_source_that_changed_is_fetched_anew(origin: Origin, get: Get, more: dict[str, bool]) -> None:
    got = get(origin.put("/a.mp4", Page(BODY, cut_after=300_000), Page(OTHER, **more), Page(OTHER)))
    assert got.path.read_bytes() == OTHER
    assert got.fetched_bytes > len(OTHER) + 299_999


def test_a_source_that_shrank_is_fetched_anew(origin: Origin, get: Get) -> None:
    got = get(origin.put("/a.mp4", Page(BODY, cut_after=300_000), Page(BODY[:1000], if_range=False), Page(BODY[:1000])))
    assert got.path.read_bytes() == BODY[:1000]


@pytest.mark.parametrize("page", [Page(BODY, ranges=False), Page(BODY, etag="", last_modified="")])
def test_what_cannot_go_on_begins_anew(origin: Origin, get: Get, page: Page) -> None:
    cut = Page(BODY, cut_after=300_000, ranges=page.ranges, etag=page.etag, last_modified=page.last_modified)
    assert get(origin.put("/a.mp4", cut, page)).path.read_bytes() == BODY
    assert [seen.range for seen in origin.seen()] == ["", ""]
    with pytest.raises(FetchFailed, match="300000 of 1048576 bytes"):
        get(origin.put("/b.mp4", cut))
    assert len(origin.seen("/b.mp4")) == 3


@pytest.mark.parametrize("shift", [-1, 1, 1000])
def test_a_wrong_range_is_not_glued_on(origin: Origin, get: Get, shift: int) -> None:
    got = get(origin.put("/a.mp4", Page(BODY, cut_after=300_000), Page(BODY, shift=shift), Page(BODY)))
    assert got.path.read_bytes() == BODY and origin.seen()[-1].range == ""


def test_no_progress_is_the_end(origin: Origin, get: Get) -> None:
    with pytest.raises(FetchFailed, match="1000 of 1048576 bytes"):
        get(origin.put("/a.mp4", Page(BODY, cut_after=1000), Page(BODY, cut_after=0)))
    assert len(origin.seen()) == 2


def test_little_progress_is_bounded(origin: Origin, get: Get) -> None:
    received: list[int] = []
    with pytest.raises(FetchFailed, match="broke off"):
        get(origin.put("/a.mp4", Page(BODY, cut_after=1000)), on_bytes=received.append)
    assert 2 < len(origin.seen()) < 10 and received == [1000 * len(origin.seen())]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_gone_in_the_middle_is_worth_another_try(origin: Origin, get: Get, status: int) -> None:
    with pytest.raises(FetchFailed, match=f"{status}"):
        get(origin.put("/a.mp4", Page(BODY, cut_after=1000), Page(b"", status)))


@pytest.mark.parametrize("length", [len(BODY) + 1, len(BODY) * 3])
def test_shorter_than_promised_is_never_whole(origin: Origin, get: Get, length: int) -> None:
    with pytest.raises(FetchFailed, match=f"of {length} bytes"):
        get(origin.put("/a.mp4", Page(BODY, length=length, ranges=False)))


def test_longer_than_promised_ends_at_the_promise(origin: Origin, get: Get) -> None:
    assert get(origin.put("/a.mp4", Page(BODY, length=1000))).path.read_bytes() == BODY[:1000]


def test_two_lengths_are_no_promise(origin: Origin, get: Get) -> None:
    with pytest.raises(FetchFailed, match="two lengths"):
        get(origin.put("/a.mp4", Page(BODY, headers={"content-length": "5"})))


def test_chunked_bodies(origin: Origin, secure: Origin, get: Get, tmp_path: Path, tls_files: tuple[Path, ...]) -> None:
    settings = trusting(tmp_path, tls_files)
    for server in (origin, secure):
        got = get(server.put("/a.mp4", Page(BODY, chunked=True)), settings)
        assert got.path.read_bytes() == BODY and got.fetched_bytes >= len(BODY)
        for cut in (0, 300_000):
            # wget alone calls the body that was cut within a chunk a success
            with pytest.raises(FetchFailed, match="broke off"):
                get(server.put("/b.mp4", Page(BODY, chunked=True, cut_after=cut)), settings)


def test_a_body_that_ends_with_its_connection(origin: Origin, get: Get) -> None:
    assert get(origin.put("/a.mp4", Page(BODY, length=-1))).path.read_bytes() == BODY
    with pytest.raises(FetchFailed, match="broke off"):
        get(origin.put("/b.mp4", Page(BODY, length=-1, cut_after=1000, reset=True)))


def test_compressed_bodies_are_refused(origin: Origin, get: Get) -> None:
    with pytest.raises(FetchFailed, match="compressed"):
        get(origin.put("/a.mp4", Page(BODY, headers={"Content-Encoding": "gzip"})))


def test_an_empty_source_is_whole(origin: Origin, get: Get) -> None:
    assert get(origin.put("/a.mp4", b"")).bytes == 0


# -- limits


def test_too_big_by_its_promise(origin: Origin, get: Get, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, max_source_bytes="1000K")
    with pytest.raises(TooBig, match="1048576"):
        get(origin.put("/a.mp4", Page(BODY, rate=1000)), settings)
    assert get(origin.put("/b.mp4", BODY), settings_of(tmp_path, max_source_bytes="1M")).bytes == 1 << 20


@pytest.mark.parametrize("page", [Page(BODY, chunked=True), Page(BODY, length=-1), Page(BODY, length=-1, rate=4 << 20)])
def test_too_big_by_what_comes(origin: Origin, get: Get, tools: Tools, tmp_path: Path, page: Page) -> None:
    with pytest.raises(TooBig):
        get(origin.put("/a.mp4", page), settings_of(tmp_path, max_source_bytes="500K"))
    assert (tools.scratch / "source").stat().st_size <= 500 * 1024 + 1


@pytest.mark.parametrize("page", [Page(BODY), Page(BODY, length=-1), Page(BODY, chunked=True)])
def test_a_full_disk(origin: Origin, tools: Tools, tmp_path: Path, tiny_disk: Path, page: Page) -> None:
    with pytest.raises(DiskFull, match="space"):
        fetch(origin.put("/a.mp4", page), tiny_disk, settings_of(tmp_path), tools)


@pytest.mark.parametrize("page", [Page(BODY, stall_after=1000), Page(BODY, stall_after=1000, chunked=True)])
def test_a_stall(origin: Origin, get: Get, tools: Tools, page: Page) -> None:
    tools.stall_timeout = 0.5
    started = time.monotonic()
    with pytest.raises(Stalled):
        get(origin.put("/a.mp4", page))
    assert time.monotonic() - started < 5


def test_slow_is_no_stall(origin: Origin, get: Get, tools: Tools) -> None:
    tools.stall_timeout = 0.5
    assert get(origin.put("/a.mp4", Page(BODY[:20000], rate=20000))).bytes == 20000


@pytest.mark.parametrize("chunked", [False, True])
def test_cancel_and_deadline(origin: Origin, get: Get, tools: Tools, chunked: bool) -> None:
    url = origin.put("/a.mp4", Page(BODY, rate=20000, chunked=chunked))
    tools.deadline = time.monotonic() + 0.5
    with pytest.raises(TimedOut):
        get(url)
    tools.deadline = None
    before = len(origin.seen())
    canceller = threading.Thread(
        target=lambda: (wait_for(lambda: len(origin.seen()) > before + chunked), tools.cancel.set())
    )
    canceller.start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        get(url)
    canceller.join()
    assert time.monotonic() - started < 5


def test_a_limited_rate(origin: Origin, get: Get, tmp_path: Path) -> None:
    for page in (Page(BODY), Page(BODY, chunked=True)):
        started = time.monotonic()
        get(origin.put("/a.mp4", page), settings_of(tmp_path, {"source 127.0.0.1": {"limit_rate": "1M"}}))
        assert time.monotonic() - started > 0.7


def test_a_wget_that_is_killed(origin: Origin, get: Get) -> None:
    killer = threading.Thread(target=kill_wget)
    killer.start()
    with pytest.raises(ToolCrashed):
        get(origin.put("/a.mp4", Page(BODY, stall_after=10)))
    killer.join()


def kill_wget() -> None:
    def found() -> bool:
        for child in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
            for pid in child.read_text().split():
                if Path(f"/proc/{pid}/comm").read_text().strip() == "wget":
                    os.kill(int(pid), 9)
                    return True
        return False

    wait_for(found)


# -- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(origin: Origin, get: Get, status: int) -> None:
    origin.put("/x/end.mp4", BODY)
    origin.redirect("/two", "x/end.mp4?q=1", status)
    got = get(origin.redirect("/one.mov", origin.url + "/two", status))
    assert got.path.read_bytes() == BODY and got.name == "one" and got.url == origin.url + "/x/end.mp4"


def test_ten_hops_and_no_more(origin: Origin, get: Get) -> None:
    origin.put("/11", BODY)
    for n in range(11):
        origin.redirect(f"/{n}", f"/{n + 1}")
    assert get(origin.url + "/1").bytes == len(BODY)
    with pytest.raises(FetchFailed, match="redirects"):
        get(origin.url + "/0")
    origin.redirect("/loop", "/loop2"), origin.redirect("/loop2", "/loop")
    with pytest.raises(FetchFailed, match="circle"):
        get(origin.url + "/loop")
    assert len(origin.seen("/loop")) == 1


@pytest.mark.parametrize("location", ["", "x" * 5000])
def test_redirects_to_nowhere(origin: Origin, get: Get, location: str) -> None:
    with pytest.raises(FetchFailed, match="redirect"):
        get(origin.redirect("/a", location))


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/in",
        "//127.0.0.2:{port}/in",
        "http://0x7f000002:{port}/in",
        "http://[::ffff:127.0.0.2]:{port}/in",
        "http://2130706434:{port}/in",
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "gopher://127.0.0.1:{port}/",
        "http://169.254.169.254/",
        "http://127.0.0.1@127.0.0.2:{port}/in",
        "s3://bucket/key",
        "http://127.0.0.1\\@127.0.0.2:{port}/",
    ],
)
def test_no_redirect_leads_inward(origin: Origin, get: Get, tmp_path: Path, location: str) -> None:
    with Origin("127.0.0.2") as inner:
        inner.put("/in", BODY)
        url = origin.redirect("/a", location.replace("{port}", str(inner.port)))
        with pytest.raises(ForbiddenSource):
            get(url, settings_of(tmp_path, allow_hosts="* 127.0.0.1"))
        assert not inner.requests


def test_the_guard_comes_first(origin: Origin, get: Get, tmp_path: Path) -> None:
    url = origin.put("/a", BODY)
    for settings in (settings_of(tmp_path, allow_hosts="*"), settings_of(tmp_path, deny_hosts="127.0.0.0/8")):
        for address in (url, url.replace("127.0.0.1", "127.1"), url.replace("127.0.0.1", "localhost")):
            with pytest.raises(ForbiddenSource):
                get(address, settings)
    assert not origin.requests
    check(url, settings_of(tmp_path))
    for address in ("ftp://h/a", "http://bad.example.org/", "/etc/passwd", "s3://bucket/key", "rtsp://h/"):
        with pytest.raises(ForbiddenSource):
            check(address, settings_of(tmp_path, deny_hosts="*.example.org"))
        with pytest.raises(ForbiddenSource):
            get(address, settings_of(tmp_path, deny_hosts="*.example.org"))


# -- secrets


def basic(login: str) -> str:
    return "Basic " + base64.b64encode(login.encode()).decode()


def test_user_and_password(origin: Origin, get: Get, tmp_path: Path) -> None:
    url = origin.put("/a.mp4", Page(BODY, user="me:s3c:r#t ü"))
    assert get(url.replace("http://", "http://me:s3c%3Ar%23t%20%C3%BC@")).bytes == len(BODY)
    sections = {"source 127.0.0.1": {"user": "me", "password": "s3c:r#t ü"}}
    assert get(url, settings_of(tmp_path, sections)).bytes == len(BODY)
    sections["source 127.0.0.1"]["header"] = f'Authorization: {basic("me:wrong")}\nX-Key: "k\'ey #1"'
    assert get(url, settings_of(tmp_path, sections)).bytes == len(BODY)
    assert origin.seen()[-1].headers["x-key"] == '"k\'ey #1"'
    with pytest.raises(Denied) as error:
        get(url.replace("http://", "http://me:wr0ng@"))
    assert "wr0ng" not in str(error.value) + error.value.detail


def test_what_a_source_gets_no_other_host_sees(origin: Origin, get: Get, tmp_path: Path) -> None:
    mine = {"user": "me", "password": "s3cret", "header": "X-Key: s3cret\nCookie: s3cret", "user_agent": "mine/1"}
    settings = settings_of(tmp_path, {"source 127.0.0.1": mine})
    with Origin("127.0.0.2") as other:
        back = origin.put("/back.mp4", BODY)
        url = origin.redirect("/a.mp4", other.redirect("/b.mp4", back))
        assert get(url, settings).bytes == len(BODY)
        assert get(url.replace("http://", "http://you:s3cret2@"), settings).bytes == len(BODY)
        for seen in other.requests:
            assert "s3cret" not in str(seen) and "authorization" not in seen.headers
            assert basic("you:s3cret2") not in str(seen) and seen.headers["user-agent"].startswith("videod/")
        assert origin.seen("/a.mp4")[0].headers["authorization"] == basic("me:s3cret")
        assert origin.seen("/a.mp4")[1].headers["authorization"] == basic("you:s3cret2")
        for name, value in (("x-key", "s3cret"), ("cookie", "s3cret"), ("user-agent", "mine/1")):
            assert origin.seen("/back.mp4")[0].headers[name] == value


def test_a_section_with_a_port_is_for_that_port(origin: Origin, get: Get, tmp_path: Path) -> None:
    sections = {"source 127.0.0.1": {"user_agent": "any"}, f"source 127.0.0.1:{origin.port}": {"user_agent": "this"}}
    sections["source 127.0.0.1:1"] = {"user_agent": "other"}
    get(origin.put("/a", BODY), settings_of(tmp_path, sections))
    assert origin.seen()[0].headers["user-agent"] == "this"


def test_no_secrets_in_clear_after_tls(
    origin: Origin, secure: Origin, get: Get, tmp_path: Path, tls_files: tuple[Path, ...]
) -> None:
    sections = {"source localhost": {"ca_file": str(tls_files[0])}, "source 127.0.0.1": {"header": "X-Key: s3cret"}}
    clear = origin.put("/a.mp4", BODY)
    assert get(secure.redirect("/a.mp4", clear), settings_of(tmp_path, sections)).bytes == len(BODY)
    assert "x-key" not in origin.seen()[0].headers


@pytest.mark.parametrize("chunked", [False, True])
def test_nothing_secret_in_argv_or_errors(
    origin: Origin, get: Get, tools: Tools, tmp_path: Path, argv_watch: ArgvWatch, chunked: bool
) -> None:
    lines: list[str] = []
    tools.log = lines.append
    settings = settings_of(tmp_path, {"source 127.0.0.1": {"header": "X-Key: s3cret-header"}})
    page = Page(BODY, rate=1 << 20, chunked=chunked, user="me:s3cret-user", cut_after=500_000, ranges=False)
    url = origin.put("/a.mp4", page).replace("http://", "http://me:s3cret-user@") + "?sig=s3cret-query"
    modes: set[int] = set()

    def look(part: float) -> None:
        modes.update(path.stat().st_mode & 0o777 for path in tools.scratch.glob(".wgetrc*"))

    with pytest.raises(FetchFailed) as error:
        get(url, settings, on_progress=look)
    assert origin.seen()[0].headers["x-key"] == "s3cret-header"
    assert argv_watch.of("wget") and not [line for line in argv_watch.of("wget") if "s3cret" in line]
    told = "127.0.0.1", basic("me:s3cret-user")[6:]
    assert not [line for line in argv_watch.of("wget") if any(text in line for text in told)]
    assert "s3cret" not in f"{error.value} {error.value.detail} {lines}"
    assert modes <= {0o600} and not list(tools.scratch.glob(".wgetrc*"))
    assert modes or chunked


# -- files


def test_files_stay_where_they_are(get: Get, tmp_path: Path, tools: Tools) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a b.mp4").write_bytes(BODY)
    settings = settings_of(tmp_path, allow_paths=str(folder), max_source_bytes="1M")
    for url in (f"{folder}/a b.mp4", f"file://{folder}/a%20b.mp4"):
        got = get(url, settings)
        assert (got.path, got.bytes, got.fetched_bytes, got.name, got.ours) == (
            folder / "a b.mp4",
            len(BODY),
            0,
            "a_b",
            False,
        )
    assert not list(tools.scratch.iterdir())
    with pytest.raises(TooBig):
        get(f"{folder}/a b.mp4", settings_of(tmp_path, allow_paths=str(folder), max_source_bytes="1000"))
    with pytest.raises(ForbiddenSource):
        get("/etc/passwd", settings)


# -- through another proxy


def test_through_the_proxy_of_the_settings(origin: Origin, get: Get, tmp_path: Path) -> None:
    """The origin plays the proxy: it serves absolute targets as paths."""
    origin.pages["http://h.example.org/a.mp4"] = [Page(BODY, user="")]
    settings = settings_of(tmp_path, proxy=f"http://me:pr0xy@127.0.0.1:{origin.port}")
    assert get("http://h.example.org/a.mp4?x=1", settings).path.read_bytes() == BODY
    seen = origin.seen()[0]
    assert seen.path == "http://h.example.org/a.mp4?x=1" and seen.headers["host"] == "h.example.org"
    assert seen.headers["proxy-authorization"] == basic("me:pr0xy")
    for url in ("http://169.254.169.254/", "http://0xa9fea9fe/", "https://169.254.169.254/"):
        with pytest.raises(ForbiddenSource):
            get(url, settings)
    with pytest.raises(FetchFailed):  # it refuses CONNECT
        get("https://h.example.org/a.mp4", settings)
    assert len(origin.seen()) == 1
    origin.pages["http://h.example.org/c.mp4"] = [Page(BODY, chunked=True)]
    assert get("http://h.example.org/c.mp4", settings).path.read_bytes() == BODY
    assert {seen.headers["proxy-authorization"] for seen in origin.seen()} == {basic("me:pr0xy")}


@pytest.mark.parametrize("chunked", [False, True])
def test_tls_through_the_proxy_of_the_settings(
    secure: Origin, get: Get, tmp_path: Path, tls_files: tuple[Path, ...], chunked: bool
) -> None:
    secure.put("/a.mp4", Page(BODY, chunked=chunked))
    with Tunnel() as proxy:
        settings = trusting(tmp_path, tls_files, proxy=proxy.url)
        assert get(f"https://localhost:{secure.port}/a.mp4", settings).path.read_bytes() == BODY
        assert {head.rpartition(" ")[0] for head in proxy.heads} == {f"CONNECT localhost:{secure.port}"}


class Tunnel(Listener):
    """A proxy that opens any tunnel."""

    def __init__(self) -> None:
        super().__init__()
        self.heads: list[str] = []
        self.url = f"http://127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        head = client.recv(65536).decode()
        self.heads.append(head.partition("\r\n")[0])
        server = socket.create_connection(("127.0.0.1", int(head.split()[1].rpartition(":")[2])))
        client.sendall(b"HTTP/1.1 200 Go\r\n\r\n")
        for one, other in ((client, server), (server, client)):
            threading.Thread(target=self.copy, args=(one, other), daemon=True).start()

    def copy(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while piece := one.recv(65536):
                other.sendall(piece)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            return
