"""The targets of `tools/fuzz.py`: each feeds bytes to readers of ours and fails where they break their promises."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

LARGE = 1 << 16
INI = {"state_dir": "/nowhere/state", "allow_hosts": "192.0.2.1:9", "allow_paths": "/nowhere", "upload": "/nowhere/up/"}


@lru_cache
def _settings() -> Any:
    from videod.config import Config

    return Config("t.ini", {"DEFAULT": INI}).settings("prod")


def _message(data: bytes) -> None:
    from videod import intake
    from videod.errors import BadMessage, Permanent
    from videod.message import Envelope, read_envelope

    try:
        envelope = read_envelope(data)
    except BadMessage:
        envelope = None
    if isinstance(envelope, Envelope):
        assert read_envelope(envelope.dumps()) == envelope
    read = intake.read(envelope.raw if envelope else data, None, _settings())
    if isinstance(read, intake.Rejected):
        assert isinstance(read.error, Permanent), read.error


def _ini(data: bytes) -> None:
    from videod.config import load
    from videod.errors import ConfigError

    if re.search(rb"\$\{file:\s*/(dev|proc|sys)", data):
        return  # endless files are the sysadmin's own
    with tempfile.NamedTemporaryFile(suffix=".ini") as file:
        file.write(data)
        file.flush()
        try:
            load(file.name).settings("prod")
        except ConfigError as error:
            assert "\n" not in str(error), str(error)


def _address(data: bytes) -> None:
    from videod.config import redis_url, values
    from videod.errors import ForbiddenSource, Permanent
    from videod.transfer.target import target
    from videod.transfer.urls import check_url, name_of, redirected

    text = data.decode("utf-8", "replace")
    for parse in (redis_url.parse, values.hosts, values.proxy_url, values.upload_base, values.size, values.duration):
        try:
            parse(text)
        except ValueError:
            continue
    try:
        assert "/" not in name_of(text)
        target(text, id="a", n=1, name="b", ext="mp4")
    except Permanent:
        pass
    try:
        url = check_url(text)
        assert url.text.isascii() and url.text.isprintable() and " " not in url.text
        assert check_url(url.text) == url.without_user(), url
        redirected(url, text)
    except ForbiddenSource:
        return


def _shown(data: bytes) -> None:
    from videod.logs import one_line
    from videod.redact import hide

    text = data.decode("utf-8", "surrogatepass" if data.isascii() else "replace")
    before, _, after = text.partition("|")
    # what an address ends at stands before and behind it
    for made in (f"{before} https://u:S3CR3T@h/p?k=S3CR3T {after}", f"{before}\nCookie: S3CR3T\n{after}"):
        assert "S3CR3T" not in hide(made), made
    line = one_line(hide(text))
    assert len(line.splitlines()) <= 1 and all(c.isprintable() or ord(c) > 127 for c in line)


def _large(data: bytes) -> None:
    """A beginning, a piece many times over and an end: what takes quadratic time takes too long here."""
    from videod.errors import BadMessage
    from videod.message import read_envelope, read_message

    head, _, rest = data[:48].partition(b"|")
    unit, _, tail = rest.partition(b"|")
    made = head + unit * (LARGE // max(1, len(unit))) + tail
    for read in (read_message, read_envelope):
        try:
            read(made)
        except BadMessage:
            continue
    _shown(made)


def _wire(data: bytes) -> None:
    from videod.guardian import listen
    from videod.pipes import MAX_LINE, _Lines
    from videod.transfer.wget import _Printed
    from videod.transfer.wire import Refused, read_request

    chunks = [data[at : at + 100] for at in range(0, len(data), 100)]
    try:
        request = read_request(SimpleNamespace(recv=lambda size: chunks.pop(0) if chunks else b""))  # type: ignore[arg-type]
        assert isinstance(request.place[1], int) and isinstance(request.value(b"host"), bytes) and request.path
    except (Refused, ValueError):  # the door answers both with 400
        pass
    printed = _Printed(lambda answer: None)

    def both(line: str) -> None:
        printed.line(line)
        printed.line("  " + line)

    lines = _Lines(both)
    for at in range(0, len(data), 7):
        lines.add(data[at : at + 7])
    lines.end()
    assert printed.answer.length is None or printed.answer.length >= 0
    assert all(len(line) <= MAX_LINE for line in printed.own_words)
    ends = os.pipe()
    os.write(ends[1], data[:60000])
    os.close(ends[1])
    assert all(group > 1 for group in listen(ends[0]))
    os.close(ends[0])


def _heads(data: bytes) -> None:
    from videod.errors import FetchFailed, ForbiddenSource
    from videod.transfer.answers import Hops, range_of, validator
    from videod.transfer.parts import Refused
    from videod.transfer.urls import check_url

    names = ("content-range", "content-length", "content-type", "etag", "last-modified", "date", "transfer-encoding")
    headers = dict(zip(names, data.decode("latin-1").split("\n"), strict=False))
    assert "\n" not in validator(headers)
    with contextlib.suppress(Refused):
        found = range_of(headers)
        assert 0 <= found.start < found.stop <= found.size
    hops = Hops(check_url("https://u:p@h/a"))
    with contextlib.suppress(FetchFailed, ForbiddenSource):
        for location in data.decode("latin-1").split("\n"):
            assert hops.enter() or hops.url.scheme == "http"
            hops.follow(location)


def _media(data: bytes) -> None:
    from videod.errors import VideodError
    from videod.media import frames, probe, reading, whole

    whole.looks_like_video(data)
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        for formats in (("mov",), ("matroska",), ("avi",), ("flv",)):
            whole.is_whole(file.name, formats)
        whole.index_is_cut(file.name, ("mov",))
        said = SimpleNamespace(stdout=data, code=0, tail="", stderr=[])
        tools: Any = SimpleNamespace(run=lambda *argv, **more: said)
        with contextlib.suppress(VideodError):
            probe.probe(file.name, tools, SimpleNamespace(max_pixels=36_000_000, max_duration=0.0))
    table, complaints = frames.Table(), reading.Complaints()
    try:
        for line in data.decode("utf-8", "replace").split("\n"):
            complaints.take(line)
            table.add(line)
    except VideodError:
        return
    assert len(table.pts) == len(table.dts) == len(table.lasts) == len(table.flags)


def _mp4(data: bytes) -> None:
    """A whole file, a moov without its file, or a moof of the movie before it."""
    from fractions import Fraction

    from videod.mp4.boxes import BadMp4, walk
    from videod.mp4.fragments import read_fragment
    from videod.mp4.index import load
    from videod.mp4.reader import read_movie

    with contextlib.suppress(BadMp4):
        index = load(lambda offset, length: data[offset : offset + length], len(data), 100)
        for movie in (index.first, index.span(Fraction(1), Fraction(2))):
            for track in movie.tracks:
                columns = track.samples
                assert len(columns.pts) == len(columns.dts) == len(columns.sync) == len(columns.offsets) == len(columns)
                assert all(at + size <= len(data) for at, size in zip(columns.offsets, columns.sizes, strict=True))
    with contextlib.suppress(BadMp4):
        movie = None
        for box in walk(data):
            if box.kind == b"moov":
                movie = read_movie(data[box.start : box.end], 1 << 20)
            elif box.kind == b"moof" and movie:
                read_fragment(movie, data[box.start : box.end], box.start, None, {1: 0})


def _playlist(data: bytes) -> None:
    from videod.errors import Encrypted, ForbiddenSource
    from videod.transfer.playlist import BadPlaylist, read
    from videod.transfer.urls import check_url

    with contextlib.suppress(BadPlaylist, Encrypted, ForbiddenSource):
        found = read(b"#EXTM3U\n" + data, check_url("http://example.org/a.m3u8"))
        assert bool(found.segments) != bool(found.variants)


def _matroska(data: bytes) -> None:
    from videod.media.ebml import BadMatroska
    from videod.media.matroska import load

    with contextlib.suppress(BadMatroska):
        index = load(lambda at, length: data[at : at + length], len(data))
        assert index.offsets == sorted(set(index.offsets)) and index.offsets[-1] < index.end <= len(data)


def _recorder(data: bytes) -> None:
    """What a recorder sends: challenges, XML, times; and the program streams that it hands out."""
    from datetime import UTC, datetime

    from videod.isapi import clock, digest, document, finding
    from videod.media import clocks

    text = data.decode("utf-8", "replace")
    with contextlib.suppress(digest.Unanswerable):
        login = digest.Login('a"b', "S3CR3T")
        login.learn(digest.challenge_of([data.decode("latin-1"), text], secure=True))
        header = login.header("GET", "/a")
        assert "S3CR3T" not in header
    document.said(data)
    with contextlib.suppress(document.Unreadable):
        page = finding.page_of(document.parse(data), 101)
        assert all(one.start <= one.end and one.size >= 0 for one in page.found)
    local, _, zone = text.partition("|")
    with contextlib.suppress(ValueError, OverflowError):
        made = clock.clock_of(local, zone, datetime(2026, 11, 20, tzinfo=UTC))
        made.utc(made.wall(datetime(2026, 7, 1, tzinfo=UTC)))
    stream = bytearray(data)
    before = clocks.extent(stream)
    clocks.move(stream, 0, 12345)
    after = clocks.extent(stream)
    assert len(stream) == len(data) and (before is None) == (after is None)


TARGETS: dict[str, tuple[Callable[[bytes], None], int]] = {
    "message": (_message, 4096), "ini": (_ini, 2048), "address": (_address, 512), "shown": (_shown, 512),
    "large": (_large, 48), "wire": (_wire, 1024), "heads": (_heads, 512), "media": (_media, 2048),
    "mp4": (_mp4, 4096), "playlist": (_playlist, 2048), "matroska": (_matroska, 4096),
    "recorder": (_recorder, 4096),
}  # fmt: skip
