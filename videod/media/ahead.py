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
# bytes of edges that are kept
MOST_KEPT = 32 << 20


class Ahead:
    """The smart cuts of a file that are still to come, and the edges that were encoded so far.

    Of a few clips of one job, used by its thread.
    """

    def __init__(self, plans: Iterable[Plan] = ()) -> None:
        self._coming = [plan.pts for plan in plans if plan.cut == "smart"]
        self._splices: dict[Key, Splice] = {}
        self._made: dict[Key, Encoded] = {}
        self._kept = 0

    def begin(self, pts: array[int]) -> None:
        """The clip of these frames is cut now: it is none of the others any more."""
        if pts in self._coming:
            self._coming.remove(pts)

    def made(self, edge: Edge) -> Encoded | None:
        """An edge that was encoded before: with that of another clip, or as one of another clip."""
        return self._made.get(_key(edge.pts))

    def keep(self, edge: Edge, made: Encoded) -> None:
        """For the clips that it belongs to."""
        size = sum(map(len, made.samples))
        if self._coming and self._kept + size <= MOST_KEPT:
            self._made[_key(edge.pts)] = made
            self._kept += size

    def beside(self, edge: Edge, tracks: Tracks, spliced: Callable[[array[int]], Splice]) -> Edge | None:
        """An edge of a clip to come for which what `edge` needs is decoded, too: from the same key frame on.

        `spliced` tells how the frames of a clip come together. One at most: each takes an encoder's memory.
        """
        samples, sync = tracks.video.samples, tracks.video.samples.sync
        first = edge.samples.start
        after = sync.find(1, first + 1)
        over = max(edge.pts[-1], tracks.pts[after] if after > 0 else edge.pts[-1] + max(samples.durations))
        for pts in list(self._coming) if self._kept < MOST_KEPT else ():
            if any(tracks.pts[first] <= time <= over for time in (pts[0], pts[-1])) and (
                found := self._spliced(pts, spliced)
            ):
                for other in (found.head, found.tail):
                    if other and other.samples.start == first and not self.made(other) and other.pts != edge.pts:
                        return other
        return None

    def _spliced(self, pts: array[int], spliced: Callable[[array[int]], Splice]) -> Splice | None:
        if _key(pts) not in self._splices:
            try:
                self._splices[_key(pts)] = spliced(pts)
            except ValueError:  # it will be encoded wholly
                self._coming.remove(pts)
        return self._splices.get(_key(pts))


def _key(pts: array[int]) -> Key:
    return pts[0], pts[-1], len(pts)
