"""Edges moved onto their source's SPS: head, copied samples and tail decode as one stream, each picture bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import coded
from tests.coded import Film
from tests.edges import CLOSED, GOP, Cut, cut, edge, joined, open_cut, with_sps
from tests.quick import some
from tests.videos import ffmpeg, run
from videod.codec.avc import slice_facts
from videod.codec.bits import BadBitstream
from videod.codec.move import move
from videod.codec.nal import Avc, avc_type, join, split
from videod.codec.numbering import move_modifications
from videod.codec.onto import (
    combined,
    edge_for,
    free_idr_id,
    free_pps_ids,
    why_not,
)
from videod.codec.pps import pps_ids
from videod.codec.records import AvcConfig
from videod.codec.sets import ParameterSets
from videod.codec.slices import Modification
from videod.codec.sps import read_sps

__all__ = ["cut", "edge"]


@dataclass(frozen=True)
class Case:
    """A source's options, and what its edges are encoded with beside what `edge_for` says.

    `independent`: openh264 is asked, too. It cannot show B-frames: not even those of sources as x264 makes them.
    """

    source: Sequence[str]
    params: str = ""
    size: str = "322x184"
    refs: int = 3
    bframes: int = 0
    edge: Sequence[str] = ()
    edge_params: str = ""
    gop: int = GOP
    independent: bool = False


# an SPS as for B-frames, and none in the pictures
UNUSED_B = "bframes=3:b-adapt=1:b-bias=-100"
CASES = {
    "high": Case(("-bf", "3"), "ref=4:b-pyramid=normal:weightp=2"),
    "high, edges with B": Case(("-bf", "3"), "ref=4", refs=2, bframes=3),
    "many references": Case((), f"ref=9:{UNUSED_B}", refs=9, edge_params="weightp=2:subme=8", independent=True),
    "order of type 0": Case((), f"{UNUSED_B}:b-pyramid=none:aud=1", refs=2, independent=True),
    "one reference": Case(("-bf", "0"), "ref=1", refs=4, independent=True),
    "cavlc": Case((), f"cabac=0:8x8dct=1:{UNUSED_B}", edge_params="cabac=0", independent=True),
    "cavlc, edges cabac": Case(("-bf", "2"), "cabac=0", edge_params="cabac=1"),
    "cabac, edges cavlc": Case(("-bf", "1"), "", refs=1, bframes=1, edge_params="cabac=0"),
    "main": Case(("-profile:v", "main", "-bf", "2"), "ref=2", bframes=2),
    "main, no 8x8dct": Case(("-bf", "2"), "8x8dct=0:sps-id=3"),
    "baseline": Case(("-profile:v", "baseline"), "ref=2", independent=True),
    "latency": Case(
        ("-tune", "zerolatency", "-slices", "3"), "sliced-threads=1", edge=("-slices", "4"), independent=True
    ),
    "slices, edges with B": Case(("-bf", "2", "-slices", "4"), "ref=3", bframes=2, edge=("-slices", "2")),
    "pretended fields": Case(("-bf", "2"), "fake-interlaced=1", size="320x192"),
    "pretended fields, edges with B": Case(("-bf", "2"), "fake-interlaced=1", size="320x180", bframes=2),
    "rates": Case(("-bf", "2"), "nal-hrd=vbr:vbv-maxrate=3000:vbv-bufsize=3000:sar=4/3:level=5.1", size="66x66"),
    "as high as 1080p": Case((), f"ref=3:{UNUSED_B}", size="130x1080", gop=5, independent=True),
}


def idrs(film: Film) -> list[int]:
    sets = ParameterSets.read(film.config)
    return [n for n, s in enumerate(film.samples) if slice_facts(s, film.config.length_size, sets).idr]


def options(case: Case, config: AvcConfig) -> list[str]:
    argv = edge_for(config).argv(case.refs, case.bframes)
    argv[-1] += f":{case.edge_params}" if case.edge_params else ""
    return [*argv, *case.edge]


@pytest.mark.parametrize(
    "name", some(CASES, "high", "many references", "order of type 0", "cavlc", "main", "baseline", "pretended fields")
)
def test_head_middle_and_tail_are_one_stream(name: str, tmp_path: Path) -> None:
    case, gop = CASES[name], CASES[name].gop
    params = f"keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0" + (f":{case.params}" if case.params else "")
    pictures = coded.raw(case.size, 3 * gop)
    source = coded.encode(tmp_path / "source.mp4", pictures, *case.source, "-x264-params", params)
    cut = open_cut(tmp_path, source)
    assert idrs(source) == [0, gop, 2 * gop]
    assert why_not(source.config) == ""
    argv = options(case, source.config)
    head, tail = cut.edge("head", 2, gop, argv), cut.edge("tail", 2 * gop, 3 * gop - 1, argv)
    first, second = free_pps_ids(source.config)[:2]
    heads = move(head.config, head.samples, source.config, pps_id=first, idr_pic_id=7)
    tails = move(tail.config, tail.samples, source.config, pps_id=second, idr_pic_id=0)
    middle = source.samples[gop : 2 * gop]
    config = combined(source.config, heads.pps + tails.pps)
    assert config.sps == source.config.sps and len(config.pps) == 3
    stream = coded.byte_stream(config, [*heads.samples, *middle, *tails.samples])
    expected = coded.shown(head.stream()) + cut.hashes[gop : 2 * gop] + coded.shown(tail.stream())
    assert len(expected) == 3 * gop - 3
    assert coded.shown(stream) == expected
    if case.independent and coded.has_openh264():
        width, height = map(int, case.size.split("x"))
        assert coded.shown_by_openh264(stream, (width, height), tmp_path) == expected


def test_an_edge_of_one_picture_before_an_idr_with_its_id(cut: Cut) -> None:
    config = cut.source.config
    single = cut.edge("single", GOP - 1, GOP, edge_for(config).argv())
    theirs = slice_facts(cut.source.samples[GOP], 4, ParameterSets.read(config)).idr_pic_id
    number = free_idr_id([theirs, None])
    assert number != theirs
    moved = move(single.config, single.samples, config, pps_id=1, idr_pic_id=number)
    assert coded.shown(joined(cut, moved)) == coded.shown(single.stream()) + cut.hashes[GOP:]


def test_a_tail_after_the_last_clean_cut(cut: Cut) -> None:
    """The middle may end between two IDR pictures, and an edge follow at once."""
    config, kept = cut.source.config, _clean_cut(cut)
    assert GOP + 2 < kept < 2 * GOP - 1
    tail = cut.edge("rest", kept, kept + 3, edge_for(config).argv())
    moved = move(tail.config, tail.samples, config, pps_id=200, idr_pic_id=9)
    stream = coded.byte_stream(combined(config, moved.pps), [*cut.source.samples[GOP:kept], *moved.samples])
    assert coded.shown(stream) == cut.hashes[GOP:kept] + coded.shown(tail.stream())


def _clean_cut(cut: Cut) -> int:
    """A sample inside the second GOP before which as many are decoded as are shown."""
    sets, orders = ParameterSets.read(cut.source.config), []
    for sample in cut.source.samples[GOP : 2 * GOP]:
        facts = slice_facts(sample, 4, sets)
        orders.append((facts.slice_type, facts.reference))
    return GOP + max(n for n, (kind, _) in enumerate(orders) if kind == "P" and n < GOP - 1)


@pytest.mark.parametrize("samples", ["yuv420p", "yuvj420p"])
def test_edges_look_as_their_source(samples: str, tmp_path: Path) -> None:
    pictures = coded.raw("322x184", 2 * GOP)
    source = coded.encode(tmp_path / "source.mp4", pictures, "-pix_fmt", samples, "-crf", "10", "-x264-params", CLOSED)
    plain = tmp_path / "edge.mp4"
    allowed = edge_for(source.config)
    assert allowed.full_range == (samples == "yuvj420p")
    argv = ["-i", str(source.path), "-frames:v", "6", "-c:v", "libx264", "-crf", "10", *allowed.argv()]
    ffmpeg(*argv, "-fps_mode", "passthrough", str(plain))
    edge = coded.load(plain)
    moved = move(edge.config, edge.samples, source.config, pps_id=1, idr_pic_id=5)
    stream = coded.byte_stream(combined(source.config, moved.pps), moved.samples)
    size = 322 * 184 * 3 // 2
    raw = ("-f", "h264", "-i", "-", "-frames:v", "6", "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    seen, wanted = ffmpeg(*raw, feed=stream), ffmpeg(*raw, feed=source.stream())
    assert len(seen) == len(wanted) == 6 * size
    assert sum(abs(a - b) for a, b in zip(seen, wanted, strict=True)) / len(seen) < 2


def test_long_edges_wrap_their_numbers(cut: Cut) -> None:
    pictures = coded.raw("322x184", 60)
    for bframes in (0, 2):
        argv = edge_for(cut.source.config).argv(bframes=bframes)
        long = coded.encode(cut.folder / "long.mp4", pictures, *argv)
        moved = move(long.config, long.samples, cut.source.config, pps_id=1, idr_pic_id=5)
        assert coded.shown(joined(cut, moved)) == coded.shown(long.stream()) + cut.hashes[GOP:]


def test_only_slices_are_left_and_lengths_are_the_sources(cut: Cut, edge: Film) -> None:
    assert {avc_type(nal) for nal in split(edge.samples[0], 4)} == {Avc.SEI, Avc.IDR}
    short = replace(cut.source.config, length_size=2)
    moved = move(edge.config, edge.samples, short, pps_id=1, idr_pic_id=5)
    types = [[avc_type(nal) for nal in split(sample, 2)] for sample in moved.samples]
    assert types == [[Avc.IDR]] + [[Avc.SLICE]] * (GOP - 3)
    assert pps_ids(moved.pps[0]) == (1, 0)
    with pytest.raises(BadBitstream, match="does not fit a length of 1"):
        move(edge.config, edge.samples, replace(short, length_size=1), pps_id=1, idr_pic_id=5)
    # an edge without the encoder's message, and with delimiters and filler, is the same edge
    padded = [join([b"\x09\xf0", *split(s, 4), b"\x0c\xff\x80"], 4) for s in edge.samples]
    assert move(edge.config, padded, short, pps_id=1, idr_pic_id=5) == moved


def test_moved_headers_say_what_they_should(cut: Cut, edge: Film) -> None:
    config = cut.source.config
    moved = move(edge.config, edge.samples, config, pps_id=1, idr_pic_id=5)
    sets = ParameterSets.read(combined(config, moved.pps))
    facts = [slice_facts(sample, 4, sets) for sample in moved.samples]
    assert [fact.pps_id for fact in facts] == [1] * len(facts)
    assert [fact.frame_num for fact in facts] == [n % 16 for n in range(len(facts))]
    bits = sets.sps[0].order.log2_max_lsb
    assert [fact.poc_lsb for fact in facts] == [2 * n % (1 << bits) for n in range(len(facts))]
    assert [fact.idr_pic_id for fact in facts] == [5] + [None] * (len(facts) - 1)


@given(data=st.data())
def test_moved_modifications_name_the_same_pictures(data: st.DataObject) -> None:
    old, new = (1 << data.draw(st.integers(4, 8)) for _ in range(2))
    frame = data.draw(st.integers(1, 1000))
    wanted = data.draw(st.lists(st.integers(max(0, frame - 16), frame - 1), min_size=1, max_size=8))
    changes, at = [], frame
    for there in wanted:
        down = (at - there) % old or old
        up = (there - at) % old or old
        idc = data.draw(st.integers(0, 1))
        changes.append(Modification(idc, (up if idc else down) - 1))
        at = there
    named, at = [], frame
    for change in move_modifications(tuple(changes), frame, old, new):
        assert 0 <= change.value < new
        at = (at + (change.value + 1) * (1 if change.idc else -1)) % new
        named.append(at)
    assert named == [there % new for there in wanted]


# ---------------------------------------------------------------- sources that x264 does not make


@pytest.mark.parametrize("transform", [0, 1])
def test_a_scaling_matrix_in_the_sps(tmp_path: Path, transform: int) -> None:
    plain = coded.encode(tmp_path / "source.mp4", coded.raw("322x184", 3 * GOP), "-bf", "0", "-x264-params", CLOSED)
    # the standard's own matrices: eight lists that are not there. The pictures look odd then, but the same everywhere
    source = with_sps(plain, (9, 0b100000000), name="seq_scaling_matrix_present_flag")
    assert read_sps(source.config.sps[0]).scaling_matrix and why_not(source.config) == ""
    odd = open_cut(tmp_path, source)
    assert odd.hashes != coded.shown(plain.stream())
    argv = edge_for(source.config).argv()
    argv[-1] += f":8x8dct={transform}"
    edge = odd.edge("flat", 2, GOP, argv)
    moved = move(edge.config, edge.samples, source.config, pps_id=1, idr_pic_id=5)
    stream = joined(odd, moved)
    expected = coded.shown(edge.stream()) + odd.hashes[GOP:]
    assert coded.shown(stream) == expected
    if coded.has_openh264():
        assert coded.shown_by_openh264(stream, (322, 184), tmp_path) == expected


def test_gaps_in_frame_numbers_do_not_matter(cut: Cut, edge: Film) -> None:
    source = with_sps(cut.source, 1, name="gaps_in_frame_num_allowed_flag")
    assert read_sps(source.config.sps[0]).gaps_allowed
    moved = move(edge.config, edge.samples, source.config, pps_id=1, idr_pic_id=5)
    assert coded.shown(joined(cut, moved, source=source.config)) == coded.shown(edge.stream()) + cut.hashes[GOP:]


@pytest.mark.skipif(not coded.has_openh264(), reason="needs GStreamer with openh264")
def test_a_source_of_openh264(tmp_path: Path) -> None:
    chain = "videotestsrc num-buffers=36 pattern=ball ! video/x-raw,width=322,height=184,format=I420 ! openh264enc "
    chain += f"gop-size={GOP} slice-mode=n-slices num-slices=2 scene-change-detection=false ! h264parse ! "
    chain += f"filesink location={tmp_path / 'source.h264'}"
    run("gst-launch-1.0", "-q", *chain.split())
    ffmpeg("-i", str(tmp_path / "source.h264"), "-c", "copy", str(tmp_path / "source.mp4"))
    source = coded.load(tmp_path / "source.mp4")
    assert why_not(source.config) == ""
    cut, start = open_cut(tmp_path, source), idrs(source)[1]
    edge = cut.edge("edge", 2, start, edge_for(source.config).argv())
    pps_id = free_pps_ids(source.config)[0]
    moved = move(edge.config, edge.samples, source.config, pps_id=pps_id, idr_pic_id=5)
    expected = coded.shown(edge.stream()) + cut.hashes[start:]
    stream = joined(cut, moved, start)
    assert coded.shown(stream) == expected
    assert coded.shown_by_openh264(stream, (322, 184), tmp_path) == expected
