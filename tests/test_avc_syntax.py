"""H.264 headers as videod reads them and as ffmpeg does, field by field; and what garbage in them may do: nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import coded
from tests.coded import Film, Unit
from videod.codec.avc import slice_facts
from videod.codec.bits import BadBitstream, BitReader, BitWriter, escape, unescape
from videod.codec.nal import Avc, avc_type, join, join_stream, split, split_stream
from videod.codec.pps import Pps, read_pps
from videod.codec.records import AvcConfig
from videod.codec.sets import ParameterSets
from videod.codec.slices import TYPES, Header, read_header
from videod.codec.sps import Sps, read_sps

COLOUR = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
SOURCES: dict[str, tuple[str, ...]] = {
    "high": ("-bf", "3", "-x264-params", "ref=4:b-pyramid=normal:weightp=2:keyint=14:min-keyint=14:scenecut=0"),
    "main": ("-profile:v", "main", "-bf", "2", "-x264-params", "ref=2:direct=auto:weightb=1:keyint=10"),
    "baseline": ("-profile:v", "baseline", "-x264-params", "ref=3:keyint=10"),
    "duplicates": ("-bf", "0", "-x264-params", "ref=3:weightp=2:keyint=30:subme=8:poc-type=2"),
    "slices": ("-bf", "1", "-slices", "4", "-x264-params", "cabac=0:deblock=-2,1:sps-id=3:slice-max-size=900"),
    "interlaced": ("-maxrate", "2M", "-bufsize", "2M", "-x264-params", "tff=1:bframes=2:nal-hrd=vbr"),
    "pretended": ("-x264-params", "fake-interlaced=1:bframes=2:constrained-intra=1:chroma-qp-offset=-3:cqm=jvt"),
    "opengop": ("-x264-params", "open-gop=1:bframes=3:keyint=12:min-keyint=12:scenecut=0:no-deblock=1"),
    "rich": ("-pix_fmt", "yuv422p10le", "-x264-params", f"{COLOUR}:sar=4/3:overscan=show:fullrange=on:chromaloc=2"),
    "full": ("-pix_fmt", "yuv444p", "-crf", "0", "-x264-params", "keyint=9"),
}  # fmt: skip


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Film]:
    folder = tmp_path_factory.mktemp("syntax")
    pictures = coded.raw("322x184", 32)
    return {name: coded.encode(folder / f"{name}.mp4", pictures, *argv) for name, argv in SOURCES.items()}


@pytest.fixture(params=list(SOURCES))
def film(request: pytest.FixtureRequest, films: dict[str, Film]) -> Film:
    return films[request.param]


def test_sps_is_read_as_ffmpeg_does(film: Film) -> None:
    unit = coded.trace(film.path, lambda title: title == "Sequence Parameter Set")[0]
    sps = read_sps(film.config.sps[0])
    assert {name: value for name, value in _sps_fields(sps).items() if value != unit.fields.get(name, value)} == {}
    # whatever ffmpeg found is compared, but for what holds no value of its own
    passed = {"forbidden_zero_bit", "nal_ref_idc", "nal_unit_type", "reserved_zero_2bits", "frame_cropping_flag"}
    passed |= {name for name in unit.fields if name.endswith(("_present_flag", "alignment_zero_bit", "stop_one_bit"))}
    passed |= {name for name in unit.fields if name in HRD or name.startswith("constraint_set")}
    assert unit.fields.keys() - passed <= _sps_fields(sps).keys()
    assert [unit.fields[f"constraint_set{n}_flag"] for n in range(6)] == [sps.constraint(n) for n in range(6)]
    crop = sps.samples.chroma_format_idc == 1 and 2 or 1
    assert sps.width == 322
    assert sps.height == 184
    assert unit.fields["frame_crop_bottom_offset"] * crop * (1 if sps.frame_mbs_only else 2) == sps.crop.bottom


HRD = {
    "cpb_cnt_minus1", "bit_rate_scale", "cpb_size_scale", "bit_rate_value_minus1", "cpb_size_value_minus1",
    "cbr_flag", "initial_cpb_removal_delay_length_minus1", "cpb_removal_delay_length_minus1",
    "dpb_output_delay_length_minus1", "time_offset_length", "low_delay_hrd_flag", "bitstream_restriction_flag",
    "frame_crop_left_offset", "frame_crop_right_offset", "frame_crop_top_offset", "frame_crop_bottom_offset",
}  # fmt: skip


def _sps_fields(sps: Sps) -> dict[str, int]:
    vui = sps.vui
    assert vui
    fields: dict[str, int | None] = {
        "profile_idc": sps.profile_idc,
        "level_idc": sps.level_idc,
        "seq_parameter_set_id": sps.id,
        "chroma_format_idc": sps.samples.chroma_format_idc,
        "separate_colour_plane_flag": sps.samples.separate_colour_plane,
        "bit_depth_luma_minus8": sps.samples.bit_depth_luma - 8,
        "bit_depth_chroma_minus8": sps.samples.bit_depth_chroma - 8,
        "qpprime_y_zero_transform_bypass_flag": sps.samples.lossless,
        "seq_scaling_matrix_present_flag": sps.scaling_matrix,
        "log2_max_frame_num_minus4": sps.log2_max_frame_num - 4,
        "pic_order_cnt_type": sps.order.type,
        "log2_max_pic_order_cnt_lsb_minus4": sps.order.log2_max_lsb - 4,
        "max_num_ref_frames": sps.max_num_ref_frames,
        "gaps_in_frame_num_allowed_flag": sps.gaps_allowed,
        "pic_width_in_mbs_minus1": sps.width_mbs - 1,
        "pic_height_in_map_units_minus1": sps.height_map_units - 1,
        "frame_mbs_only_flag": sps.frame_mbs_only,
        "mb_adaptive_frame_field_flag": sps.mbaff,
        "direct_8x8_inference_flag": sps.direct_8x8_inference,
        "aspect_ratio_idc": vui.aspect_ratio_idc,
        "sar_width": vui.sar and vui.sar[0],
        "sar_height": vui.sar and vui.sar[1],
        "overscan_appropriate_flag": vui.overscan_appropriate,
        "video_format": vui.video_format,
        "video_full_range_flag": vui.full_range,
        "colour_primaries": vui.colour and vui.colour.primaries,
        "transfer_characteristics": vui.colour and vui.colour.transfer,
        "matrix_coefficients": vui.colour and vui.colour.matrix,
        "chroma_sample_loc_type_top_field": vui.chroma_loc and vui.chroma_loc[0],
        "chroma_sample_loc_type_bottom_field": vui.chroma_loc and vui.chroma_loc[1],
        "num_units_in_tick": vui.timing and vui.timing.num_units_in_tick,
        "time_scale": vui.timing and vui.timing.time_scale,
        "fixed_frame_rate_flag": vui.timing and vui.timing.fixed_frame_rate,
    }
    if limits := vui.restriction:
        fields |= {
            "motion_vectors_over_pic_boundaries_flag": limits.motion_vectors_over_pic_boundaries,
            "max_bytes_per_pic_denom": limits.max_bytes_per_pic_denom,
            "max_bits_per_mb_denom": limits.max_bits_per_mb_denom,
            "log2_max_mv_length_horizontal": limits.log2_max_mv_length_horizontal,
            "log2_max_mv_length_vertical": limits.log2_max_mv_length_vertical,
            "max_num_reorder_frames": limits.max_num_reorder_frames,
            "max_dec_frame_buffering": limits.max_dec_frame_buffering,
        }
    return {name: int(value) for name, value in fields.items() if value is not None}


def test_pps_is_read_as_ffmpeg_does(film: Film) -> None:
    unit = coded.trace(film.path, lambda title: title == "Picture Parameter Set")[0]
    pps = read_pps(film.config.pps[0], read_sps(film.config.sps[0]))
    fields = _pps_fields(pps)
    passed = ("forbidden_zero_bit", "nal_", "rbsp_", "pic_scaling_list_present_flag")
    assert {n: v for n, v in unit.fields.items() if not n.startswith(passed)} == fields


def _pps_fields(pps: Pps) -> dict[str, int]:
    fields: dict[str, int] = {
        "pic_parameter_set_id": pps.id,
        "seq_parameter_set_id": pps.sps_id,
        "entropy_coding_mode_flag": pps.cabac,
        "bottom_field_pic_order_in_frame_present_flag": pps.bottom_field_pic_order_in_frame_present,
        "num_slice_groups_minus1": pps.num_slice_groups - 1,
        "num_ref_idx_l0_default_active_minus1": pps.num_ref_idx[0] - 1,
        "num_ref_idx_l1_default_active_minus1": pps.num_ref_idx[1] - 1,
        "weighted_pred_flag": pps.weighted_pred,
        "weighted_bipred_idc": pps.weighted_bipred_idc,
        "pic_init_qp_minus26": pps.pic_init_qp - 26,
        "pic_init_qs_minus26": pps.pic_init_qs - 26,
        "chroma_qp_index_offset": pps.chroma_qp_index_offset,
        "deblocking_filter_control_present_flag": pps.deblocking_filter_control_present,
        "constrained_intra_pred_flag": pps.constrained_intra_pred,
        "redundant_pic_cnt_present_flag": pps.redundant_pic_cnt_present,
    }
    if pps.ending:
        fields |= {
            "transform_8x8_mode_flag": pps.ending.transform_8x8_mode,
            "pic_scaling_matrix_present_flag": pps.ending.matrix,
            "second_chroma_qp_index_offset": pps.ending.second_chroma_qp_index_offset,
        }
    return fields


def test_slice_headers_are_read_as_ffmpeg_does(film: Film) -> None:
    units = coded.trace(film.path, lambda title: title == "Slice Header")
    sets = ParameterSets.read(film.config)
    nals = [nal for sample in film.samples for nal in split(sample, film.config.length_size)]
    slices = [nal for nal in nals if avc_type(nal) in {Avc.SLICE, Avc.IDR}]
    assert len(units) == len(slices) >= 32
    for unit, nal in zip(units, slices, strict=True):
        _same_header(unit, nal, read_header(nal, sets))


def _same_header(unit: Unit, nal: bytes, header: Header) -> None:
    start, seen = header.start, unit.fields
    assert (nal[0] >> 5, avc_type(nal)) == (seen["nal_ref_idc"], seen["nal_unit_type"])
    for name, value in {
        "first_mb_in_slice": start.first_mb,
        "slice_type": start.type_code,
        "pic_parameter_set_id": start.pps_id,
        "frame_num": start.frame_num,
        "field_pic_flag": start.field_pic,
        "bottom_field_flag": start.bottom_field,
        "idr_pic_id": start.idr_pic_id,
        "pic_order_cnt_lsb": start.poc_lsb,
        "delta_pic_order_cnt_bottom": start.delta_poc_bottom,
        "redundant_pic_cnt": header.redundant_pic_cnt,
        "direct_spatial_mv_pred_flag": header.direct_spatial_mv_pred,
        "cabac_init_idc": header.cabac_init_idc,
        "slice_qp_delta": header.slice_qp_delta,
        "disable_deblocking_filter_idc": header.deblocking[0],
        "slice_alpha_c0_offset_div2": header.deblocking[1],
        "slice_beta_offset_div2": header.deblocking[2],
    }.items():
        assert seen.get(name, value or 0) == (value or 0), name
    assert start.type == TYPES[seen["slice_type"] % 5]
    for n, changes in enumerate(header.modifications):
        wanted = unit.lists.get(f"modification_of_pic_nums_idc_l{n}", unit.lists.get("modification_of_pic_nums_idc"))
        if len(header.modifications) == 1 and changes is not None:
            assert wanted == [*(change.idc for change in changes), 3]
    assert [m[0] for m in header.marking] == unit.lists.get("memory_management_control_operation", [0])[:-1]
    if header.idr_flags:
        assert header.idr_flags == (seen["no_output_of_prior_pics_flag"], seen["long_term_reference_flag"])
    assert header.end + 8 == unit.end


def test_the_sources_have_what_they_are_for(films: dict[str, Film]) -> None:
    units = {name: coded.trace(film.path, lambda title: title == "Slice Header") for name, film in films.items()}
    seen = {name for unit in units["high"] for name in unit.fields}
    assert {"luma_weight_l0_flag", "memory_management_control_operation"} <= seen
    assert any("abs_diff_pic_num_minus1" in unit.fields for unit in units["duplicates"])
    assert len(units["slices"]) >= 4 * 32


def test_facts(films: dict[str, Film]) -> None:
    high, sets = films["high"], ParameterSets.read(films["high"].config)
    facts = [slice_facts(sample, 4, sets) for sample in high.samples]
    assert [n for n, fact in enumerate(facts) if fact.idr] == [0, 14, 28]
    assert [fact.slice_type for fact in facts if fact.idr] == ["I", "I", "I"]
    assert facts[0].idr_pic_id != facts[14].idr_pic_id and facts[1].idr_pic_id is None
    assert {fact.slice_type for fact in facts} == {"I", "P", "B"}
    assert not all(fact.reference for fact in facts)
    assert not any(fact.field or fact.layered or fact.partitioned or fact.sets for fact in facts)
    interlaced = films["interlaced"]
    fact = slice_facts(interlaced.samples[0], 4, ParameterSets.read(interlaced.config))
    assert not fact.field  # x264 codes frames of macroblock pairs
    slices = films["slices"]
    assert max(slice_facts(sample, 4, ParameterSets.read(slices.config)).slices for sample in slices.samples) >= 4
    opened = films["opengop"]
    facts = [slice_facts(sample, 4, ParameterSets.read(opened.config)) for sample in opened.samples]
    assert [fact.idr for fact in facts].count(True) == 1
    assert [fact.slice_type for fact in facts if fact.recovery_point is not None] == ["I", "I"]


def test_a_field_is_told(films: dict[str, Film]) -> None:
    sps = films["interlaced"].config.sps[0]
    sets = ParameterSets.read(films["interlaced"].config)
    out = BitWriter()
    for value in (0, 7, 0):
        out.ue(value)
    out.u(read_sps(sps).log2_max_frame_num, 3)
    out.u(2, 0b11)  # field_pic_flag, bottom_field_flag
    out.u(read_sps(sps).order.log2_max_lsb, 9)
    out.trailing()
    fact = slice_facts(join([b"\x41" + escape(out.data())], 4), 4, sets)
    assert (fact.field, fact.frame_num, fact.poc_lsb, fact.slice_type) == (True, 3, 9, "I")


def test_sets_in_a_sample_are_told_and_used(films: dict[str, Film]) -> None:
    film = films["main"]
    inside = join([*film.config.sps, *film.config.pps], 4) + film.samples[0]
    fact = slice_facts(inside, 4, ParameterSets({}, {}))
    assert fact.sets == film.config.sps + film.config.pps
    with pytest.raises(BadBitstream, match="PPS 0 is missing"):
        slice_facts(film.samples[0], 4, ParameterSets({}, {}))


def test_records_come_back_byte_for_byte(film: Film) -> None:
    body = coded.record(film.path, b"avcC")
    assert AvcConfig.read(body).write() == body
    assert AvcConfig.read(body).profile == film.config.sps[0][1]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_samples_are_split_and_joined(size: int) -> None:
    nals = [b"\x65" + bytes(200), b"\x41", b"\x06abc"]
    assert split(join(nals, size), size) == nals
    assert split(bytes(size) + join(nals, size), size) == nals
    assert split_stream(join_stream(nals[1:])) == nals[1:]
    with pytest.raises(BadBitstream, match="past the end"):
        split(join(nals, size)[:-1], size)
    with pytest.raises(BadBitstream, match="past the end"):
        split(join(nals, size) + b"\1", size)
    if size < 4:
        with pytest.raises(BadBitstream, match="does not fit"):
            join([bytes(1 << 8 * size)], size)


@given(st.lists(st.sampled_from([0, 0, 0, 0, 1, 2, 3, 4, 255])).map(bytes))
def test_emulation_prevention(rbsp: bytes) -> None:
    made = escape(rbsp)
    assert made == _escaped_plainly(rbsp)
    assert unescape(made)[: len(rbsp)] == rbsp
    assert not any(bytes([0, 0, last]) in made for last in range(3)) and not made.endswith(b"\0")


def _escaped_plainly(rbsp: bytes) -> bytes:
    out = bytearray()
    zeros = 0
    for byte in rbsp:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out) + (b"\3" if zeros else b"")


@given(st.lists(st.tuples(st.sampled_from(["u", "ue", "se"]), st.integers(0, 2**32 - 2))))
def test_what_is_written_can_be_read(items: list[tuple[str, int]]) -> None:
    out = BitWriter()
    for kind, value in items:
        if kind == "u":
            out.u(32, value)
        elif kind == "ue":
            out.ue(value)
        else:
            out.se(value // 4 * (-1) ** value)
    out.trailing()
    bits = BitReader(out.data())
    for kind, value in items:
        read = bits.u(32) if kind == "u" else bits.ue() if kind == "ue" else bits.se()
        assert read == (value // 4 * (-1) ** value if kind == "se" else value)
    assert not bits.more() and bits.at == bits.stop()
    with pytest.raises(BadBitstream):
        bits.u(9)


@pytest.mark.parametrize("data", [b"", b"\0", bytes(4), bytes(9), bytes(100) + b"\1", b"\0\0\0\0\x40" + bytes(3)])
def test_zeros_without_end_are_refused(data: bytes) -> None:
    with pytest.raises(BadBitstream):
        BitReader(data).ue()


def _read_all(config: bytes, sample: bytes) -> None:
    record = AvcConfig.read(config)
    sets = ParameterSets.read(record)
    slice_facts(sample, record.length_size, sets)
    for nal in split(sample, record.length_size):
        if avc_type(nal) in {Avc.SLICE, Avc.IDR}:
            read_header(nal, sets)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_raises_only_bad_bitstream(films: dict[str, Film], data: st.DataObject) -> None:
    film = films[data.draw(st.sampled_from(list(SOURCES)))]
    whole = [film.config.write(), data.draw(st.sampled_from(film.samples))[:3000]]
    whole[1] = (len(whole[1]) - 4).to_bytes(4, "big") + whole[1][4:]
    which = data.draw(st.integers(0, 1))
    broken = bytearray(whole[which])
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, min(len(broken), 60) - 1))
        broken[at] = data.draw(st.integers(0, 255))
    whole[which] = bytes(broken[: data.draw(st.integers(0, len(broken))) if data.draw(st.booleans()) else None])
    try:
        _read_all(whole[0], whole[1])
    except BadBitstream as error:
        assert "\n" not in str(error)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([0x67, 0x68, 0x41, 0x65, 0x06]), st.sampled_from([66, 100, 244, 3]))
def test_garbage_raises_only_bad_bitstream(data: bytes, header: int, profile: int) -> None:
    nal = bytes([header, profile]) + data
    for read in (read_sps, NONE.plus, lambda nal: slice_facts(join([nal], 4), 4, NONE)):
        try:
            read([nal] if read == NONE.plus else nal)
        except BadBitstream:
            continue


NONE = ParameterSets({}, {})


def test_large_garbage_ends() -> None:
    """Each of these would take hours if any loop were longer than its data."""
    readers = (AvcConfig.read, read_sps, lambda d: split(d, 1), lambda d: split(d, 4), split_stream, escape, unescape)
    for data in (bytes(1 << 20), b"\xff" * (1 << 20), random.Random(5).randbytes(1 << 20)):
        for read in readers:
            try:
                read(data)
            except BadBitstream:
                continue
        for header in (b"\x67", b"\x06", b"\x65"):
            with pytest.raises(BadBitstream):
                slice_facts(join([header + data], 4), 4, NONE)
