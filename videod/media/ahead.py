"""Edges of clips of one file that lie in one group of pictures: decoded once, encoded each for its clip.

Clips that touch have such a group at each seam: the end of one clip and the begin of the next are decoded from the same
key frame on. Which of the two is cut first does not matter.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable

from videod.media.edges import Encoded
from videod.media.model import Plan
from videod.media.splice import Edge, Splice
from videod.media.tracks import Tracks

Key = tuple[int, int, int]
# bytes: clips that touch may lie far apart in a message
MOST_KEPT = 32 << 20


class Ahead:
    """The smart cuts of a file that are still to come, and what was encoded for them already.

    Of one job, used by its thread.
    """

    def __init__(self, plans: Iterable[Plan] = ()) -> None:
        self._coming = [plan.pts for plan in plans if plan.cut == "smart"]
        self._made: dict[Key, Encoded] = {}
        self._kept = 0

    def begin(self, pts: array[int]) -> None:
        """The clip of these frames is cut now: it is none of the others any more."""
        if pts in self._coming:
            self._coming.remove(pts)

    def take(self, edge: Edge) -> Encoded | None:
        """What was made of an edge; it is not kept any longer."""
        made = self._made.pop(_key(edge), None)
        self._kept -= _size(made) if made else 0
        return made

    def keep(self, edge: Edge, made: Encoded) -> None:
        """For the clip that it belongs to."""
        self._made[_key(edge)] = made
        self._kept += _size(made)

    def beside(self, edge: Edge, tracks: Tracks, spliced: Callable[[array[int]], Splice]) -> Edge | None:
        """An edge of a clip to come for which what `edge` needs is decoded, too: from the same key frame on.

        `spliced` tells how the frames of a clip come together. One at most: each takes an encoder's memory.
        """
        samples, sync = tracks.video.samples, tracks.video.samples.sync
        first = edge.samples.start
        after = sync.find(1, first + 1)
        over = max(edge.pts[-1], tracks.pts[after] if after > 0 else edge.pts[-1] + max(samples.durations))
        for pts in list(self._coming) if self._kept < MOST_KEPT else ():
            if not any(tracks.pts[first] <= time <= over for time in (pts[0], pts[-1])):
                continue
            try:
                found = spliced(pts)
            except ValueError:  # it will be encoded wholly
                self._coming.remove(pts)
                continue
            for other in (found.head, found.tail):
                if other and other.samples.start == first and _key(other) not in self._made and other.pts != edge.pts:
                    return other
        return None


def _size(made: Encoded) -> int:
    return sum(map(len, made.samples))


def _key(edge: Edge) -> Key:
    return edge.pts[0], edge.pts[-1], len(edge.pts)
