"""An HEVC SPS in its parts, as spans of bits: what another SPS may take over from it (ISO 23008-2, 7.3.2.2, 7.3.4,
7.3.7, E.2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from videod.codec.bits import BadBitstream, BitReader
from videod.codec.hevc_sps import HevcSps, read_front

_MOST_POC_BITS = 12
_MOST_PICTURES = 16
_MOST_SETS, _MOST_LONG_TERM = 64, 32
_MOST_LOG = 6
_MOST_DELTA = 1 << 15
_MOST_LATENCY = (1 << 32) - 2
_EXTENDED_SAR = 255
_SIGNAL_BITS, _COLOUR_BITS = 3, 24


class Span(NamedTuple):
    """Bits of the RBSP, from `start` up to `end`."""

    start: int
    end: int


class Ordering(NamedTuple):
    """Of the highest sub-layer: sps_max_dec_pic_buffering_minus1, sps_max_num_reorder_pics."""

    buffering: int
    reorder: int


@dataclass(frozen=True)
class VuiLayout:
    """`front`: from the aspect ratio to the chroma location; `window`: the default display window; `timing`: whether
    there are num_units_in_tick and time_scale, and these; None where they are missing."""

    front: Span
    window: Span
    timing: Span
    full_range: bool
    field_seq: bool
    frame_field_info: bool


@dataclass(frozen=True)
class HevcLayout:
    """`format`: from chroma_format_idc to the bit depths; `poc`: the length of the order count; `tools`: all from the
    block sizes up to the VUI."""

    sps: HevcSps
    bits: BitReader
    format: Span
    poc: Span
    ordering: Ordering
    tools: Span
    vui: VuiLayout | None


def read_layout(nal: bytes) -> HevcLayout:
    """An SPS NAL unit of the base layer, up to the timing in its VUI. Raises BadBitstream."""
    front = read_front(nal)
    bits = front.bits
    form = Span(front.format_at, bits.at)
    poc_bits = bits.ue(_MOST_POC_BITS, "log2_max_pic_order_cnt_lsb_minus4") + 4
    poc = Span(form.end, bits.at)
    ordering = _ordering(bits, front.sub_layers)
    begin = bits.at
    _blocks(bits)
    pass_reference_sets(bits)
    if bits.flag():
        for _ in range(bits.ue(_MOST_LONG_TERM, "num_long_term_ref_pics_sps")):
            bits.u(poc_bits + 1)
    bits.u(2)  # sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    tools = Span(begin, bits.at)
    return HevcLayout(front.sps, bits, form, poc, ordering, tools, _vui(bits) if bits.flag() else None)


def _ordering(bits: BitReader, sub_layers: int) -> Ordering:
    found = Ordering(0, 0)
    for _ in range(sub_layers if bits.flag() else 1):
        found = Ordering(bits.ue(_MOST_PICTURES, "buffering"), bits.ue(_MOST_PICTURES, "reorder"))
        bits.ue(_MOST_LATENCY, "sps_max_latency_increase_plus1")
    return found


def _blocks(bits: BitReader) -> None:
    for _ in range(6):
        bits.ue(_MOST_LOG, "a block size")
    if bits.flag() and bits.flag():
        _scaling_lists(bits)
    bits.u(2)  # amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag():
        bits.u(8)
        bits.ue(_MOST_LOG)
        bits.ue(_MOST_LOG)
        bits.flag()


def _scaling_lists(bits: BitReader) -> None:
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.flag():
                bits.ue(_MOST_LOG, "scaling_list_pred_matrix_id_delta")
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 1 << 4 + 2 * size)):
                bits.se()


def pass_reference_sets(bits: BitReader) -> None:
    """st_ref_pic_set() of each index; the deltas of one say how much of the next there is."""
    deltas: list[int] = []
    for index in range(bits.ue(_MOST_SETS, "num_short_term_ref_pic_sets")):
        deltas = _predicted(bits, deltas) if index and bits.flag() else _explicit(bits)
        if len(deltas) > _MOST_PICTURES:
            raise BadBitstream(f"a set of {len(deltas)} reference pictures")


def _predicted(bits: BitReader, old: list[int]) -> list[int]:
    back = bits.flag()
    by = bits.ue(_MOST_DELTA, "abs_delta_rps_minus1") + 1
    by = -by if back else by
    # the flags: used_by_curr_pic_flag, and where that is 0 use_delta_flag
    moved = [delta + by for delta in [*old, 0] if bits.flag() or bits.flag()]
    return sorted((d for d in moved if d < 0), reverse=True) + sorted(d for d in moved if d > 0)


def _explicit(bits: BitReader) -> list[int]:
    counts = bits.ue(_MOST_PICTURES, "num_negative_pics"), bits.ue(_MOST_PICTURES, "num_positive_pics")
    found = []
    for count, sign in zip(counts, (-1, 1), strict=True):
        at = 0
        for _ in range(count):
            at += sign * (bits.ue(_MOST_DELTA, "delta_poc_minus1") + 1)
            bits.flag()
            found.append(at)
    return found


def _vui(bits: BitReader) -> VuiLayout:
    begin, full_range = bits.at, False
    if bits.flag() and bits.u(8) == _EXTENDED_SAR:
        bits.u(32)
    if bits.flag():
        bits.flag()  # overscan_appropriate_flag
    if bits.flag():
        bits.u(_SIGNAL_BITS)
        full_range = bits.flag()
        bits.u(_COLOUR_BITS if bits.flag() else 0)
    if bits.flag():
        bits.ue(5, "chroma_sample_loc_type")
        bits.ue(5, "chroma_sample_loc_type")
    front = Span(begin, bits.at)
    bits.flag()  # neutral_chroma_indication_flag
    field_seq, frame_field_info = bits.flag(), bits.flag()
    begin = bits.at
    if bits.flag():
        for _ in range(4):
            bits.ue(1 << 16, "def_disp_win_offset")
    window = Span(begin, bits.at)
    bits.u(64 if bits.flag() else 0)
    return VuiLayout(front, window, Span(window.end, bits.at), full_range, field_seq, frame_field_info)
