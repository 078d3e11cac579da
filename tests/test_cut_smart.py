"""Smart cuts: the frames asked for and no others, those in the middle copied bit for bit, none hidden in the file."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import BinaryIO

import pytest

from tests import videos
from tests.films import MAKERS, Film
from tests.media_fixtures import Studio, check_clip, preset
from tests.quick import some
from videod.media import smart
from videod.media.model import Cut, Source

# H.264 of 8 bits with usable times: where an IDR picture lies inside, frames are copied
SPLICED = ("mp4", "mkv", "ts", "fragments", "vfr", "edited", "turned", "silent", "film", "two")
# of these the samples in the file are those of the output; others are wrapped anew on the way
SAME_BYTES = ("mp4", "fragments", "vfr", "edited", "turned", "silent", "film", "two")


def random_cut(by: Studio, film: Film, source: Source, dice: random.Random) -> tuple[Path, Cut]:
    length = float(film.frames[-1][0])
    start = round(dice.uniform(0, length * 0.5), 3)
    end = round(min(length, start + dice.uniform(1.2, 3.5)), 3)
    out, made = by.cut(film.path, start, end, "smart", source=source)
    assert made.cut == "smart" or made.why, (start, end)
    check_clip(film, out, made, film.expected(start, end))
    return out, made


@pytest.mark.parametrize(
    "name", some(sorted(MAKERS), "mp4", "mkv", "ts", "fragments", "vfr", "edited", "opengop", "film", "two")
)
def test_holds_exactly_the_frames_asked_for(studio: Studio, name: str) -> None:
    film = studio.film(name)
    source, dice = studio.examine(film.path), random.Random(name)
    hows = {random_cut(studio, film, source, dice)[1].cut}
    assert hows == {"smart"} if name in SPLICED else hows <= {"smart", "encode"}


@pytest.mark.long
@pytest.mark.parametrize("name", [*SPLICED, "opengop", "opengop_hevc", "midgop", "hdr"])
def test_of_many_requests_each_is_exact(studio: Studio, name: str) -> None:
    film = studio.film(name)
    source, dice = studio.examine(film.path), random.Random(f"many {name}")
    for _ in range(20):
        random_cut(studio, film, source, dice)


def packets(path: Path) -> list[str]:
    """A digest of each packet of the picture."""
    found = videos.ffprobe(path, "-select_streams", "v", "-show_packets", "-show_data_hash", "md5")
    return [packet["data_hash"] for packet in found["packets"]]


@pytest.mark.parametrize("name", some(SAME_BYTES, "mp4", "edited", "vfr"))
def test_copied_samples_are_those_of_the_source(studio: Studio, name: str) -> None:
    film = studio.film(name)
    out, made = random_cut(studio, film, studio.examine(film.path), random.Random(f"bytes {name}"))
    mine, theirs = packets(out), set(packets(film.path))
    assert len(mine) == made.frames
    assert sum(packet in theirs for packet in mine) >= made.copied > 0


@pytest.mark.parametrize("name", some(SPLICED, "mp4", "ts", "edited", "film"))
def test_nothing_is_hidden_in_the_file(studio: Studio, name: str) -> None:
    film = studio.film(name)
    out, made = random_cut(studio, film, studio.examine(film.path), random.Random(f"hidden {name}"))
    found = videos.ffprobe(out, "-select_streams", "v", "-show_packets")["packets"]
    assert len(found) == made.frames and not any("D" in packet["flags"] for packet in found)
    plain = videos.ffmpeg("-ignore_editlist", "1", "-i", str(out), "-map", "0:v", "-fps_mode", "passthrough",
                          "-f", "framemd5", "-").decode()  # fmt: skip
    assert len([line for line in plain.splitlines() if line[:1] == "0"]) == made.frames
    # one set of parameters for all of it: a second one breaks most decoders
    headers = videos.ffprobe(out, "-show_streams", "-select_streams", "v")["streams"]
    assert len(headers) == 1 and out.read_bytes().count(b"avcC") == 1


def test_each_container_says_smart_or_why_not(studio: Studio) -> None:
    film = studio.film("mp4")
    for container, how in (("mp4", "smart"), ("mov", "smart"), ("mkv", "encode"), ("ts", "encode")):
        using = preset(container=container)
        out, made = studio.cut(film.path, 1.5, 4.3, "smart", using=using)
        assert made.cut == how and bool(made.why) == (how == "encode")
        check_clip(film, out, made, film.expected(1.5, 4.3))


def test_a_sample_that_was_written_wrong_is_noticed(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    film = studio.film("mp4")
    written = smart.write

    def spoiled(out: BinaryIO, *what: object, **more: object) -> None:  # as a disk that loses a block does
        written(out, *what, **more)
        out.flush()
        found = videos.ffprobe(Path(out.name), "-select_streams", "v", "-show_packets")["packets"][60]
        os.pwrite(out.fileno(), b"\0" * 8, int(found["pos"]) + 20)

    monkeypatch.setattr(smart, "write", spoiled)
    out, made = studio.cut(film.path, 0.3, 4.7, "smart")
    assert made.cut == "encode" and made.why.startswith("sample ") and "not written as it is" in made.why
    check_clip(film, out, made, film.expected(0.3, 4.7))
