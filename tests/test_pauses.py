"""Pictures that stay for long: slides, and cameras that record only when something moves."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests import videos
from tests.films import Film
from tests.media_fixtures import Studio, check_clip


@pytest.fixture(scope="module")
def held(studio: Studio) -> dict[str, Film]:
    """25 frames, 31 s of nothing, 25 frames; and a picture each 15 s."""
    gap = ("-vf", "setpts='if(lt(N,25),N,N+775)*40000/1000000/TB',settb=1/1000", "-frames:v", "50", "-fps_mode", "vfr")
    made = {}
    for name in ("mp4", "mkv", "flv"):
        path = videos.encode(studio.master(), studio.new(f"gap.{name}"), *gap, sound=("-an",))
        times = sorted(videos.frame_times(path))
        assert times[25] - times[24] > 31
        made[name] = Film(
            path, [(Fraction(round((time - times[0]) * 1000), 1000), n) for n, time in enumerate(times)], []
        )
    return made


@pytest.mark.parametrize("name", ["mp4", "mkv", "flv"])
@pytest.mark.parametrize(
    ("start", "end", "how"), [(None, None, "smart"), (0.4, 32.4, "smart"), (20, 33, "encode"), (0.5, 32.5, "keyframe")]
)
def test_a_pause_of_half_a_minute(studio: Studio, held, name: str, start, end, how: str) -> None:
    film = held[name]
    out, made = studio.cut(film.path, start, end, how)
    low = made.start - 0.002 if how == "keyframe" else start
    wanted = film.expected(max(low, 0) if low is not None else None, end)
    check_clip(film, out, made, wanted)


def test_slides(studio: Studio) -> None:
    path = studio.new("slides.mp4")
    argv = ["-f", "lavfi", "-i", "testsrc2=s=160x120:r=1/15:d=120", "-f", "lavfi", "-i", "sine=d=120"]
    videos.ffmpeg(*argv, "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", str(path))
    for start, end, how, frames in ((None, None, "smart", 8), (20, 100, "exact", 5), (None, None, "copy", 8)):
        out, made = studio.cut(path, start, end, how)
        assert made.frames == frames and len(videos.frame_times(out)) == frames


def test_slides_that_have_no_key_frames_but_the_first(studio: Studio) -> None:
    path = studio.new("slides.gif")
    videos.ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x120:r=1/15:d=120", str(path))
    for start, end, frames in ((None, None, 8), (20, 100, 5)):
        out, made = studio.cut(path, start, end, "encode")
        times = videos.frame_times(out)
        assert made.frames == frames == len(times) and times[-1] - times[0] == 15 * (frames - 1)
