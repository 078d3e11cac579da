"""Decoding times, made from the times at which pictures are shown."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import pairwise

from videod.mp4.boxes import BadMp4


def reorder_depth(pts: Sequence[int]) -> int:
    """By how many pictures decoding must run ahead of display; `pts` in decoding order, no two alike."""
    rank = {time: n for n, time in enumerate(sorted(pts))}
    if len(rank) < len(pts):
        raise BadMp4("two pictures are shown at one time")
    return max((n - rank[time] for n, time in enumerate(pts)), default=0)


def decode_times(pts: Sequence[int]) -> array[int]:
    """The times of display in their order, shifted by the reorder depth: they increase, and none is behind its pts.

    The first ones are before the first pts, by the smallest distance of two pictures each.
    """
    depth = reorder_depth(pts)
    order = sorted(pts)
    step = min((after - before for before, after in pairwise(order)), default=1)
    lead = [order[0] - step * n for n in range(depth, 0, -1)] if order else []
    return array("q", (lead + order)[: len(order)])


def durations(dts: Sequence[int], end: int) -> array[int]:
    """The distances of decoding times. The last lets the media end at `end`, on a clock where the first dts is 0."""
    steps = [after - before for before, after in pairwise(dts)]
    if any(not 0 <= step < 1 << 31 for step in steps):
        raise BadMp4("decoding times go back or leap")
    last = max(1, end - (dts[-1] - dts[0])) if len(dts) else 0
    if last >> 31:
        raise BadMp4("the last sample lasts too long")
    return array("I", [*steps, last] if len(dts) else [])
