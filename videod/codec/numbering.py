"""Frame numbers and order counts of an edge's pictures: as its own SPS has them, and as its source's would."""

from __future__ import annotations

from typing import NamedTuple

from videod.codec.bits import BadBitstream
from videod.codec.nal import Avc, avc_type
from videod.codec.onto import Misfit
from videod.codec.slices import Header, Modification
from videod.codec.sps import Sps


class Number(NamedTuple):
    """What a slice header says under the source's SPS, `poc_lsb` is 0 where that has none; `frame`: not wrapped."""

    frame_num: int
    poc_lsb: int
    frame: int


class Numbering:
    """Counts the pictures of an edge without wrapping (ISO 14496-10, 7.4.3 and 8.2.1)."""

    def __init__(self, sps: Sps, target: Sps) -> None:
        self._sps, self._target = sps, target
        # of the last reference picture; None before the IDR picture
        self._frame: int | None = None
        self._order = 0
        # of the last picture
        self._last, self._last_is_reference = 0, True

    def next(self, nal: bytes, header: Header) -> Number:
        """The numbers of the next picture; `nal`, `header`: its first slice. Raises Misfit."""
        reference = bool(nal[0] & 0x60)
        frame, order = self._read(nal, header, reference)
        target = self._target.order
        if target.type == 2:
            if self._frame is not None and (order <= self._last or not (reference or self._last_is_reference)):
                raise Misfit("a display order that the source's order count of type 2 does not allow")
        elif abs(order - self._order) >= 1 << target.log2_max_lsb - 1:
            raise Misfit("a display order further apart than the source's order count can tell")
        self._last, self._last_is_reference = order, reference
        if reference:
            self._frame, self._order = frame, order
        lsb = order % (1 << target.log2_max_lsb) if target.type == 0 else 0
        return Number(frame % (1 << self._target.log2_max_frame_num), lsb, frame)

    def _read(self, nal: bytes, header: Header, reference: bool) -> tuple[int, int]:
        """frame_num and order count of this picture, not wrapped."""
        start = header.start
        if (avc_type(nal) == Avc.IDR) != (self._frame is None):
            raise Misfit("an edge must have one IDR picture, its first")
        long_term = header.idr_flags is not None and header.idr_flags[1]
        if long_term or any(operation[0] != 1 for operation in header.marking):
            raise Misfit("long-term references in an edge")
        frame = 0 if self._frame is None else self._frame + 1
        if frame % (1 << self._sps.log2_max_frame_num) != start.frame_num:
            raise Misfit("an edge with gaps in its frame numbers")
        if start.poc_lsb is None:
            return frame, 2 * frame - (not reference)
        wrap = 1 << self._sps.order.log2_max_lsb
        # the count with these low bits that is nearest to the last reference picture's, the later of two
        ahead = (start.poc_lsb - self._order) % wrap
        return frame, self._order + (ahead if ahead <= wrap // 2 else ahead - wrap)


def move_modifications(changes: tuple[Modification, ...], frame: int, old: int, new: int) -> tuple[Modification, ...]:
    """ref_pic_list_modification of a frame, for another MaxFrameNum; `frame`: its number, not wrapped.

    Each names a picture by the way from the one before it, modulo MaxFrameNum. x264 names one twice (with other
    weights) by going all the way round.
    """
    found, at = [], frame
    for change in changes:
        if change.idc > 1:
            raise Misfit("long-term references in an edge")
        if change.value >= old:
            raise BadBitstream(f"abs_diff_pic_num_minus1: {change.value}")
        there = at + (change.value + 1) * (1 if change.idc else -1)
        # the picture with this number modulo `old` that was decoded last
        there = frame - 1 - (frame - 1 - there) % old
        if not max(0, frame - new) <= there:
            raise Misfit("an edge refers to pictures that its source's frame numbers do not reach")
        found.append(Modification(int(there > at), (abs(there - at) or new) - 1))
        at = there
    return tuple(found)
