"""Ranges: only what is needed comes, all of one version of the source, or an honest reason to fetch the whole."""

from __future__ import annotations

import base64
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.origin import LONG_AGO, Origin, Page
from tests.transfer_fixtures import WebDav, settings_of, wait_for
from videod.config import Settings
from videod.errors import (
    Cancelled,
    Denied,
    DiskFull,
    FetchFailed,
    ForbiddenSource,
    NoRoom,
    NotFound,
    Stalled,
    TimedOut,
    TooBig,
)
from videod.process import Tools
from videod.space import Space
from videod.transfer import ranges, spans
from videod.transfer.fetch import fetch
from videod.transfer.parts import PROBE
from videod.transfer.ranges import Changed, Refused, Remote, consistently

MIB = 1 << 20
BODY = b"\0" + os.urandom(3 * MIB + 76)
OTHER = b"\1" + os.urandom(len(BODY) - 1)
V1, V2 = '"v1"', '"v2"'
PART = (MIB, 2 * MIB)
Open = Callable[..., Remote]


@pytest.fixture
def remote(tools: Tools, tmp_path: Path) -> Iterator[Open]:
    """ranges.open(url), with settings that let loopback be reached; what it opened is closed, no thread is left."""
    made: list[Remote] = []
    settings = settings_of(tmp_path)

    def run(url: str, other: Settings | None = None, **more: object) -> Remote:
        made.append(ranges.open(url, other or settings, tools, **more))
        return made[-1]

    yield run
    for one in made:
        one.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("range")]


@pytest.fixture
def out(tools: Tools) -> Path:
    return tools.scratch / "parts"


@pytest.fixture
def secure(tls_files: tuple[Path, Path, Path]) -> Iterator[Origin]:
    with Origin("localhost", tls=tls_files[1:]) as server:
        yield server


def one_connection(tmp_path: Path, sections: dict[str, dict[str, str]] | None = None, **keys: str) -> Settings:
    return settings_of(tmp_path, sections, fetch_connections="1", **keys)


def page(body: bytes = BODY, **more: object) -> Page:
    return Page(body, **{"etag": V1, **more})


def right(path: Path, parts: list[tuple[int, int]], body: bytes = BODY) -> bool:
    """Whether the file holds these parts at their places and is not longer than they need."""
    data = path.read_bytes()
    return all(data[a:b] == body[a:b] for a, b in parts) and len(data) == max(b for _, b in parts)


# -- what comes


def test_only_what_is_needed_comes(origin: Origin, remote: Open, out: Path) -> None:
    source = remote(origin.put("/a/my.mp4", page()) + "?sig=s3cret")
    assert (source.size, source.validator, source.url) == (len(BODY), V1, origin.url + "/a/my.mp4")
    assert source.read(0, 4096) == BODY[:4096] and len(origin.seen()) == 1
    assert source.read(PROBE - 10, 20) == BODY[PROBE - 10 : PROBE + 10] and source.read(5, 0) == b""
    assert source.read(len(BODY) - 10, 4096) == BODY[-10:] and source.read(len(BODY) + 1, 9) == b""
    seen: list[float] = []
    parts = [(100, 200), PART, (len(BODY) - 5, len(BODY)), (MIB + 5, MIB + 10), (7, 7)]
    assert source.fetch(parts, out, seen.append) == MIB + 105
    assert right(out, parts) and seen == sorted(seen) and seen[-1] == 1.0
    assert origin.sent == source.fetched == PROBE + 10 + 10 + MIB + 5
    assert out.stat().st_blocks * 512 <= MIB + 105 + 3 * 8192
    first, *later = origin.seen()
    assert first.range == "bytes=0-65535" and "if-range" not in first.headers
    assert {one.headers["if-range"] for one in later} == {V1} and len(later) == 4
    assert all(one.headers["accept-encoding"] == "identity" for one in origin.seen())


def test_reads_share_a_connection(origin: Origin, remote: Open) -> None:
    source = remote(origin.put("/a", page()))
    for at in range(MIB, 2 * MIB, 200_000):
        assert source.read(at, 1000) == BODY[at : at + 1000]
    assert len(origin.seen()) == 7 and len({seen.port for seen in origin.seen()}) == 1


def test_a_second_fetch_adds_to_the_file(origin: Origin, remote: Open, out: Path) -> None:
    out.write_bytes(OTHER)  # of an earlier version
    source = remote(origin.put("/a", page()))
    assert source.fetch([], out) == 0 and out.stat().st_size == 0
    source.fetch([(0, 10)], out)
    source.fetch([PART], out)
    source.fetch([(PROBE, PROBE + 5), (20, 30)], out)
    assert (
        right(out, [(0, 10), PART, (PROBE, PROBE + 5), (20, 30)])
        and out.read_bytes()[PROBE + 5 : MIB].count(0) > 900000
    )


def test_small_gaps_come_along(origin: Origin, remote: Open, out: Path, tmp_path: Path) -> None:
    source = remote(origin.put("/a", page()), one_connection(tmp_path))
    near, far = MIB + spans.JOIN, 2 * MIB + spans.JOIN + 1
    source.fetch([(MIB - 9, MIB), (near, 2 * MIB), (far, far + 1)], out)
    assert [seen.range for seen in origin.seen()[1:]] == [f"bytes={MIB - 9}-{2 * MIB - 1}", f"bytes={far}-{far}"]
    assert right(out, [(MIB - 9, 2 * MIB), (far, far + 1)])


@pytest.mark.parametrize("connections", [1, 2, 4])
def test_as_many_connections_as_set_and_no_more(
    origin: Origin, remote: Open, out: Path, tmp_path: Path, connections: int
) -> None:
    body = b"\0" + os.urandom(6 * MIB - 1)
    settings = settings_of(tmp_path, fetch_connections=str(connections))
    source = remote(origin.put("/a", page(body, rate=8 * MIB)), settings)
    source.fetch([(0, len(body))], out)
    source.fetch([(0, len(body))], out)
    assert right(out, [(0, len(body))], body) and source.fetched == 2 * len(body) - PROBE
    # its thread may have sent what it did not count yet
    wait_for(lambda: origin.sent == source.fetched)
    assert origin.busiest == connections == len({seen.port for seen in origin.seen()})


@pytest.mark.parametrize(("at_once", "status"), [(1, 503), (2, 429), (1, 403)])
def test_a_server_that_allows_fewer_connections(
    origin: Origin, remote: Open, out: Path, at_once: int, status: int
) -> None:
    body = b"\0" + os.urandom(6 * MIB - 1)
    origin.at_once, origin.refusal = at_once, status
    source = remote(origin.put("/a", page(body, rate=16 * MIB)))
    seen: list[float] = []
    source.fetch([(0, len(body))], out, seen.append)
    assert right(out, [(0, len(body))], body) and origin.busiest == at_once and seen == sorted(seen)
    assert len(origin.seen()) < 30


def test_over_tls(secure: Origin, remote: Open, out: Path, tmp_path: Path, tls_files: tuple[Path, ...]) -> None:
    url = secure.put("/a", page())
    source = remote(url, settings_of(tmp_path, {"source localhost": {"ca_file": str(tls_files[0])}}))
    source.fetch([PART], out)
    assert right(out, [PART]) and len(secure.seen()) == 2 == len({seen.port for seen in secure.seen()}) + 1
    with pytest.raises(FetchFailed, match="certificate"):
        remote(url)
    with pytest.raises(FetchFailed, match="certificate|127.0.0.2"):  # trusted, but not for this name
        sections = {"source 127.0.0.2": {"ca_file": str(tls_files[0])}}
        with Origin("127.0.0.2", tls=tls_files[1:]) as other:
            remote(other.put("/a", page()), settings_of(tmp_path, sections))
    (gone := tmp_path / "gone.pem").write_bytes(tls_files[0].read_bytes())
    settings = settings_of(tmp_path, {"source localhost": {"ca_file": str(gone)}})
    gone.unlink()
    with pytest.raises(FetchFailed, match=r"ca_file: .*gone\.pem: No such file"):
        remote(url, settings)


def test_from_nginx(nginx: WebDav, remote: Open, out: Path) -> None:
    body = b"\0" + os.urandom(40 * MIB - 1)
    (nginx.root / "long.mp4").write_bytes(body)
    (nginx.root / "empty.mp4").write_bytes(b"")
    source = remote(nginx.url + "/long.mp4")
    parts = [(5 * MIB, 35 * MIB), (len(body) - MIB, len(body))]
    source.fetch(parts, out)
    assert right(out, parts, body) and source.fetched == PROBE + 31 * MIB
    with pytest.raises(Refused):
        remote(nginx.url + "/empty.mp4")
    with pytest.raises(Denied):
        remote(nginx.url + "/private/long.mp4")


def test_through_the_proxy_of_the_settings(origin: Origin, remote: Open, out: Path, tmp_path: Path) -> None:
    """The origin plays the proxy: it serves absolute targets as paths."""
    origin.pages["http://h.example.org/a"] = [page()]
    settings = settings_of(tmp_path, proxy=f"http://me:pr0xy@127.0.0.1:{origin.port}")
    remote("http://h.example.org/a?x=1", settings).fetch([PART], out)
    assert right(out, [PART])
    assert {seen.path for seen in origin.seen()} == {"http://h.example.org/a?x=1"}
    for url in ("http://169.254.169.254/", "https://0xa9fea9fe/"):
        with pytest.raises(ForbiddenSource):
            remote(url, settings)


# -- what cannot be read in parts


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (page(ranges=False), "ignores Range"),
        (page(status=416), "no ranges"),
        (page(b""), "ignores Range"),
        (page(BODY[:MIB]), "only 1048576 bytes"),
        (page(shift=1), "another range|another length"),
        (page(shift=-1), "which range"),
        (page(limit=1000), "another range"),
        (page(headers={"Content-Range": ""}), "which range"),
        (page(headers={"Content-Range": "bytes 0-65535/*"}), "not known"),
        (page(headers={"Content-Range": "bytes 0-65535/65535"}), "cannot be"),
        (page(headers={"Content-Range": "bytes 5-4/9999999"}), "cannot be"),
        (page(headers={"Content-Range": f"bytes 0-65535/{'9' * 5000}"}), "which range"),
        (page(headers={"Content-Range": "bytes 0-65535/²²²"}), "which range"),
        (page(headers={"Content-Encoding": "gzip"}), "compressed"),
        (page(headers={"Content-Type": "multipart/byteranges; boundary=x"}), "multipart"),
        (page(headers={"Content-Type": "text/HTML; charset=utf-8"}), "it is text/HTML"),
        (page(headers={"Content-Type": "application/dash+xml"}), "xml"),
        (page(b"\xef\xbb\xbf\n <!doctype html>" + BODY), "HTML"),
        (page(extra=b"more"), "another length"),
        (page(extra=b"more", chunked=True), "more than it says"),
        (page(extra=b"more", length=-1), "more than it says"),
    ],
)
def test_what_cannot_be_read_in_parts(origin: Origin, remote: Open, answer: Page, why: str) -> None:
    with pytest.raises(Refused, match=why):
        remote(origin.put("/a", answer))
    assert len(origin.seen()) == 1


@pytest.mark.parametrize("more", [{"chunked": True}, {"length": -1}])
def test_a_body_without_a_length(origin: Origin, remote: Open, out: Path, more: dict[str, object]) -> None:
    source = remote(origin.put("/a", page(**more)))
    source.fetch([PART], out)
    assert right(out, [PART]) and origin.sent == source.fetched


def test_files_are_read_where_they_lie(remote: Open) -> None:
    for url in ("/srv/a.mp4", "file:///srv/a.mp4"):
        with pytest.raises(Refused, match="this machine"):
            remote(url)


def test_pieces_out_of_bounds(origin: Origin, remote: Open, out: Path) -> None:
    source = remote(origin.put("/a", page()))
    for parts in ([(-1, 5)], [(0, 5), (5, len(BODY) + 1)], [(10**30, 10**31)]):
        with pytest.raises(Refused, match="outside"):
            source.fetch(parts, out)
    for start, length in ((-1, 5), (5, -1)):
        with pytest.raises(Refused):
            source.read(start, length)
    assert source.read(0, 10**30) == BODY


def test_no_read_is_too_large(origin: Origin, remote: Open, tmp_path: Path) -> None:
    """A size that no disk has: promised, not sent."""
    huge = page(headers={"Content-Range": f"bytes 0-65535/{10**18 - 1}"})
    source = remote(origin.put("/a", huge), settings_of(tmp_path, max_source_bytes="0"))
    with pytest.raises(Refused, match="more than is read at once"):
        source.read(0, 10**17)
    with pytest.raises(TooBig, match="max_source_bytes"):
        remote(origin.url + "/a")


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), max_size=30), st.integers(0, 300))
def test_joined_spans(wanted: list[tuple[int, int]], gap: int) -> None:
    made = spans.joined(wanted, gap)
    assert made == sorted(made) and all(b - a > gap for (_, a), (b, _) in zip(made, made[1:], strict=False))
    bytes_in = {at for start, stop in made for at in range(start, stop)}
    needed = {at for start, stop in wanted for at in range(start, stop)}
    assert needed <= bytes_in and (gap or needed == bytes_in)
    assert {start for start, _ in made} | {stop for _, stop in made} <= {at for span in wanted for at in span}


@given(st.lists(st.tuples(st.integers(0, 10**18), st.integers(0, 10**18)), max_size=20), st.integers(1, 64), st.data())
def test_pieces_of_spans(wanted: list[tuple[int, int]], connections: int, data: st.DataObject) -> None:
    made = spans.joined(wanted)
    cut = spans.pieces(made, connections)
    assert len(cut) <= spans.MOST_PIECES + 2 * len(made) and spans.joined(cut) == made
    assert sum(b - a for a, b in cut) == sum(b - a for a, b in made)
    at = data.draw(st.integers(0, 10**18))
    assert sum(b - max(a, at) for a, b in made if b > at) == sum(b - a for a, b in spans.behind(made, at))


def test_a_forged_index_makes_few_requests() -> None:
    scattered = [(at << 20, (at << 20) + 1) for at in range(100_000)]
    made = spans.joined(scattered)
    assert len(made) <= spans.MOST_SPANS and made[0][0] == 0 and made[-1][1] == scattered[-1][1]


# -- failures as those of the whole fetch


@pytest.mark.parametrize("status", [404, 410, 401, 403, 400, 451, 407, 408, 425, 429, 500, 503, 204, 304, 300])
def test_a_status_means_what_it_means_to_fetch(
    origin: Origin, remote: Open, tools: Tools, tmp_path: Path, status: int
) -> None:
    url = origin.put("/a", Page(b"" if status in (204, 304) else b"sorry", status)) + "?signature=s3cret"
    with pytest.raises(Exception) as ours:
        remote(url)
    with pytest.raises(Exception) as theirs:
        fetch(url, tools.scratch, settings_of(tmp_path), tools)
    assert type(ours.value) is type(theirs.value) and "s3cret" not in str(ours.value)
    assert str(ours.value).split(": ")[1] == str(theirs.value).split(": ")[1] and len(origin.seen()) == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a", "https://127.0.0.1:1/a", "http://no.such.host.invalid/a"])
def test_no_server(remote: Open, url: str) -> None:
    with pytest.raises(FetchFailed, match="refused|resolve"):
        remote(url)


def test_no_answer_and_no_tls(origin: Origin, remote: Open) -> None:
    with pytest.raises(FetchFailed):
        remote(origin.put("/a", page(silent=True)))
    with pytest.raises(FetchFailed):
        remote(origin.put("/b", page()).replace("http:", "https:"))


def test_the_guard_comes_first(origin: Origin, remote: Open, tmp_path: Path) -> None:
    url = origin.put("/a", page())
    for settings in (settings_of(tmp_path, allow_hosts="*"), settings_of(tmp_path, deny_hosts="127.0.0.0/8")):
        for address in (url, url.replace("127.0.0.1", "127.1"), url.replace("127.0.0.1", "localhost")):
            with pytest.raises(ForbiddenSource):
                remote(address, settings)
    for address in ("ftp://h/a", "rtsp://h/", "http://127.0.0.1\\@127.0.0.2/", "s3://bucket/key"):
        with pytest.raises(ForbiddenSource):
            remote(address)
    assert not origin.requests


# -- redirects


def test_the_end_of_the_redirects_is_asked_from_then_on(origin: Origin, remote: Open, out: Path) -> None:
    origin.put("/x/end.mp4", page())
    origin.redirect("/two", "x/end.mp4?q=s3cret", 307)
    source = remote(origin.redirect("/one", origin.url + "/two"))
    source.fetch([PART], out)
    assert right(out, [PART]) and source.url == origin.url + "/x/end.mp4"
    assert [seen.path for seen in origin.seen()] == ["/one", "/two", "/x/end.mp4?q=s3cret", "/x/end.mp4?q=s3cret"]
    assert source.key.startswith(origin.url + "/one#")


def test_ten_hops_and_no_more(origin: Origin, remote: Open) -> None:
    origin.put("/11", page())
    for n in range(11):
        origin.redirect(f"/{n}", f"/{n + 1}")
    assert remote(origin.url + "/1").size == len(BODY)
    with pytest.raises(FetchFailed, match="more than 10 redirects"):
        remote(origin.url + "/0")
    origin.redirect("/loop", "/loop2"), origin.redirect("/loop2", "/loop")
    with pytest.raises(FetchFailed, match="circle"):
        remote(origin.url + "/loop")
    for location in ("", "http://[/"):
        with pytest.raises((FetchFailed, ForbiddenSource)):
            remote(origin.redirect("/bad", location))


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.2:{port}/in", "//0x7f000002:{port}/in", "file:///etc/passwd", "http://169.254.169.254/"],
)
@pytest.mark.parametrize("later", [False, True])
def test_no_redirect_leads_inward(
    origin: Origin, remote: Open, out: Path, tmp_path: Path, location: str, later: bool
) -> None:
    with Origin("127.0.0.2") as inner:
        inner.put("/in", page())
        moved = Page(status=302, headers={"Location": location.replace("{port}", str(inner.port))})
        url = origin.put("/a", *([page()] if later else []), moved)
        settings = settings_of(tmp_path, allow_hosts="* 127.0.0.1")
        with pytest.raises(ForbiddenSource):
            remote(url, settings).fetch([PART], out)
        assert not inner.requests and len(origin.seen()) == 1 + later


def test_redirects_in_the_middle(origin: Origin, remote: Open, out: Path) -> None:
    origin.put("/new", page())
    url = origin.put("/a", page(), Page(status=302, headers={"Location": "/new"}))
    remote(url).fetch([PART], out)
    assert right(out, [PART]) and [seen.path for seen in origin.seen()] == ["/a", "/a", "/new"]
    loop = Page(status=302, headers={"Location": "/b"})
    with pytest.raises(FetchFailed, match="circle"):
        remote(origin.put("/b", page(), loop)).fetch([PART], out)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_signed_address_that_runs_out(origin: Origin, remote: Open, out: Path, status: int) -> None:
    """Whoever gave it gives a new one; without such a giver that is the end."""
    origin.put("/one", page(), Page(b"", status))
    origin.put("/two", page())
    ways = [Page(status=302, headers={"Location": f"/{way}?sig=s3cret"}) for way in ("one", "two")]
    source = remote(origin.put("/a", *ways))
    source.fetch([PART], out)
    assert right(out, [PART]) and [seen.path[:4] for seen in origin.seen()] == ["/a", "/one", "/one", "/a", "/two"]
    with pytest.raises((Denied, NotFound), match=str(status)) as error:
        remote(origin.put("/b", page(), Page(b"", status)) + "?sig=s3cret").fetch([PART], out)
    assert "s3cret" not in str(error.value)


# -- secrets


def test_what_a_source_gets_no_other_host_sees(origin: Origin, remote: Open, out: Path, tmp_path: Path) -> None:
    mine = {"header": "X-Key: s3cret €\nrange: bytes=0-1", "user": "me", "password": "s3cret", "user_agent": "mine/1"}
    settings = settings_of(tmp_path, {"source 127.0.0.1": mine})
    with Origin("127.0.0.2") as other:
        other.put("/b", page())
        url = origin.redirect("/a", other.url + "/b").replace("http://", "http://you:s3cret@")
        source = remote(url, settings)
        source.fetch([PART], out)
        assert right(out, [PART]) and "s3cret" not in str(other.requests)
        assert "authorization" not in str(other.requests).lower() and "mine/1" not in str(other.requests)
    sent = origin.seen()[0].headers
    assert sent["authorization"] == "Basic " + base64.b64encode(b"you:s3cret").decode()
    assert (sent["x-key"], sent["user-agent"], sent["range"]) == (
        "s3cret €".encode().decode("latin-1"),
        "mine/1",
        "bytes=0-65535",
    )
    assert "s3cret" not in source.key + source.url and "you" not in source.key


def test_a_key_tells_contents_and_rights_apart(origin: Origin, remote: Open, tmp_path: Path) -> None:
    url = origin.put("/a", page())
    with_key = settings_of(tmp_path, {"source 127.0.0.1": {"header": "X-Key: s3cret"}})
    keys = [remote(url).key, remote(url + "?q=1").key, remote(url.replace("//", "//me:x@")).key]
    keys += [remote(url, with_key).key, remote(origin.put("/b", page())).key]
    keys += [remote(origin.put("/a", page(etag=V2))).key, remote(origin.put("/a", page(etag=""))).key]
    assert len(set(keys)) == len(keys) == 7 and all(key.startswith(origin.url) for key in keys)
    assert remote(origin.put("/a", page())).key == keys[0]
    assert remote(origin.put("/a", page(etag="", last_modified=""))).key == ""


def test_no_secrets_in_clear_after_tls(
    origin: Origin, secure: Origin, remote: Open, out: Path, tmp_path: Path, tls_files: tuple[Path, ...]
) -> None:
    sections = {"source localhost": {"ca_file": str(tls_files[0])}, "source 127.0.0.1": {"header": "X-Key: s3cret"}}
    remote(secure.redirect("/a", origin.put("/b", page())), settings_of(tmp_path, sections)).fetch([PART], out)
    assert len(origin.seen()) == 2 and not [seen for seen in origin.seen() if "x-key" in seen.headers]


def test_a_limited_rate(origin: Origin, remote: Open, out: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, {"source 127.0.0.1": {"limit_rate": "2M"}})
    source = remote(origin.put("/a", page()), settings)
    started = time.monotonic()
    source.fetch([(MIB, 3 * MIB)], out)
    assert time.monotonic() - started > 0.9


# -- what lies


LIES = [
    (page(shift=1), Refused),
    (page(shift=-1), Refused),
    (page(extra=b"more"), Refused),
    (page(extra=b"more", chunked=True), Refused),
    (page(headers={"Content-Range": ""}), Refused),
    (page(headers={"Content-Range": f"bytes {MIB}-{2 * MIB - 1}/*"}), Refused),
    (page(headers={"Content-Range": f"bytes {MIB}-{2 * MIB}/{len(BODY)}"}), Refused),
    (page(headers={"Content-Encoding": "gzip"}), Refused),
    (page(headers={"Content-Type": "multipart/byteranges; boundary=x"}), Refused),
    (page(ranges=False), Refused),  # the same content, but whole
    (page(BODY + b"x"), Changed),
    (page(BODY + b"x", if_range=False), Changed),
    (page(OTHER, etag=V2), Changed),
    (page(OTHER, etag=V2, if_range=False), Changed),
    (page(BODY[:2000]), Changed),  # 416, or 200, as servers do
    (page(BODY[:2000], etag=V2, status=416), Changed),
]


@pytest.mark.parametrize(("answer", "expected"), LIES)
@pytest.mark.parametrize("connections", ["1", "4"])
def test_what_lies_in_the_middle_is_not_believed(
    origin: Origin, remote: Open, out: Path, tmp_path: Path, answer: Page, expected: type[Exception], connections: str
) -> None:
    source = remote(origin.put("/a", page(), answer), settings_of(tmp_path, fetch_connections=connections))
    with pytest.raises(expected):
        source.fetch([PART], out)
    source = remote(origin.put("/a", page(), answer))
    with pytest.raises(expected):
        source.read(*PART)


@pytest.mark.parametrize("tag", ["", 'W/"v1"'])
def test_without_a_strong_etag(origin: Origin, remote: Open, out: Path, tag: str) -> None:
    source = remote(origin.put("/a", page(etag=tag)))
    source.fetch([PART], out)
    assert source.validator == LONG_AGO == origin.seen()[-1].headers["if-range"] and right(out, [PART])
    changed = page(OTHER, etag=tag and 'W/"v2"', last_modified="Mon, 02 Jan 2023 03:04:06 GMT", if_range=False)
    with pytest.raises(Changed):
        remote(origin.put("/a", page(etag=tag), changed)).fetch([PART], out)


def test_without_any_validator(origin: Origin, remote: Open, out: Path) -> None:
    bare = page(etag="", last_modified="")
    source = remote(origin.put("/a", bare))
    source.fetch([PART], out)
    assert source.validator == "" and "if-range" not in origin.seen()[-1].headers and right(out, [PART])
    with pytest.raises(Changed):
        remote(origin.put("/a", bare, page(BODY + b"x", etag="", last_modified=""))).read(*PART)


def test_a_changed_source_is_read_anew(origin: Origin, tools: Tools, tmp_path: Path, out: Path) -> None:
    received: list[int] = []

    def work(remote: Remote) -> str:
        remote.fetch([(0, 10), PART], out)
        return remote.validator

    def go() -> str:
        return consistently(url, settings_of(tmp_path), tools, work, on_bytes=received.append)

    url = origin.put("/a", page(), page(OTHER, etag=V2))
    assert go() == V2 and right(out, [(0, 10), PART], OTHER) and sum(received) == 2 * PROBE + MIB
    url = origin.put("/a", *(page(etag=f'"{n}"') for n in range(9)))
    with pytest.raises(ranges.Refused, match="changes while it is fetched"):
        go()
    assert len(origin.seen("/a")) == 4 + 6


# -- what breaks


@pytest.mark.parametrize("more", [{}, {"reset": True}, {"chunked": True}, {"length": -1, "reset": True}])
def test_a_cut_transfer_goes_on_where_it_broke(
    origin: Origin, remote: Open, out: Path, tmp_path: Path, more: dict[str, object]
) -> None:
    cuts = [page(cut_after=300_000, **more), page(cut_after=200_000, **more)]
    source = remote(origin.put("/a", page(), *cuts, page()), one_connection(tmp_path))
    source.fetch([PART], out)
    assert right(out, [PART])
    starts = [int(seen.range[6:].partition("-")[0]) for seen in origin.seen()]
    assert starts == sorted(starts) and len(starts) == 4
    if "reset" not in more:  # of what was on its way a reset leaves as much as it likes
        assert starts[-1] > MIB + 300_000
    if not more:
        assert starts[2:] == [MIB + 300_000, MIB + 500_000] and source.fetched == PROBE + MIB
    assert source.read(MIB, 10) == BODY[MIB : MIB + 10]


def test_a_cut_probe_is_no_loss(origin: Origin, remote: Open) -> None:
    source = remote(origin.put("/a", page(cut_after=1000), page()))
    assert source.read(0, 3000) == BODY[:3000]
    assert [seen.range for seen in origin.seen()] == ["bytes=0-65535", "bytes=1000-2999"]
    cut = page(cut_after=0)
    with pytest.raises(FetchFailed, match="broke off.* 3000"):
        remote(origin.put("/b", cut)).read(0, 3000)


def test_a_server_that_gives_less_at_once(origin: Origin, remote: Open, out: Path, tmp_path: Path) -> None:
    source = remote(origin.put("/a", page(), page(limit=100_000)), one_connection(tmp_path))
    source.fetch([PART], out)
    assert right(out, [PART]) and len(origin.seen()) == 12
    with pytest.raises(FetchFailed, match="less came"):
        remote(origin.put("/b", page(), page(limit=10)), one_connection(tmp_path)).fetch([PART], out)
    assert len(origin.seen("/b")) < 10


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_that_is_busy_for_a_moment(origin: Origin, remote: Open, out: Path, status: int) -> None:
    source = remote(origin.put("/a", page(), page(b"", status=status), page()))
    source.fetch([PART], out)
    assert right(out, [PART])
    with pytest.raises(FetchFailed, match=f"broke off.* {status}"):
        remote(origin.put("/b", page(), page(b"", status=status))).fetch([PART], out)
    assert len(origin.seen("/b")) == 4


def test_little_progress_is_bounded(origin: Origin, remote: Open, out: Path, tmp_path: Path) -> None:
    source = remote(origin.put("/a", page(), page(cut_after=1000)), one_connection(tmp_path))
    with pytest.raises(FetchFailed, match="broke off"):
        source.fetch([PART], out)
    assert 3 < len(origin.seen()) < 10 and source.fetched == PROBE + 1000 * (len(origin.seen()) - 1)


def test_an_idle_connection_that_was_closed(origin: Origin, remote: Open) -> None:
    source = remote(origin.put("/a", page(), page(silent=True), page()))
    assert source.read(MIB, 10) == BODY[MIB : MIB + 10] and len(origin.seen()) == 3


# -- limits


def test_too_big(origin: Origin, remote: Open, tmp_path: Path) -> None:
    url = origin.put("/a", page())
    with pytest.raises(TooBig, match=str(len(BODY))):
        remote(url, settings_of(tmp_path, max_source_bytes="3M"))
    assert remote(url, settings_of(tmp_path, max_source_bytes=str(len(BODY)))).size == len(BODY)


def test_a_full_disk(origin: Origin, remote: Open, tiny_disk: Path) -> None:
    source = remote(origin.put("/a", page()))
    source.fetch([(2 * MIB, 2 * MIB + 100_000)], tiny_disk / "f")  # its offsets count for nothing
    with pytest.raises(DiskFull, match="no space left"):
        source.fetch([PART], tiny_disk / "f")


def test_room_is_promised_for_what_comes(origin: Origin, remote: Open, tools: Tools, tmp_path: Path, out: Path) -> None:
    settings = settings_of(tmp_path, work_dir=str(tmp_path))
    space = Space(lambda: settings)
    tools.room = space.room(tools.scratch, tools.pause)
    source = remote(origin.put("/a", page()), settings)
    kept = space._promised
    for parts, total in (([PART], MIB), ([(0, 100), (2 * MIB, 3 * MIB)], 2 * MIB + 100)):
        source.fetch(parts, out)
        assert 2 * total < kept[tools.scratch] < 2 * total + 70_000
    settings = settings_of(tmp_path, work_dir=str(tmp_path), min_free="1000000G")
    with pytest.raises(NoRoom):
        source.fetch([PART], out)


# -- the end


class Mute:
    """A server that is reached and says nothing; with `full` not even that: its queue of connections is full."""

    def __init__(self, full: bool = False) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.url = f"127.0.0.1:{self.listener.getsockname()[1]}/a"
        self.waiting = [socket.socket() for _ in range(8 if full else 0)]
        for one in self.waiting:
            one.setblocking(False)
            one.connect_ex(self.listener.getsockname())

    def close(self) -> None:
        for one in (*self.waiting, self.listener):
            one.close()


def slow(origin: Origin, how: str) -> str:
    return origin.put("/a", page(), page(**({"stall_after": 70_000} if how == "stalls" else {"rate": 2000})))


ENDS = [Cancelled, TimedOut, Stalled]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("scheme", "full"), [("http", False), ("http", True), ("https", False)])
def test_a_request_that_gets_no_answer_ends(
    remote: Open, tools: Tools, scheme: str, full: bool, end: type[Exception]
) -> None:
    with closing(Mute(full)) as server, ending(tools, end, lambda: True):
        expected = (Stalled, FetchFailed) if end is Stalled else end
        with pytest.raises(expected):
            remote(f"{scheme}://{server.url}")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("how", ["stalls", "trickles"])
@pytest.mark.parametrize("what", ["read", "fetch"])
def test_a_transfer_ends_soon(
    origin: Origin, remote: Open, tools: Tools, out: Path, how: str, what: str, end: type[Exception]
) -> None:
    if (how, end) == ("trickles", Stalled):
        pytest.skip("slow is no stall")
    ends = ending(tools, end, lambda: len(origin.seen()) > 1)
    source = remote(slow(origin, how))
    with ends, pytest.raises(end):
        source.read(*PART) if what == "read" else source.fetch([(MIB, 3 * MIB)], out)


class ending:
    """Ends the job in a way when `when` holds; proves that the block was left soon and no thread with it."""

    def __init__(self, tools: Tools, end: type[Exception], when: Callable[[], object]) -> None:
        self.tools, self.end, self.when = tools, end, when
        if end is Stalled:
            tools.stall_timeout = 0.5
        self.asked = 0.0

    def __enter__(self) -> None:
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        wait_for(self.when)
        self.asked = time.monotonic()
        if self.end is Cancelled:
            self.tools.cancel.set()
        elif self.end is TimedOut:
            self.tools.deadline = time.monotonic()

    def __exit__(self, *exc: object) -> None:
        left = time.monotonic()
        self.thread.join()
        assert left - self.asked < 4  # 0.3 where nothing else runs
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("range")]
