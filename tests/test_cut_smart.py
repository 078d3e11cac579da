"""Smart cuts: the frames asked for and no others, those in the middle copied bit for bit."""

from __future__ import annotations

import random

import pytest

from tests.films import MAKERS
from tests.media_fixtures import Studio, check_clip, studio  # noqa: F401


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_holds_exactly_the_frames_asked_for(studio: Studio, name: str) -> None:  # noqa: F811
    film = studio.film(name)
    source = studio.examine(film.path)
    dice = random.Random(name)
    length = float(film.frames[-1][0])
    for _ in range(2):
        start = round(dice.uniform(0, length * 0.5), 3)
        end = round(min(length, start + dice.uniform(1.2, 3.5)), 3)
        out, made = studio.cut(film.path, start, end, "smart", source=source)
        print(name, start, end, made.cut, made.copied, made.frames, made.why, made.warnings)
        check_clip(film, out, made, film.expected(start, end))
