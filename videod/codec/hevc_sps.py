"""The front of an HEVC SPS (ISO 23008-2, 7.3.2.2 and 7.3.3): who can play it, and the format of its pictures."""

from __future__ import annotations

from dataclasses import dataclass

from videod.codec.bits import BadBitstream, BitReader, unescape
from videod.codec.hevc import Hevc, hevc_type, layer_id

_MOST_SPS_ID = 15
_MOST_SIDE = 1 << 16
_MOST_DEPTH = 8
_MOST_SUB_LAYERS = 7
_PROFILE_BITS, _LEVEL_BITS = 88, 8


@dataclass(frozen=True)
class HevcSps:
    """The general profile, tier and level, the sample format and the size.

    `profile_idc`: 1 Main, 2 Main 10, 3 Main Still Picture, 4 and above extensions; `high_tier`: else Main tier;
    `level_idc`: 30 times the level; `constraints`: the 48 bits behind the compatibility flags. `width`, `height`: of
    what is shown, which lies at `left`, `top` in the coded picture; all in luma samples.
    """

    vps_id: int
    id: int
    profile_space: int
    high_tier: bool
    profile_idc: int
    compatibility: int
    constraints: int
    level_idc: int
    chroma_format_idc: int
    bit_depth_luma: int
    bit_depth_chroma: int
    width: int
    height: int
    coded_width: int
    coded_height: int
    left: int
    top: int

    @property
    def interlaced(self) -> bool:
        """Not said to be frames that were scanned as such."""
        progressive, interlaced = self.constraints >> 47 & 1, self.constraints >> 46 & 1
        return bool(interlaced) and not progressive


@dataclass(frozen=True)
class Front:
    """The SPS, its number of sub-layers, and where chroma_format_idc stands; the reader is behind the bit depths."""

    sps: HevcSps
    sub_layers: int
    format_at: int
    bits: BitReader


def read_hevc_sps(nal: bytes) -> HevcSps:
    """An SPS NAL unit of the base layer, up to the bit depths. Raises BadBitstream."""
    return read_front(nal).sps


def read_front(nal: bytes) -> Front:
    """The same, for who reads on. Raises BadBitstream."""
    if len(nal) < 2 or hevc_type(nal) != Hevc.SPS or layer_id(nal):
        raise BadBitstream("not an SPS of the base layer")
    bits = BitReader(unescape(nal[2:]))
    vps_id, sub_layers = bits.u(4), bits.u(3)
    if sub_layers >= _MOST_SUB_LAYERS:
        raise BadBitstream(f"sps_max_sub_layers_minus1: {sub_layers}")
    bits.flag()  # sps_temporal_id_nesting_flag
    space, tier, profile = bits.u(2), bits.flag(), bits.u(5)
    compatibility, constraints, level = bits.u(32), bits.u(48), bits.u(8)
    _skip_sub_layers(bits, sub_layers)
    number = bits.ue(_MOST_SPS_ID, "sps_seq_parameter_set_id")
    format_at = bits.at
    chroma = bits.ue(3, "chroma_format_idc")
    separate = chroma == 3 and bits.flag()
    coded, crop = _size(bits, 0 if separate else chroma)
    left, right, top, bottom = crop
    sps = HevcSps(
        vps_id=vps_id,
        id=number,
        profile_space=space,
        high_tier=tier,
        profile_idc=profile,
        compatibility=compatibility,
        constraints=constraints,
        level_idc=level,
        chroma_format_idc=chroma,
        bit_depth_luma=8 + bits.ue(_MOST_DEPTH, "bit_depth_luma_minus8"),
        bit_depth_chroma=8 + bits.ue(_MOST_DEPTH, "bit_depth_chroma_minus8"),
        width=coded[0] - left - right,
        height=coded[1] - top - bottom,
        coded_width=coded[0],
        coded_height=coded[1],
        left=left,
        top=top,
    )
    return Front(sps, sub_layers + 1, format_at, bits)


def _skip_sub_layers(bits: BitReader, count: int) -> None:
    present = [(bits.flag(), bits.flag()) for _ in range(count)]
    if count:
        bits.u(2 * (8 - count))
    for profile, level in present:
        bits.u((_PROFILE_BITS if profile else 0) + (_LEVEL_BITS if level else 0))


def _size(bits: BitReader, planes: int) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """Luma samples a row and rows, and how many the conformance window leaves out: left, right, top, bottom."""
    width, height = bits.ue(_MOST_SIDE, "pic_width"), bits.ue(_MOST_SIDE, "pic_height")
    left = right = top = bottom = 0
    if bits.flag():
        left, right, top, bottom = (bits.ue(_MOST_SIDE, "conf_win_offset") for _ in range(4))
    across, down = 2 if planes in {1, 2} else 1, 2 if planes == 1 else 1
    crop = left * across, right * across, top * down, bottom * down
    if width <= crop[0] + crop[1] or height <= crop[2] + crop[3]:
        raise BadBitstream(f"the SPS crops everything away: {width}x{height}")
    return (width, height), crop
