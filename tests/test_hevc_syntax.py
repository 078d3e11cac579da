"""HEVC headers as videod reads them and as ffmpeg does; and a copy that begins at an open GOP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import coded
from tests.videos import ffmpeg, ffprobe
from videod.codec.bits import BadBitstream, BitReader, BitWriter
from videod.codec.hevc import Hevc, cra_to_bla, hevc_facts, hevc_type, with_sets_in_band
from videod.codec.hevc_layout import pass_reference_sets, read_layout
from videod.codec.hevc_onto import HevcSource
from videod.codec.hevc_sei import display_sei
from videod.codec.hevc_sps import HevcSps, read_hevc_sps
from videod.codec.nal import join, join_stream, split
from videod.codec.onto import Misfit
from videod.codec.records import HevcConfig

GOP = 12
OPEN = f"log-level=error:open-gop=1:keyint={GOP}:min-keyint={GOP}:bframes=4:scenecut=0:b-adapt=0"
SOURCES: dict[str, tuple[str, ...]] = {
    "open": ("-x265-params", OPEN),
    "closed": ("-x265-params", f"log-level=error:open-gop=0:keyint={GOP}:scenecut=0:slices=3:repeat-headers=1:aud=1"),
    "deep": ("-pix_fmt", "yuv422p10le", "-x265-params", "log-level=error:high-tier=1:level-idc=5.1:temporal-layers=1"),
    "radl": ("-x265-params", f"log-level=error:open-gop=0:radl=2:keyint={GOP}:min-keyint={GOP}:bframes=3:scenecut=0"),
}


@dataclass(frozen=True)
class Film:
    path: Path
    config: HevcConfig
    samples: list[bytes]

    def stream(self) -> bytes:
        return stream(self.samples, self.config.sets)


def stream(samples: list[bytes], sets: tuple[bytes, ...] = ()) -> bytes:
    return join_stream([*sets, *(nal for sample in samples for nal in split(sample, 4))])


def encode(out: Path, pictures: bytes, *argv: str) -> Film:
    source = ["-f", "yuv4mpegpipe", "-i", "-", "-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1"]
    ffmpeg(*source, *argv, "-enc_time_base", "-1", str(out), feed=pictures)
    return Film(out, HevcConfig.read(coded.record(out, b"hvcC")), coded.samples(out))


def as_bla(sample: bytes, *, radl: bool = False) -> bytes:
    made = bytearray(sample)
    for at, byte in cra_to_bla(sample, 4, radl=radl).items():
        made[at : at + 1] = byte
    return bytes(made)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Film]:
    folder = tmp_path_factory.mktemp("hevc")
    pictures = coded.raw("322x184", 32)
    return {name: encode(folder / f"{name}.mp4", pictures, *argv) for name, argv in SOURCES.items()}


@pytest.fixture(params=list(SOURCES))
def film(request: pytest.FixtureRequest, films: dict[str, Film]) -> Film:
    return films[request.param]


def _sps(film: Film) -> HevcSps:
    return next(read_hevc_sps(nal) for nal in film.config.sets if hevc_type(nal) == Hevc.SPS)


def test_sps_is_read_as_ffmpeg_does(film: Film) -> None:
    seen = coded.trace(film.path, lambda title: title == "Sequence Parameter Set")[0].fields
    sps = _sps(film)
    assert {
        "sps_video_parameter_set_id": sps.vps_id,
        "sps_seq_parameter_set_id": sps.id,
        "general_profile_space": sps.profile_space,
        "general_tier_flag": sps.high_tier,
        "general_profile_idc": sps.profile_idc,
        "general_level_idc": sps.level_idc,
        "chroma_format_idc": sps.chroma_format_idc,
        "bit_depth_luma_minus8": sps.bit_depth_luma - 8,
        "bit_depth_chroma_minus8": sps.bit_depth_chroma - 8,
    }.items() <= seen.items()
    assert (sps.width, sps.height) == (322, 184)
    flags = coded.trace(film.path, lambda title: title == "Sequence Parameter Set")[0].lists
    assert sps.compatibility == int("".join(map(str, flags["general_profile_compatibility_flag"])), 2)
    # hvcC repeats them
    assert film.config.head[1] == sps.profile_space << 6 | sps.high_tier << 5 | sps.profile_idc
    assert film.config.head[6:12] == sps.constraints.to_bytes(6, "big")


def test_the_rest_of_the_sps_is_where_ffmpeg_finds_it(film: Film) -> None:
    seen = coded.trace(film.path, lambda title: title == "Sequence Parameter Set")[0]
    layout = read_layout(next(nal for nal in film.config.sets if hevc_type(nal) == Hevc.SPS))
    # ffmpeg counts from the header of the NAL unit on
    assert layout.tools.end == seen.places["vui_parameters_present_flag"] - 16
    vui = layout.vui
    assert vui is not None
    assert vui.window.start == seen.places["default_display_window_flag"] - 16
    assert vui.timing.start == seen.places["vui_timing_info_present_flag"] - 16
    assert (vui.field_seq, vui.frame_field_info) == (False, False)
    assert layout.ordering == (
        seen.lists["sps_max_dec_pic_buffering_minus1"][-1],
        seen.lists["sps_max_num_reorder_pics"][-1],
    )


def test_reference_sets_are_passed_over() -> None:
    bits = BitWriter()
    for number in (3, 2, 1):  # three sets; the first: two before, one behind
        bits.ue(number)
    for _ in range(3):
        bits.ue(0)
        bits.u(1, 1)
    # -1, -2, 1 moved by -1: -2, -3, and 0, which is left out; and -1 itself
    bits.u(1, 1)
    bits.u(1, 1)
    bits.ue(0)
    for flag in (1, 1, 1, 1):
        bits.u(1, flag)
    # three are left: four flags, of which one says no twice
    bits.u(1, 1)
    bits.u(1, 0)
    bits.ue(4)
    for flag in (1, 0, 0, 0, 1, 1):
        bits.u(1, flag)
    end = bits.size
    bits.trailing()
    reader = BitReader(bits.data())
    pass_reference_sets(reader)
    assert reader.at == end


def test_samples_are_read_as_ffmpeg_does(film: Film) -> None:
    units = coded.trace(film.path, lambda title: title == "Slice Segment Header")
    firsts = [unit.fields for unit in units if unit.fields["first_slice_segment_in_pic_flag"]]
    facts = [hevc_facts(sample, film.config.length_size) for sample in film.samples]
    assert len(facts) == len(firsts) == 32
    assert sum(fact.segments for fact in facts) == len(units)
    for fact, seen in zip(facts, firsts, strict=True):
        assert fact.nal_type == seen["nal_unit_type"]
        assert fact.temporal_id == seen["nuh_temporal_id_plus1"] - 1
        assert fact.pps_id == seen["slice_pic_parameter_set_id"]
        assert not fact.layered


def test_what_samples_are(films: dict[str, Film]) -> None:
    facts = {name: [hevc_facts(sample, 4) for sample in film.samples] for name, film in films.items()}
    opened = facts["open"]
    assert [fact.idr for fact in opened].index(True) == 0
    assert [fact.irap for fact in opened].count(True) == 3
    assert [fact.cra for fact in opened].count(True) == 2
    assert any(fact.rasl for fact in opened) and not any(fact.radl or fact.bla for fact in opened)
    assert opened[0].reference and not all(fact.reference for fact in opened)
    assert any(fact.radl for fact in facts["radl"]) and not any(fact.rasl for fact in facts["radl"])
    repeated = facts["closed"]
    assert [len(fact.sets) for fact in repeated if fact.irap] == [3] * sum(fact.irap for fact in repeated)
    assert max(fact.segments for fact in repeated) == 3


def test_records_come_back_byte_for_byte(film: Film) -> None:
    body = coded.record(film.path, b"hvcC")
    assert HevcConfig.read(body).write() == body
    assert film.config.length_size == 4
    assert not any(array.complete for array in film.config.incomplete().arrays)
    assert film.config.incomplete().sets == film.config.sets


def test_a_copy_may_begin_at_an_open_gop(films: dict[str, Film], tmp_path: Path) -> None:
    source = films["open"]
    hashes = coded.shown(source.stream(), "hevc")
    facts = [hevc_facts(sample, 4) for sample in source.samples]
    start = [n for n, fact in enumerate(facts) if fact.cra][0]
    pts = [int(p["pts"]) for p in ffprobe(source.path, "-show_entries", "packet=pts")["packets"]]
    first = sorted(pts).index(pts[start])
    # the head shows all up to the CRA picture, its RASL pictures too; the rest is copied
    kept = [sample for sample, fact in zip(source.samples[start:], facts[start:], strict=True)]
    end = next(n for n in range(1, len(kept)) if not facts[start + n].rasl)
    assert end > 1
    plain = ffmpeg("-f", "hevc", "-i", "-", "-fps_mode", "passthrough", "-f", "yuv4mpegpipe", "-", feed=source.stream())
    title, body = plain.split(b"\n", 1)
    size = len(body) // len(hashes)
    pictures = title + b"\n" + body[2 * size : first * size]
    head = encode(tmp_path / "head.mp4", pictures, "-x265-params", "log-level=error:open-gop=0:bframes=4:b-adapt=0")
    pieces = [with_sets_in_band(head.samples[0], head.config.sets, 4), *head.samples[1:]]
    pieces += [with_sets_in_band(as_bla(kept[0]), source.config.sets, 4), *kept[end:]]
    after = hevc_facts(pieces[len(head.samples)], 4)
    assert after.bla and after.sets == source.config.sets and after.nal_type == Hevc.BLA_N_LP
    joined = stream(pieces)
    expected = coded.shown(head.stream(), "hevc") + hashes[first:]
    assert len(expected) == 30
    assert coded.shown(joined, "hevc") == expected
    if coded.has_libde265():
        assert coded.shown_by_libde265(joined, (322, 184), tmp_path) == expected


def test_only_the_type_changes(films: dict[str, Film]) -> None:
    film = films["open"]
    cra = next(sample for sample in film.samples if hevc_facts(sample, 4).cra)
    for kind, radl in ((Hevc.BLA_N_LP, False), (Hevc.BLA_W_RADL, True)):
        changed = split(as_bla(cra, radl=radl), 4)
        assert hevc_facts(join(changed, 4), 4).nal_type == kind
        for old, new in zip(split(cra, 4), changed, strict=True):
            assert old[1:] == new[1:]
            assert old[0] & 0x81 == new[0] & 0x81
    for other in (film.samples[0], film.samples[1], join([b"\x4e\x01abc"], 4)):
        with pytest.raises(BadBitstream):
            cra_to_bla(other, 4)


def test_sets_replace_those_that_stand_there(films: dict[str, Film]) -> None:
    sample = films["closed"].samples[0]
    types = [hevc_type(nal) for nal in split(sample, 4)]
    assert types[:4] == [Hevc.AUD, Hevc.VPS, Hevc.SPS, Hevc.PPS]
    sets = films["open"].config.sets
    changed = split(with_sets_in_band(sample, sets, 4), 4)
    assert changed[0] == split(sample, 4)[0]
    assert tuple(changed[1:4]) == sets
    assert changed[4:] == split(sample, 4)[4:]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_raises_only_bad_bitstream(films: dict[str, Film], data: st.DataObject) -> None:
    film = films[data.draw(st.sampled_from(list(SOURCES)))]
    sample = data.draw(st.sampled_from(film.samples))[:2000]
    sample = (len(sample) - 4).to_bytes(4, "big") + sample[4:]
    parts = [film.config.write(), sample, next(nal for nal in film.config.sets if hevc_type(nal) == Hevc.SPS)]
    for n, part in enumerate(parts):
        broken = bytearray(part)
        for _ in range(data.draw(st.integers(0, 4))):
            broken[data.draw(st.integers(0, min(len(broken), 60) - 1))] = data.draw(st.integers(0, 255))
        parts[n] = bytes(broken[: data.draw(st.integers(0, len(broken))) if data.draw(st.booleans()) else None])
    for act in (
        lambda: HevcConfig.read(parts[0]).write(),
        lambda: hevc_facts(parts[1], 4),
        lambda: cra_to_bla(parts[1], 4),
        lambda: with_sets_in_band(parts[1], film.config.sets, 4),
        lambda: read_layout(parts[2]),
        lambda: HevcSource.read(HevcConfig.read(parts[0])).moved(film.config, [], 0),
        lambda: display_sei([nal for nal in (parts[2], *split(parts[1], 4)) if nal]),
    ):
        try:
            act()
        except (BadBitstream, Misfit) as error:
            assert "\n" not in str(error)
