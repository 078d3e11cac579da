"""Sources that get no edge, edges that do not fit, and broken ones: a reason each, never a clip that breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import coded
from tests.coded import Film
from tests.edges import GOP, Cut, cut, edge, place, with_sps
from videod.codec.avc import slice_facts
from videod.codec.bits import BadBitstream
from videod.codec.move import move
from videod.codec.nal import split
from videod.codec.onto import Misfit, combined, edge_for, free_idr_id, free_pps_ids, picture_why_not, why_not
from videod.codec.records import AvcConfig
from videod.codec.sets import ParameterSets
from videod.codec.slices import read_header

__all__ = ["cut", "edge"]


REFUSED = {
    "fields": (("-x264-params", "tff=1"), "macroblock-adaptive interlacing"),
    "ten bits": (("-pix_fmt", "yuv420p10le"), "4:2:0 of 10 bits"),
    "4:2:2": (("-pix_fmt", "yuv422p"), "4:2:2 of 8 bits"),
    "4:4:4": (("-pix_fmt", "yuv444p"), "4:4:4 of 8 bits"),
    "lossless": (("-qp", "0"), "4:2:0 of 8 bits, lossless"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_sources_that_get_no_edge(name: str, tmp_path: Path) -> None:
    argv, reason = REFUSED[name]
    source = coded.encode(tmp_path / "source.mp4", coded.raw("64x64", 4), *argv)
    assert why_not(source.config) == reason
    with pytest.raises(Misfit, match=reason):
        edge_for(source.config)
    with pytest.raises(Misfit, match=reason):
        move(source.config, source.samples, source.config, pps_id=1, idr_pic_id=1)


def test_records_that_get_no_edge(cut: Cut) -> None:
    config = cut.source.config
    sps, pps = config.sps[0], config.pps[0]
    assert why_not(replace(config, sps=(sps, sps))) == "2 SPS in avcC"
    assert why_not(replace(config, sps=())) == "0 SPS in avcC"
    assert why_not(replace(config, pps=())) == "no PPS"
    assert why_not(replace(config, sps=(sps[:6],))).startswith("unreadable parameter sets: ")
    assert why_not(replace(config, pps=(pps,) * 255)) == "no free PPS id"
    assert why_not(replace(config, sps=(sps[:1] + b"\x58" + sps[2:],))).startswith(("profile 88", "unreadable"))
    intra = replace(config, sps=(sps[:1] + b"\x6e\x10" + sps[3:],))
    assert why_not(intra) == "an intra profile"
    assert why_not(with_sps(cut.source, (1, 1), name="max_num_ref_frames", length=5).config) == "no reference frames"
    cropped = with_sps(cut.source, (3, 0b010), name="frame_crop_left_offset").config
    assert why_not(cropped) == "pictures cropped at the left or top"
    # type 1, nothing always zero, no offsets, a cycle of none
    cycle = with_sps(cut.source, (3, 0b010), (1, 0), (3, 0b111), name="pic_order_cnt_type", length=_order_length(cut))
    assert why_not(cycle.config) == "picture order count of type 1"
    still = with_sps(cut.source, 0, name="motion_vectors_over_pic_boundaries_flag").config
    assert why_not(still) == "motion vectors that stay inside the picture"


def _order_length(cut: Cut) -> int:
    return place(cut.source, "max_num_ref_frames") - place(cut.source, "pic_order_cnt_type")


def test_pictures_that_get_no_edge(cut: Cut) -> None:
    config = cut.source.config
    facts = slice_facts(cut.source.samples[0], 4, ParameterSets.read(config))
    assert picture_why_not(facts, config) == ""
    assert picture_why_not(replace(facts, sets=config.sps + config.pps), config) == ""
    assert picture_why_not(replace(facts, field=True), config) == "pictures in fields"
    assert picture_why_not(replace(facts, sets=(config.sps[0] + b"\1",)), config).startswith("other parameter sets")
    assert picture_why_not(replace(facts, slice_type="SP"), config) == "SP slices"
    assert picture_why_not(replace(facts, layered=True), config) == "layers of SVC or MVC"
    assert picture_why_not(replace(facts, partitioned=True), config) == "data partitions"


EDGES: dict[str, tuple[Sequence[str], str]] = {
    "another size": (("-vf", "crop=320:184", "-bf", "0"), r"size: \(20, 12\), the source's is \(21, 12\)"),
    "more references": (("-x264-params", "ref=5:bframes=0"), "5 reference frames, the source has 4"),
    "two IDR pictures": (("-bf", "0", "-g", "5", "-refs", "1"), "one IDR picture"),
    "matrices": (("-bf", "0", "-x264-params", "cqm=jvt"), "scaling matrix"),
    "fields": (("-bf", "0", "-x264-params", "tff=1"), "frame_mbs_only_flag"),
    "ten bits": (("-bf", "0", "-pix_fmt", "yuv420p10le"), "sample format"),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges_that_do_not_fit(name: str, cut: Cut) -> None:
    argv, reason = EDGES[name]
    edge = cut.edge("misfit", 2, GOP, argv)
    with pytest.raises(Misfit, match=reason):
        move(edge.config, edge.samples, cut.source.config, pps_id=1, idr_pic_id=1)


@pytest.mark.parametrize(
    ("source", "edge", "reason"),
    [
        (("-profile:v", "baseline"), ("-bf", "0", "-x264-params", "8x8dct=0"), "CABAC in Baseline"),
        (("-profile:v", "baseline"), ("-x264-params", "bframes=0:cabac=0:8x8dct=0"), "weighted prediction in Baseline"),
        (("-profile:v", "main"), ("-bf", "0"), "a PPS of High"),
        (("-bf", "0"), ("-bf", "2", "-x264-params", "b-pyramid=0"), "B slices"),
        (("-bf", "0", "-refs", "1"), ("-bf", "0"), "2 reference frames, the source has 1"),
    ],
)
def test_edges_of_another_profile_do_not_fit(
    source: Sequence[str], edge: Sequence[str], reason: str, tmp_path: Path
) -> None:
    pictures = coded.raw("322x184", 12)
    film = coded.encode(tmp_path / "source.mp4", pictures, "-refs", "3", *source)
    other = coded.encode(tmp_path / "edge.mp4", pictures, "-refs", "2", *edge)
    with pytest.raises(Misfit, match=reason):
        move(other.config, other.samples, film.config, pps_id=1, idr_pic_id=1)


def test_ids_that_are_taken(cut: Cut, edge: Film) -> None:
    for pps_id, idr_pic_id in ((0, 1), (256, 1), (-1, 1), (1, 65536), (1, -1)):
        with pytest.raises(Misfit):
            move(edge.config, edge.samples, cut.source.config, pps_id=pps_id, idr_pic_id=idr_pic_id)
    with pytest.raises(Misfit, match="without a picture"):
        move(edge.config, [], cut.source.config, pps_id=1, idr_pic_id=1)
    with pytest.raises(Misfit, match="gaps"):
        pieces = [*edge.samples[:3], *edge.samples[4:]]
        move(edge.config, pieces, cut.source.config, pps_id=1, idr_pic_id=1)
    with pytest.raises(Misfit, match="one IDR picture"):
        move(edge.config, edge.samples[1:], cut.source.config, pps_id=1, idr_pic_id=1)
    with pytest.raises(Misfit, match="not one picture"):
        pieces = [edge.samples[0], edge.samples[1] + edge.samples[2]]
        move(edge.config, pieces, cut.source.config, pps_id=1, idr_pic_id=1)
    assert free_pps_ids(cut.source.config, [1, 3])[:3] == [2, 4, 5]
    assert free_idr_id([]) == 0 and free_idr_id([1, 0, None]) == 2


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_broken_edges_raise_only_two_errors(cut: Cut, edge: Film, data: st.DataObject) -> None:
    parts = [edge.config.write(), cut.source.config.write(), *(sample[-600:] for sample in edge.samples[1:3])]
    parts[2:] = [(len(part) - 4).to_bytes(4, "big") + part[4:] for part in edge.samples[1:3]]
    for _ in range(data.draw(st.integers(1, 4))):
        n = data.draw(st.integers(0, 3))
        broken = bytearray(parts[n])
        at = data.draw(st.integers(0, min(len(broken), 50) - 1))
        broken[at] = data.draw(st.integers(0, 255))
        parts[n] = bytes(broken[: data.draw(st.integers(1, len(broken))) if data.draw(st.booleans()) else None])
    try:
        config = AvcConfig.read(parts[1])
        moved = move(AvcConfig.read(parts[0]), [edge.samples[0], *parts[2:]], config, pps_id=1, idr_pic_id=5)
    except (BadBitstream, Misfit) as error:
        assert "\n" not in str(error)
    else:
        # what was moved can be read
        sets = ParameterSets.read(combined(config, moved.pps))
        for sample in moved.samples:
            for nal in split(sample, config.length_size):
                read_header(nal, sets)
