"""The plan: pure arithmetic on frame times."""

from __future__ import annotations

from array import array
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videod.errors import Damaged, OutOfRange
from videod.media.frames import UNKNOWN, Table, shown, trouble
from videod.media.model import Frames, Media, Video
from videod.media.plan import micro, plan

VIDEO = Video(0, "h264", 320, 180, Fraction(1, 90000), rate=Fraction(25))
MEDIA = Media("x.mp4", ("mov", "mp4"), 1000, VIDEO)
BASES = st.sampled_from(
    [Fraction(1, 12800), Fraction(1, 90000), Fraction(1, 1000), Fraction(1001, 30000), Fraction(1, 2000000)]
)


def frames_of(pts: list[int], keys: list[int], base: Fraction = Fraction(1, 25), tail: int = 1) -> Frames:
    """Frames stored in the order shown."""
    times = array("q", pts)
    return Frames(base, times, bytes(int(p in keys) for p in pts), times, times, tail)


def table_of(packets: list[tuple[int, str]], base: Fraction = Fraction(1, 25)) -> Table:
    table = Table()
    for dts, (pts, flags) in enumerate(packets):
        table.add(f"{pts},{dts},1,{flags}")
    return table


@st.composite
def films(draw: st.DrawFn) -> Frames:
    steps = draw(st.lists(st.integers(100, 5000), min_size=1, max_size=60))
    first = draw(st.integers(-5000, 10**6))
    pts = [first]
    for step in steps[1:]:
        pts.append(pts[-1] + step)
    keys = [pts[0], *draw(st.lists(st.sampled_from(pts), max_size=6))]
    return frames_of(pts, keys, draw(BASES), steps[0])


@given(films(), st.data())
def test_exact_takes_the_frames_inside_and_no_others(frames: Frames, data: st.DataObject) -> None:
    ends = micro(frames.seconds(frames.after(len(frames.pts) - 1)))
    start = data.draw(st.integers(0, max(0, ends - 1))) / 10**6
    end = start + data.draw(st.integers(1, ends + 10**6)) / 10**6
    inside = [
        p for p in frames.pts if micro(Fraction(repr(start))) <= micro(frames.seconds(p)) < micro(Fraction(repr(end)))
    ]
    if not inside:
        with pytest.raises(OutOfRange):
            plan(MEDIA, frames, start, end)
        return
    made = plan(MEDIA, frames, start, end)
    assert list(made.pts) == inside
    assert made.start == frames.seconds(inside[0])
    assert made.end == frames.seconds(made.after)
    assert made.sound[0] == inside[0] * frames.time_base
    assert made.seek is None or made.seek <= inside[0] * frames.time_base


@given(films(), st.data())
def test_a_printed_time_selects_its_frame_again(frames: Frames, data: st.DataObject) -> None:
    # two frames within a microsecond print the same
    times = [micro(frames.seconds(p)) for p in frames.pts]
    n = data.draw(st.integers(0, len(times) - 1))
    if times.count(times[n]) > 1:
        return
    printed = float(f"{float(frames.seconds(frames.pts[n])):.6f}")
    assert plan(MEDIA, frames, printed, None).pts[0] == frames.pts[n]
    said = times[n] / 10**6
    assert plan(MEDIA, frames, said, None).pts[0] == frames.pts[n]
    if n:
        assert plan(MEDIA, frames, None, said).pts[-1] == frames.pts[n - 1]


@given(films(), st.data())
def test_cuts_that_meet_share_no_frame_and_lose_none(frames: Frames, data: st.DataObject) -> None:
    ends = micro(frames.seconds(frames.after(len(frames.pts) - 1)))
    at = data.draw(st.integers(1, ends)) / 10**6
    parts: list[int] = []
    for bounds in ((None, at), (at, None)):
        try:
            parts += plan(MEDIA, frames, *bounds).pts
        except OutOfRange:
            continue
    assert parts == list(frames.pts)


@given(st.permutations(range(4)), st.integers(1, 40), st.data())
def test_a_copy_has_no_hole_and_starts_with_a_key_frame(order: list[int], groups: int, data: st.DataObject) -> None:
    # mini groups of four frames, stored in any order behind the frame that they lean on
    packets = [(0, "K_")]
    for group in range(groups):
        packets += [(1 + group * 4 + n, "K_" if n == 3 and group % 3 == 2 else "__") for n in order]
    if order[0] != 3:
        packets = [(pts, "K_" if pts == 0 else "__") for pts, _ in packets]
    frames = shown(table_of(packets), Fraction(1, 25), Fraction(25))
    start = data.draw(st.integers(0, len(frames.pts) - 1))
    end = data.draw(st.integers(start + 1, len(frames.pts)))
    made = plan(MEDIA, frames, start / 25, end / 25, "keyframe")
    first, last = made.pts[0], made.pts[-1]
    assert frames.keys[frames.pts.index(first)]
    assert first <= start
    assert last >= end - 1
    assert list(made.pts) == list(range(first, last + 1))
    # what is stored up to the last needed packet is shown, and nothing stored later is shown before
    at = frames.coded.index(first)
    until = max(frames.coded.index(p) for p in made.pts)
    assert all(p in made.pts or p < first for p in frames.coded[at : until + 1])


def test_keyframe_takes_the_few_more_that_decoding_needs() -> None:
    packets = [(0, "K_"), (4, "__"), (2, "__"), (1, "__"), (3, "__"), (8, "K_"), (6, "__"), (5, "__"), (7, "__")]
    frames = shown(table_of(packets), Fraction(1, 25), Fraction(25))
    assert list(plan(MEDIA, frames, 0.0, 3 / 25, "keyframe").pts) == [0, 1, 2, 3, 4]
    assert list(plan(MEDIA, frames, 7 / 25, 8 / 25, "keyframe").pts) == list(range(9))
    assert list(plan(MEDIA, frames, 8 / 25, None, "keyframe").pts) == [8]


def test_leading_pictures_of_the_first_key_frame_are_not_shown() -> None:
    packets = [(1, "__"), (5, "K_"), (3, "__"), (4, "__"), (7, "__"), (6, "__")]
    frames = shown(table_of(packets), Fraction(1, 25), Fraction(25))
    assert list(frames.pts) == [5, 6, 7]
    assert frames.skipped == 1


def test_what_an_edit_list_hides_is_never_copied() -> None:
    packets = [(-2, "KD"), (-1, "_D"), (0, "__"), (1, "__"), (2, "K_"), (3, "__")]
    frames = shown(table_of(packets), Fraction(1, 25), Fraction(25))
    assert list(frames.pts) == [0, 1, 2, 3]
    made = plan(MEDIA, frames, 0.0, 1 / 25, "keyframe")
    assert (made.cut, list(made.pts)) == ("encode", [0])
    assert "encoded" in made.warnings[0]
    assert plan(MEDIA, frames, 3 / 25, None, "keyframe").cut == "keyframe"


def test_a_seek_without_an_index_goes_one_key_frame_further_back() -> None:
    frames = frames_of(list(range(100)), [0, 25, 50, 75])
    assert plan(MEDIA, frames, 2.2, 3.0).seek == 2
    assert plan(replace(MEDIA, formats=("mpegts",)), frames, 2.2, 3.0).seek == 1
    assert plan(MEDIA, frames, 0.2, 3.0).seek is None


def test_a_truncated_file_is_damaged_only_where_it_is_cut_off() -> None:
    frames = frames_of(list(range(100)), [0])
    cut_off = replace(MEDIA, whole=False)
    assert plan(cut_off, frames, 1.0, 4.0).count == 75
    for start, end in ((1.0, None), (1.0, 4.5), (5.0, 6.0), (None, None)):
        with pytest.raises(Damaged, match="cut off"):
            plan(cut_off, frames, start, end)


def test_a_picture_that_the_container_cannot_hold_is_encoded() -> None:
    frames = frames_of(list(range(100)), [0, 50])
    vp8 = replace(MEDIA, video=replace(VIDEO, codec="vp8"))
    assert plan(vp8, frames, 2.5, 3.0, "keyframe", "mkv").cut == "keyframe"
    made = plan(vp8, frames, 2.5, 3.0, "keyframe", "mp4")
    assert (made.cut, made.pts[0]) == ("encode", 63)


def test_a_pause_in_a_steady_picture_is_said() -> None:
    steady = [n for n in range(100) if n != 40]
    made = plan(MEDIA, frames_of(steady, [0]), 1.0, 3.0)
    assert made.warnings == ("the source has no picture for a while behind 1.560000 s",)
    uneven = [n * n for n in range(1, 60)]
    assert plan(MEDIA, frames_of(uneven, [1]), 0.0, None).warnings == ()


@pytest.mark.parametrize(
    ("packets", "wrong"),
    [
        ([(0, "K_"), (2, "__"), (1, "__")], ""),
        ([("N/A", "__"), (0, "K_"), (1, "__")], ""),
        ([(0, "K_"), ("N/A", "__")], "untimed"),
        ([(0, "K_"), (1, "__"), (1, "__")], "twice"),
    ],
)
def test_times_that_cannot_be_used_are_told(packets: list[tuple[int, str]], wrong: str) -> None:
    assert trouble(table_of(packets), Fraction(1, 25)) == wrong


def test_a_clock_that_starts_again_is_told() -> None:
    table = Table()
    for pts in (*range(1000, 1100), *range(100)):
        table.add(f"{pts},{pts},1,K_")
    assert trouble(table, Fraction(1, 25)) == "clock"
    assert table.dts[0] != UNKNOWN
