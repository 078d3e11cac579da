"""Sources that were once cut wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import videos
from tests.media_fixtures import Studio
from videod.errors import Damaged

H264 = ("-c:v", "libx264", "-preset", "ultrafast")


@pytest.mark.parametrize("bounds", [(3.0, 4.0), (1.8451, 5.397), (3.000001, None)])
def test_intra_refresh_is_no_damage(studio: Studio, bounds: tuple[float, float | None]) -> None:
    params = ("-x264-params", "intra-refresh=1:keyint=25:bframes=0")
    film = videos.encode(studio.master(), studio.new("refresh.mp4"), picture=(*H264, *params))
    out, made = studio.cut(film, *bounds, "smart")
    wanted = [n for n in range(150) if bounds[0] <= n / 25 < (bounds[1] or 99)]
    assert videos.numbers(out) == wanted and made.cut == "encode"


def test_sound_that_mp4_cannot_hold(studio: Studio) -> None:
    flac = ("-c:a", "flac")
    film = videos.encode(studio.master(), studio.new("flac.mkv"), picture=(*H264, "-g", "25"), sound=flac)
    out, made = studio.cut(film, 1.72, 4.3, "smart")
    assert videos.numbers(out) == list(range(43, 108)) and made.frames == 65
    assert videos.look(out).worst_sync() <= 0.025


@pytest.mark.parametrize("bounds", [(2.8, 4.2), (3.0, 4.2), (1.5, 4.2), (3.6, 4.6)])
def test_a_pause_of_the_sound_stays_where_it_is(studio: Studio, bounds: tuple[float, float]) -> None:
    pause = ("-af", "aselect='lt(t,2.5)+gt(t,3.3)'")
    film = videos.encode(studio.master(), studio.new("pause.mp4"), *pause, picture=(*H264, "-g", "25"))
    out, made = studio.cut(film, *bounds, "smart")
    assert made.cut == "smart"
    # the beep of second 4 is behind the pause
    (heard,) = videos.look(out).beeps
    assert [beep for beep in heard if abs(beep - (4 - made.start)) <= 0.025], (heard, made)


def test_lost_pictures_are_damage_where_they_are_copied_too(studio: Studio) -> None:
    film = videos.encode(studio.master(), studio.new("whole.mp4"), picture=(*H264, "-g", "25", "-bf", "0"))
    broken = videos.rewrap(film, studio.new("lost.mp4"), "-bsf:v", "noise=drop='eq(n,33)+eq(n,61)+eq(n,90)'")
    with pytest.raises(Damaged):
        studio.cut(broken, 0.994, 5.0, "smart")
    out, made = studio.cut(broken, 4.1, 5.6, "smart")  # behind it nothing is missing
    assert videos.numbers(out) == list(range(103, 140)) and made.cut == "smart"


def units(path: Path) -> list[bytes]:
    return [unit.rstrip(b"\0") for unit in path.read_bytes().split(b"\0\0\1")[1:]]


def test_parameter_sets_that_come_once_on_the_way(studio: Studio) -> None:
    parts: list[bytes] = []
    for crf, begin in (("18", "0"), ("30", "3")):
        raw = studio.new("part.h264")
        picture = ("-c:v", "libx264", "-preset", "veryfast", "-crf", crf, "-bf", "0", "-g", "20", "-sc_threshold", "0")
        part = ("-ss", begin, "-t", "3", "-i", str(studio.master()), "-an")
        videos.ffmpeg(*part, *picture, "-x264-params", "weightp=0", "-f", "h264", str(raw))
        new = units(raw)
        if parts:  # their sets have the ids of the first, and stand before their first picture alone
            sets = [unit for unit in new if unit[0] & 31 in {7, 8}][:2]
            new = [*sets, *[unit for unit in new if unit[0] & 31 not in {7, 8}]]
        parts += new
    both, film = studio.new("both.h264"), studio.new("both.mp4")
    both.write_bytes(b"".join(b"\0\0\0\1" + unit for unit in parts))
    videos.ffmpeg("-r", "25", "-i", str(both), "-c", "copy", str(film))
    out, made = studio.cut(film, 4.1, 5.5, "smart")
    assert videos.numbers(out) == list(range(103, 138)) and made.cut == "encode"
    out, made = studio.cut(film, 4.1, 5.5, "keyframe")  # from a key frame behind them
    assert videos.numbers(out) == list(range(95, 138)) and made.cut == "encode" and "flaw" in made.warnings[0]
