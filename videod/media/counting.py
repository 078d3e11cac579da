"""Pictures that have no times, but places: of AVI with B-frames the times of decoding alone are known.

Where an encoder left pictures out there are empty chunks, and a place without a picture. The pictures are shown in the
rhythm in which they are decoded, as late as a decoder runs ahead.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from videod.media.frames import UNKNOWN, Leaps

# an expression tells ffmpeg of each
MOST_LEAPS = 1000


def leaps(dts: Sequence[int], delay: int, count: int, step: int) -> tuple[int, Leaps]:
    """The usual way from a picture to the next, in ticks, and (picture, by how much it and all behind it come later).

    `count` pictures can be decoded, `delay` is by how many decoding runs ahead. It is `step` and nothing where the
    decoding times tell nothing. Of more than MOST_LEAPS the small ones are put together.
    """
    ordered = all(UNKNOWN < a < b for a, b in pairwise(dts))
    if count != len(dts) or not ordered or delay >= count - 1:
        return step, ()
    times = array("q", dts[delay:])
    step = Counter(b - a for a, b in pairwise(times)).most_common(1)[0][0]
    end = times[-1] + step
    times.extend(range(end, end + delay * step, step))
    room = 1
    while len(found := _within(times, step, room)) > MOST_LEAPS:
        room *= 2
    return step, found


def _within(times: array[int], step: int, room: int) -> Leaps:
    """Leaps with which no picture is `room` ticks off, but for those that would come before others."""
    found: list[tuple[int, int]] = []
    last = times[0]
    for n, time in enumerate(times[1:], 1):
        off = time - last - step
        if abs(off) >= room and time > last:
            found.append((n, off))
            last = time
        else:
            last += step
    return tuple(found)
