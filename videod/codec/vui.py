"""Video usability information of an H.264 SPS (ISO 14496-10, annex E)."""

from __future__ import annotations

from dataclasses import dataclass

from videod.codec.bits import BitReader

_EXTENDED_SAR = 255
_MOST_CPB = 31
_MOST_FRAMES = 16
_MOST_LENGTH = 32


@dataclass(frozen=True)
class Colour:
    """Code points of ISO 23091-2."""

    primaries: int
    transfer: int
    matrix: int


@dataclass(frozen=True)
class Timing:
    """A tick lasts num_units_in_tick / time_scale seconds, a frame two ticks."""

    num_units_in_tick: int
    time_scale: int
    fixed_frame_rate: bool


@dataclass(frozen=True)
class Restriction:
    """bitstream_restriction: how pictures are reordered and kept."""

    motion_vectors_over_pic_boundaries: bool
    max_bytes_per_pic_denom: int
    max_bits_per_mb_denom: int
    log2_max_mv_length_horizontal: int
    log2_max_mv_length_vertical: int
    max_num_reorder_frames: int
    max_dec_frame_buffering: int


@dataclass(frozen=True)
class Vui:
    """None stands for what is not present."""

    aspect_ratio_idc: int | None
    sar: tuple[int, int] | None
    overscan_appropriate: bool | None
    video_format: int | None
    full_range: bool | None
    colour: Colour | None
    chroma_loc: tuple[int, int] | None
    timing: Timing | None
    nal_hrd: bool
    vcl_hrd: bool
    pic_struct_present: bool
    restriction: Restriction | None


def read_vui(bits: BitReader) -> Vui:
    """vui_parameters(). Raises BadBitstream."""
    aspect = bits.u(8) if bits.flag() else None
    sar = (bits.u(16), bits.u(16)) if aspect == _EXTENDED_SAR else None
    overscan = bits.flag() if bits.flag() else None
    video_format = full_range = colour = None
    if bits.flag():
        video_format, full_range = bits.u(3), bits.flag()
        colour = Colour(bits.u(8), bits.u(8), bits.u(8)) if bits.flag() else None
    chroma_loc = (bits.ue(5), bits.ue(5)) if bits.flag() else None
    timing = Timing(bits.u(32), bits.u(32), bits.flag()) if bits.flag() else None
    nal_hrd = _hrd(bits)
    vcl_hrd = _hrd(bits)
    if nal_hrd or vcl_hrd:
        bits.flag()  # low_delay_hrd_flag
    pic_struct = bits.flag()
    restriction = _restriction(bits) if bits.flag() else None
    return Vui(
        aspect_ratio_idc=aspect,
        sar=sar,
        overscan_appropriate=overscan,
        video_format=video_format,
        full_range=full_range,
        colour=colour,
        chroma_loc=chroma_loc,
        timing=timing,
        nal_hrd=nal_hrd,
        vcl_hrd=vcl_hrd,
        pic_struct_present=pic_struct,
        restriction=restriction,
    )


def _hrd(bits: BitReader) -> bool:
    """hrd_parameters() if present; nothing of them is kept."""
    if not bits.flag():
        return False
    count = bits.ue(_MOST_CPB, "cpb_cnt_minus1") + 1
    bits.u(8)
    for _ in range(count):
        bits.ue()
        bits.ue()
        bits.flag()
    bits.u(20)
    return True


def _restriction(bits: BitReader) -> Restriction:
    over = bits.flag()
    denominators = bits.ue(_MOST_FRAMES), bits.ue(_MOST_FRAMES)
    lengths = bits.ue(_MOST_LENGTH), bits.ue(_MOST_LENGTH)
    reorder = bits.ue(_MOST_FRAMES, "max_num_reorder_frames")
    return Restriction(over, *denominators, *lengths, reorder, bits.ue(_MOST_FRAMES, "max_dec_frame_buffering"))
