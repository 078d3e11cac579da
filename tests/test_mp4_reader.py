"""videod.mp4 reads what ffprobe reads, from few bytes, and refuses the rest with a reason."""

from __future__ import annotations

import re
import struct
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from operator import add
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mp4films import (
    FRAGMENTED,
    MAKERS,
    PLAIN,
    Films,
    Reader,
    box,
    everything,
    opened,
    ours,
    packets,
    rebuilt,
    starts,
    streams,
    the,
    tops,
)
from tests.videos import ffmpeg
from videod.mp4.boxes import BadMp4, Box, find, header, walk
from videod.mp4.entries import child, raw_unit
from videod.mp4.fragments import read_fragment
from videod.mp4.index import load
from videod.mp4.model import Edit, Movie, Placement
from videod.mp4.reader import read_movie
from videod.mp4.segments import read_mfra, read_sidx
from videod.mp4.tables import GROUP

settings.register_profile("patient", deadline=None, suppress_health_check=list(HealthCheck))
PATIENT = settings.get_profile("patient")
MOST_MEMORY = 64 << 20
CPU_SECONDS = 3


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    return Films(tmp_path_factory.getbasetemp() / "mp4films")


# ------------------------------------------------------------------ the same as ffprobe
@pytest.mark.parametrize("name", PLAIN + FRAGMENTED)
def test_each_packet_is_that_of_ffprobe(films: Films, name: str) -> None:
    path = films[name]
    movie = everything(path)
    assert ours(movie) == packets(path)
    assert movie.fragmented == (name in FRAGMENTED)
    for track, stream in zip(movie.tracks, streams(path), strict=True):
        assert Fraction(1, track.timescale) == Fraction(stream["time_base"])
        assert track.codec.decode() == stream["codec_tag_string"]
        assert {b"vide": "video", b"soun": "audio"}[track.handler] == stream["codec_type"]
        assert track.id == int(stream["id"], 16)
        assert not track.encrypted and track.descriptions == 1 and track.sync_known
        assert track.header.enabled == bool(stream["disposition"]["default"])
        if track.handler == b"vide":
            assert (track.header.width >> 16, track.header.height >> 16) == (stream["width"], stream["height"])
        times = track.samples
        assert movie.fragmented or list(times.dts[1:]) == list(map(add, times.dts, times.durations))[:-1]


@pytest.mark.parametrize("name", ["plain.mp4", "plain.mov", "late.mp4", "vfr.mp4", "pcm.mov", "delay.mp4", "far.mp4"])
def test_the_edit_list_is_that_of_ffprobe(films: Films, name: str) -> None:
    movie = everything(films[name])
    for track, start in zip(movie.tracks, starts(films[name]), strict=True):
        shift = track.shift(movie.timescale)
        assert shift is not None
        placed = [Fraction(pts, track.timescale) + shift for pts in track.samples.pts]
        # ffmpeg hides whole frames of sound before 0, but not in fragments; a player the part of one
        assert start == min(placed) or (track.handler == b"soun" and start == min(time for time in placed if time >= 0))


def test_a_movie_says_its_facts(films: Films) -> None:
    movie = opened(films["many.mp4"]).movie
    assert [track.language for track in movie.tracks] == ["und", "deu", "fra"]
    assert movie.brands[0] == b"isom" and b"avc1" in movie.brands
    assert movie.lead is movie.tracks[0] and movie.track(3) is movie.tracks[2] and movie.track(9) is None
    picture = movie.tracks[0]
    assert child(picture.entry, b"vide", b"avcC")[:1] == b"\1"  # type: ignore[index]
    assert child(picture.entry, b"vide", b"hvcC") is None
    assert child(movie.tracks[1].entry, b"soun", b"esds") is not None
    assert picture.media_header[4:8] == b"vmhd" and movie.tracks[1].media_header[4:8] == b"smhd"
    assert movie.tracks[1].header.alternate_group == movie.tracks[2].header.alternate_group > 0
    hevc = opened(films["hevc.mp4"]).movie.tracks[0]
    assert child(hevc.entry, b"vide", b"hvcC") is not None
    turned = films["turned.mp4"]
    said = streams(turned)[0]["side_data_list"][0]["displaymatrix"]
    assert the(opened(turned).movie, b"vide").header.matrix == tuple(map(int, re.findall(r"-?\d+(?!\d*:)", said)))
    assert the(opened(films["plain.mov"]).movie, b"soun").language in {"und", "eng"}


def test_raw_sound_is_read_in_groups(films: Films) -> None:
    sound = the(opened(films["pcm.mov"]).movie, b"soun")
    assert sound.unit == 4 and set(sound.samples.durations) - {GROUP} != set()
    assert max(sound.samples.durations) == GROUP
    assert sum(sound.samples.durations) == sum(sound.samples.sizes) // 4 == pytest.approx(6 * 48000, abs=1024)


def test_edit_lists_of_usual_shapes_place_a_track(films: Films) -> None:
    movie = opened(films["late.mp4"]).movie
    sound = the(movie, b"soun")
    assert sound.edits[0].media_time == -1 and len(sound.edits) == 2
    placed = sound.placement(movie.timescale)
    assert placed is not None and placed.delay == pytest.approx(0.5, abs=0.025)
    assert placed.media_time == sound.edits[1].media_time and placed.duration is not None

    def of(*edits: Edit) -> Placement | None:
        return replace(sound, edits=edits).placement(1000)

    assert of() == (0, 0, None)
    assert of(Edit(0, 512)) == (512, 0, None)
    assert of(Edit(250, -1), Edit(250, -1), Edit(2000, 512)) == (512, Fraction(1, 2), 2)
    assert of(Edit(1000, 0), Edit(1000, 5000)) is of(Edit(1000, 0, 1 << 15)) is of(Edit(1000, -1)) is None


# ------------------------------------------------------------------ few bytes
@pytest.mark.parametrize(("name", "reads"), [("front.mp4", 1), ("plain.mp4", 2), ("plain.mov", 2), ("far.mp4", 2)])
def test_a_plain_index_takes_one_read_or_two(films: Films, name: str, reads: int) -> None:
    reader = Reader(films[name])
    index = load(reader, reader.size)
    assert len(reader.asked) == index.reads == reads and index.bytes_read == sum(n for _, n in reader.asked) < 80_000
    assert index.first is index.movie is index.span(Fraction(1), Fraction(2))


def test_a_moov_larger_than_the_probe_takes_one_read_more(films: Films) -> None:
    parts = tops(films["front.mp4"].read_bytes())
    # the places do not fit any more, but all lie within the file
    moov = box(b"moov", parts[b"moov"][8:], box(b"free", bytes(100_000)))
    data = parts[b"ftyp"] + moov + parts[b"mdat"]
    reader = Reader(data)
    index = load(reader, reader.size)
    assert reader.asked == [(0, 1 << 16), (1 << 16, len(parts[b"ftyp"] + moov) - (1 << 16))]
    assert index.bytes_read == len(parts[b"ftyp"] + moov)


@pytest.mark.parametrize("name", FRAGMENTED)
@pytest.mark.parametrize(("start", "end"), [("2.5", "3"), ("0", "0.1"), ("3", "4.5"), ("5.9", "7"), ("0", "9")])
def test_a_span_has_all_that_is_shown_in_it(films: Films, name: str, start: str, end: str) -> None:
    low, high = Fraction(start), Fraction(end)
    whole, part = everything(films[name]), opened(films[name]).span(low, high)
    for all_of, track in zip(ours(whole), whole.tracks, strict=True):
        shift, samples = track.shift(whole.timescale), part.track(track.id).samples  # type: ignore[union-attr]
        assert shift is not None
        have = set(samples.offsets)
        wanted = [p for p in all_of if low <= Fraction(p.pts, track.timescale) + shift < high]
        assert {p.pos for p in wanted} <= have
        # in one piece, and from a key frame on that is not behind the start
        assert [p.pos for p in all_of if p.pos in have] == list(samples.offsets)
        firsts = [p for p, sync in zip(samples.pts, samples.sync, strict=True) if sync][:1]
        assert all(Fraction(p, track.timescale) + shift <= max(low, Fraction(1, 10)) for p in firsts) and firsts
    if name not in {"short.mp4"} and high - low < 1:
        assert len(part.tracks[0].samples) <= 100


@pytest.mark.parametrize(("name", "most"), [("dash.mp4", 6), ("frag.mp4", 6), ("base.mp4", 6), ("hybrid.mp4", 6)])
def test_only_the_fragments_of_a_span_are_read(films: Films, tmp_path: Path, name: str, most: int) -> None:
    long = tmp_path / name
    MAKERS[name](_Longer(films), long)
    reader = Reader(long)
    index = load(reader, reader.size)
    index.span(Fraction(60), Fraction(61))
    assert index.reads == len(reader.asked) <= most and index.bytes_read < 150_000 < reader.size
    first = index.first
    assert [track.samples.dts[0] for track in first.tracks] == [0, 0] or name == "dash.mp4"
    assert len(reader.asked) <= most + 1
    index.span(Fraction(60), Fraction(61))
    assert len(reader.asked) <= most + 1


class _Longer(Films):
    """The source of films is twenty times as long."""

    def __init__(self, films: Films) -> None:
        super().__init__(films.folder)

    def __getitem__(self, name: str) -> Path:
        path = self.folder / f"long-{name}"
        if not path.exists():
            ffmpeg("-stream_loop", "19", "-i", str(super().__getitem__(name)), "-map", "0", "-c", "copy", str(path))
        return path


def test_walking_from_fragment_to_fragment_is_bounded(films: Films, tmp_path: Path) -> None:
    long = tmp_path / "walk.mp4"
    MAKERS["walk.mp4"](_Longer(films), long)
    reader = Reader(long)
    with pytest.raises(BadMp4, match="more than 50 reads"):
        load(reader, reader.size, 50).span(Fraction(60), Fraction(61))
    assert len(reader.asked) == 50
    assert load(reader, reader.size).span(Fraction(60), Fraction(61)).tracks[0].samples


# ------------------------------------------------------------------ what is refused
def _file(films: Films, change: Callable[[bytes, bytes], bytes | None], name: str = "front.mp4") -> bytes:
    return rebuilt(films[name].read_bytes(), change)


def _in(kind: bytes, at: int, new: bytes) -> Callable[[bytes, bytes], bytes | None]:
    def change(found: bytes, body: bytes) -> bytes | None:
        return box(kind, body[:at] + new + body[at + len(new) :]) if found == kind else None

    return change


MANY = b"\xff\xff\xff\xff"
REFUSED = {
    "stts is for": _in(b"stts", 8, MANY),
    "ctts is for": _in(b"ctts", 8, MANY),
    "stts has 4294967295 entries": _in(b"stts", 4, MANY),
    "ctts is too short": _in(b"ctts", 4, b"\0\1\0\0"),
    "stss is too short": _in(b"stss", 4, b"\0\1\0\0"),
    "stss names a sample": _in(b"stss", 8, MANY),
    "stsz is too short": _in(b"stsz", 8, MANY),
    "the chunks hold": _in(b"stsc", 12, b"\0\0\0\x09"),
    "stsc begins a run": _in(b"stsc", 8, b"\0\0\0\2"),
    "stsc names the sample entry": _in(b"stsc", 16, b"\0\1\0\0"),
    "stsd has no entry 2": _in(b"stsc", 16, b"\0\0\0\2"),
    "stsc has no runs": _in(b"stsc", 4, bytes(4)),
    "stco is too short": _in(b"stco", 4, b"\0\1\0\0"),
    "behind the end of the file": _in(b"stco", 8, MANY),
    "mdhd has no timescale": _in(b"mdhd", 12, bytes(4)),
    "mvhd has no timescale": _in(b"mvhd", 12, bytes(4)),
    "elst has": lambda kind, body: box(b"edts", box(b"elst", bytes(4) + MANY)) if kind == b"edts" else None,
    "elst is too short": lambda kind, body: (
        box(b"edts", box(b"elst", bytes(4), b"\0\0\0\3")) if kind == b"edts" else None
    ),
    "compressed moov": lambda kind, body: box(b"moov", box(b"cmov", bytes(8))) if kind == b"moov" else None,
    "refers to other files": lambda kind, body: box(b"moov", box(b"rmra", bytes(8))) if kind == b"moov" else None,
    "in another file": lambda kind, body: (
        box(b"dinf", box(b"dref", bytes(7) + b"\1", box(b"url ", bytes(4) + b"http://a/b\0")))
        if kind == b"dinf"
        else None
    ),
    "two boxes stts": lambda kind, body: box(kind, body) * 2 if kind == b"stts" else None,
    "both stco and co64": lambda kind, body: box(kind, body) + box(b"co64", bytes(8)) if kind == b"stco" else None,
    "no stsc": lambda kind, body: b"" if kind == b"stsc" else None,
    "no moov": lambda kind, body: b"" if kind == b"moov" else None,
    "moov has no mvhd": lambda kind, body: b"" if kind == b"mvhd" else None,
    "trak has no tkhd": lambda kind, body: b"" if kind == b"tkhd" else None,
    "same id": _in(b"tkhd", 12, b"\0\0\0\1"),
    "more than 256 tracks": lambda kind, body: box(b"moov", body, _traks(body) * 200) if kind == b"moov" else None,
}


def _traks(body: bytes) -> bytes:
    return b"".join(body[one.start : one.end] for one in walk(body) if one.kind == b"trak")


@pytest.mark.parametrize("reason", REFUSED)
def test_what_does_not_fit_is_refused_with_a_reason(films: Films, reason: str) -> None:
    reader = Reader(_file(films, REFUSED[reason]))
    with pytest.raises(BadMp4, match=reason) as error:
        load(reader, reader.size)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


def test_huge_tables_of_fixed_sizes_take_no_memory(films: Films) -> None:
    """Few bytes that claim 2^32 samples, and are consistent."""
    count = struct.pack(">I", (1 << 32) - 1)
    tables = {
        b"stts": bytes(4) + b"\0\0\0\1" + count + b"\0\0\2\0",
        b"stsz": bytes(4) + b"\0\0\0\1" + count,
        b"stsc": bytes(4) + b"\0\0\0\1" + b"\0\0\0\1" + count + b"\0\0\0\1",
        b"stco": bytes(4) + b"\0\0\0\1" + b"\0\0\0\1",
    }

    def change(kind: bytes, body: bytes) -> bytes | None:
        if kind in {b"ctts", b"stss"}:
            return b""
        return box(kind, tables[kind]) if kind in tables else None

    moov = tops(_file(films, change))[b"moov"]
    for size in (None, 1 << 20, 1 << 40):
        with pytest.raises(BadMp4, match="too many|larger than the file"):
            bounded(lambda size=size: read_movie(moov, size))  # type: ignore[misc]
    tables[b"stts"] = bytes(4) + b"\0\0\0\1" + count + b"\0\0\0\1"
    raw = tops(_file(films, change))[b"moov"]
    with pytest.raises(BadMp4, match="too many|larger than the file"):
        bounded(lambda: read_movie(raw, 1 << 20))


@pytest.mark.parametrize(
    "first", [b"RIFF\0\0\0\0AVI LIST", b"\x1aE\xdf\xa3" + bytes(60), bytes(64), b"", b"\0\0\0\x08ftyp"]
)
def test_what_is_no_mp4_is_refused_at_once(first: bytes) -> None:
    reader = Reader(first)
    with pytest.raises(BadMp4):
        load(reader, reader.size)
    assert len(reader.asked) <= 1


def test_a_huge_moov_is_refused_unread() -> None:
    data = struct.pack(">I4s", 300 << 20, b"moov") + bytes(1 << 16)
    asked: list[tuple[int, int]] = []

    def read(offset: int, length: int) -> bytes:
        asked.append((offset, length))
        return data[offset : offset + length]

    with pytest.raises(BadMp4, match="moov has a size"):
        load(read, 400 << 20)
    assert len(asked) == 1
    with pytest.raises(BadMp4, match="in place of"):
        load(lambda offset, length: b"short", 1 << 20)


def test_encrypted_samples_are_told(films: Films) -> None:
    def change(kind: bytes, body: bytes) -> bytes | None:
        return box(kind, body.replace(b"avc1", b"encv").replace(b"mp4a", b"enca")) if kind == b"stsd" else None

    reader = Reader(_file(films, change))
    assert [(t.codec, t.encrypted) for t in load(reader, reader.size).movie.tracks] == [
        (b"encv", True),
        (b"enca", True),
    ]

    def protect(kind: bytes, body: bytes) -> bytes | None:
        if kind != b"stsd" or b"avc1" not in body:
            return None
        entry = body[16:] + box(b"sinf", box(b"frma", b"avc1"))
        return box(kind, body[:8], box(b"avc1", entry))

    reader = Reader(_file(films, protect))
    # the sinf made moov longer: places are off, but what is told is told
    assert [t.encrypted for t in load(reader, reader.size).movie.tracks] == [True, False]


def test_small_size_tables_are_read(films: Films) -> None:
    """stz2, with 4, 8 and 16 bits each."""
    for width, cells, sizes in (
        (4, b"\x12\x30", [1, 2, 3]),
        (8, b"\1\2\3", [1, 2, 3]),
        (16, b"\1\0\0\2\0\3", [256, 2, 3]),
    ):
        tables = {
            b"stsz": box(b"stz2", struct.pack(">III", 0, width, 3), cells),
            b"stts": box(b"stts", struct.pack(">IIIIII", 0, 2, 2, 10, 1, 20)),
            b"stsc": box(b"stsc", struct.pack(">IIIIIIII", 0, 2, 1, 2, 1, 2, 1, 1)),
            b"stco": box(b"stco", struct.pack(">IIII", 0, 2, 100, 500)),
            **{b"ctts": b"", b"stss": box(b"stss", struct.pack(">III", 0, 1, 2))},
        }
        moov = tops(_file(films, lambda kind, body: tables.get(kind)))[b"moov"]  # noqa: B023
        samples = read_movie(moov).tracks[0].samples
        assert list(samples.sizes) == sizes and list(samples.offsets) == [100, 100 + sizes[0], 500]
        assert (list(samples.dts), list(samples.durations), samples.sync) == ([0, 10, 20], [10, 10, 20], b"\0\1\0")
        with pytest.raises(BadMp4, match="fields of 5 bits"):
            tables[b"stsz"] = box(b"stz2", struct.pack(">III", 0, 5, 3), cells)
            read_movie(tops(_file(films, lambda kind, body: tables.get(kind)))[b"moov"])  # noqa: B023


def test_a_second_sample_entry_is_told(films: Films) -> None:
    def change(kind: bytes, body: bytes) -> bytes | None:
        if kind == b"stsd":
            return box(kind, body[:7] + b"\2" + body[8:] * 2)
        if kind == b"stsc":
            rows = struct.unpack_from(f">{body[7] * 3}I", body, 8)
            last = (rows[-3] + 1, *rows[-2:]) if rows[-3] < 2 else rows[-3:]
            return box(kind, body[:8], struct.pack(f">{len(rows)}I", *rows[:-3], *last[:2], 2))
        return None

    tracks = read_movie(tops(_file(films, change))[b"moov"]).tracks
    assert all(track.descriptions == 2 or track.description == 2 for track in tracks)
    assert tracks[1].descriptions == 2 and tracks[1].description == 1


def test_raw_sound_of_old_files_says_its_size_in_the_entry() -> None:
    def entry(kind: bytes, version: int, channels: int, bits: int, more: bytes = b"") -> bytes:
        return box(kind, bytes(7) + b"\1", struct.pack(">H6xHH8x", version, channels, bits), more)

    assert raw_unit(entry(b"sowt", 0, 2, 16), 4) == raw_unit(entry(b"sowt", 0, 2, 16), 1) == 4
    assert raw_unit(entry(b"ulaw", 0, 2, 16), 1) == 2 and raw_unit(entry(b"raw ", 0, 1, 8), 1) == 1
    assert raw_unit(entry(b"in24", 1, 2, 16, struct.pack(">4I", 1, 3, 6, 2)), 1) == 6
    with pytest.raises(BadMp4, match="packets"):
        raw_unit(entry(b"ima4", 1, 2, 16, struct.pack(">4I", 64, 34, 68, 2)), 1)


# ------------------------------------------------------------------ boxes
def test_boxes_have_sizes_of_32_and_64_bits_or_reach_to_the_end() -> None:
    data = (
        box(b"free", b"abc") + struct.pack(">I4sQ", 1, b"mdat", 20) + b"abcd" + struct.pack(">I4s", 0, b"moov") + b"xy"
    )
    assert list(walk(data)) == [(b"free", 0, 8, 11), (b"mdat", 11, 27, 31), (b"moov", 31, 39, 41)]
    nested = box(b"moov", box(b"trak", box(b"mdia", b"1234")))
    top = header(nested, 0, len(nested))
    assert find(nested, top, b"trak", b"mdia") == (b"mdia", 16, 24, 28)
    assert find(nested, top, b"trak", b"edts") is None
    assert Box(b"\xa9nam", 0, 8, 9).name == "0xa96e616d"
    # QuickTime's end of a list
    assert len(list(walk(box(b"free") + bytes(4)))) == 1
    broken = (
        b"\0\0\0\7free",
        b"\0\0\0\1mdat\0\0",
        struct.pack(">I4sQ", 1, b"mdat", 8),
        b"\0\0\0\x10free",
        b"\0\0\0\x08free\1",
    )
    for data in (*broken, box(b"free") * 70_000):
        with pytest.raises(BadMp4):
            list(walk(data))


# ------------------------------------------------------------------ fragments
def _movie(films: Films) -> Movie:
    return opened(films["frag.mp4"]).movie


def _traf(flags: int, fields: bytes, *truns: bytes, number: int = 1, clock: bytes | None = b"\0\0\0\x64") -> bytes:
    tfdt = box(b"tfdt", bytes(4), clock) if clock else b""
    return box(b"traf", box(b"tfhd", struct.pack(">II", flags, number), fields), tfdt, *truns)


def _trun(flags: int, count: int, *cells: int, version: int = 0) -> bytes:
    return box(
        b"trun", struct.pack(f">II{len(cells)}I", version << 24 | flags, count, *(c & 0xFFFFFFFF for c in cells))
    )


def test_runs_of_a_fragment_follow_each_other(films: Films) -> None:
    movie = _movie(films)
    defaults = struct.pack(">III", 10, 100, 0x10000)
    moof = box(
        b"moof",
        _traf(0x20038, defaults, _trun(0x5, 2, 500, 0x2000000), _trun(0x204, 2, 0, 7, 8), _trun(0x801, 1, 900, -5)),
        _traf(0x38, defaults, _trun(0, 2), number=2),
    )
    found = read_fragment(movie, moof, 1000)
    one, two = found[1], found[2]
    assert list(one.offsets) == [1500, 1600, 1700, 1707, 1900] and list(one.sizes) == [100, 100, 7, 8, 100]
    assert list(one.dts) == [100, 110, 120, 130, 140] and list(one.pts) == [100, 110, 120, 130, 135]
    assert list(one.sync) == [1, 0, 1, 0, 0]
    # without a place of its own, and moof is not the base: behind the data of the traf before
    assert list(two.offsets) == [2000, 2100]
    based = box(b"moof", _traf(0x39, struct.pack(">Q", 5000) + defaults, _trun(1, 1, 16), _trun(0, 1)))
    assert list(read_fragment(movie, based, 1000)[1].offsets) == [5016, 5116]


def test_a_run_has_columns_of_its_own(films: Films) -> None:
    moof = box(b"moof", _traf(0x20000, b"", _trun(0xF01, 2, 8, 10, 3, 0x10000, -4, 20, 5, 0, 6, version=1)))
    samples = read_fragment(_movie(films), moof, 0)[1]
    assert (list(samples.durations), list(samples.sizes), list(samples.sync)) == ([10, 20], [3, 5], [0, 1])
    assert (list(samples.dts), list(samples.pts), list(samples.offsets)) == ([100, 110], [96, 116], [8, 11])


BAD_FRAGMENTS = {
    "names track 7": _traf(0x20000, b"", number=7),
    "no tfdt": _traf(0x20000, b"", clock=None),
    "tfhd is too short": _traf(0x20001, b""),
    "another sample entry, 2": _traf(0x20002, b"\0\0\0\2"),
    "trun is too short": _traf(0x20000, b"", _trun(0x200, 5, 1, 2)),
    "more than 1048576 samples": _traf(0x20000, b"", _trun(0, 0xFFFFFFFF)),
    "before the file": _traf(0x20000, b"", _trun(1, 1, -2000)),
    "tfdt says": _traf(0x20000, b"", box(b"tfdt", b"\1\0\0\0" + MANY * 2), clock=None),
    "two boxes tfhd": box(b"traf", box(b"tfhd", bytes(8)) * 2),
    "behind the end of the file": _traf(0x20010, b"\0\0\xc0\0", _trun(0, 1)),
    "larger than the file": _traf(0x20010, b"\0\1\0\0", _trun(0, 0xFFFFF)),
    "decoding times of fragments go back": _traf(0x20008, b"\0\0\0\1", _trun(0, 9)) + _traf(0x20000, b"", _trun(0, 1)),
    "more than 16384 trun": _traf(0x20000, b"", _trun(0, 0) * 16385),
}


@pytest.mark.parametrize("reason", BAD_FRAGMENTS)
def test_a_fragment_that_does_not_fit_is_refused(films: Films, reason: str) -> None:
    with pytest.raises(BadMp4, match=reason):
        bounded(lambda: read_fragment(_movie(films), box(b"moof", BAD_FRAGMENTS[reason]), 1000, 50_000))


def test_an_index_of_indices_is_refused() -> None:
    body = struct.pack(">IIIIIHH", 0, 1, 1000, 500, 30, 0, 2)
    good = box(b"sidx", body, struct.pack(">6I", 100, 2000, 0x90000000, 200, 1000, 0x90000000))
    found = read_sidx(good, header(good, 0, len(good)), 5000)
    assert (found.track, found.end) == (1, 5330)
    assert found.points == ((Fraction(1, 2), 5030), (Fraction(5, 2), 5130))
    further, timeless = body + b"\x80" + bytes(23), body[:8] + bytes(4) + body[12:] + bytes(24)
    for reason, bad in (("too short", body + bytes(12)), ("further sidx", further), ("timescale", timeless)):
        data = box(b"sidx", bad)
        with pytest.raises(BadMp4, match=reason):
            read_sidx(data, header(data, 0, len(data)), 5000)


def test_random_access_points_are_read() -> None:
    tfra = box(
        b"tfra",
        b"\1\0\0\0",
        struct.pack(">III", 2, 0b010100, 3),
        *(struct.pack(">QQ", n * 500, n // 2 * 10) + bytes(5) for n in range(1, 4)),
    )
    mfra = box(b"mfra", tfra)
    assert read_mfra(mfra, 2, 1000) == ((Fraction(1, 2), 0), (Fraction(1), 10))
    assert read_mfra(mfra, 1, 1000) == ()
    with pytest.raises(BadMp4, match="tfra has"):
        read_mfra(mfra[:31] + b"\xff" + mfra[32:], 2, 1000)


# ------------------------------------------------------------------ whatever the bytes
def bounded(call: Callable[[], object]) -> None:
    """Bounded memory and time, whatever happens."""
    tracemalloc.start()
    begun = time.process_time()
    try:
        call()
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < MOST_MEMORY and time.process_time() - begun < CPU_SECONDS


NUMBERS = st.sampled_from(
    [0, 1, 2, 7, 8, 16, 0xFF, 0xFFFF, 1 << 20, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 2, (1 << 32) - 1]
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("byte"), st.integers(0, 1 << 16), st.integers(0, 255)),
        st.tuples(st.just("number"), st.integers(0, 1 << 16), NUMBERS),
        st.tuples(st.just("cut"), st.integers(0, 1 << 16), st.just(0)),
        st.tuples(st.just("fields"), st.integers(0, 1 << 10), NUMBERS),
    ),
    min_size=1,
    max_size=4,
)


def mangled(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    """Bytes flipped, numbers overwritten anywhere and right behind the fourcc of a box, an end cut off."""
    made = bytearray(data)
    boxes = [m.start() for m in re.finditer(rb"[a-z][a-z0-9]{2}[a-z0-9 ]", data)]
    for how, at, value in changes:
        at %= max(1, len(made))
        if how == "cut":
            del made[at:]
        elif how == "byte":
            made[at : at + 1] = bytes([value])
        else:
            at = boxes[at % len(boxes)] + 4 + 4 * (at // len(boxes) % 5) if how == "fields" else at
            made[at : at + 4] = value.to_bytes(4, "big")
    return bytes(made)


@settings(PATIENT, max_examples=200)
@given(st.data())
def test_a_mangled_moov_is_read_or_refused(films: Films, data: st.DataObject) -> None:
    path = films[data.draw(st.sampled_from(PLAIN))]
    content = b"" if path.name == "far.mp4" else path.read_bytes()
    moov = tops(content)[b"moov"] if content else tops(films["front.mp4"].read_bytes())[b"moov"]
    moov = mangled(moov, data.draw(CHANGES))
    _tried(lambda: read_movie(moov, data.draw(st.sampled_from([None, path.stat().st_size, 1 << 33]))))


@settings(PATIENT, max_examples=200)
@given(st.data())
def test_a_mangled_fragment_is_read_or_refused(films: Films, data: st.DataObject) -> None:
    content = films[data.draw(st.sampled_from(FRAGMENTED))].read_bytes()
    parts = tops(content)
    movie = read_movie(parts[b"moov"])
    moof = mangled(parts[b"moof"], data.draw(CHANGES))
    _tried(
        lambda: read_fragment(
            movie, moof, data.draw(st.integers(0, 1 << 32)), data.draw(st.sampled_from([None, len(content)]))
        )
    )


@settings(PATIENT, max_examples=200)
@given(st.data())
def test_a_mangled_file_is_read_or_refused(films: Films, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["plain.mp4", "front.mp4", *FRAGMENTED]))
    content = films[name].read_bytes()
    places = [one.start for one in walk(content) if one.kind != b"mdat"]
    at = data.draw(st.sampled_from(places))
    content = content[:at] + mangled(content[at : at + 4096], data.draw(CHANGES)) + content[at + 4096 :]
    reader = Reader(content)

    def call() -> None:
        index = load(reader, reader.size, 200)
        ours(index.first)
        ours(index.span(Fraction(2), Fraction(3)))

    _tried(call)
    assert len(reader.asked) <= 200


def _tried(call: Callable[[], object]) -> None:
    try:
        bounded(call)
    except BadMp4 as error:
        assert str(error).isascii() and len(str(error)) < 200


@settings(PATIENT, max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_are_no_mp4(data: bytes) -> None:
    reader = Reader(data)
    with pytest.raises(BadMp4):
        load(reader, reader.size)
