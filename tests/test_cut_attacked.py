"""Sources that were once cut wrongly."""

from __future__ import annotations

import pytest

from tests import videos
from tests.media_fixtures import Studio, studio  # noqa: F401

H264 = ("-c:v", "libx264", "-preset", "ultrafast")


@pytest.mark.parametrize("bounds", [(3.0, 4.0), (1.8451, 5.397), (3.000001, None)])
def test_intra_refresh_is_no_damage(studio: Studio, bounds: tuple[float, float | None]) -> None:  # noqa: F811
    params = ("-x264-params", "intra-refresh=1:keyint=25:bframes=0")
    film = videos.encode(studio.master(), studio.new("refresh.mp4"), picture=(*H264, *params))
    out, made = studio.cut(film, *bounds, "smart")
    wanted = [n for n in range(150) if bounds[0] <= n / 25 < (bounds[1] or 99)]
    assert videos.numbers(out) == wanted and made.cut == "encode"


def test_sound_that_mp4_cannot_hold(studio: Studio) -> None:  # noqa: F811
    flac = ("-c:a", "flac")
    film = videos.encode(studio.master(), studio.new("flac.mkv"), picture=(*H264, "-g", "25"), sound=flac)
    out, made = studio.cut(film, 1.72, 4.3, "smart")
    assert videos.numbers(out) == list(range(43, 108)) and made.frames == 65
    assert videos.look(out).worst_sync() <= 0.025


@pytest.mark.parametrize("bounds", [(2.8, 4.2), (3.0, 4.2), (1.5, 4.2), (3.6, 4.6)])
def test_a_pause_of_the_sound_stays_where_it_is(studio: Studio, bounds: tuple[float, float]) -> None:  # noqa: F811
    pause = ("-af", "aselect='lt(t,2.5)+gt(t,3.3)'")
    film = videos.encode(studio.master(), studio.new("pause.mp4"), *pause, picture=(*H264, "-g", "25"))
    out, made = studio.cut(film, *bounds, "smart")
    assert made.cut == "smart"
    # the beep of second 4 is behind the pause
    (heard,) = videos.look(out).beeps
    assert [beep for beep in heard if abs(beep - (4 - made.start)) <= 0.025], (heard, made)
