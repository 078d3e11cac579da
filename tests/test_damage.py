"""A truncated or damaged source never ends as success; damage beside the wanted part is no error."""

from __future__ import annotations

from array import array
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from tests.media_fixtures import Bounds, Studio, check_clip, preset
from tests.transfer_fixtures import small
from tests.videos import X264, encode, ffprobe, numbers, rewrap
from videod.errors import Damaged, DiskFull, Failure, ToolCrashed
from videod.media.cut import cut
from videod.media.damage import damage
from videod.media.plan import plan
from videod.media.verify import flaw


def _without(studio: Studio, source: Path, packet: int) -> Path:
    out = studio.new(f"lost{packet}.ts")
    return rewrap(source, out, "-bsf:v", f"noise=drop='eq(n,{packet})'", "-f", "mpegts")


def _faststart(studio: Studio) -> Path:
    out = studio.folder / "faststart.mp4"
    return out if out.exists() else rewrap(studio.film("mp4").path, out, "-movflags", "+faststart")


def _cut_short(source: Path, out: Path, part: float) -> Path:
    data = source.read_bytes()
    out.write_bytes(data[: int(len(data) * part)])
    return out


@pytest.mark.parametrize("name", ["mp4", "fragments", "mkv", "flv", "avi"])
def test_a_cut_off_file_is_good_up_to_there(studio: Studio, name: str) -> None:
    film = studio.film(name)
    whole = _faststart(studio) if name == "mp4" else film.path
    short = _cut_short(whole, studio.new(f"short{whole.suffix}"), 0.6)
    out, made = studio.cut(short, 0.5, 2.0)
    check_clip(film, out, made, film.expected(0.5, 2.0))
    for start, end in ((0.5, 5.5), (5.0, 5.5), (1.0, None), (None, None)):
        with pytest.raises(Damaged):
            studio.cut(short, start, end)
    with pytest.raises(Damaged):
        studio.cut(short, None, None, "copy")


def test_an_index_that_never_came_is_damage(studio: Studio) -> None:
    with pytest.raises(Damaged, match="cannot be read"):
        studio.examine(_cut_short(studio.film("mp4").path, studio.new("noindex.mp4"), 0.6))


@pytest.mark.parametrize("how", ["exact", "keyframe"])
def test_a_hole_of_zeros_is_damage_inside_and_none_beside(studio: Studio, how: str) -> None:
    data = bytearray(_faststart(studio).read_bytes())
    low, high = int(len(data) * 0.5), int(len(data) * 0.6)
    data[low:high] = bytes(high - low)
    path = studio.new("hole.mp4")
    path.write_bytes(data)
    film = studio.film("mp4")
    for start, end in ((0.1, 0.8), (5.1, 5.9)):
        out, made = studio.cut(path, start, end, how)
        check_clip(film, out, made, film.expected(max(0, made.start - 0.002), made.end - 0.002))
    for start, end in ((1.0, 5.5), (2.9, 3.4)):
        with pytest.raises(Damaged) as raised:
            studio.cut(path, start, end, how)
        assert raised.value.detail


@pytest.mark.parametrize("how", ["exact", "keyframe"])
def test_frames_lost_at_the_end_of_the_part_are_damage(studio: Studio, how: str) -> None:
    """The file says that it is broken, and nothing wanted comes behind the place that would show the gap."""
    film = studio.film("mkv")
    data = bytearray(film.path.read_bytes())
    low, high = int(len(data) * 0.5), int(len(data) * 0.6)
    data[low:high] = b"\xff" * (high - low)
    path = studio.new("gap.mkv")
    path.write_bytes(data)
    source = studio.examine(path)
    assert source.frames.doubts
    times = [float(source.frames.seconds(pts)) for pts in source.frames.pts]
    gap, behind = max(pairwise(times), key=lambda pair: pair[1] - pair[0])
    for start, end in ((gap - 1, (gap + behind) / 2), ((gap + behind) / 2, behind + 1)):
        with pytest.raises(Damaged):
            studio.cut(path, start, end, how)
    assert studio.cut(path, 0.1, gap - 0.5, how)[1].frames


@pytest.mark.parametrize("how", ["exact", "keyframe"])
def test_bit_errors_are_damage(studio: Studio, how: str) -> None:
    path = studio.new("bits.ts")
    rewrap(studio.film("ts").path, path, "-bsf:v", "noise=amount=1000", "-f", "mpegts")
    with pytest.raises(Damaged):
        studio.cut(path, 1.0, 3.0, how)


@pytest.mark.long
def test_each_lost_picture_that_others_lean_on_is_found(studio: Studio) -> None:
    source = studio.folder / "pyramid.mp4"
    more = ("-b-pyramid", "normal", "-x264-params", "b-adapt=0:scenecut=0")
    encode(studio.master(), source, picture=(*X264, *more))
    packets = ffprobe(source, "-select_streams", "v", "-show_entries", "packet=pts")["packets"]
    order = [round(float(p["pts"]) / 512) for p in packets]
    found = 0
    for packet in range(60, 65):
        path = _without(studio, source, packet)
        shown = numbers(path)
        # what was not lost is shown as it was, or another picture in its place
        harmed = [n for n in range(50, 75) if n != order[packet] and n not in shown]
        try:
            studio.cut(path, 2.0, 3.2)
            caught = False
        except Damaged:
            caught = True
        assert caught or not harmed, (packet, harmed)
        found += caught
    assert found >= 2
    _, made = studio.cut(path, 4.1, 4.9)
    assert made.frames == 20


def test_a_lost_picture_that_nothing_leans_on_is_said(studio: Studio) -> None:
    source = encode(studio.master(), studio.folder / "flat.mp4", "-b-pyramid", "none")
    packets = ffprobe(source, "-select_streams", "v", "-show_entries", "packet=pts,dts")["packets"]
    # a B picture is shown as soon as it is decoded
    lost = next(n for n, p in enumerate(packets) if n > 55 and int(p["pts"]) == int(p["dts"]))
    out, made = studio.cut(_without(studio, source, lost), 1.0, 4.0)
    assert made.frames == 74
    assert any("no picture for a while" in text for text in made.warnings)


def test_an_open_gop_entered_in_the_middle_is_no_damage(studio: Studio) -> None:
    film = studio.film("opengop")
    for how in ("exact", "keyframe"):
        for start in (1.1, 4.3):
            out, made = studio.cut(film.path, start, start + 1.3, how)
            check_clip(film, out, made, film.expected(max(0, made.start - 0.002), made.end - 0.002))


def test_a_picture_decoded_from_nothing_never_comes_out(studio: Studio) -> None:
    film = studio.film("mp4")
    path = rewrap(film.path, studio.new("nokey.mp4"), "-bsf:v", "noise=drop='eq(n,0)'")
    for how in ("exact", "copy"):
        out, made = studio.cut(path, None, None, how)
        assert numbers(out) == list(range(25, 150))
        assert made.frames == 125


def test_nothing_broken_leaves_an_output_behind_as_success(studio: Studio) -> None:
    """Whatever byte ranges are overwritten: the frames are right, or the cut fails."""
    data = _faststart(studio).read_bytes()
    film = studio.film("mp4")
    for part in (0.2, 0.35, 0.55, 0.75):
        broken = bytearray(data)
        at = int(len(data) * part)
        broken[at : at + 400] = bytes(255 - byte for byte in broken[at : at + 400])
        path = studio.new("broken.mp4")
        path.write_bytes(broken)
        try:
            out, made = studio.cut(path, None, None)
        except Failure as failure:
            assert failure.code == "damaged"
        else:
            check_clip(film, out, made, film.frames)
    assert not list((studio.folder / "scratch").glob("excerpt*"))


def test_a_prober_that_was_killed_says_nothing_of_the_output(studio: Studio, monkeypatch, tmp_path: Path) -> None:
    film = studio.film("mp4")
    fake = tmp_path / "ffprobe"
    fake.write_text("#!/bin/sh\nkill -9 $$\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ToolCrashed):
        flaw(film.path, array("q"), Fraction(1, 25), [], None, studio.tools(), Bounds())


def test_a_full_disk_is_no_damage(studio: Studio, tmp_path: Path) -> None:
    """ffmpeg exits 0 when an excerpt did not fit, and the decoder then says that the excerpt is broken."""
    with small(tmp_path, "64k"):
        with suppress(OSError), (tmp_path / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        source = studio.examine(studio.film("mp4").path)
        wanted = plan(source.media, source.frames, 1.0, 2.0, "exact")
        tools = replace(studio.tools(), scratch=tmp_path)
        with pytest.raises(DiskFull):
            damage(source, wanted, preset(), tools)
        with pytest.raises(DiskFull):
            cut(source, wanted, tmp_path / "out.mp4", preset(), tools, Bounds())
