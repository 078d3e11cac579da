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
from enum import Enum, auto


class Unspliced(ValueError):
    """Why all frames have to be encoded."""


# fewer frames than these are not worth two seams
WORTH = 8


class Role(Enum):
    """What a picture is for a copy.

    START: nothing at or behind it, in decoding order, leans on what is before it, but for LOST pictures, which are
    shown before it and leaned on by nothing that is shown later. EARLY: shown before its START too, leaned on by
    nothing that is shown later, and itself leaning on START and such pictures alone.
    """

    START = auto()
    LOST = auto()
    EARLY = auto()
    PLAIN = auto()


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


def splice(pts: array[int], sync: bytes, wanted: array[int], role: Callable[[int], Role]) -> Splice:
    """How the frames at the display times `wanted` (sorted) come together. Raises Unspliced.

    `pts`, `sync` (1: a sync sample): columns of the track in decoding order.
    """
    wants = set(wanted)
    places = [index for index, time in enumerate(pts) if time in wants]
    if len(places) != len(wants):
        raise Unspliced("the sample table does not hold each wanted frame once")
    begin = next((index for index in places if sync[index] and role(index) is Role.START), None)
    if begin is None:
        raise Unspliced("no clean start lies inside")
    stop = _stop(pts, wants, begin, places[-1])
    early = _early(pts, wants, begin, stop, role)
    copied = [index for index in range(begin, stop) if pts[index] >= pts[begin] or index in early]
    if len(copied) < min(WORTH, len(wanted)):
        raise Unspliced("too few frames could be copied")
    times = [pts[index] for index in copied]
    first, last = min(times), max(times)
    head = _edge(pts, sync, [time for time in wanted if time < first])
    tail = _edge(pts, sync, [time for time in wanted if time > last])
    if sum(first <= time <= last for time in wanted) != len(copied):
        raise Unspliced("the copied frames are not all that are wanted there")
    return Splice(head, copied, tail)


def _early(pts: array[int], wants: set[int], begin: int, stop: int, role: Callable[[int], Role]) -> set[int]:
    """Which of the pictures that are stored behind the clean start and shown before it can be copied.

    All that need not be lost, or none: they may lean on one another.
    """
    before = {index: role(index) for index in range(begin, stop) if pts[index] < pts[begin]}
    if not set(before.values()) <= {Role.LOST, Role.EARLY}:
        raise Unspliced("pictures shown before the clean start are leaned on")
    early = {index for index in before if before[index] is Role.EARLY}
    low = min((pts[index] for index in early), default=0)
    mixed = any(pts[index] > low for index in before.keys() - early)
    return early if not mixed and all(pts[index] in wants for index in early) else set()


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
