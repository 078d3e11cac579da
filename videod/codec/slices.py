"""Slice headers of H.264 (ISO 14496-10, 7.3.3)."""

from __future__ import annotations

from dataclasses import dataclass

from videod.codec.bits import BadBitstream, BitReader, unescape
from videod.codec.nal import Avc, avc_type
from videod.codec.pps import MOST_PPS_ID, MOST_REFS, Pps
from videod.codec.sets import ParameterSets
from videod.codec.sps import Sps

# bytes; the longest header with full tables of weights, reorderings and markings has some 1200
LONGEST_HEADER = 4096
TYPES = ("P", "B", "I", "SP", "SI")
_MOST_OPERATIONS = 2 * MOST_REFS + 2
_MOST_IDR_ID = 65535


@dataclass(frozen=True)
class Start:
    """The front of a slice header, up to what tells pictures apart. None or 0: not present.

    `type`: one of TYPES; `rest`: the bit of the RBSP at which the next field begins.
    """

    first_mb: int
    type: str
    type_code: int
    pps_id: int
    colour_plane: int
    frame_num: int
    field_pic: bool
    bottom_field: bool
    idr_pic_id: int | None
    poc_lsb: int | None
    delta_poc_bottom: int
    delta_poc: tuple[int, ...]
    rest: int


@dataclass(frozen=True)
class Modification:
    """One ref_pic_list_modification: the operation (0 to 2; MVC has 4 and 5) and its number."""

    idc: int
    value: int


@dataclass(frozen=True)
class Header:
    """A whole slice header.

    `modifications`: of list 0 and list 1, None where the flag is not set or not present;
    `modifications_at`, `modifications_end`: the bits between which these stand; `marking`: the memory management
    operations with their numbers; `idr_flags`: no_output_of_prior_pics and long_term_reference of an IDR picture;
    `end`: the bit at which the slice's data begins.
    """

    start: Start
    redundant_pic_cnt: int
    direct_spatial_mv_pred: bool
    num_ref_idx: tuple[int, int]
    modifications: tuple[tuple[Modification, ...] | None, ...]
    modifications_at: int
    modifications_end: int
    idr_flags: tuple[bool, bool] | None
    marking: tuple[tuple[int, ...], ...]
    cabac_init_idc: int | None
    slice_qp_delta: int
    deblocking: tuple[int, int, int]
    end: int


def read_start(nal: bytes, sets: ParameterSets) -> Start:
    """The front of the header of a coded slice (NAL unit type 1, 2 or 5). Raises BadBitstream."""
    bits, first_mb, code, pps_id = _open(nal)
    pps, sps = sets.of(pps_id)
    return _start(bits, nal, (first_mb, code, pps_id), pps, sps)


def read_header(nal: bytes, sets: ParameterSets) -> Header:
    """The whole header of a coded slice (NAL unit type 1 or 5). Raises BadBitstream."""
    bits, first_mb, code, pps_id = _open(nal)
    pps, sps = sets.of(pps_id)
    start = _start(bits, nal, (first_mb, code, pps_id), pps, sps)
    redundant = bits.ue(127, "redundant_pic_cnt") if pps.redundant_pic_cnt_present else 0
    spatial = start.type == "B" and bits.flag()
    refs = _num_ref_idx(bits, start.type, pps)
    lists = {"P": 1, "SP": 1, "B": 2}.get(start.type, 0)
    at = bits.at
    modifications = tuple(_modifications(bits) for _ in range(lists))
    after = bits.at
    explicit = pps.weighted_pred if lists == 1 else lists == 2 and pps.weighted_bipred_idc == 1
    if explicit:
        _skip_weights(bits, refs[:lists], sps.chroma_array_type != 0)
    idr_flags, marking = _marking(bits, nal)
    cabac_init = bits.ue(2, "cabac_init_idc") if pps.cabac and lists else None
    qp_delta = bits.se("slice_qp_delta")
    if start.type in {"SP", "SI"}:
        if start.type == "SP":
            bits.flag()  # sp_for_switch_flag
        bits.se("slice_qs_delta")
    deblocking = _deblocking(bits) if pps.deblocking_filter_control_present else (0, 0, 0)
    if pps.slice_group_change_cycle_bits:
        bits.u(pps.slice_group_change_cycle_bits)
    return Header(
        start=start,
        redundant_pic_cnt=redundant,
        direct_spatial_mv_pred=spatial,
        num_ref_idx=refs,
        modifications=modifications,
        modifications_at=at,
        modifications_end=after,
        idr_flags=idr_flags,
        marking=marking,
        cabac_init_idc=cabac_init,
        slice_qp_delta=qp_delta,
        deblocking=deblocking,
        end=bits.at,
    )


def _open(nal: bytes) -> tuple[BitReader, int, int, int]:
    if len(nal) < 2:
        raise BadBitstream("an empty slice")
    # not more than the header can be: the data behind it may be megabytes
    bits = BitReader(unescape(nal[1:LONGEST_HEADER]))
    return bits, bits.ue(), bits.ue(9, "slice_type"), bits.ue(MOST_PPS_ID, "pic_parameter_set_id")


def _start(bits: BitReader, nal: bytes, opened: tuple[int, int, int], pps: Pps, sps: Sps) -> Start:
    first_mb, code, pps_id = opened
    plane = bits.u(2) if sps.samples.separate_colour_plane else 0
    frame_num = bits.u(sps.log2_max_frame_num)
    field = bottom = False
    if not sps.frame_mbs_only:
        field = bits.flag()
        bottom = field and bits.flag()
    idr = bits.ue(_MOST_IDR_ID, "idr_pic_id") if avc_type(nal) == Avc.IDR else None
    both = pps.bottom_field_pic_order_in_frame_present and not field
    lsb, delta_bottom = None, 0
    deltas: tuple[int, ...] = ()
    if sps.order.type == 0:
        lsb = bits.u(sps.order.log2_max_lsb)
        delta_bottom = bits.se() if both else 0
    elif sps.order.type == 1 and not sps.order.delta_always_zero:
        deltas = tuple(bits.se() for _ in range(2 if both else 1))
    mbs = sps.width_mbs * sps.height_mbs // (2 if field or sps.mbaff else 1)
    if first_mb >= mbs:
        raise BadBitstream(f"first_mb_in_slice: {first_mb} of {mbs}")
    return Start(
        first_mb=first_mb,
        type=TYPES[code % 5],
        type_code=code,
        pps_id=pps_id,
        colour_plane=plane,
        frame_num=frame_num,
        field_pic=field,
        bottom_field=bottom,
        idr_pic_id=idr,
        poc_lsb=lsb,
        delta_poc_bottom=delta_bottom,
        delta_poc=deltas,
        rest=bits.at,
    )


def _num_ref_idx(bits: BitReader, kind: str, pps: Pps) -> tuple[int, int]:
    if kind in {"I", "SI"}:
        return 0, 0
    first, second = pps.num_ref_idx
    # a weighted picture may stand in a list more than once, so that frames have up to 32 entries, too
    if bits.flag():
        first = bits.ue(MOST_REFS - 1, "num_ref_idx_l0_active_minus1") + 1
        second = bits.ue(MOST_REFS - 1, "num_ref_idx_l1_active_minus1") + 1 if kind == "B" else second
    return first, second if kind == "B" else 0


def _modifications(bits: BitReader) -> tuple[Modification, ...] | None:
    if not bits.flag():
        return None
    found: list[Modification] = []
    while (idc := bits.ue(5, "modification_of_pic_nums_idc")) != 3:
        if len(found) == _MOST_OPERATIONS:
            raise BadBitstream("too many ref_pic_list_modifications")
        found.append(Modification(idc, bits.ue()))
    return tuple(found)


def _skip_weights(bits: BitReader, refs: tuple[int, ...], chroma: bool) -> None:
    """pred_weight_table()."""
    bits.ue(7, "luma_log2_weight_denom")
    if chroma:
        bits.ue(7, "chroma_log2_weight_denom")
    for count in refs:
        for _ in range(count):
            if bits.flag():
                bits.se()
                bits.se()
            if chroma and bits.flag():
                for _ in range(4):
                    bits.se()


def _marking(bits: BitReader, nal: bytes) -> tuple[tuple[bool, bool] | None, tuple[tuple[int, ...], ...]]:
    """dec_ref_pic_marking(), present in slices of reference pictures."""
    if not nal[0] & 0x60:
        return None, ()
    if avc_type(nal) == Avc.IDR:
        return (bits.flag(), bits.flag()), ()
    found: list[tuple[int, ...]] = []
    adaptive = bits.flag()
    while adaptive and (operation := bits.ue(6, "memory_management_control_operation")):
        if len(found) == _MOST_OPERATIONS:
            raise BadBitstream("too many memory_management_control_operations")
        numbers = {1: 1, 2: 1, 3: 2, 4: 1, 5: 0, 6: 1}[operation]
        found.append((operation, *(bits.ue() for _ in range(numbers))))
    return None, tuple(found)


def _deblocking(bits: BitReader) -> tuple[int, int, int]:
    """disable_deblocking_filter_idc, slice_alpha_c0_offset_div2, slice_beta_offset_div2."""
    off = bits.ue(2, "disable_deblocking_filter_idc")
    return (off, 0, 0) if off == 1 else (off, bits.se(), bits.se())
