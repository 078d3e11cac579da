"""Sequence parameter sets of H.264 (ISO 14496-10, 7.3.2.1)."""

from __future__ import annotations

from dataclasses import dataclass

from videod.codec.bits import BadBitstream, BitReader, unescape
from videod.codec.nal import Avc, avc_type
from videod.codec.vui import Vui, read_vui

# those whose SPS tells chroma format, bit depths and scaling matrix
HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_MOST_ID = 31
_MOST_FRAMES = 16
_MOST_CYCLE = 255
# macroblocks a side: 65536 pixels; level 6.2 allows 1055
_MOST_MBS = 4096
_MOST_DEPTH = 6


@dataclass(frozen=True)
class Samples:
    """Chroma format (1: 4:2:0), bits a sample, lossless mode (transform bypass)."""

    chroma_format_idc: int = 1
    separate_colour_plane: bool = False
    bit_depth_luma: int = 8
    bit_depth_chroma: int = 8
    lossless: bool = False


@dataclass(frozen=True)
class OrderCount:
    """How pictures tell their place in display order: `type` 0 by log2_max_lsb bits, 1 by a cycle, 2 not at all."""

    type: int
    log2_max_lsb: int = 0
    delta_always_zero: bool = False
    offset_for_non_ref_pic: int = 0
    offset_for_top_to_bottom_field: int = 0
    cycle: tuple[int, ...] = ()


@dataclass(frozen=True)
class Crop:
    """What is not shown at each side, in luma samples."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0


@dataclass(frozen=True)
class Sps:
    """The fields of seq_parameter_set_data(). `constraints`: the byte of constraint_set flags."""

    profile_idc: int
    constraints: int
    level_idc: int
    id: int
    samples: Samples
    scaling_matrix: bool
    log2_max_frame_num: int
    order: OrderCount
    max_num_ref_frames: int
    gaps_allowed: bool
    width_mbs: int
    height_map_units: int
    frame_mbs_only: bool
    mbaff: bool
    direct_8x8_inference: bool
    crop: Crop
    vui: Vui | None

    def constraint(self, number: int) -> bool:
        """constraint_setN_flag."""
        return bool(self.constraints >> (7 - number) & 1)

    @property
    def height_mbs(self) -> int:
        """FrameHeightInMbs: macroblocks of a frame from top to bottom."""
        return self.height_map_units * (1 if self.frame_mbs_only else 2)

    @property
    def width(self) -> int:
        """Luma samples of a shown row."""
        return 16 * self.width_mbs - self.crop.left - self.crop.right

    @property
    def height(self) -> int:
        """Shown rows."""
        return 16 * self.height_mbs - self.crop.top - self.crop.bottom

    @property
    def chroma_array_type(self) -> int:
        """ChromaArrayType: 0 where the planes are coded apart."""
        return 0 if self.samples.separate_colour_plane else self.samples.chroma_format_idc


def read_sps(nal: bytes) -> Sps:
    """A whole SPS NAL unit. Raises BadBitstream."""
    if not nal or avc_type(nal) not in {Avc.SPS, Avc.SUBSET_SPS}:
        raise BadBitstream("not an SPS")
    bits = BitReader(unescape(nal[1:]))
    profile, constraints, level = bits.u(8), bits.u(8), bits.u(8)
    number = bits.ue(_MOST_ID, "seq_parameter_set_id")
    samples, matrix = _samples(bits) if profile in HIGH_PROFILES else (Samples(), False)
    log2_max_frame_num = bits.ue(12, "log2_max_frame_num_minus4") + 4
    order = _order(bits)
    refs = bits.ue(_MOST_FRAMES, "max_num_ref_frames")
    gaps = bits.flag()
    width = bits.ue(_MOST_MBS - 1, "pic_width_in_mbs_minus1") + 1
    height = bits.ue(_MOST_MBS - 1, "pic_height_in_map_units_minus1") + 1
    frames_only = bits.flag()
    mbaff = False if frames_only else bits.flag()
    direct = bits.flag()
    crop = _crop(bits, samples, frames_only) if bits.flag() else Crop()
    vui = read_vui(bits) if bits.flag() else None
    if bits.at > bits.stop():
        raise BadBitstream("the SPS has no stop bit where it should end")
    sps = Sps(
        profile_idc=profile,
        constraints=constraints,
        level_idc=level,
        id=number,
        samples=samples,
        scaling_matrix=matrix,
        log2_max_frame_num=log2_max_frame_num,
        order=order,
        max_num_ref_frames=refs,
        gaps_allowed=gaps,
        width_mbs=width,
        height_map_units=height,
        frame_mbs_only=frames_only,
        mbaff=mbaff,
        direct_8x8_inference=direct,
        crop=crop,
        vui=vui,
    )
    if sps.width <= 0 or sps.height <= 0:
        raise BadBitstream(f"the SPS crops everything away: {sps.width}x{sps.height}")
    return sps


def skip_scaling_lists(bits: BitReader, count: int) -> None:
    """The scaling lists of an SPS or PPS: six of 16 numbers, the others of 64."""
    for n in range(count):
        if bits.flag():
            _skip_list(bits, 16 if n < 6 else 64)


def _skip_list(bits: BitReader, size: int) -> None:
    last = 8
    for _ in range(size):
        delta = bits.se("delta_scale")
        if not -128 <= delta <= 127:
            raise BadBitstream(f"delta_scale: {delta}")
        last = (last + delta) % 256
        if not last:
            return


def _samples(bits: BitReader) -> tuple[Samples, bool]:
    chroma = bits.ue(3, "chroma_format_idc")
    separate = chroma == 3 and bits.flag()
    luma = 8 + bits.ue(_MOST_DEPTH, "bit_depth_luma_minus8")
    samples = Samples(chroma, separate, luma, 8 + bits.ue(_MOST_DEPTH, "bit_depth_chroma_minus8"), bits.flag())
    matrix = bits.flag()
    if matrix:
        skip_scaling_lists(bits, 12 if chroma == 3 else 8)
    return samples, matrix


def _order(bits: BitReader) -> OrderCount:
    kind = bits.ue(2, "pic_order_cnt_type")
    if kind == 0:
        return OrderCount(0, log2_max_lsb=bits.ue(12, "log2_max_pic_order_cnt_lsb_minus4") + 4)
    if kind == 2:
        return OrderCount(2)
    always = bits.flag()
    offsets = bits.se(), bits.se()
    count = bits.ue(_MOST_CYCLE, "num_ref_frames_in_pic_order_cnt_cycle")
    return OrderCount(1, 0, always, *offsets, tuple(bits.se() for _ in range(count)))


def _crop(bits: BitReader, samples: Samples, frames_only: bool) -> Crop:
    planes = samples.chroma_format_idc if not samples.separate_colour_plane else 0
    across = 2 if planes in {1, 2} else 1
    down = (2 if planes == 1 else 1) * (1 if frames_only else 2)
    left, right, top, bottom = (bits.ue(1 << 16, "frame_crop_offset") for _ in range(4))
    return Crop(left * across, right * across, top * down, bottom * down)
