"""Exact cuts: the frames asked for and no others, whatever container and codec, and sound that fits."""

from __future__ import annotations

import random

import pytest

from tests.films import MAKERS
from tests.media_fixtures import Studio, check_clip, preset
from tests.quick import some
from tests.videos import ffprobe, frame_times, look
from videod.errors import OutOfRange


@pytest.mark.parametrize(
    "name", some(sorted(MAKERS), "mp4", "ts", "vfr", "avi", "turned", "edited", "film", "resized", "glued")
)
def test_holds_exactly_the_frames_asked_for(studio: Studio, name: str) -> None:
    film = studio.film(name)
    source = studio.examine(film.path)
    dice = random.Random(name)
    length = float(film.frames[-1][0])
    for _ in range(2 if name in {"mp4", "ts", "vfr", "opengop"} else 1):
        start = round(dice.uniform(0, length * 0.7), 3)
        end = round(min(length, start + dice.uniform(1.2, 2.5)), 3)
        out, made = studio.cut(film.path, start, end, source=source)
        assert made.cut == "encode"
        check_clip(film, out, made, film.expected(start, end))


@pytest.mark.parametrize("container", some(("mkv", "mov", "ts"), "mkv", "ts"))
@pytest.mark.parametrize("name", some(("mp4", "ts", "vfr"), "ts", "vfr"))
def test_each_container_keeps_the_times(studio: Studio, name: str, container: str) -> None:
    film = studio.film(name)
    out, made = studio.cut(film.path, 1.5, 3.3, using=preset(container=container))
    check_clip(film, out, made, film.expected(1.5, 3.3))


@pytest.mark.parametrize("name", some(("mp4", "ts", "film", "vfr"), "ts", "film"))
def test_a_printed_time_given_back_selects_the_same_frame(studio: Studio, name: str) -> None:
    film = studio.film(name)
    source = studio.examine(film.path)
    _, made = studio.cut(film.path, 1.03, 2.31, source=source)
    again, same = studio.cut(film.path, made.start, made.end, source=source)
    assert (same.start, same.end, same.frames) == (made.start, made.end, made.frames)
    assert look(again).numbers == [number for _, number in film.expected(1.03, 2.31)]


def test_the_seam_of_two_recordings(studio: Studio) -> None:
    film = studio.film("glued")
    out, made = studio.cut(film.path, 5.3, 7.9)
    check_clip(film, out, made, film.expected(5.3, 7.9))


def test_one_steady_size(studio: Studio) -> None:
    film = studio.film("resized")
    out, made = studio.cut(film.path, 5.2, 7.4)
    check_clip(film, out, made, film.expected(5.2, 7.4))
    assert (made.width, made.height) == (320, 180)
    sizes = {
        (f["width"], f["height"])
        for f in ffprobe(out, "-show_entries", "frame=width,height", "-select_streams", "v")["frames"]
    }
    assert sizes == {(320, 180)}


def test_the_whole_and_the_open_ends(studio: Studio) -> None:
    film = studio.film("mp4")
    source = studio.examine(film.path)
    for start, end in ((None, None), (4.5, None), (None, 0.5)):
        out, made = studio.cut(film.path, start, end, source=source)
        check_clip(film, out, made, film.expected(start, end))


def test_one_frame(studio: Studio) -> None:
    film = studio.film("mp4")
    out, made = studio.cut(film.path, 2.0, 2.04)
    check_clip(film, out, made, film.expected(2.0, 2.04))
    assert made.frames == 1
    assert made.duration == 0.04


def test_an_end_behind_the_video_is_said(studio: Studio) -> None:
    film = studio.film("mp4")
    out, made = studio.cut(film.path, 5.0, 9.0)
    check_clip(film, out, made, film.expected(5.0, 9.0))
    assert any("ends at 6.000000 s" in text for text in made.warnings)


def test_a_start_behind_the_video_is_out_of_range(studio: Studio) -> None:
    with pytest.raises(OutOfRange, match="ends at 6.000"):
        studio.cut(studio.film("mp4").path, 7.0, 8.0)
    with pytest.raises(OutOfRange, match="no frame"):
        studio.cut(studio.film("slow").path, 1.2, 1.4)


def test_tracks_titles_and_languages_are_kept_and_nothing_private(studio: Studio) -> None:
    out, made = studio.cut(studio.film("two").path, 1.0, 2.5)
    streams = ffprobe(out, "-show_streams", "-show_format")
    sounds = [s for s in streams["streams"] if s["codec_type"] == "audio"]
    assert [s["tags"]["language"] for s in sounds] == ["eng", "jpn"]
    assert [s["disposition"]["default"] for s in sounds] == [0, 1]
    tags = streams["format"]["tags"]
    assert tags["title"] == "A film"
    assert not {"location", "creation_time"} & set(tags)
    assert made.warnings == ()


def test_upright_even_and_eight_bits(studio: Studio) -> None:
    for name, size in (("turned", (320, 180)), ("odd", (320, 180)), ("deep", (320, 180)), ("hdr", (320, 180))):
        out, made = studio.cut(studio.film(name).path, 1.0, 1.4)
        (stream,) = ffprobe(out, "-show_streams", "-select_streams", "v")["streams"]
        assert (stream["width"], stream["height"]) == (made.width, made.height) == size
        assert stream["pix_fmt"] == "yuv420p"
        assert not stream.get("side_data_list")
        if name == "hdr":
            assert (stream["color_transfer"], stream["color_space"]) == ("bt709", "bt709")


def test_no_frame_is_hidden_and_the_first_is_at_zero(studio: Studio) -> None:
    out, _ = studio.cut(studio.film("mp4").path, 2.3, 4.1)
    packets = ffprobe(out, "-select_streams", "v", "-show_entries", "packet=pts,flags")["packets"]
    assert all("D" not in packet["flags"] for packet in packets)
    assert packets[0]["flags"].startswith("K")
    assert min(frame_times(out)) == 0


def test_a_preset_leaves_out_frames_and_keeps_the_times_of_the_others(studio: Studio) -> None:
    film = studio.film("mp4")
    out, made = studio.cut(film.path, 1.0, 3.0, using=preset("classic"))
    seen = look(out)
    assert made.frames == len(seen.pictures) == 30
    truth = {number: float(time) - 1.0 for time, number in film.frames}
    assert all(abs(time - truth[number]) < 0.001 for time, number, _ in seen.pictures)
    assert made.end - made.start == pytest.approx(2.0)
