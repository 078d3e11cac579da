"""What a sample of H.264 is: which picture, coded how, and what may begin there."""

from __future__ import annotations

from dataclasses import dataclass

from videod.codec.bits import BadBitstream, BitReader, unescape
from videod.codec.nal import Avc, avc_type, split
from videod.codec.sei import LONGEST_SEI, messages
from videod.codec.sets import ParameterSets
from videod.codec.slices import read_start

_SLICES = frozenset({Avc.SLICE, Avc.PARTITION_A, Avc.IDR})
_SETS = frozenset({Avc.SPS, Avc.PPS, Avc.SPS_EXTENSION, Avc.SUBSET_SPS})
_LAYERS = frozenset({Avc.PREFIX, Avc.EXTENSION, Avc.DEPTH_EXTENSION})
_RECOVERY_POINT = 6
# of one sample: all ids that there are, and some over
_MOST_SETS = 512


@dataclass(frozen=True)
class SliceFacts:
    """A sample of H.264, by its first slice's header.

    `reference`: other pictures may refer to it; `slice_type`: P, B, I, SP or SI; `poc_lsb`: None without POC type 0;
    `field`: it holds fields, not a frame; `slices`: how many; `recovery_point`: after how many frames (in frame_num)
    pictures are right when decoding begins here, None without such an SEI; `sets`: parameter sets that stand in
    the sample; `layered`: NAL units of SVC or MVC; `partitioned`: slices in data partitions.
    """

    idr: bool
    reference: bool
    slice_type: str
    frame_num: int
    poc_lsb: int | None
    idr_pic_id: int | None
    pps_id: int
    slices: int
    field: bool
    recovery_point: int | None
    sets: tuple[bytes, ...]
    layered: bool
    partitioned: bool


def slice_facts(sample: bytes, length_size: int, sets: ParameterSets) -> SliceFacts:
    """What one sample of a track is. `sets`: those of the configuration record; those in the sample come on top.

    Raises BadBitstream, also for a sample without a slice.
    """
    nals = split(sample, length_size)
    inside = tuple(nal for nal in nals if avc_type(nal) in _SETS)
    if len(inside) > _MOST_SETS:
        raise BadBitstream(f"{len(inside)} parameter sets in a sample")
    slices = [nal for nal in nals if avc_type(nal) in _SLICES]
    if not slices:
        raise BadBitstream("a sample without a slice")
    first = slices[0]
    start = read_start(first, sets.plus(inside) if inside else sets)
    types = {avc_type(nal) for nal in nals}
    return SliceFacts(
        idr=avc_type(first) == Avc.IDR,
        reference=bool(first[0] & 0x60),
        slice_type=start.type,
        frame_num=start.frame_num,
        poc_lsb=start.poc_lsb,
        idr_pic_id=start.idr_pic_id,
        pps_id=start.pps_id,
        slices=len(slices),
        field=start.field_pic,
        recovery_point=_recovery_point(nals),
        sets=inside,
        layered=not types.isdisjoint(_LAYERS),
        partitioned=Avc.PARTITION_A in types,
    )


def _recovery_point(nals: list[bytes]) -> int | None:
    """recovery_frame_cnt of the first recovery point; a broken one is none."""
    for nal in nals:
        if avc_type(nal) == Avc.SEI:
            for kind, payload in messages(unescape(nal[1:LONGEST_SEI])):
                if kind == _RECOVERY_POINT:
                    try:
                        return BitReader(payload).ue()
                    except BadBitstream:
                        return None
    return None
