"""Moves an encoded edge onto the SPS of its source: a PPS with an id of its own, slice headers written anew.

Of a slice header only what the SPS decides is written anew: frame number, order count, ids. The rest and the
slice's data are copied; with CABAC the data begins at a whole byte, with CAVLC all its bits are shifted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from videod.codec.bits import BadBitstream, BitReader, BitWriter, escape, unescape
from videod.codec.nal import Avc, avc_type, join, split
from videod.codec.numbering import Number, Numbering, move_modifications
from videod.codec.onto import Edge, Misfit, edge_for
from videod.codec.pps import MOST_PPS_ID, Pps, move_pps
from videod.codec.records import AvcConfig
from videod.codec.sets import ParameterSets
from videod.codec.slices import Header, Modification, read_header
from videod.codec.sps import Sps

_SLICES = frozenset({Avc.SLICE, Avc.IDR})
# an edge begins with an access unit of its own, and what x264 tells of itself needs no second place
_DROPPED = frozenset({Avc.SEI, Avc.SPS, Avc.PPS, Avc.AUD, Avc.END_OF_SEQUENCE, Avc.END_OF_STREAM, Avc.FILLER})
_MOST_IDR_ID = 65535


class Moved(NamedTuple):
    """The edge's PPS for the clip's avcC, and its samples, NAL units behind lengths as long as the source's."""

    pps: tuple[bytes, ...]
    samples: tuple[bytes, ...]


def move(edge: AvcConfig, samples: Sequence[bytes], source: AvcConfig, *, pps_id: int, idr_pic_id: int) -> Moved:
    """Move an edge: one IDR picture and frames that follow from it, a frame a sample, in decoding order.

    `pps_id`: none of the source's (see `free_pps_ids`); `idr_pic_id`: unlike that of the IDR pictures before and
    after (see `free_idr_id`). Raises Misfit if the edge does not fit the source, BadBitstream if it is broken.
    """
    allowed = edge_for(source)
    old, new = ParameterSets.read(edge), ParameterSets.read(source)
    if not 0 <= pps_id <= MOST_PPS_ID or pps_id in new.pps:
        raise Misfit(f"PPS id {pps_id} is not free")
    if not 0 <= idr_pic_id <= _MOST_IDR_ID:
        raise Misfit(f"idr_pic_id {idr_pic_id}")
    if len(old.sps) != 1 or len(old.pps) != 1:
        raise Misfit(f"an edge with {len(old.sps)} SPS and {len(old.pps)} PPS")
    if not samples:
        raise Misfit("an edge without a picture")
    (pps,), (sps,), (target,) = old.pps.values(), old.sps.values(), new.sps.values()
    _check(sps, pps, target, allowed)
    mover = _Mover(old, sps, target, pps, pps_id, idr_pic_id, allowed.bframes > 0)
    moved = tuple(join(mover.picture(split(s, edge.length_size)), source.length_size) for s in samples)
    return Moved((move_pps(edge.pps[0], pps, pps_id, target),), moved)


def _check(sps: Sps, pps: Pps, target: Sps, allowed: Edge) -> None:
    """What of the edge's sets must be as in the source's, and what must be within it."""
    for name, own, wanted in (
        ("coded size", (sps.width_mbs, sps.height_mbs), (target.width_mbs, target.height_mbs)),
        ("size", (sps.width, sps.height), (target.width, target.height)),
        ("sample format", sps.samples, target.samples),
        ("frame_mbs_only_flag", sps.frame_mbs_only, target.frame_mbs_only),
    ):
        if own != wanted:
            raise Misfit(f"{name}: {own}, the source's is {wanted}")
    refs = sps.max_num_ref_frames
    misfits = {
        f"{refs} reference frames, the source has {allowed.refs}": refs > allowed.refs,
        "macroblock-adaptive interlacing": sps.mbaff,
        "slice groups": pps.num_slice_groups > 1,
        "scaling matrix": sps.scaling_matrix or (pps.ending is not None and pps.ending.matrix),
        "order count of type 1": sps.order.type == 1,
        "CABAC in Baseline": allowed.profile == "baseline" and pps.cabac,
        "weighted prediction in Baseline": allowed.profile == "baseline" and pps.weighted_pred,
        "a PPS of High": allowed.profile != "high" and pps.ending is not None,
    }
    if misfit := next((reason for reason, applies in misfits.items() if applies), ""):
        raise Misfit(misfit)


class _Mover:
    def __init__(
        self, sets: ParameterSets, sps: Sps, target: Sps, pps: Pps, pps_id: int, idr_pic_id: int, bidirectional: bool
    ) -> None:
        self._sets, self._target, self._pps = sets, target, pps
        self._wraps = 1 << sps.log2_max_frame_num, 1 << target.log2_max_frame_num
        self._pps_id, self._idr_pic_id = pps_id, idr_pic_id
        self._bidirectional = bidirectional and sps.direct_8x8_inference == target.direct_8x8_inference
        self._numbering = Numbering(sps, target)

    def picture(self, nals: list[bytes]) -> list[bytes]:
        """The slices of one picture; other NAL units are dropped."""
        if odd := {avc_type(nal) for nal in nals} - _SLICES - _DROPPED:
            raise Misfit(f"NAL units of type {min(odd)} in an edge")
        slices = [(nal, read_header(nal, self._sets)) for nal in nals if avc_type(nal) in _SLICES]
        if not slices:
            raise BadBitstream("a sample without a slice")
        (nal, header), at = slices[0], -1
        for other, further in slices:
            self._check(further)
            if further.start.first_mb <= at or (at < 0 and further.start.first_mb) or other[0] != nal[0]:
                raise Misfit("a sample of an edge is not one picture with its slices in order")
            if (further.start.frame_num, further.start.poc_lsb) != (header.start.frame_num, header.start.poc_lsb):
                raise Misfit("a sample of an edge holds slices of two pictures")
            at = further.start.first_mb
        number = self._numbering.next(nal, header)
        return [self._slice(nal, header, number) for nal, header in slices]

    def _check(self, header: Header) -> None:
        if header.start.field_pic or header.redundant_pic_cnt or header.start.type not in {"I", "P", "B"}:
            raise Misfit(f"fields, redundant pictures or {header.start.type} slices in an edge")
        if header.start.type == "B" and not self._bidirectional:
            raise Misfit("B slices, for which the source's SPS makes no room")

    def _slice(self, nal: bytes, header: Header, number: Number) -> bytes:
        rbsp = unescape(nal[1:])
        bits, out = BitReader(rbsp), BitWriter()
        self._write_start(out, header, number)
        out.copy(bits, header.start.rest, header.modifications_at)
        for changes in header.modifications:
            _write_modifications(out, changes and move_modifications(changes, number.frame, *self._wraps))
        out.copy(bits, header.modifications_end, header.end)
        if self._pps.cabac:
            out.align(1)
            data = rbsp[(header.end + 7) // 8 :]
            if not data:
                raise BadBitstream("a slice without data")
            return nal[:1] + escape(out.data() + data)
        if header.end > bits.stop():
            raise BadBitstream("a slice without data")
        out.copy(bits, header.end, bits.stop())
        out.trailing()
        return nal[:1] + escape(out.data())

    def _write_start(self, out: BitWriter, header: Header, number: Number) -> None:
        start, target = header.start, self._target
        out.ue(start.first_mb)
        out.ue(start.type_code)
        out.ue(self._pps_id)
        out.u(target.log2_max_frame_num, number.frame_num)
        if not target.frame_mbs_only:
            out.u(1, 0)
        if start.idr_pic_id is not None:
            out.ue(self._idr_pic_id)
        if target.order.type == 0:
            out.u(target.order.log2_max_lsb, number.poc_lsb)
            if self._pps.bottom_field_pic_order_in_frame_present:
                out.se(start.delta_poc_bottom)


def _write_modifications(out: BitWriter, changes: tuple[Modification, ...] | None) -> None:
    out.u(1, changes is not None)
    if changes is not None:
        for change in changes:
            out.ue(change.idc)
            out.ue(change.value)
        out.ue(3)
