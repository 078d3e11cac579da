"""Parameter sets of an encoded HEVC edge, and its slices under them (ISO 23008-2, 7.3.2)."""

from __future__ import annotations

from videod.codec.bits import BitReader, BitWriter, escape, unescape
from videod.codec.hevc import Hevc, hevc_type
from videod.codec.hevc_layout import HevcLayout, Ordering, Span
from videod.codec.nal import join, split
from videod.codec.onto import Misfit

_VPS_HEADER, _SPS_HEADER = bytes([Hevc.VPS << 1, 1]), bytes([Hevc.SPS << 1, 1])
# general_profile_space to general_level_idc begin behind sps_video_parameter_set_id, sub-layers, nesting
_GENERAL = Span(8, 104)
_HEADER = 2
MOST_SPS_ID, MOST_PPS_ID = 15, 63
# ids of PPS that take 9 bits, 8 more than that of x265, which is 0: so slice data stays where it is in its bytes
PPS_IDS = range(15, 31)


def renamed(sample: bytes, length_size: int, pps_id: int) -> bytes:
    """The sample with its slice segments under another PPS than 0."""
    nals = split(sample, length_size)
    return join([_under(nal, pps_id) if hevc_type(nal) <= Hevc.LAST_SLICE else nal for nal in nals], length_size)


def _under(nal: bytes, pps_id: int) -> bytes:
    rbsp = unescape(nal[_HEADER:])
    # first_slice_segment_in_pic_flag, no_output_of_prior_pics_flag; then 1 is ue(0)
    flags = 2 if Hevc.BLA_W_LP <= hevc_type(nal) <= Hevc.LAST_IRAP else 1
    rest = 7 - flags
    if not rbsp or not rbsp[0] >> rest & 1:
        raise Misfit("an edge whose PPS is not 0")
    front = rbsp[0] >> 8 - flags << 16 - flags | pps_id + 1 << rest | rbsp[0] & (1 << rest) - 1
    return nal[:_HEADER] + escape(front.to_bytes(2, "big") + rbsp[1:])


def write_vps(number: int, source: HevcLayout, ordering: Ordering) -> bytes:
    """The least VPS: one layer, one sub-layer, the source's profile, tier and level."""
    out = BitWriter()
    out.u(4, number)
    out.u(2, 3)  # the base layer is here
    out.u(9, 0)  # no further layers and sub-layers
    out.u(1, 1)
    out.u(16, 0xFFFF)
    _copy(out, source.bits, _GENERAL)
    _ordered(out, ordering)
    out.u(6, 0)  # vps_max_layer_id
    out.ue(0)
    out.u(2, 0)  # no timing, no extension
    out.trailing()
    return _VPS_HEADER + escape(out.data())


def write_sps(ids: tuple[int, int], edge: HevcLayout, source: HevcLayout, ordering: Ordering) -> bytes:
    """The edge's tools in what else is the source's."""
    out = BitWriter()
    vps_id, sps_id = ids
    out.u(4, vps_id)
    out.u(4, 1)  # one sub-layer, nested
    _copy(out, source.bits, _GENERAL)
    out.ue(sps_id)
    _copy(out, source.bits, source.format)
    _copy(out, edge.bits, edge.poc)
    _ordered(out, ordering)
    _copy(out, edge.bits, edge.tools)
    vui = source.vui
    out.u(1, int(vui is not None))
    if vui is not None:
        _copy(out, source.bits, vui.front)
        out.u(3, 0)  # no gray chroma, no fields, nothing about them in each picture
        _copy(out, source.bits, vui.window)
        _copy(out, source.bits, vui.timing)
        # poc_proportional_to_timing, hrd_parameters of the timing; bitstream_restriction
        out.u(3 if vui.timing.end - vui.timing.start > 1 else 1, 0)
    out.u(1, 0)  # sps_extension_present_flag
    out.trailing()
    return _SPS_HEADER + escape(out.data())


def write_pps(nal: bytes, pps_id: int, sps_id: int) -> bytes:
    """The edge's, under other ids."""
    bits, out = BitReader(unescape(nal[_HEADER:])), BitWriter()
    bits.ue(MOST_PPS_ID, "pps_pic_parameter_set_id")
    bits.ue(MOST_SPS_ID, "pps_seq_parameter_set_id")
    out.ue(pps_id)
    out.ue(sps_id)
    out.copy(bits, bits.at, bits.stop())
    out.trailing()
    return nal[:_HEADER] + escape(out.data())


def _copy(out: BitWriter, bits: BitReader, span: Span) -> None:
    out.copy(bits, span.start, span.end)


def _ordered(out: BitWriter, ordering: Ordering) -> None:
    """One sub-layer; its last number: no limit of the latency."""
    out.u(1, 1)
    for number in (*ordering, 0):
        out.ue(number)
