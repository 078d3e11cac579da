"""Which samples of a track are copied and which frames encoded anew: a pure function of the sample table.

An exact cut is head + copy + tail. The copy begins at the first wanted picture at which decoding can begin
without anything before it, and ends with the last sample, in decoding order, up to which nothing that is shown
later is missing. What is wanted before and behind it is encoded; for that the samples from the key frame before
it are decoded.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


class Unspliced(ValueError):
    """Why all frames have to be encoded."""


def check_made(out: Path) -> None:
    """Raise Unspliced where a tool that ended well left no file."""
    if not out.exists():
        raise Unspliced(f"{out.name}: ffmpeg ended well and wrote nothing")


# fewer frames than these are not worth two seams
WORTH = 8


@dataclass(frozen=True)
class Edge:
    """Frames to encode. `pts`: their display times in ticks, in order. `samples`: what has to be decoded for
    them, indices in decoding order, the first a key frame."""

    pts: array[int]
    samples: range


@dataclass(frozen=True)
class Splice:
    """`copied`: indices of samples in decoding order, the first a clean start."""

    head: Edge | None
    copied: Sequence[int]
    tail: Edge | None


def splice(
    pts: array[int], sync: bytes, wanted: array[int], clean: Callable[[int], bool], droppable: Callable[[int], bool]
) -> Splice:
    """How the frames at the display times `wanted` (sorted) come together. Raises Unspliced.

    `pts`, `sync` (1: a sync sample): columns of the track in decoding order. `clean` tells whether nothing at
    or behind a sync sample, in decoding order, leans on what is before it, but for samples that are
    `droppable`: shown before it and leaned on by nothing that is shown later.
    """
    wants = set(wanted)
    places = [index for index, time in enumerate(pts) if time in wants]
    if len(places) != len(wants):
        raise Unspliced("the sample table does not hold each wanted frame once")
    begin = _begin(pts, sync, places, clean)
    if begin is None:
        raise Unspliced("no clean start lies inside")
    stop = _stop(pts, wants, begin, places[-1])
    copied = [index for index in range(begin, stop) if pts[index] >= pts[begin]]
    if any(not droppable(index) for index in range(begin, stop) if pts[index] < pts[begin]):
        raise Unspliced("pictures shown before the clean start are leaned on")
    if len(copied) < WORTH:
        raise Unspliced("too few frames could be copied")
    first, last = pts[begin], max(pts[index] for index in copied)
    head = _edge(pts, sync, [time for time in wanted if time < first])
    tail = _edge(pts, sync, [time for time in wanted if time > last])
    return Splice(head, copied, tail)


def _begin(pts: array[int], sync: bytes, places: list[int], clean: Callable[[int], bool]) -> int | None:
    return next((index for index in places if sync[index] and clean(index)), None)


def _stop(pts: array[int], wants: set[int], begin: int, last: int) -> int:
    """The end of the longest run of samples from `begin` on that holds nothing unwanted, and that is shown to
    its end before any later wanted one."""
    lowest, low = [0] * (last - begin + 1), 1 << 62
    for index in range(last, begin - 1, -1):
        lowest[index - begin] = low
        low = min(low, pts[index]) if pts[index] in wants else low
    top, stop = pts[begin], begin
    for index in range(begin, last + 1):
        if pts[index] >= pts[begin] and pts[index] not in wants:
            break
        top = max(top, pts[index])
        if lowest[index - begin] > top:
            stop = index + 1
    return stop


def _edge(pts: array[int], sync: bytes, times: list[int]) -> Edge | None:
    """The frames at `times`, decoded from the last sync sample that is neither stored nor shown after any."""
    if not times:
        return None
    wants = set(times)
    places = [index for index, time in enumerate(pts) if time in wants]
    first, begin = times[0], places[0]
    while begin >= 0 and not (sync[begin] and pts[begin] <= first):
        begin -= 1
    if begin < 0:
        raise Unspliced("no key frame is stored before the first wanted frame")
    return Edge(array("q", times), range(begin, places[-1] + 1))
