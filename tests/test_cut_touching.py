"""Clips that touch: none of the frames is in both, or in neither."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests import videos
from tests.media_fixtures import Studio


@pytest.mark.parametrize(
    "rate", ["30000/1001", *(pytest.param(rate, marks=pytest.mark.long) for rate in ("25", "24000/1001"))]
)
@pytest.mark.parametrize("name", ["mp4", "mkv", "ts", "hevc"])
def test_clips_that_touch_hold_each_frame_once(studio: Studio, name: str, rate: str) -> None:
    hevc = ("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", "log-level=error:keyint=25")
    film = studio.new(f"touch.{'mp4' if name == 'hevc' else name}")
    videos.encode(studio.master(rate), film, picture=hevc if name == "hevc" else videos.X264)
    source = studio.examine(film)
    first, _ = studio.cut(film, 1, 3, "smart", source=source)
    second, _ = studio.cut(film, 3, 5, "smart", source=source)
    both = [*videos.numbers(first), *videos.numbers(second)]
    assert both == list(range(both[0], both[0] + len(both)))
    assert len(both) in {int(4 * Fraction(rate)), int(4 * Fraction(rate)) + 1}
