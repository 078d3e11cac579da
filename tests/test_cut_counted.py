"""Pictures that have no times but places: AVI with B-frames."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import pytest

from tests.films import Film
from tests.media_fixtures import Studio, check_clip
from tests.videos import encode
from videod.media.counting import MOST_LEAPS, leaps
from videod.media.frames import UNKNOWN, counted


@pytest.mark.parametrize("bframes", ["3", pytest.param("1", marks=pytest.mark.long)])
def test_left_out_pictures_move_none(studio: Studio, bframes: str) -> None:
    chain = "select='not(between(n,40,48))*not(between(n,80,84))*not(between(n,110,110))'"
    picture = ("-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", bframes)
    more = ("-vf", chain, "-fps_mode", "vfr")
    path: Path = encode(studio.master(), studio.new("left.avi"), *more, picture=picture, sound=("-c:a", "pcm_s16le"))
    kept = [n for n in range(150) if not (40 <= n <= 48 or 80 <= n <= 84 or n == 110)]
    film = Film(path, [(Fraction(n, 25), n) for n in kept], list(range(6)))
    source = studio.examine(path)
    assert source.frames.step and [source.frames.seconds(pts) for pts in source.frames.pts] == [
        t for t, _ in film.frames
    ]
    for bounds in ((None, None), (1.52, 4.2)):
        out, made = studio.cut(path, *bounds, "smart", source=source)
        check_clip(film, out, made, film.expected(*bounds))


def shown(dts: list[int], delay: int) -> list[int]:
    step, found = leaps(dts, delay, len(dts), 1)
    assert len(found) <= MOST_LEAPS
    return list(counted(0, step, len(dts), Fraction(1, 25), (), found).pts)


def test_places_tell_times() -> None:
    assert leaps(range(10), 2, 10, 1) == (1, ())
    assert shown([0, 1, 2, 3, 9, 10], 2) == [0, 1, 7, 8, 9, 10]
    assert leaps(range(0, 60, 6), 2, 10, 1) == (6, ())
    # what tells nothing
    for dts, count in (([0, 1, 9], 4), ([0, 1, 1, 9], 4), ([UNKNOWN, 1, 9], 3), ([3, 2, 9], 3), ([0, 9], 2)):
        assert leaps(dts, 1, count, 7) == (7, ())


@pytest.mark.parametrize("seed", range(3))
def test_many_pauses_are_put_together(seed: int) -> None:
    dice = random.Random(seed)
    dts = [0]
    for _ in range(20_000):
        dts.append(dts[-1] + dice.choice([1, 1, 1, 2, 3, 40]))
    made = shown(dts, 0)
    assert all(a < b for a, b in zip(made, made[1:], strict=False))
    assert max(abs(a - b) for a, b in zip(made, dts, strict=True)) < 400
