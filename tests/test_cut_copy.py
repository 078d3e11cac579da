"""Copies: packets as they are, from a key frame, with no hole, nothing hidden, all of it decodable."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from tests.media_fixtures import Studio, check_clip, preset
from tests.quick import some
from tests.videos import ffmpeg, ffprobe, frame_times, look, run

COPYABLE = ["mp4", "mkv", "ts", "fragments", "vfr", "turned", "silent", "film", "slow", "onekey", "opengop"]
COPYABLE += ["opengop_hevc", "interlaced", "xvid", "glued", "midgop", "hdr", "two", "resized"]


def _hashes(path: object, *options: str) -> list[str]:
    """The hash of each coded picture, in decoding order."""
    lines = ffmpeg("-i", f"file:{path}", "-map", "0:v:0", "-c", "copy", *options, "-f", "framehash", "-").decode()
    return [line.split(",")[-1].strip() for line in lines.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("name", some(COPYABLE, "mp4", "ts", "vfr", "opengop", "glued", "midgop", "resized"))
def test_keyframe_starts_before_and_ends_behind_with_no_hole(studio: Studio, name: str) -> None:
    film = studio.film(name)
    dice = random.Random(name)
    length = float(film.frames[-1][0])
    start = round(dice.uniform(0, length * 0.7), 3)
    end = round(min(length, start + 1.5), 3)
    out, made = studio.cut(film.path, start, end, "keyframe")
    assert made.cut == "keyframe"
    inside = film.expected(start, end)
    assert made.start <= float(inside[0][0]) + 0.001
    wanted = film.expected(max(0.0, made.start - 0.002), made.end - 0.002)
    assert wanted[0][0] <= inside[0][0]
    assert wanted[-1][0] >= inside[-1][0]
    check_clip(film, out, made, wanted)
    packets = ffprobe(out, "-select_streams", "v", "-show_entries", "packet=flags")["packets"]
    assert packets[0]["flags"].startswith("K")
    assert all("D" not in packet["flags"] for packet in packets)


@pytest.mark.parametrize(
    ("name", "container"), [("mp4", "mkv"), ("mp4", "ts"), ("ts", "mkv"), ("mkv", "ts"), ("mp4", "mov")]
)
def test_keyframe_into_each_container(studio: Studio, name: str, container: str) -> None:
    film = studio.film(name)
    out, made = studio.cut(film.path, 2.5, 3.7, "keyframe", preset(container=container))
    assert made.cut == "keyframe"
    check_clip(film, out, made, film.expected(max(0.0, made.start - 0.002), made.end - 0.002))


def test_a_copy_is_bit_for_bit(studio: Studio) -> None:
    film = studio.film("mp4")
    out, made = studio.cut(film.path, None, None, "copy")
    assert made.cut == "copy"
    assert _hashes(out) == _hashes(film.path)
    clip, _ = studio.cut(film.path, 2.5, 3.5, "keyframe")
    whole = _hashes(film.path)
    part = _hashes(clip)
    at = whole.index(part[0])
    assert whole[at : at + len(part)] == part


@pytest.mark.parametrize("name", ["mp4", "ts", "two", "glued", "midgop"])
def test_the_whole_video_is_copied(studio: Studio, name: str) -> None:
    film = studio.film(name)
    out, made = studio.cut(film.path, None, None, "copy")
    assert made.cut == "copy"
    check_clip(film, out, made, film.frames)


def test_sound_that_the_container_cannot_hold_is_encoded(studio: Studio) -> None:
    source = studio.new("pcm.mkv")
    ffmpeg("-i", str(studio.film("mp4").path), "-c:v", "copy", "-c:a", "pcm_s16le", str(source))
    out, made = studio.cut(source, 1.5, 3.0, "keyframe")
    codecs = [s["codec_name"] for s in ffprobe(out, "-show_streams")["streams"]]
    assert (made.cut, codecs) == ("keyframe", ["h264", "aac"])
    film = studio.film("mp4")
    check_clip(film, out, made, film.expected(made.start, made.end))


@pytest.mark.parametrize("name", ["webm", "flv", "avi", "hik"])
def test_a_picture_that_cannot_be_copied_is_encoded_and_said(studio: Studio, name: str) -> None:
    film = studio.film(name)
    out, made = studio.cut(film.path, 1.5, 3.0, "keyframe")
    assert made.cut == "encode"
    assert any("encoded" in text for text in made.warnings)
    check_clip(film, out, made, film.expected(1.5, 3.0))


def test_what_an_edit_list_hides_stays_hidden(studio: Studio) -> None:
    film = studio.film("edited")
    for start, end in ((None, None), (0.1, 1.0)):
        out, made = studio.cut(film.path, start, end, "keyframe" if end else "copy")
        assert made.cut == "encode"
        check_clip(film, out, made, film.expected(start, end))


def test_apple_players_get_their_tag_and_a_turned_picture_its_matrix(studio: Studio) -> None:
    out, _ = studio.cut(studio.film("opengop_hevc").path, 1.0, 2.0, "keyframe")
    (stream,) = ffprobe(out, "-show_streams", "-select_streams", "v")["streams"]
    assert stream["codec_tag_string"] == "hvc1"
    film = studio.film("turned")
    out, made = studio.cut(film.path, 1.0, 2.0, "keyframe")
    (stream,) = ffprobe(out, "-show_streams", "-select_streams", "v")["streams"]
    assert (stream["width"], stream["height"]) == (180, 320)
    assert (made.width, made.height) == (320, 180)
    turned, made = studio.cut(film.path, 1.0, 2.0, "keyframe", preset(container="mkv"))
    assert made.cut == "encode"
    assert look(turned).numbers == [number for _, number in film.expected(1.0, 2.0)]


def test_subtitles_go_where_they_can(studio: Studio) -> None:
    text = studio.new("sub.srt")
    text.write_text("1\n00:00:01,000 --> 00:00:02,000\nhallo\n")
    source = studio.new("sub.mkv")
    run("ffmpeg", "-v", "error", "-i", str(studio.film("mp4").path), "-i", str(text), "-c", "copy", str(source))
    out, made = studio.cut(source, None, None, "copy", preset(container="mkv"))
    assert [s["codec_type"] for s in ffprobe(out, "-show_streams")["streams"]] == ["video", "audio", "subtitle"]
    assert made.warnings == ()
    out, made = studio.cut(source, None, None, "copy")
    assert [s["codec_type"] for s in ffprobe(out, "-show_streams")["streams"]] == ["video", "audio"]
    assert made.warnings == ("left out: subtitle (subrip)",)


def test_the_copied_picture_starts_at_zero_without_an_edit(studio: Studio) -> None:
    out, _ = studio.cut(studio.film("mp4").path, 2.5, 3.5, "keyframe")
    times = frame_times(out)
    assert Fraction(str(min(times))) == 0
    # a player that knows nothing of edit lists shows the same
    blind = ffprobe(out, "-ignore_editlist", "1", "-select_streams", "v", "-show_entries", "packet=pts_time")["packets"]
    assert sorted(float(p["pts_time"]) for p in blind) == sorted(times)
