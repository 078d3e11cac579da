"""Titles of films and of their tracks: read, kept by each way of cutting, never a reason to refuse a film."""

from __future__ import annotations

import io
import struct
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import videos
from tests.media_fixtures import Bounds, Studio, preset
from tests.test_cut_sound import Whole
from videod.media.argv import LONGEST_TAG, LONGEST_TITLE
from videod.media.cut import cut
from videod.media.film import Film
from videod.media.plan import plan
from videod.mp4.boxes import BadMp4
from videod.mp4.copying import FileCopy
from videod.mp4.index import load
from videod.mp4.model import Movie, Samples
from videod.mp4.output import TrackOut
from videod.mp4.packing import box, full
from videod.mp4.reader import read_movie
from videod.mp4.writer import write

TITLE = "Ein Film über 🎞, «für» äöü"
OTHERS = (("smart", "mov"), ("encode", "mp4"), ("keyframe", "mov"))
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25")


def movie(path: Path) -> Movie:
    data = path.read_bytes()
    return load(lambda offset, length: data[offset : offset + length], len(data)).movie


def titled(studio: Studio, name: str, title: str = TITLE) -> Path:
    out = studio.new(name)
    private = ("-metadata", "location=+48.1+11.5/", "-metadata", "comment=geheim", "-metadata", "artist=Anna")
    tags = ("-metadata", f"title={title}", *private, "-metadata:s:a:1", "title=Zweiter Ton")
    videos.ffmpeg(
        "-i", str(studio.master()), "-map", "0:v", "-map", "0:a", "-map", "0:a", *H264, "-c:a", "aac", *tags, str(out)
    )
    return out


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.mov"])
@pytest.mark.parametrize(
    ("how", "container"),
    [("smart", "mp4"), *(pytest.param(*way, marks=pytest.mark.long) for way in OTHERS)],
)
def test_titles_are_kept_and_nothing_private(studio: Studio, name: str, how: str, container: str) -> None:
    film = titled(studio, name)
    out, made = studio.cut(film, 1.52, 4.2, how, preset(container=container))
    assert made.cut == how
    tags = videos.ffprobe(out, "-show_format")["format"]["tags"]
    assert tags.pop("title") == TITLE
    assert set(tags) <= {"major_brand", "minor_version", "compatible_brands", "encoder"}
    assert movie(out).title == TITLE
    # of MP4 ffmpeg itself reads no titles of tracks
    if how == "smart" or name == "film.mkv":
        assert [track.title for track in movie(out).tracks] == ["", "", "Zweiter Ton"]


def test_sound_of_its_own_beside_an_encoded_picture_has_the_title(studio: Studio) -> None:
    source = studio.examine(titled(studio, "own.mp4"))
    wanted = plan(source.media, source.frames, 1.52, 4.2, "encode", "mp4")
    out = studio.new("out.mp4")
    cut(source, wanted, out, preset(), studio.tools(), Bounds(), keep_sound=True)
    assert [track.title for track in movie(out).tracks] == ["", "", "Zweiter Ton"] and movie(out).title == TITLE


def test_a_remote_film_has_its_title(studio: Studio) -> None:
    path = titled(studio, "remote.mp4")
    window = Film(Whole(path)).window(2.56, 4.2, "smart", "mp4")
    part, out = studio.new("window.mp4"), studio.new("out.mp4")
    window.write(path, part)
    source = studio.examine(part)
    assert source.media.title == TITLE
    cut(source, window.moved(source), out, preset(), studio.tools(), Bounds())
    assert movie(out).title == TITLE and [track.title for track in movie(out).tracks] == ["", "", "Zweiter Ton"]


def test_a_title_has_its_bounds(studio: Studio) -> None:
    film = titled(studio, "long.mkv", "ü" * (LONGEST_TITLE + 9))
    out, made = studio.cut(film, 1.52, 4.2, "smart", preset(container="mov"))
    assert made.cut == "smart" and movie(out).title == "ü" * LONGEST_TITLE
    assert LONGEST_TITLE * 4 < 1 << 16 and LONGEST_TAG < LONGEST_TITLE
    with pytest.raises(BadMp4, match="a title of"):
        written("x" * (1 << 16), quicktime=True)


def written(title: str, name: str = "", *, quicktime: bool) -> bytes:
    samples = Samples(*(array(code, [1 if code == "I" else 0]) for code in "Iqqq"), array("I", [1]), b"\1")
    entry = b"\0\0\0\x60avc1" + bytes(7) + b"\1" + bytes(80)
    out = io.BytesIO()
    track = TrackOut(b"vide", 25, entry, samples, title=name)
    write(out, [track], FileCopy(out, [b"x"]), quicktime=quicktime, title=title)
    return out.getvalue()


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=50), st.text(max_size=50), st.booleans())
def test_what_is_written_is_read_back(title: str, name: str, quicktime: bool) -> None:
    data = written(title, name, quicktime=quicktime)
    found = load(lambda offset, length: data[offset : offset + length], len(data)).movie
    assert found.title == title.partition("\0")[0] and found.tracks[0].title == name.partition("\0")[0]


def bare(*udta: bytes) -> bytes:
    return box(b"moov", full(b"mvhd", struct.pack(">IIII", 0, 0, 1000, 0), bytes(80)), *udta)


@pytest.mark.parametrize(
    ("udta", "title"),
    [
        (box(b"\xa9nam", struct.pack(">HH", 4, 0), b"\x9fber and more"), "über"),
        (box(b"meta", box(b"hdlr"), box(b"ilst", box(b"\xa9nam", box(b"data", b"\0\0\0\2\0\0\0\0\0x")))), "x"),
        (box(b"meta", bytes(4), box(b"ilst", box(b"\xa9nam", box(b"data", b"\0\0\0\x0d\0\0\0\0jpeg")))), ""),
        (box(b"\xa9nam", b"\0"), ""),
        (box(b"meta"), ""),
        (box(b"\xa9nam", struct.pack(">HH", 9, 0x55C4), b"\xff"), "�"),
        (b"\0\0\0\3bad!", ""),
    ],
)
def test_what_others_write_is_no_reason_to_refuse_a_film(udta: bytes, title: str) -> None:
    assert read_movie(bare(box(b"udta", udta))).title == title


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=60), st.sampled_from([b"", b"meta", b"\xa9nam"]))
def test_garbage_is_no_title(garbage: bytes, kind: bytes) -> None:
    assert isinstance(read_movie(bare(box(b"udta", box(kind, garbage) if kind else garbage))).title, str)
