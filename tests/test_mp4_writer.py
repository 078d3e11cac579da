"""What videod.mp4 writes is what it was given, by the eyes of ffprobe and byte by byte."""

from __future__ import annotations

import io
import tracemalloc
from array import array
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mp4films import MAKERS, Films, Packet, Reader, everything, ours, packets, starts, streams, the
from tests.videos import ffmpeg, run
from videod.mp4.boxes import BadMp4, find, header, walk
from videod.mp4.copying import FileCopy
from videod.mp4.index import load
from videod.mp4.layout import interleaved, pieces
from videod.mp4.model import Movie, Placement, Samples, TrackHeader
from videod.mp4.output import TrackOut, copied, media_of
from videod.mp4.times import decode_times, durations, reorder_depth
from videod.mp4.writer import write


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    return Films(tmp_path_factory.getbasetemp() / "mp4films")


def written(out: Path, tracks: Sequence[TrackOut], *sources: Path | bytes, **how: object) -> Path:
    files: list[BinaryIO] = [one.open("rb") for one in sources if isinstance(one, Path)]
    left = iter(files)
    with out.open("wb") as file:
        given = [one if isinstance(one, bytes) else next(left) for one in sources]
        size = write(file, tracks, FileCopy(file, given), **how)  # type: ignore[arg-type]
    for one in files:
        one.close()
    assert out.stat().st_size == size
    return out


def again(path: Path, out: Path, **how: object) -> Path:
    """Read all of a file and write it anew."""
    movie = everything(path)
    return written(
        out, [copied(track, movie.timescale) for track in movie.tracks], path, timescale=movie.timescale, **how
    )


def bare(rows: list[Packet]) -> list[tuple[int, int, int, bool]]:
    """Packets without their places."""
    return [(row.pts, row.dts, row.size, row.key) for row in rows]


def sample_bytes(path: Path, movie: Movie) -> list[list[bytes]]:
    data = path.read_bytes()
    return [
        [data[at : at + size] for at, size in zip(t.samples.offsets, t.samples.sizes, strict=True)]
        for t in movie.tracks
    ]


# ------------------------------------------------------------------ round trips
@pytest.mark.parametrize("name", [name for name in MAKERS if name != "far.mp4"])
def test_a_file_written_anew_has_the_same_packets(films: Films, tmp_path: Path, name: str) -> None:
    path = films[name]
    out = again(path, tmp_path / f"out.{name[-3:]}", quicktime=name.endswith("mov"))
    made = packets(out)
    assert [bare(rows) for rows in made] == [bare(rows) for rows in packets(path)]
    # of fragments ffprobe shows the sound that an edit list hides
    tracks = 1 if name == "delay.mp4" else None
    assert starts(out)[:tracks] == starts(path)[:tracks]
    before, after = everything(path), everything(out)
    assert sample_bytes(out, after) == sample_bytes(path, before)
    assert not after.fragmented and ours(after) == made
    for one, two in zip(before.tracks, after.tracks, strict=True):
        assert (one.header, one.language, one.entry, one.unit) == (two.header, two.language, two.entry, two.unit)
        assert one.media_header == two.media_header
        # an edit list that says nothing is left out; one of a fragmented file has no end
        assert [e.media_time for e in one.edits] == [e.media_time for e in two.edits] or one.shift(1) == two.shift(
            1
        ) == 0
    keep = (
        "codec_name",
        "profile",
        "width",
        "height",
        "sample_rate",
        "channels",
        "extradata_size",
        "disposition",
        "tags",
    )
    for one, two in zip(streams(path), streams(out), strict=True):
        for key in set(keep) & one.keys():
            assert one[key] == two.get(key), key
    assert ffmpeg("-xerror", "-i", str(out), "-f", "null", "-") == b""


def test_the_moov_is_in_front_and_chunks_take_turns(films: Films, tmp_path: Path) -> None:
    out = again(films["plain.mp4"], tmp_path / "out.mp4")
    data = out.read_bytes()
    assert [one.kind for one in walk(data)] == [b"ftyp", b"moov", b"mdat"]
    movie = everything(out)
    # no further apart than the bytes of about half a second each
    picture, sound = movie.tracks
    half = len(data) / 12 * 2
    for at, dts in zip(sound.samples.offsets, sound.samples.dts, strict=True):
        beside = min(len(picture.samples) - 1, dts * 25 // 48000)
        assert abs(picture.samples.offsets[beside] - at) < 3 * half
    reader = Reader(out)
    assert load(reader, reader.size).reads == 1


def test_places_above_4_gib_take_64_bits(films: Films, tmp_path: Path) -> None:
    """A sample of 3 GiB of nothing twice; the copy is sparse, too."""
    movie = everything(films["plain.mp4"])
    track = copied(the(movie, b"vide"), movie.timescale)
    n = 3
    samples = Samples(
        array("I", [3 << 30, 3 << 30, 10]),
        array("q", [0, 0, 0]),
        array("q", range(n)),
        array("q", range(n)),
        array("I", [1] * n),
        bytes([1] * n),
    )
    asked: list[tuple[int, int, int]] = []
    out = io.BytesIO()
    large = replace(track, samples=samples, timescale=1, placement=None)
    size = write(out, [large], lambda *piece: asked.append(piece))
    assert asked == [(0, 0, 3 << 30), (0, 0, 3 << 30), (0, 0, 10)]
    head = out.getvalue()
    assert size == len(head) + (6 << 30) + 10
    mdat = header(head, len(head) - 16, size)
    assert (mdat.kind, mdat.end) == (b"mdat", size)
    top = next(one for one in walk(head, 0, len(head) - 16) if one.kind == b"moov")
    stbl = find(head, top, b"trak", b"mdia", b"minf", b"stbl")
    assert stbl and find(head, stbl, b"co64") and not find(head, stbl, b"stco")

    def read(offset: int, length: int) -> bytes:
        return head[offset : offset + length].ljust(length, b"\0")

    found = load(read, size).movie.tracks[0].samples
    assert list(found.offsets) == [len(head), len(head) + (3 << 30), len(head) + (6 << 30)]


@pytest.mark.parametrize(("name", "brands"), [
    ("plain.mp4", (b"isom", b"isom", b"iso2", b"avc1", b"mp41")),
    ("negative.mp4", (b"iso6", b"iso6", b"avc1", b"mp41")),
    ("hevc.mp4", (b"isom", b"isom", b"iso2", b"mp41")),
    ("plain.mov", (b"qt  ", b"qt  ")),
])  # fmt: skip
def test_brands_say_what_is_inside(films: Films, tmp_path: Path, name: str, brands: tuple[bytes, ...]) -> None:
    out = again(films[name], tmp_path / name, quicktime=name.endswith("mov"))
    assert everything(out).brands == brands
    assert (b"stss" in out.read_bytes()) and b"co64" not in out.read_bytes()


# ------------------------------------------------------------------ a clip: from several sources, times anew
def clip(films: Films, first: int, last: int) -> TrackOut:
    """Pictures of the plain film, shown from 0 on, without an edit list."""
    track = the(everything(films["plain.mp4"]), b"vide")
    s = track.samples
    begin = min(s.pts[first:last])
    pts = array("q", (time - begin for time in s.pts[first:last]))
    dts = decode_times(pts)
    samples = Samples(
        s.sizes[first:last], s.offsets[first:last], dts, pts, durations(dts, max(pts) + 512), s.sync[first:last]
    )
    return TrackOut(b"vide", track.timescale, track.entry, samples, header=track.header)


def test_pictures_are_shown_from_0_on_without_an_edit_list(films: Films, tmp_path: Path) -> None:
    out = written(tmp_path / "clip.mp4", [clip(films, 50, 100)], films["plain.mp4"])
    data = out.read_bytes()
    assert b"elst" not in data and b"ctts\0\0\0\0" not in data and b"ctts\1\0\0\0" in data
    movie = everything(out)
    samples = movie.tracks[0].samples
    assert min(samples.pts) == samples.pts[0] == samples.dts[0] == 0 and sorted(samples.pts) == list(
        range(0, 50 * 512, 512)
    )
    assert starts(out) == [0]
    about = streams(out)[0]
    assert about["duration_ts"] == 50 * 512 and about["nb_frames"] == "50" and about["avg_frame_rate"] == "25/1"
    assert "D" not in "".join(packet_flags(out))
    chain = ("-vf", "select='between(n,50,99)'", "-fps_mode", "passthrough")
    assert hashes(out) == hashes(films["plain.mp4"], *chain)


def hashes(path: Path, *argv: str) -> list[str]:
    """Of the decoded pictures."""
    made = ffmpeg("-i", str(path), "-map", "0:v", *argv, "-f", "framehash", "-hash", "md5", "-").decode()
    return [line.rsplit(",", 1)[1] for line in made.splitlines() if line[:1] != "#"]


def packet_flags(path: Path) -> list[str]:
    return run("ffprobe", "-v", "error", "-show_entries", "packet=flags", "-of", "csv=p=0", str(path)).decode().split()


def test_samples_come_from_several_sources(films: Films, tmp_path: Path) -> None:
    """Every third sample from memory, the others from two files."""
    whole = clip(films, 0, 150)
    data = films["plain.mp4"].read_bytes()
    memory = bytearray()
    offsets = whole.samples.offsets[:]
    for n in range(0, 150, 3):
        offsets[n] = len(memory)
        start, size = whole.samples.offsets[n], whole.samples.sizes[n]
        memory += data[start : start + size]
    track = replace(whole, samples=replace(whole.samples, offsets=offsets), sources=bytes([2, 0, 1] * 50))
    twin = tmp_path / "twin.mp4"
    twin.write_bytes(data)
    straight = written(tmp_path / "straight.mp4", [whole], films["plain.mp4"]).read_bytes()
    assert written(tmp_path / "mixed.mp4", [track], films["plain.mp4"], twin, bytes(memory)).read_bytes() == straight
    # and into what is no file of the system
    out = io.BytesIO()
    write(out, [track], FileCopy(out, [io.BytesIO(data), io.BytesIO(data), bytes(memory)]))
    assert out.getvalue() == straight


def test_neighbours_are_copied_in_one_piece(films: Films) -> None:
    movie = everything(films["plain.mp4"])
    tracks = [copied(track, movie.timescale) for track in movie.tracks]
    alone = [copied(the(everything(films["vfr.mp4"]), b"vide"), 1000)]
    assert len(list(pieces(alone, interleaved(alone, [media_of(alone[0])])))) == 1
    media = [media_of(track) for track in tracks]
    made = list(pieces(tracks, interleaved(tracks, media)))
    total = sum(sum(track.samples.sizes) for track in tracks)
    assert sum(length for _, _, length in made) == total and len(made) < 433


def test_sound_begins_within_a_sample(films: Films, tmp_path: Path) -> None:
    """Sound keeps an edit list: it begins before the clip does, or later than the picture."""
    movie = everything(films["plain.mp4"])
    sound = copied(the(movie, b"soun"), movie.timescale)
    early = replace(sound, placement=Placement(1024 * 10 + 300, Fraction(0), Fraction(2)))
    late = replace(sound, placement=Placement(1024, Fraction(1, 4), None))
    out = written(tmp_path / "out.mp4", [clip(films, 0, 50), early, late], films["plain.mp4"])
    found = everything(out)
    assert [track.placement(found.timescale) for track in found.tracks[1:]] == [
        (1024 * 10 + 300, 0, 2),
        (1024, Fraction(1, 4), 6),
    ]
    # ffprobe hides whole frames: the one that holds the begin stays
    picture, one, two = starts(out)
    assert (picture, two) == (0, Fraction(1, 4)) and -Fraction(1024, 48000) < one <= 0


def test_a_part_of_a_fragmented_file_keeps_its_time(films: Films, tmp_path: Path) -> None:
    path = films["dash.mp4"]
    reader = Reader(path)
    index = load(reader, reader.size)
    part = index.span(Fraction(3), Fraction(7, 2))
    out = written(tmp_path / "out.mp4", [copied(track, part.timescale) for track in part.tracks], path)
    shift = [Fraction(min(t.samples.pts), t.timescale) for t in part.tracks]
    assert shift[0] >= 2 and [float(start) for start in starts(out)] == pytest.approx(
        [float(s) for s in shift], abs=1e-4
    )


# ------------------------------------------------------------------ times
def test_decoding_times_are_display_times_shifted() -> None:
    pts = [0, 40, 20, 10, 30, 50]
    assert reorder_depth(pts) == 2
    dts = decode_times(pts)
    assert list(dts) == [-20, -10, 0, 10, 20, 30]
    assert list(durations(dts, 60)) == [10] * 6
    assert list(decode_times([5, 7, 100])) == [5, 7, 100] and list(decode_times([])) == []
    assert list(durations([0, 4], 100)) == [4, 96] and list(durations([0, 4], 0)) == [4, 1]
    with pytest.raises(BadMp4, match="one time"):
        decode_times([1, 2, 1])
    with pytest.raises(BadMp4, match="go back"):
        durations([4, 3], 9)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(-(1 << 40), 1 << 40), unique=True, min_size=1, max_size=60))
def test_decoding_times_increase_and_are_not_late(pts: list[int]) -> None:
    dts = decode_times(pts)
    assert all(a < b for a, b in zip(dts, dts[1:], strict=False))
    assert all(d <= p for d, p in zip(dts, pts, strict=True))


# ------------------------------------------------------------------ any tracks
@st.composite
def tracks(draw: st.DrawFn) -> tuple[TrackOut, bytes]:
    count = draw(st.integers(1, 40))
    steps = draw(st.lists(st.integers(0, 5000), min_size=count, max_size=count))
    sizes = draw(st.lists(st.integers(0, 50), min_size=count, max_size=count))
    dts = array("q", [draw(st.integers(-5000, 5000))])
    for step in steps[1:]:
        dts.append(dts[-1] + step)
    shifts = draw(st.lists(st.integers(-3000, 9000), min_size=count, max_size=count))
    pts = array("q", [time + shift for time, shift in zip(dts, shifts, strict=True)])
    lasts = array("I", [*(b - a for a, b in zip(dts, dts[1:], strict=False)), draw(st.integers(1, 5000))])
    pool = bytes(draw(st.binary(min_size=60, max_size=200)))
    offsets = array("q", [draw(st.integers(0, len(pool) - size)) for size in sizes])
    sync = bytes(draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)))
    samples = Samples(array("I", sizes), offsets, dts, pts, lasts, sync)
    place = draw(
        st.none()
        | st.builds(Placement, st.integers(-9000, 9000), st.sampled_from([Fraction(0), Fraction(3, 2)]), st.none())
    )
    if place is None and min(pts) < 0:
        place = Placement(0, Fraction(0), None)
    handler, codec = draw(st.sampled_from([(b"vide", b"avc1"), (b"soun", b"mp4a"), (b"text", b"text")]))
    entry = b"\0\0\0\x60" + codec + bytes(7) + b"\1" + bytes(80)
    facts = TrackHeader(draw(st.booleans()), -3, 2, 0, (1, -2, 3, 4, 5, 6, 7, 8, 9), 1 << 31, 7)
    return TrackOut(handler, draw(st.integers(1, 100_000)), entry, samples, b"", place, facts, "eng"), pool


@settings(deadline=None, max_examples=80)
@given(st.lists(tracks(), min_size=1, max_size=3), st.booleans())
def test_what_is_written_is_read_back(made: list[tuple[TrackOut, bytes]], quicktime: bool) -> None:
    out = io.BytesIO()
    given_tracks = [replace(track, sources=bytes([n]) * len(track.samples)) for n, (track, _) in enumerate(made)]
    size = write(out, given_tracks, FileCopy(out, [pool for _, pool in made]), quicktime=quicktime, timescale=720_000)
    data = out.getvalue()
    assert len(data) == size
    movie = load(Reader(data), size).movie
    for read, (track, pool) in zip(movie.tracks, made, strict=True):
        old, new = track.samples, read.samples
        assert (read.handler, read.timescale, read.entry, read.header) == (
            track.handler,
            track.timescale,
            track.entry,
            track.header,
        )
        assert read.language == "eng"
        assert new.sizes == old.sizes and new.durations == old.durations and new.sync == old.sync
        assert [data[a : a + n] for a, n in zip(new.offsets, new.sizes, strict=True)] == [
            pool[a : a + n] for a, n in zip(old.offsets, old.sizes, strict=True)
        ]
        assert [t - new.dts[0] for t in new.dts] == [t - old.dts[0] for t in old.dts]
        shift = read.shift(movie.timescale)
        assert shift is not None
        place = track.placement or Placement(0, Fraction(0), None)
        wanted = [place.delay + Fraction(t - place.media_time, track.timescale) for t in old.pts]
        found = [shift + Fraction(t, track.timescale) for t in new.pts]
        # an empty edit counts in ticks of the movie
        assert all(abs(a - b) <= Fraction(1, 720_000) for a, b in zip(wanted, found, strict=True))


def test_what_cannot_be_written_is_refused(films: Films) -> None:
    good = clip(films, 0, 10)
    s = good.samples
    for reason, change in {
        "needs samples": {"samples": Samples()},
        "columns of equal length": {"samples": replace(s, sync=b"\1")},
        "needs a source": {"sources": b"\0"},
        "go back": {"samples": replace(s, dts=s.dts[::-1])},
        "before 0": {"samples": replace(s, pts=array("q", (t - 1 for t in s.pts)))},
        "inside a sample": {"unit": 7},
        "timescale": {"timescale": 0},
        "another size": {"entry": b"\0\0\0\1avc1" + bytes(20)},
    }.items():
        with pytest.raises(BadMp4, match=reason):
            replace(good, **change)  # type: ignore[arg-type]
    for reason, track in {
        "three letters": replace(good, language="x\n"),
        "leap": replace(good, samples=replace(s, dts=array("q", [*s.dts[:-1], 1 << 40]))),
        "too long after": replace(good, samples=replace(s, pts=array("q", [*s.pts[:-1], 1 << 40]))),
    }.items():
        with pytest.raises(BadMp4, match=reason):
            write(io.BytesIO(), [track], lambda *piece: None)
    with pytest.raises(BadMp4, match="needs a track"):
        write(io.BytesIO(), [], lambda *piece: None)
    whole = everything(films["plain.mp4"]).tracks[0]
    with pytest.raises(BadMp4, match="2 sample entries"):
        copied(replace(whole, descriptions=2), 1000)
    with pytest.raises(BadMp4, match="unusual shape"):
        copied(replace(whole, edits=whole.edits * 2), 1000)


def test_a_source_that_is_too_short_is_told(films: Films, tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(films["plain.mp4"].read_bytes()[:50_000])
    for source in (short, short.read_bytes()):
        with pytest.raises(BadMp4, match="source 0 ends"):
            written(tmp_path / "out.mp4", [clip(films, 0, 150)], source)


def test_copying_takes_no_memory(tmp_path: Path, films: Films) -> None:
    """128 MiB, through each way of copying."""
    source = tmp_path / "large"
    with source.open("wb") as file:
        file.truncate(128 << 20)
    one = clip(films, 0, 1)
    samples = replace(one.samples, sizes=array("I", [128 << 20]), offsets=array("q", [0]))
    tracemalloc.start()
    for ways in range(3):
        with (tmp_path / "out.mp4").open("wb") as out, source.open("rb") as file:
            copy = FileCopy(out, [file])
            copy._ways = copy._ways[ways:]
            write(out, [replace(one, samples=samples)], copy)
        assert (tmp_path / "out.mp4").stat().st_size > 128 << 20
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
