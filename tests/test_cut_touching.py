"""Clips that touch: none of the frames is in both, or in neither."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest

from tests import videos
from tests.media_fixtures import Bounds, Studio, preset
from videod.errors import Damaged
from videod.media.ahead import Ahead
from videod.media.cut import cut
from videod.media.plan import plan
from videod.media.tracks import read_tracks

HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", "log-level=error:keyint=25")


@pytest.mark.parametrize(
    "rate", ["30000/1001", *(pytest.param(rate, marks=pytest.mark.long) for rate in ("25", "24000/1001"))]
)
@pytest.mark.parametrize("name", ["mp4", "mkv", "ts", "hevc"])
def test_clips_that_touch_hold_each_frame_once(studio: Studio, name: str, rate: str) -> None:
    film = studio.new(f"touch.{'mp4' if name == 'hevc' else name}")
    videos.encode(studio.master(rate), film, picture=HEVC if name == "hevc" else videos.X264)
    source = studio.examine(film)
    first, _ = studio.cut(film, 1, 3, "smart", source=source)
    second, _ = studio.cut(film, 3, 5, "smart", source=source)
    both = [*videos.numbers(first), *videos.numbers(second)]
    assert both == list(range(both[0], both[0] + len(both)))
    assert len(both) in {int(4 * Fraction(rate)), int(4 * Fraction(rate)) + 1}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("name", ["mp4", "hevc", "mkv"])
def test_cuts_that_know_of_one_another_decode_a_seam_once(studio: Studio, name: str, order: Sequence[int]) -> None:
    """And are, byte for byte, what each would be alone."""
    film = studio.new(f"seams.{'mp4' if name == 'hevc' else name}")
    videos.encode(studio.master(), film, picture=HEVC if name == "hevc" else videos.X264)
    source = studio.examine(film)
    spans = [(0.32, 2.2), (2.2, 4.32), (4.2, 5.8)]
    plans = [plan(source.media, source.frames, *spans[n], "smart", "mp4") for n in order]
    ahead, lines, alone, together = Ahead(plans), [], [], []
    for wanted in plans:
        tools = studio.tools()
        alone.append(studio.new("alone.mp4"))
        assert cut(source, wanted, alone[-1], preset(), tools, Bounds(), threads=1).cut == "smart"
        tools.log = lines.append
        together.append(studio.new("together.mp4"))
        assert cut(source, wanted, together[-1], preset(), tools, Bounds(), threads=1, ahead=ahead).cut == "smart"
    assert [path.read_bytes() for path in together] == [path.read_bytes() for path in alone]
    # six edges, of which two and two lie in one group; what comes in MKV is a file of its own for each clip
    edges = [line for line in lines if "edge.src.mp4" in line]
    assert len(edges) == (6 if name == "mkv" else 4)
    assert not list(tools.scratch.glob("edge*"))


def test_an_edge_of_two_clips_is_encoded_once(studio: Studio) -> None:
    film = videos.encode(studio.master(), studio.new("same.mp4"), picture=videos.X264)
    source = studio.examine(film)
    plans = [plan(source.media, source.frames, *span, "smart", "mp4") for span in ((0.32, 2.2), (0.32, 3.4))]
    ahead, lines = Ahead(plans), []
    for wanted, numbers in zip(plans, (range(8, 55), range(8, 85)), strict=True):
        tools, out = studio.tools(), studio.new("out.mp4")
        tools.log = lines.append
        assert cut(source, wanted, out, preset(), tools, Bounds(), ahead=ahead).cut == "smart"
        assert videos.numbers(out) == list(numbers)
    assert len([line for line in lines if "edge.src.mp4" in line]) == 3


def test_what_is_broken_for_the_next_clip_is_no_fault_of_this_one(studio: Studio) -> None:
    film = videos.encode(studio.master(), studio.new("broken.mp4"), picture=videos.X264, sound=("-an",))
    source = studio.examine(film)
    with open(film, "rb") as file:
        data = bytearray(file.read())
    samples = read_tracks(source.media, Fraction(0), Fraction(6)).video.samples
    # behind the seam at 2.2 s, in its group of pictures
    at = next(n for n, pts in enumerate(samples.pts) if pts == samples.pts[0] + samples.durations[0] * 68)
    place = slice(samples.offsets[at] + 6, samples.offsets[at] + samples.sizes[at])
    data[place] = b"\xff" * len(data[place])
    film.write_bytes(data)
    plans = [plan(source.media, source.frames, *span, "smart", "mp4") for span in ((0.32, 2.2), (2.2, 4.32))]
    ahead, out = Ahead(plans), studio.new("first.mp4")
    assert cut(source, plans[0], out, preset(), studio.tools(), Bounds(), ahead=ahead).cut == "smart"
    assert videos.numbers(out) == list(range(8, 55))
    with pytest.raises(Damaged):
        cut(source, plans[1], studio.new("second.mp4"), preset(), studio.tools(), Bounds(), ahead=ahead)
