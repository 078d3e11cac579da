"""Smart cuts of HEVC: open and closed GOPs, RASL and RADL pictures, parameter sets at each seam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests import coded, videos
from tests.films import Film
from tests.media_fixtures import Bounds, Studio, check_clip, preset
from tests.videos import ffmpeg, ffprobe, rewrap
from videod.codec.hevc import Hevc, HevcFacts, hevc_facts, hevc_type
from videod.codec.hevc_layout import read_layout
from videod.codec.hevc_sei import display_sei
from videod.codec.nal import join_stream, split, split_stream, trimmed
from videod.codec.records import HevcConfig
from videod.media.ahead import Ahead
from videod.media.model import Cut
from videod.media.plan import plan
from videod.media.smart import smart_cut

GOP = "log-level=error:keyint=25:min-keyint=25:scenecut=0"
PQ = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:max-cll=900,300"
MASTERING = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
# x265's parameters, and what else ffmpeg is told
CODED: dict[str, tuple[str, ...]] = {
    "closed": (f"{GOP}:open-gop=0:bframes=3:b-pyramid=0",),
    "open": (f"{GOP}:open-gop=1:bframes=4:b-adapt=0",),
    "plain": (f"{GOP}:bframes=0:ref=1",),
    "radl": (f"{GOP}:open-gop=0:radl=2:bframes=3",),
    "hdr": (f"{GOP}:open-gop=1:bframes=4:{PQ}:{MASTERING}", "-pix_fmt", "yuv420p10le"),
    "full": (f"{GOP}:bframes=2:range=full:slices=2:repeat-headers=1:aud=1", "-pix_fmt", "yuvj420p", "-tag:v", "hev1"),
}
COPIES = {"hev1": ("mp4", "-tag:v", "hev1"), "mkv": ("mkv",), "ts": ("ts",)}
KINDS = (*CODED, *COPIES, "vfr", "ntsc")
# where key frames are at each second: between them; at them; a frame before and behind; to an end of the film
CUTS = ((1.44, 3.28), (1.96, 3.96), (2.0, 4.04), (2.04, 4.0), (None, 2.4), (3.52, None), (2.0, 3.0))


def _make(by: Studio, name: str) -> Film:
    folder = by.folder
    if name in COPIES:
        source, (ending, *argv) = film_of(by, "open"), COPIES[name]
        return replace(source, path=rewrap(source.path, folder / f"hevc-{name}.{ending}", *argv))
    rate = "30000/1001" if name == "ntsc" else "25"
    params, *argv = CODED.get(name, CODED["open"])
    picture = ["-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", params, *argv]
    frames = [(n / Fraction(rate), n) for n in range(int(6 * Fraction(rate)))]
    if name == "vfr":
        frames = [(time, n) for time, n in frames if n < 60 or n % 3]
        picture += ["-vf", "select='lt(n,60)+mod(n,3)'", "-fps_mode", "vfr"]
    path = videos.encode(by.master(rate), folder / f"hevc-{name}.mp4", picture=tuple(picture))
    return Film(path, frames, list(range(6)))


def film_of(by: Studio, name: str) -> Film:
    films: dict[str, Film] = by.__dict__.setdefault("hevc", {})
    if name not in films:
        films[name] = _make(by, name)
    return films[name]


def _stream(path: Path) -> list[bytes]:
    return split_stream(ffmpeg("-i", str(path), "-map", "0:v", "-c", "copy", "-f", "hevc", "-"))


def _slices(nals: list[bytes]) -> list[bytes]:
    return [trimmed(nal) for nal in nals if hevc_type(nal) <= Hevc.LAST_SLICE]


def facts_of(path: Path) -> list[HevcFacts]:
    return [hevc_facts(sample, 4) for sample in coded.samples(path)]


def check_file(film: Film, out: Path, made: Cut) -> None:
    """Assert what a file needs beside the right frames: nothing hidden, no complaint, sets at each IRAP picture, and
    the copied slices as they were."""
    stream = ffprobe(out, "-show_streams", "-select_streams", "v")["streams"][0]
    assert stream["codec_tag_string"] == "hvc1"
    packets = ffprobe(out, "-select_streams", "v", "-show_packets")["packets"]
    assert len(packets) == made.frames and not any("D" in packet["flags"] for packet in packets)
    samples = coded.samples(out)
    facts = [hevc_facts(sample, 4) for sample in samples]
    for fact, packet in zip(facts, packets, strict=True):
        assert fact.irap or not packet["flags"].startswith("K")
        kinds = [hevc_type(nal) for nal in fact.sets]
        assert kinds == sorted(kinds)
        assert set(kinds) == {Hevc.VPS, Hevc.SPS, Hevc.PPS} if fact.irap else not kinds
    config = HevcConfig.read(coded.record(out, b"hvcC"))
    assert facts[0].irap and set(config.sets) == set(facts[0].sets)
    assert not any(array.complete for array in config.arrays)
    shown = coded.shown(_joined(out), "hevc")
    assert len(shown) == made.frames
    # who puts the sets of hvcC before each IRAP picture, as ffmpeg does here, changes nothing
    assert coded.shown(ffmpeg("-i", str(out), "-c:v", "copy", "-f", "hevc", "-"), "hevc") == shown
    mine, theirs = [_slices(split(sample, 4)) for sample in samples], _slices(_stream(film.path))
    whole, bodies = set(theirs), {nal[1:] for nal in theirs}
    assert sum(all(nal[1:] in bodies for nal in nals) for nals in mine) >= made.copied
    # of the headers only that of a CRA picture at the seam is another
    changed = [fact for fact, nals in zip(facts, mine, strict=True) if nals[0] not in whole and nals[0][1:] in bodies]
    assert len(changed) <= 1 and all(fact.bla for fact in changed)


def _joined(path: Path) -> bytes:
    config = HevcConfig.read(coded.record(path, b"hvcC"))
    return join_stream([*config.sets, *(nal for sample in coded.samples(path) for nal in split(sample, 4))])


def check_cut(by: Studio, name: str, start: float | None, end: float | None) -> tuple[Path, Cut]:
    film = film_of(by, name)
    sources = by.__dict__.setdefault("hevc_sources", {})
    source = sources[name] = sources.get(name) or by.examine(film.path)
    out, made = by.cut(film.path, start, end, "smart", source=source)
    assert made.cut == "smart", made.why
    check_clip(film, out, made, film.expected(start, end))
    check_file(film, out, made)
    return out, made


# the others with the long cuts below
@pytest.mark.parametrize("name", [*list(CODED)[:4], *list(COPIES)[:2]])
def test_holds_exactly_the_frames_asked_for(studio: Studio, name: str) -> None:
    for start, end in CUTS[:2] if name in {"open", "radl"} else CUTS[:1]:
        check_cut(studio, name, start, end)


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("bounds", CUTS, ids=str)
def test_wherever_it_begins_and_ends(studio: Studio, name: str, bounds: tuple[float | None, float | None]) -> None:
    check_cut(studio, name, *bounds)


def test_a_copy_at_an_open_gop_needs_no_head(studio: Studio) -> None:
    out, made = check_cut(studio, "open", 2.0, 4.0)
    facts = facts_of(out)
    # its RASL pictures are shown before it: they are not there
    assert facts[0].nal_type == Hevc.BLA_N_LP
    second = next(n for n, fact in enumerate(facts) if n and fact.irap)
    assert not any(fact.rasl for fact in facts[:second])
    assert made.copied > 40


def test_radl_pictures_are_copied_where_all_are_wanted(studio: Studio) -> None:
    out, _ = check_cut(studio, "radl", 1.44, 3.28)
    facts = facts_of(out)
    seam = next(n for n, fact in enumerate(facts) if n and fact.irap)
    assert facts[seam].nal_type == Hevc.IDR_W_RADL and facts[seam + 1].radl
    # one of the two is before the start: the other may lean on it
    out, _ = check_cut(studio, "radl", 1.96, 3.6)
    facts = facts_of(out)
    seam = next(n for n, fact in enumerate(facts) if n and fact.irap)
    assert facts[seam].idr and not facts[seam + 1].radl


def _known(told: object) -> object:
    """Without what x265 says of itself."""
    if not isinstance(told, list):
        return told
    return [one for one in told if "Unregistered" not in one["side_data_type"]]


def test_edges_are_of_the_same_format(studio: Studio) -> None:
    film = film_of(studio, "hdr")
    out, made = check_cut(studio, "hdr", 1.44, 3.28)
    firsts = [sample for sample, fact in zip(coded.samples(out), facts_of(out), strict=True) if fact.irap]
    assert made.copied < made.frames and len(firsts) > 2
    sps = [nal for sample in firsts for nal in split(sample, 4) if hevc_type(nal) == Hevc.SPS]
    layouts = [read_layout(nal) for nal in sps]
    assert len(set(sps)) > 1 and len({replace(layout.sps, vps_id=0, id=0) for layout in layouts}) == 1
    assert len({layout.ordering for layout in layouts}) == 1
    shown = ffprobe(out, "-show_frames", "-select_streams", "v", "-read_intervals", "%+#1")["frames"][0]
    before = ffprobe(film.path, "-show_frames", "-select_streams", "v", "-read_intervals", "%+#1")["frames"][0]
    for name in ("pix_fmt", "color_range", "color_space", "color_primaries", "color_transfer", "side_data_list"):
        assert _known(shown.get(name)) == _known(before.get(name)), name
    told = {display_sei(split(sample, 4)) for sample in firsts}
    assert len(told) == 1 and all(told)


def test_mov_holds_it_too(studio: Studio) -> None:
    film = film_of(studio, "closed")
    out, made = studio.cut(film.path, 1.44, 3.28, "smart", using=preset(container="mov"))
    assert made.cut == "smart"
    check_clip(film, out, made, film.expected(1.44, 3.28))


@pytest.mark.skipif(not coded.has_libde265(), reason="no libde265")
@pytest.mark.parametrize("name", ["open", "radl", "plain"])
def test_another_decoder_shows_the_same(studio: Studio, tmp_path: Path, name: str) -> None:
    # one GOP: libde265 1.0.11 loses RASL pictures of a CRA picture before which sets are repeated, in any stream
    out, made = check_cut(studio, name, 1.44, 2.8)
    stream = _joined(out)
    hashes = coded.shown(stream, "hevc")
    assert len(hashes) == made.frames
    assert coded.shown_by_libde265(stream, (videos.WIDTH, videos.HEIGHT), tmp_path) == hashes


UNFIT: dict[str, Callable[[bytes], bytes]] = {
    "a profile with extensions": lambda data: data.replace(b"\x42\x01\x01\x01", b"\x42\x01\x01\x04"),
    "no configuration": lambda data: data.replace(b"hvcC", b"free"),
    "Dolby Vision": lambda data: data.replace(b"fiel", b"dvvC"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_does_not_fit_is_encoded(studio: Studio, tmp_path: Path, name: str) -> None:
    film, path = film_of(studio, "closed"), tmp_path / "odd.mp4"
    path.write_bytes(UNFIT[name](film.path.read_bytes()))
    assert path.read_bytes() != film.path.read_bytes()
    source = studio.examine(film.path)
    wanted = plan(source.media, source.frames, 1.44, 3.28, "smart")
    source = replace(source, media=replace(source.media, path=str(path)))
    made = smart_cut(source, wanted, tmp_path / "out.mp4", preset(), studio.tools(), Bounds(), 0, Ahead())
    assert isinstance(made, str) and made
    assert not (tmp_path / "out.mp4").exists()
