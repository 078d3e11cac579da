"""Clips of remote MP4s: only the parts that they need are fetched, and the frames are those asked for."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, final, push
from tests.origin import Origin, Page
from tests.quick import some
from videod.transfer.parts import PROBE, SMALL

RATE = "25"
SECONDS = 40.0
# large pictures of little: a source has to be worth the trouble
DETAIL = ("-vf", "scale=640:360:flags=neighbor,noise=alls=12:allf=t")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("parts")
    master = videos.make_master(folder / "master.mkv", rate=RATE, seconds=SECONDS)
    picture = (*videos.X264, "-preset", "ultrafast", "-crf", "30", "-g", "50")
    end = videos.encode(master, folder / "end.mp4", *DETAIL, picture=picture)
    opened = (*picture, "-x264-params", "open-gop=1:bframes=3:keyint=50")
    dash = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx")
    plain = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof")
    uneven = ("-vf", f"select='not(mod(n,3)*gt(n,200))',{DETAIL[1]}", "-fps_mode", "passthrough")
    return {
        "end": end,
        "front": videos.rewrap(end, folder / "front.mp4", "-movflags", "+faststart"),
        "mov": videos.rewrap(end, folder / "end.mov"),
        "sidx": videos.rewrap(end, folder / "sidx.mp4", *dash),
        "moofs": videos.rewrap(end, folder / "moofs.mp4", *plain),
        "opengop": videos.encode(master, folder / "open.mp4", *DETAIL, picture=opened),
        "vfr": videos.encode(master, folder / "vfr.mp4", *uneven, picture=picture),
        "late": videos.rewrap(end, folder / "late.mp4", "-ss", "3.3"),
    }


@pytest.fixture
def serving(daemon: Daemon) -> Daemon:
    daemon.start(allow_hosts="* 127.0.0.1")
    return daemon


KINDS = ("end", "front", "mov", "sidx", "moofs", "opengop", "vfr", "late")


@pytest.mark.parametrize("kind", some(KINDS, "end"))
def test_parts_hold_the_frames_asked_for(serving: Daemon, r, origin: Origin, sources, kind: str) -> None:
    source = sources[kind]
    size = source.stat().st_size
    assert size > 2 * SMALL
    seen = videos.look(source)
    times = [Fraction(round(time * 10**6), 10**6) for time, _, _ in seen.pictures]
    dice = random.Random(kind)
    length = float(times[-1])
    spans: list[tuple[float, float | None]] = [(0.0, 1.3), (round(length - 1.013, 3), None)]
    for _ in range(4):
        start = round(dice.uniform(0, length - 3), 3)
        spans.append((start, round(start + dice.uniform(0.5, 3), 3)))
    url = origin.put(f"/{kind}.mp4", Page(source.read_bytes()))
    for n, (start, end) in enumerate(spans):
        cut = "keyframe" if n == 5 else "exact"
        ident = f"{kind}{n}"
        push(r, {"id": ident, "url": url, "start": start, "cut": cut, **({"end": end} if end else {})})
        done = final(r, ident, 120)
        assert done["event"] == "done", (done, serving.log)
        (output,) = done["outputs"]
        assert done["fetched_bytes"] < size / 2, (ident, done["fetched_bytes"], size, serving.log)
        made = videos.look(Path(output["url"].removeprefix("file://")))
        low, high = Fraction(str(start)), Fraction(str(end)) if end else times[-1] + 1
        wanted = [i for i, time in enumerate(times) if low <= time < high]
        if cut == "exact":
            assert made.numbers == [seen.numbers[i] for i in wanted], (start, end)
            assert output["start"] == pytest.approx(float(times[wanted[0]]), abs=2e-6)
            assert output["frames"] == len(wanted)
        else:
            first = made.numbers[0]
            assert first <= seen.numbers[wanted[0]]
            assert output["start"] == pytest.approx(float(times[seen.numbers.index(first)]), abs=2e-6)
        if len(made.numbers) > 25:
            assert made.worst_sync() <= 0.025
    accounted(r, [f"{kind}{n}" for n in range(len(spans))])


def test_clips_of_one_message_share_what_is_fetched(serving: Daemon, r, origin: Origin, sources) -> None:
    source = sources["end"]
    url = origin.put("/v.mp4", Page(source.read_bytes()))
    push(r, {"id": "one", "url": url, "start": 10, "end": 12})
    one = final(r, "one", 60)["fetched_bytes"]
    push(r, {"id": "two", "url": url, "clips": [{"start": 10, "end": 12}, {"start": 10.5, "end": 11.5}]})
    done = final(r, "two", 60)
    assert len(done["outputs"]) == 2
    assert done["fetched_bytes"] <= one * 1.01
    accounted(r, ["one", "two"])


@pytest.mark.parametrize("kind", some(KINDS, "end", "opengop"))
def test_clips_that_share_frames_share_a_file(serving: Daemon, r, origin: Origin, sources, kind: str) -> None:
    """In any order, cut in any way: each is what it would be alone."""
    source = sources[kind]
    seen = videos.look(source)
    times = [Fraction(round(time * 10**6), 10**6) for time, _, _ in seen.pictures]
    url = origin.put(f"/{kind}.mp4", Page(source.read_bytes()))
    parts: list[dict[str, Any]] = [
        {"start": 20.52, "end": 23.04},
        {"start": 12.3, "end": 14.1, "cut": "encode"},
        {"start": 14.1, "end": 18.02},
        {"start": 18.02, "end": 20.52},
        {"start": 14.7, "end": 16.9, "cut": "keyframe"},
        {"start": 31.1, "end": 34.3},
        {"start": 15.5, "end": 17.1, "cut": "encode"},
    ]
    push(r, {"id": "all", "url": url, "clips": parts})
    done = final(r, "all", 120)
    assert done["event"] == "done", (done, serving.log)
    for part, output in zip(parts, done["outputs"], strict=True):
        low, high = Fraction(str(part["start"])), Fraction(str(part["end"]))
        wanted = [i for i, time in enumerate(times) if low <= time < high]
        made = videos.look(Path(output["url"].removeprefix("file://")))
        numbers = [seen.numbers[i] for i in wanted]
        if part.get("cut") == "keyframe":
            assert made.numbers[0] <= numbers[0] and made.numbers[-1] >= numbers[-1]
            first = seen.numbers.index(made.numbers[0])
        else:
            assert made.numbers == numbers, part
            first = wanted[0]
        # these have no clean start in some parts
        exact = {"smart", "encode"} if kind in {"opengop", "vfr"} else {"smart"}
        assert output["cut"] in ({part["cut"]} if "cut" in part else exact), part
        assert output["start"] == pytest.approx(float(times[first]), abs=2e-6)
        if kind != "vfr":  # which leaves out some of the flashes
            assert made.worst_sync() <= 0.025
    assert done["fetched_bytes"] < source.stat().st_size * 0.75
    # six that hang together and one that does not
    assert serving.log.count("frames in") == 2
    accounted(r, ["all"])


def test_messages_on_one_source_share_the_cache(daemon: Daemon, r, origin: Origin, sources) -> None:
    daemon.start(allow_hosts="* 127.0.0.1", cache_bytes="64M")
    url = origin.put("/v.mp4", Page(sources["end"].read_bytes()))
    push(r, {"id": "one", "url": url, "start": 10.3, "end": 12})
    alone = final(r, "one", 60)["fetched_bytes"]
    for ident in ("two", "three"):
        push(r, {"id": ident, "url": url, "start": 10.3, "end": 12})
    others = [final(r, ident, 60) for ident in ("two", "three")]
    assert [done["outputs"][0]["frames"] for done in others] == [42, 42]
    # each asks whether it is still the same video, and gets its first bytes
    assert [done["fetched_bytes"] for done in others] == [PROBE, PROBE] and alone > 4 * PROBE
    assert origin.sent == alone + 2 * PROBE
    assert daemon.stop() == 0
    assert not daemon.scratch()
    accounted(r, ["one", "two", "three"])


def test_a_source_that_is_needed_whole_is_kept_whole(daemon: Daemon, r, origin: Origin, sources) -> None:
    daemon.start(allow_hosts="* 127.0.0.1", cache_bytes="64M")
    body = sources["end"].read_bytes()
    url = origin.put("/v.mp4", Page(body))
    asked = [{"start": 0.2}, {"start": 1, "end": 39}, {"cut": "encode", "start": 3, "end": 4}, {}]
    fetched = []
    for n, more in enumerate(asked):
        push(r, {"id": f"w{n}", "url": url, **more})
        fetched.append(final(r, f"w{n}", 120)["fetched_bytes"])
    assert fetched == [len(body), PROBE, PROBE, PROBE]
    assert r.hget("videod:job:w3", "state") == "done"
    accounted(r, [f"w{n}" for n in range(len(asked))])


def test_a_start_behind_the_end_costs_the_index_alone(serving: Daemon, r, origin: Origin, sources) -> None:
    source = sources["end"]
    url = origin.put("/v.mp4", Page(source.read_bytes()))
    push(r, {"id": "late", "url": url, "start": 90, "end": 95})
    dead = final(r, "late", 60)
    assert (dead["event"], dead["error"]["code"], dead["error"]["stage"]) == ("dead", "out_of_range", "cut")
    accounted(r, ["late"])


def test_a_server_without_ranges_gives_the_whole(serving: Daemon, r, origin: Origin, sources) -> None:
    source = sources["front"]
    url = origin.put("/v.mp4", Page(source.read_bytes(), ranges=False))
    push(r, {"id": "whole", "url": url, "start": 10, "end": 12})
    done = final(r, "whole", 60)
    assert done["event"] == "done"
    assert "the source is fetched whole" in serving.log
    assert done["outputs"][0]["frames"] == 50
    accounted(r, ["whole"])
