"""Where pictures seem to be missing: told by the times of the frames alone."""

from __future__ import annotations

from array import array
from itertools import pairwise

# of a steady picture this part of the steps is as long as the middle one
STEADY = 0.95


def holes(pts: array[int], steady: float = STEADY) -> list[int]:
    """The indices of the frames behind which a steady picture pauses; empty for one of uneven rate."""
    steps = [b - a for a, b in pairwise(pts)]
    if len(steps) < 8:
        return []
    usual = sorted(steps)[len(steps) // 2]
    # time stamps in milliseconds make steps of 41 and 42
    even = sum(abs(step - usual) * 10 <= usual for step in steps)
    if even < steady * len(steps):
        return []
    return [n for n, step in enumerate(steps) if step * 10 >= usual * 18]
