"""The kind look through a real daemon: what a video is, and pictures of it, for the price of these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, final, push
from tests.media_fixtures import Studio
from tests.origin import Origin


def looked(r, ident: str, url: str, **more: Any) -> dict[str, Any]:
    push(r, {"id": ident, "kind": "look", "url": url, "max_attempts": 1, **more})
    return final(r, ident, 60)


def path_of(output: dict[str, Any]) -> Path:
    return Path(output["url"].removeprefix("file://"))


@pytest.mark.parametrize("name", ["mp4", "fragments", "mkv", "ts", "turned", "vfr"])
def test_pictures_of_a_video(daemon: Daemon, r, studio: Studio, origin: Origin, name: str) -> None:
    daemon.start(allow_hosts="* 127.0.0.1")
    film = studio.film(name)
    url = origin.put(f"/{film.path.name}", film.path.read_bytes())
    done = looked(r, "l", url, pictures=3)
    assert done["event"] == "done", done
    about = json.loads(path_of(done["outputs"][0]).read_text())
    assert about["duration"] == pytest.approx(6.0, abs=0.1) and about["video"] == "h264"
    assert (about["width"], about["height"]) == (320, 180) and about["audio"] == ["aac"]
    assert [output["n"] for output in done["outputs"]] == [1, 2, 3, 4]
    for output, time in zip(done["outputs"][1:], (1.0, 3.0, 5.0), strict=True):
        near = [(at, number) for at, number in film.frames if at >= time - 0.1][:8]
        number = videos.numbers(path_of(output))[0]
        assert number in [number for _, number in near]
        assert output["start"] == pytest.approx(float({b: a for a, b in near}[number]), abs=0.002)
    accounted(r, ["l"])


def test_it_costs_little(daemon: Daemon, r, studio: Studio, origin: Origin) -> None:
    daemon.start(allow_hosts="* 127.0.0.1")
    path = videos.encode(
        videos.make_master(studio.new("long.nut"), "25", 24),
        studio.new("long.mp4"),
        "-vf",
        "noise=alls=12:allf=t",
        "-g",
        "25",
    )
    done = looked(r, "l", origin.put("/long.mp4", path.read_bytes()), at=12.5)
    assert [output["n"] for output in done["outputs"]] == [1, 2]
    assert videos.numbers(path_of(done["outputs"][1])) == [313] and done["outputs"][1]["start"] == 12.52
    assert done["fetched_bytes"] < path.stat().st_size / 4


def test_slides_and_what_cannot_be(daemon: Daemon, r, studio: Studio, origin: Origin) -> None:
    daemon.start(allow_hosts="* 127.0.0.1")
    path = studio.new("slides.mp4")
    videos.ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=160x120:r=1/15:d=60", "-c:v", "libx264", "-preset", "ultrafast", str(path)
    )
    url = origin.put("/slides.mp4", path.read_bytes())
    done = looked(r, "slides", url, pictures=4)
    assert [output["start"] for output in done["outputs"][1:]] == [15, 30, 45, 45]
    assert looked(r, "past", url, at=60)["error"]["code"] == "out_of_range"
    assert looked(r, "none", origin.put("/page", b"<!doctype html>"))["error"]["code"] == "not_video"
    assert looked(r, "many", url, pictures=100)["error"]["code"] == "bad_message"
    assert looked(r, "names", url, upload=f"file://{daemon.clips}/x.jpg")["error"]["code"] == "bad_message"
