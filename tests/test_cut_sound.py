"""Sound that once was cut wrongly."""

from __future__ import annotations

import pytest

from tests import videos
from tests.media_fixtures import Studio, studio  # noqa: F401

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-bf", "0")


@pytest.mark.parametrize("how", ["smart", "encode", "keyframe"])
@pytest.mark.parametrize("sound", ["pcm_s16le", "libmp3lame"])
def test_pictures_in_order_without_times_are_as_late_as_the_sound(studio: Studio, sound: str, how: str) -> None:  # noqa: F811
    film = videos.encode(studio.master(), studio.new("plain.avi"), picture=H264, sound=("-c:a", sound))
    out, made = studio.cut(film, 1.52, 4.2, how)
    seen = videos.look(out)
    # beside MP3 ffmpeg leaves the place of the second picture empty
    late = sound == "libmp3lame"
    wanted = list(range(25 if how == "keyframe" else 38 - late, 105 - late))
    assert seen.numbers == wanted
    # of the beep with which a copy begins nothing needs to be heard
    (heard,) = seen.beeps
    flashes = [time for time, _, flash in seen.pictures if flash and time]
    assert len(flashes) == 3 and all(min(abs(time - beep) for beep in heard) <= 0.025 for time in flashes)
