"""Picture parameter sets of H.264 (ISO 14496-10, 7.3.2.2), and their rewriting for another SPS."""

from __future__ import annotations

from dataclasses import dataclass

from videod.codec.bits import BadBitstream, BitReader, BitWriter, escape, unescape
from videod.codec.nal import Avc, avc_type
from videod.codec.sps import Sps, skip_scaling_lists

MOST_PPS_ID = 255
_MOST_SPS_ID = 31
MOST_REFS = 32
_MOST_MAP_UNITS = 1 << 24


@dataclass(frozen=True)
class Ending:
    """What only the High profiles have. `matrix`: it brings scaling lists of its own."""

    transform_8x8_mode: bool
    matrix: bool
    second_chroma_qp_index_offset: int


@dataclass(frozen=True)
class Pps:
    """The fields of pic_parameter_set_rbsp().

    `num_ref_idx`: the default numbers of entries in the two lists; `slice_group_change_cycle_bits`: how long that
    field is in slice headers, 0 where it is not present; `ids_end`, `ending_at`: bits of the RBSP before which
    the two ids, and all fields but `ending`, lie.
    """

    id: int
    sps_id: int
    cabac: bool
    bottom_field_pic_order_in_frame_present: bool
    num_slice_groups: int
    slice_group_change_cycle_bits: int
    num_ref_idx: tuple[int, int]
    weighted_pred: bool
    weighted_bipred_idc: int
    pic_init_qp: int
    pic_init_qs: int
    chroma_qp_index_offset: int
    deblocking_filter_control_present: bool
    constrained_intra_pred: bool
    redundant_pic_cnt_present: bool
    ending: Ending | None
    ids_end: int
    ending_at: int


def pps_ids(nal: bytes) -> tuple[int, int]:
    """The id of a PPS NAL unit, and that of its SPS. Raises BadBitstream."""
    _, number, sps_id = _open(nal)
    return number, sps_id


def read_pps(nal: bytes, sps: Sps) -> Pps:
    """A whole PPS NAL unit; `sps` is the one it names. Raises BadBitstream."""
    bits, number, sps_id = _open(nal)
    if sps_id != sps.id:
        raise BadBitstream(f"PPS {number} names SPS {sps_id}, not {sps.id}")
    ids_end = bits.at
    cabac, bottom = bits.flag(), bits.flag()
    groups = bits.ue(7, "num_slice_groups_minus1") + 1
    cycle_bits = _slice_groups(bits, groups, sps) if groups > 1 else 0
    refs = bits.ue(MOST_REFS - 1, "num_ref_idx_l0") + 1, bits.ue(MOST_REFS - 1, "num_ref_idx_l1") + 1
    weighted, bipred = bits.flag(), bits.u(2)
    if bipred == 3:
        raise BadBitstream("weighted_bipred_idc: 3")
    qp, qs, offset = 26 + bits.se("pic_init_qp"), 26 + bits.se("pic_init_qs"), _offset(bits)
    deblocking, constrained, redundant = bits.flag(), bits.flag(), bits.flag()
    at = bits.at
    if at > bits.stop():
        raise BadBitstream(f"PPS {number} has no stop bit where it should end")
    return Pps(
        id=number,
        sps_id=sps_id,
        cabac=cabac,
        bottom_field_pic_order_in_frame_present=bottom,
        num_slice_groups=groups,
        slice_group_change_cycle_bits=cycle_bits,
        num_ref_idx=refs,
        weighted_pred=weighted,
        weighted_bipred_idc=bipred,
        pic_init_qp=qp,
        pic_init_qs=qs,
        chroma_qp_index_offset=offset,
        deblocking_filter_control_present=deblocking,
        constrained_intra_pred=constrained,
        redundant_pic_cnt_present=redundant,
        ending=_ending(bits, sps) if bits.more() else None,
        ids_end=ids_end,
        ending_at=at,
    )


def move_pps(nal: bytes, pps: Pps, pps_id: int, sps: Sps) -> bytes:
    """The same PPS under another id, for another SPS.

    `pps` is what `nal` holds, and has no scaling lists of its own. If `sps` has, flat ones are set against them.
    """
    bits = BitReader(unescape(nal[1:]))
    out = BitWriter()
    out.ue(pps_id)
    out.ue(sps.id)
    out.copy(bits, pps.ids_end, pps.ending_at)
    if sps.scaling_matrix:
        transform = pps.ending is not None and pps.ending.transform_8x8_mode
        out.u(1, transform)
        _flat(out, 6, 2 if transform else 0)
        out.se(pps.ending.second_chroma_qp_index_offset if pps.ending else pps.chroma_qp_index_offset)
    else:
        out.copy(bits, pps.ending_at, bits.stop())
    out.trailing()
    return nal[:1] + escape(out.data())


def _open(nal: bytes) -> tuple[BitReader, int, int]:
    if not nal or avc_type(nal) != Avc.PPS:
        raise BadBitstream("not a PPS")
    bits = BitReader(unescape(nal[1:]))
    number = bits.ue(MOST_PPS_ID, "pic_parameter_set_id")
    return bits, number, bits.ue(_MOST_SPS_ID, "seq_parameter_set_id")


def _slice_groups(bits: BitReader, groups: int, sps: Sps) -> int:
    """Skip the map; the length in bits of slice_group_change_cycle."""
    kind = bits.ue(6, "slice_group_map_type")
    if kind == 0:
        for _ in range(groups):
            bits.ue()
    elif kind == 2:
        for _ in range(groups - 1):
            bits.ue()
            bits.ue()
    elif kind in {3, 4, 5}:
        bits.flag()
        rate = bits.ue(_MOST_MAP_UNITS, "slice_group_change_rate_minus1") + 1
        units = sps.width_mbs * sps.height_map_units
        # Ceil(Log2(PicSizeInMapUnits / SliceGroupChangeRate + 1)), the division exact
        return (-(-units // rate)).bit_length()
    elif kind == 6:
        count = bits.ue(_MOST_MAP_UNITS, "pic_size_in_map_units_minus1") + 1
        bits.span(bits.at, bits.at + count * (groups - 1).bit_length())
        bits.at += count * (groups - 1).bit_length()
    return 0


def _ending(bits: BitReader, sps: Sps) -> Ending:
    transform, matrix = bits.flag(), bits.flag()
    if matrix:
        eight = (6 if sps.samples.chroma_format_idc == 3 else 2) if transform else 0
        skip_scaling_lists(bits, 6 + eight)
    ending = Ending(transform, matrix, _offset(bits))
    if bits.at > bits.stop():
        raise BadBitstream("the PPS has no stop bit where it should end")
    return ending


def _offset(bits: BitReader) -> int:
    offset = bits.se("chroma_qp_index_offset")
    if not -12 <= offset <= 12:
        raise BadBitstream(f"chroma_qp_index_offset: {offset}")
    return offset


def _flat(out: BitWriter, small: int, large: int) -> None:
    """Lists of sixteens only, which is what pictures without any scaling matrix are coded with."""
    out.u(1, 1)
    for size in (16,) * small + (64,) * large:
        out.u(1, 1)
        out.se(16 - 8)
        for _ in range(size - 1):
            out.se(0)
