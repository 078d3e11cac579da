"""Recordings put behind one another as they are: the clock begins anew, in each stream at its own place."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.films import Film
from tests.media_fixtures import Studio, check_clip
from tests.videos import X264, ffmpeg


def glued(studio: Studio, sound: str, tracks: str, clocks: tuple[int, ...]) -> Film:
    """Recordings of 6 s whose clocks begin at `clocks`; `tracks`: in which order the streams stand."""
    path = studio.new("glued.ts")
    parts: list[Path] = []
    maps = [word for kind in tracks for word in ("-map", f"0:{kind}")]
    for clock in clocks:
        parts.append(studio.new("part.ts"))
        more = ("-c:a", sound, "-output_ts_offset", str(clock))
        ffmpeg("-i", str(studio.master()), *maps, *X264, *more, str(parts[-1]))
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = [(Fraction(n + 150 * k, 25), n) for k in range(len(clocks)) for n in range(150)]
    return Film(path, frames, list(range(6 * len(clocks))))


@pytest.mark.parametrize(
    ("sound", "tracks", "clocks"),
    [
        ("ac3", "va", (0, 0)),
        ("ac3", "av", (1000, 0, 100_000)),
        pytest.param("mp2", "va", (0, 0), marks=pytest.mark.long),
        pytest.param("mp2", "vaa", (0, 100, 200), marks=pytest.mark.long),
        pytest.param("aac", "va", (0, 0, 0), marks=pytest.mark.long),
    ],
)
def test_no_picture_and_no_sound_is_elsewhere_behind_a_seam(
    studio: Studio, sound: str, tracks: str, clocks: tuple[int, ...]
) -> None:
    film = glued(studio, sound, tracks, clocks)
    source = studio.examine(film.path)
    assert [source.frames.seconds(pts) for pts in source.frames.pts] == [time for time, _ in film.frames]
    for start in range(6, 6 * len(clocks), 6):
        out, made = studio.cut(film.path, start - 1.52, start + 1.2, "smart", source=source)
        check_clip(film, out, made, film.expected(start - 1.52, start + 1.2))
