"""Command lines: pure, local files only, nothing that a file or a name holds becomes an option."""

from __future__ import annotations

from array import array
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.media_fixtures import preset
from videod.media import argv, filters, pick
from videod.media.model import Audio, Frames, Media, Other, Plan, Source, Video
from videod.media.plan import plan

VIDEO = Video(0, "h264", 320, 180, Fraction(1, 12800), pix_fmt="yuv420p", rate=Fraction(25), field_order="progressive")
AUDIO = Audio(1, "aac", 48000, 2, Fraction(1, 48000), "deu", "Ton", True)
MEDIA = Media("/x/-i a.mp4", ("mov", "mp4"), 1, VIDEO, (AUDIO,), (Other(2, "subtitle", "ass"),), title="-y\n$(id)")
PTS = array("q", range(0, 512 * 250, 512))
FRAMES = Frames(Fraction(1, 12800), PTS, bytes(int(n % 50 == 0) for n in range(250)), PTS, PTS, 512)
SOURCE = Source(MEDIA, FRAMES)


def planned(start: float | None = 4.2, end: float | None = 6.0, cut: str = "exact", source: Source = SOURCE) -> Plan:
    return plan(source.media, source.frames, start, end, cut)


def encoded(source: Source = SOURCE, **changes: object) -> list[str]:
    return argv.encode(source, planned(source=source), preset(**changes), Path("/out/o.mp4"))


def after(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def test_reads_local_files_of_known_formats_only() -> None:
    made = [encoded(), argv.decode("/x"), argv.listing(SOURCE, planned(cut="keyframe"), "mp4")]
    for command in made:
        at = command.index("-i")
        assert command[at + 1].startswith("file:/")
        assert after(command[:at], "-protocol_whitelist") == "file"
        assert set(after(command[:at], "-format_whitelist").split(",")).isdisjoint(
            {"hls", "concat", "dash", "image2", "sdp"}
        )
        assert "-nostdin" in command


def test_frames_are_chosen_by_their_integer_times() -> None:
    chain = after(encoded(), "-filter:v:0")
    assert chain.startswith("trim=start_pts=53760:end_pts=76289,setpts=PTS-53760")
    command = encoded()
    assert after(command, "-enc_time_base:v:0") == "1/12800"
    assert after(command, "-video_track_timescale") == "12800"
    # the key frame at 4 s is too near: sound is read from some time before the first frame
    assert after(command, "-ss") == "2000000us"
    assert "-ss" not in argv.encode(SOURCE, planned(), preset(), Path("/o"), seek=False)
    assert after(command, "-filter:a:0").startswith("atrim=start=4200000us:end=6000000us,asetpts=PTS-(21/5)/TB")


def test_options_that_newer_ffmpeg_lacks_are_not_used() -> None:
    for command in (encoded(), argv.decode("/x")):
        assert not {"-vsync", "-async", "-deinterlace", "-map_channel"} & set(command)


def test_what_is_told_and_what_not() -> None:
    command = encoded()
    assert after(command, "-map_metadata") == after(command, "-map_chapters") == "-1"
    assert after(command, "-metadata") == "title=-y\n$(id)"
    assert "language=deu" in command
    assert after(command, "-disposition:a:0") == "default"
    assert argv.dropped(MEDIA, "mp4", copied=True) == ("left out: subtitle (ass)",)
    assert argv.dropped(MEDIA, "mkv", copied=True) == ()
    assert argv.dropped(MEDIA, "mkv", copied=False) == ("left out: subtitle (ass)",)


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, (320, 180)),
        ({"max_height": 90}, (160, 90)),
        ({"max_height": 720}, (320, 180)),
        ({"square": True}, (320, 180)),
    ],
)
def test_target_size(changes: dict[str, object], size: tuple[int, int]) -> None:
    assert filters.target(VIDEO, preset(**changes)) == size


@given(st.integers(2, 5000), st.integers(2, 5000), st.fractions(Fraction(1, 4), 4), st.sampled_from([0, 90, -90, 180]))
def test_any_size_becomes_even_and_keeps_its_shape(width: int, height: int, sar: Fraction, turn: int) -> None:
    video = replace(VIDEO, width=width, height=height, sar=sar, rotation=turn)
    for using in (preset(), preset("html5")):
        wide, high = filters.target(video, using)
        assert wide % 2 == high % 2 == 0
        assert min(wide, high) >= 2
        assert not using.max_height or high <= using.max_height
        upright = filters.upright(video)
        if not filters.scaled(video, using):
            assert (wide, high) == (upright[0] // 2 * 2, upright[1] // 2 * 2)


def test_filters_only_where_there_is_work() -> None:
    def chain(**changes: object) -> str:
        source = replace(SOURCE, media=replace(MEDIA, video=replace(VIDEO, **changes)))
        return after(encoded(source), "-filter:v:0")

    assert chain() == "trim=start_pts=53760:end_pts=76289,setpts=PTS-53760,format=yuv420p"
    assert "bwdif" in chain(field_order="tt")
    assert "crop=" in chain(width=321)
    assert "tonemap" in chain(color_transfer="smpte2084")
    assert "out_range=full" in chain(color_range="pc")
    # ffmpeg turns it by itself
    assert "transpose" not in chain(rotation=90)
    nut = replace(SOURCE, media=replace(MEDIA, formats=("nut",), video=replace(VIDEO, rotation=-90)))
    assert "transpose=clock" in after(encoded(nut), "-filter:v:0")


def test_colours_are_told_to_the_encoder() -> None:
    video = replace(
        VIDEO, color_range="tv", color_space="smpte170m", color_transfer="bt709", color_primaries="smpte170m"
    )
    assert filters.colour_tags(video, preset())["colorspace"] == "smpte170m"
    hdr = replace(video, color_transfer="smpte2084", color_primaries="bt2020", color_space="bt2020nc")
    assert set(filters.colour_tags(hdr, preset()).values()) == {"tv", "bt709"}
    assert filters.colour_tags(hdr, preset(sdr=False))["color_trc"] == "smpte2084"


@example(101, 100, Fraction(1, 90000))
@given(
    st.integers(1, 240),
    st.integers(1, 120),
    st.sampled_from([Fraction(1, 90000), Fraction(1, 1000), Fraction(1, 12800)]),
)
def test_max_fps_leaves_at_most_that_many(rate: int, most: int, base: Fraction) -> None:
    pts = array("q", [round(Fraction(n, rate) / base) for n in range(rate * 2)])
    if len(set(pts)) < len(pts):
        return
    frames = Frames(base, pts, b"\1" + bytes(len(pts) - 1), pts, pts, 1)
    wanted = plan(MEDIA, frames, None, None)
    kept = filters.kept(wanted, preset(max_fps=float(most)))
    assert kept[0] == pts[0]
    assert set(kept) <= set(pts)
    mean = (len(pts) - 1) / ((pts[-1] - pts[0]) * base)
    if mean <= most * Fraction(101, 100):  # stamps are rounded
        assert len(kept) == len(pts)
    else:
        assert most * 2 * 0.45 <= len(kept) <= most * 2 + 1


def test_a_pick_finds_each_frame_once() -> None:
    listing = pick.Listing()
    for line in ("#tb 0: 1/12800", "#tb 1: 1/48000"):
        listing.add(line)
    stored = [3, 0, 2, 1, 4, 8, 6, 5, 7]
    for dts, n in enumerate(stored):
        listing.add(f"0, {dts}, {(n + 100) * 512}, 512, 99, 0xabc")
        listing.add(f"1, {dts}, {192000 + dts * 1024}, 1024, 99, 0xabc")
    wanted = planned(4.16, 4.28)
    found = pick.picture(listing, wanted)
    assert found == pick.Pick(4, 7, (5,))
    assert found.drop == "lt(n,4)+gt(n,7)+eq(n,5)"
    assert pick.picture(listing, planned(4.0, 8.0)) is None
    heard = pick.sound(listing, 1, (Fraction(4), Fraction(4) + Fraction(1500, 48000)))
    assert heard is not None
    assert (heard[0].low, heard[0].high) == (0, 1)
    assert pick.sound(listing, 1, (Fraction(9), None)) is None


def test_silence_takes_no_rate_that_nobody_can_encode() -> None:
    for rate, used in ((44_100, 44_100), (4_000_000_000, 48_000), (1, 48_000)):
        assert f"sample_rate={used}," in filters.silence(replace(AUDIO, sample_rate=rate), Fraction(2))
