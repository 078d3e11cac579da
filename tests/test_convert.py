"""Conversions through the real daemon: whatever comes in, what comes out plays in a browser."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, final, push, until
from tests.films import Film
from tests.hardcases import CASES
from tests.media_fixtures import Studio, check_clip
from tests.origin import Origin, Page

# what fits as it is: H.264 that each browser decodes, upright, at most 60 frames a second
FITTING = {"mp4", "faststart", "ts", "mkv", "vfr", "film", "onekey", "fragments", "silent", "two", "slow"}
FITTING |= {"ts_named_mp4", "ugly_title", "ugly_name", "edited"}
QUICK = {"mp4", "turned", "odd", "hdr", "resized", "bits", "html"}


def expected(name: str) -> str:
    """What becomes of the whole of a file: what would become of its worst part."""
    return next(
        (case.exact for case in CASES if case.film == name and case.exact != "done" and not case.served), "done"
    )


def path_of(output: dict[str, Any]) -> Path:
    return Path(unquote(output["url"].removeprefix("file://")))


def convert(r, ident: str, path: Path, **more: Any) -> dict[str, Any]:
    push(r, {"id": ident, "kind": "convert", "url": f"file://{quote(str(path))}", "max_attempts": 1, **more})
    return final(r, ident, 300)


def streams(path: Path, kind: str) -> list[dict[str, Any]]:
    return [s for s in videos.ffprobe(path, "-show_streams")["streams"] if s["codec_type"] == kind]


def packets(path: Path, which: str) -> list[str]:
    found = videos.ffprobe(path, "-select_streams", which, "-show_packets", "-show_data_hash", "md5")
    return [packet["data_hash"] for packet in found["packets"]]


def plays(path: Path) -> None:
    """Asserts that it is what each browser plays."""
    (picture,) = streams(path, "video")
    assert (picture["codec_name"], picture["pix_fmt"]) in {("h264", "yuv420p"), ("h264", "yuvj420p")}
    assert picture["profile"] in {"High", "Main", "Constrained Baseline"} and picture["level"] <= 52
    assert picture["width"] % 2 == picture["height"] % 2 == 0
    assert picture.get("sample_aspect_ratio", "1:1") in {"1:1", "N/A"}
    assert not [side for side in picture.get("side_data_list", []) if side.get("rotation")]
    assert picture.get("field_order", "progressive") in {"progressive", "unknown"}
    assert picture.get("color_transfer") not in {"smpte2084", "arib-std-b67"}
    assert {sound["codec_name"] for sound in streams(path, "audio")} <= {"aac"}
    head = path.read_bytes()
    assert 0 < head.index(b"moov") < head.index(b"mdat")


@pytest.mark.parametrize(
    "films",
    [
        pytest.param(sorted(QUICK), id="quick"),
        pytest.param(sorted({case.film for case in CASES}), id="all", marks=pytest.mark.long),
    ],
)
def test_each_hard_file_plays_or_is_refused(daemon: Daemon, r, studio: Studio, films: list[str]) -> None:
    daemon.start(allow_paths=studio.folder, max_worker=2)
    wrong = []
    for name in films:
        film = studio.film(name)
        event = convert(r, name, film.path)
        seen = event["error"]["code"] if event["event"] == "dead" else "done"
        try:
            assert seen == expected(name), event
            if seen == "done":
                check(event, film, name)
        except AssertionError as error:
            wrong.append(f"{name}: {str(error)[:600]}")
    assert not wrong, "\n".join(wrong)
    accounted(r, films)
    assert "Traceback" not in daemon.log


def check(event: dict[str, Any], film: Film, name: str) -> None:
    (output,) = event["outputs"]
    path = path_of(output)
    plays(path)
    assert output["cut"] == "copy" or name not in FITTING, output
    assert output["cut"] in {"copy", "encode"} and output["bytes"] == path.stat().st_size
    assert len(streams(path, "audio")) == len(streams(film.path, "audio"))
    wanted = film.frames
    span = float(wanted[-1][0] - wanted[0][0])
    if span and (len(wanted) - 1) / span > 61:
        # one frame of four stays
        shown = videos.look(path).numbers
        assert shown == [number for _, number in wanted][::4] and output["frames"] == len(shown)
    else:
        made = type("Made", (), {"start": output["start"], "end": output["end"], "frames": output["frames"]})
        check_clip(film, path, made, wanted)  # type: ignore[arg-type]


def test_what_fits_is_copied_bit_for_bit(daemon: Daemon, r, studio: Studio) -> None:
    daemon.start(allow_paths=studio.folder)
    for name in ("mp4", "mkv"):
        source = studio.film(name).path
        done = convert(r, name, source)
        path = path_of(done["outputs"][0])
        assert done["outputs"][0]["cut"] == "copy" and path.name == f"{name}-1.mp4"
        assert packets(path, "a") == packets(source, "a")
        if name == "mp4":
            assert packets(path, "v") == packets(source, "v")


def test_sound_that_fits_is_copied_beside_a_picture_that_does_not(daemon: Daemon, r, studio: Studio) -> None:
    daemon.start(allow_paths=studio.folder)
    for name in ("turned", "hev1"):
        film = studio.film(name)
        done = convert(r, name, film.path)
        path = path_of(done["outputs"][0])
        assert done["outputs"][0]["cut"] == "encode"
        assert set(packets(path, "a")) <= set(packets(film.path, "a"))
        check(done, film, name)


def test_sound_that_does_not_fit_is_encoded_beside_a_picture_that_does(daemon: Daemon, r, studio: Studio) -> None:
    daemon.start(allow_paths=studio.folder)
    film = studio.film("mp4")
    source = videos.rewrap(film.path, studio.new("mp3.mkv"), "-c:a", "libmp3lame")
    done = convert(r, "mp3", source)
    path = path_of(done["outputs"][0])
    assert done["outputs"][0]["cut"] == "copy"
    assert packets(path, "v") == packets(film.path, "v")
    check(done, Film(source, film.frames, film.beeps), "mp4")


def test_presets(daemon: Daemon, r, studio: Studio) -> None:
    daemon.sections = "[preset small]\nmax_height = 90\n[preset deep]\nvideo = hevc\n"
    daemon.start(allow_paths=studio.folder)
    source = studio.film("mp4").path
    (classic,) = convert(r, "classic", source, preset="classic")["outputs"]
    assert classic["cut"] == "encode" and classic["frames"] == 90 and classic["asked"] == [None, None]
    (small,) = convert(r, "small", source, preset="small")["outputs"]
    assert (small["width"], small["height"]) == (160, 90)
    hevc = studio.film("hev1").path
    (deep,) = convert(r, "deep", hevc, preset="deep")["outputs"]
    assert deep["cut"] == "copy" and streams(path_of(deep), "video")[0]["codec_tag_string"] == "hvc1"
    error = convert(r, "none", source, preset="nosuch")["error"]
    assert error["code"] == "bad_message" and "preset" in error["message"]


def test_poster_sprite_and_ladder(daemon: Daemon, r, studio: Studio) -> None:
    daemon.start(allow_paths=studio.folder)
    source = studio.film("mp4").path
    done = convert(r, "all", source, poster=True, sprite=True, hls=True)
    video, *more = (path_of(output) for output in done["outputs"])
    assert [path.name for path in more] == ["all-1.jpg", "all-1-sprite.jpg", "all-1.vtt", "master.m3u8"]
    assert [output["n"] for output in done["outputs"]] == [1, 2, 3, 4, 5]
    poster, sprite, cues, master = more
    assert size(poster) == (320, 180) and size(sprite) == (1600, 90)
    shown = videos.numbers(sprite, "crop=160:90:320:0")
    assert 45 <= shown[0] <= 55  # the third is of second 2
    times = re.findall(r"(\S+) --> (\S+)\n(\S+)#xywh=(\d+),(\d+),160,90", cues.read_text())
    assert len(times) == 6 and times[2] == ("00:00:02.000", "00:00:03.000", "all-1-sprite.jpg", "320", "0")
    listed = re.findall(r"RESOLUTION=(\S+?),.*\n(\S+)", master.read_text())
    assert listed == [("320x180", "180p.m3u8")]
    made = videos.numbers(master.parent / "180p.mp4")
    assert made == videos.numbers(video) == list(range(150))
    ranges = re.findall(r"BYTERANGE:(\d+)@(\d+)\n180p.mp4", (master.parent / "180p.m3u8").read_text())
    assert sum(int(length) for length, _ in ranges) + int(ranges[0][1]) == (master.parent / "180p.mp4").stat().st_size


@pytest.mark.long
def test_a_ladder_has_rungs_below_its_height(daemon: Daemon, r, studio: Studio) -> None:
    daemon.start(allow_paths=studio.folder)
    source = videos.encode(studio.master(), studio.new("large.mp4"), "-vf", "scale=1280:720", "-t", "5")
    done = convert(r, "ladder", source, preset="hls", upload=f"file:{daemon.folder}/clips/x/{{name}}.{{ext}}")
    master = path_of(done["outputs"][1])
    assert master.parent.name == f"{source.stem}-hls"
    names = sorted(path.name for path in master.parent.iterdir())
    assert names == sorted([f"{h}p.{e}" for h in (720, 480, 360, 240) for e in ("mp4", "m3u8")] + ["master.m3u8"])
    keys = [
        [
            p["pts_time"]
            for p in videos.ffprobe(path, "-show_packets", "-select_streams", "v")["packets"]
            if "K" in p["flags"]
        ]
        for path in master.parent.glob("*.mp4")
    ]
    assert len({tuple(key) for key in keys}) == 1


def test_a_ladder_offers_each_language(daemon: Daemon, r, studio: Studio) -> None:
    daemon.start(allow_paths=studio.folder)
    done = convert(r, "tongues", studio.film("two").path, hls=True)
    master = path_of(done["outputs"][1])
    assert re.findall(r'TYPE=AUDIO.*?LANGUAGE="(\w+)".*?URI="(.+?)"', master.read_text()) == [
        ("eng", "sound-1.m3u8"), ("jpn", "sound-2.m3u8")
    ]  # fmt: skip
    assert {path.name for path in master.parent.glob("*.mp4")} == {"180p.mp4", "sound-1.mp4", "sound-2.mp4"}
    assert len(streams(master.parent / "180p.mp4", "audio")) == 0


@pytest.mark.parametrize("number", [1, 3])
def test_few_frames_that_fit_are_copied(daemon: Daemon, r, studio: Studio, number: int) -> None:
    daemon.start(allow_paths=studio.folder)
    source = videos.encode(studio.master(), studio.new("few.mp4"), "-frames:v", str(number), sound=("-an",))
    (output,) = convert(r, "few", source)["outputs"]
    assert (output["cut"], output["frames"]) == ("copy", number)


def test_sound_that_sets_in_late_hinders_no_copy(daemon: Daemon, r, studio: Studio) -> None:
    daemon.start(allow_paths=studio.folder)
    late = ("-af", "aselect='gt(t,0.37)'")
    source = videos.encode(studio.master(), studio.new("late.mkv"), *late, sound=("-c:a", "libopus"))
    (output,) = convert(r, "late", source)["outputs"]
    assert output["cut"] == "copy"
    assert [round(beep) for beep in videos.look(path_of(output)).beeps[0]] == [1, 2, 3, 4, 5]


def size(path: Path) -> tuple[int, int]:
    (found,) = streams(path, "video")
    return found["width"], found["height"]


def test_wrong_messages(daemon: Daemon, r, studio: Studio) -> None:
    daemon.sections = "[preset deep]\nvideo = hevc\n"
    daemon.start(allow_paths=studio.folder)
    source = studio.film("mp4").path
    for n, (more, word) in enumerate(
        [({"poster": 1}, "poster"), ({"preset": "deep", "hls": True}, "preset"), ({"upload": "x{"}, "upload")]
    ):
        error = convert(r, f"w{n}", source, **more)["error"]
        assert error["code"] == "bad_message" and word in error["message"], error
    # the poster would take the place of the video
    push(
        r,
        {"id": "same", "kind": "convert", "url": str(source), "upload": f"{daemon.folder}/clips/a.jpg", "poster": True},
    )
    assert final(r, "same", 60)["error"]["code"] == "bad_message"


def test_what_an_attempt_has_put_the_next_may_replace(daemon: Daemon, r, studio: Studio, origin: Origin) -> None:
    """Even where overwrite is false: another encode gives other bytes, and what stands there is nobody else's."""
    daemon.start(allow_hosts="* 127.0.0.1", retry_delay=1)
    films = [studio.film(name).path.read_bytes() for name in ("hev1", "turned", "hev1")]
    source = origin.put("/v.mp4", *map(Page, films))
    target = origin.put("/out/v.mp4", Page(status=503))
    message = {"kind": "convert", "url": source, "poster": True, "upload": target, "overwrite": False}
    push(r, {"id": "o", "max_attempts": 3, **message})
    poster, seen = "/out/v.jpg", list[bytes]()

    def in_vain(attempt: int) -> bool:
        puts = [one for one in origin.seen("/out/v.mp4") if one.method == "PUT"]
        return len(puts) == attempt and r.hget("videod:job:o", "state") == "retry"

    for attempt in (1, 2):
        until(partial(in_vain, attempt), 60, "put in vain")
        seen.append(origin.stored[poster])
        origin.put(poster, Page(seen[-1]))
    origin.put("/out/v.mp4", Page(status=201))
    done = final(r, "o", 60)
    assert done["event"] == "done" and len(done["outputs"]) == 2, done
    assert seen[0] != seen[1] != origin.stored[poster]
    mine = origin.stored[poster]
    origin.put(poster, Page(b"somebody's"))
    push(r, {"id": "p", **message})
    assert final(r, "p", 60)["error"]["code"] == "upload_denied" and origin.stored[poster] == mine
    accounted(r, ["o", "p"])


def test_over_http_and_killed_in_the_middle(daemon: Daemon, r, studio: Studio, origin: Origin) -> None:
    daemon.start(allow_hosts="* 127.0.0.1")
    film = studio.film("hev1")
    url = origin.put("/v.mp4", Page(film.path.read_bytes(), rate=200_000))
    push(r, {"id": "k", "kind": "convert", "url": url, "poster": True})
    until(
        lambda: any("source" in path.name for folder in daemon.scratch() for path in folder.iterdir()), 20, "it comes"
    )
    daemon.kill()
    origin.put("/v.mp4", Page(film.path.read_bytes()))
    daemon.start(allow_hosts="* 127.0.0.1")
    done = final(r, "k", 60)
    assert done["event"] == "done" and len(done["outputs"]) == 2
    made = type("Made", (), {"start": 0.0, "end": float(film.frames[-1][0] + Fraction(1, 25)), "frames": 150})
    check_clip(film, path_of(done["outputs"][0]), made, film.frames)  # type: ignore[arg-type]
    accounted(r, ["k"])
