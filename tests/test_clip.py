"""The main job, end to end: pushed to a real daemon, fetched over HTTP, cut, uploaded, told."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, events, final, push, until
from tests.origin import Origin, Page
from tests.quick import some

RATE = 25


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One barcoded video of 8 s in several containers, and one of uneven rate."""
    folder = tmp_path_factory.mktemp("sources")
    master = videos.make_master(folder / "master.mkv", rate="25", seconds=8.0)
    mp4 = videos.encode(master, folder / "plain.mp4")
    uneven = ("-vf", "select='not(mod(n,1+floor(n/60)))'", "-fps_mode", "vfr")
    return {
        "mp4": mp4,
        "mkv": videos.rewrap(mp4, folder / "plain.mkv"),
        "ts": videos.rewrap(mp4, folder / "plain.ts"),
        "fragmented": videos.rewrap(
            mp4, folder / "frag.mp4", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"
        ),
        "vfr": videos.encode(master, folder / "vfr.mp4", *uneven),
    }


@pytest.fixture
def serving(daemon: Daemon) -> Daemon:
    daemon.start(allow_hosts="* 127.0.0.1")
    return daemon


def path_of(output: dict) -> Path:
    return Path(output["url"].removeprefix("file://"))


@pytest.mark.parametrize("kind", some(("mp4", "mkv", "ts", "fragmented", "vfr"), "ts", "vfr"))
def test_the_frames_asked_for_and_no_others(serving: Daemon, r, origin: Origin, sources, kind: str) -> None:
    source = sources[kind]
    have, times = videos.numbers(source), sorted(videos.frame_times(source))
    times = [round(time - times[0], 6) for time in times]
    url = origin.put(f"/{kind}.bin", source.read_bytes())
    spans = [(0.0, 1.0), (1.23, 3.21), (times[40], times[60]), (6.9, None), (3.999, 4.041)]
    clips = [{"start": a, **({"end": b} if b else {})} for a, b in spans]
    push(r, {"id": "c", "url": url, "clips": clips})
    done = final(r, "c", 120)
    assert done["event"] == "done", done
    assert done["fetched_bytes"] == source.stat().st_size
    assert [o["n"] for o in done["outputs"]] == [1, 2, 3, 4, 5]
    for (start, end), output in zip(spans, done["outputs"], strict=True):
        wanted = [i for i, time in enumerate(times) if start <= time and (end is None or time < end)]
        made = path_of(output)
        seen = videos.look(made)
        assert seen.numbers == [have[i] for i in wanted], (start, end)
        assert output["frames"] == len(wanted)
        assert output["start"] == pytest.approx(times[wanted[0]], abs=1e-6)
        assert output["asked"] == [start, end]
        assert output["sha256"] == hashlib.sha256(made.read_bytes()).hexdigest()
        assert output["bytes"] == made.stat().st_size
        if len(wanted) > RATE:
            assert seen.worst_sync() <= 0.025
    packets = videos.ffprobe(source, "-select_streams", "v", "-show_entries", "packet=pts_time,flags")["packets"]
    first = min(float(packet["pts_time"]) for packet in packets)
    keys = [float(packet["pts_time"]) - first for packet in packets if "K" in packet["flags"]]
    for (start, end), output in zip(spans, done["outputs"], strict=True):
        inside = any(start - 1e-6 <= key < (end or 99) for key in keys)
        assert output["cut"] == ("smart" if inside else "encode"), (start, end, keys)


def test_percent_grows_with_a_fetch_of_the_whole(serving: Daemon, r, origin: Origin, sources) -> None:
    body = sources["mp4"].read_bytes()
    url = origin.put("/v.mp4", Page(body, ranges=False, rate=len(body) // 3))
    push(r, {"id": "c", "url": url, "start": 1, "end": 2})
    assert final(r, "c", 60)["event"] == "done"
    progress = [json.loads(fields["json"]) for _, fields in r.xrange("videod:progress")]
    fetched = [p["percent"] for p in progress if p["stage"] == "fetch"]
    assert [part for part in fetched if 0 < part < 40], progress


def test_events_in_order_and_percent_never_falls(serving: Daemon, r, origin: Origin, sources) -> None:
    url = origin.put("/v.mp4", Page(sources["mp4"].read_bytes()))
    push(r, {"id": "c", "url": url, "clips": [{"end": 3}, {"start": 3}], "reply_to": "reply", "meta": 7})
    done = final(r, "c", 60)
    told = [json.loads(entry)["event"] for entry in reversed(r.lrange("reply", 0, -1))]
    assert told == ["started", "output", "output", "done"] == [e["event"] for e in events(r, "c")]
    progress = [json.loads(fields["json"]) for _, fields in r.xrange("videod:progress")]
    percents = [p["percent"] for p in progress]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert all(percent < 100 for percent in percents[:-1])
    assert {"fetch", "probe", "cut", "upload"} <= {p["stage"] for p in progress}
    assert done["seconds"] > 0
    assert done["cpu_seconds"] > 0.01
    accounted(r, ["c"])
    log = serving.log
    for fact in (
        "taken from video_info_queue",
        "source http://127.0.0.1",
        "h264 320x180, 200 frames in 8.000 s",
        "asked 3.0..end",
    ):
        assert fact in log, fact


def test_keyframe_encode_and_whole(serving: Daemon, r, origin: Origin, sources) -> None:
    url = origin.put("/v.mp4", sources["mp4"].read_bytes())
    push(r, {"id": "k", "url": url, "start": 2.5, "end": 4.5, "cut": "keyframe"})
    push(r, {"id": "e", "url": url, "start": 2.5, "end": 4.5, "cut": "encode", "preset": "classic"})
    push(r, {"id": "w", "url": url})
    key, encoded, whole = (final(r, ident, 60)["outputs"][0] for ident in "kew")
    assert key["cut"] == "keyframe"
    assert key["start"] <= 2.5
    numbers = videos.numbers(path_of(key))
    assert numbers == list(range(round(key["start"] * RATE), round(key["end"] * RATE)))
    assert encoded["cut"] == "encode"
    assert 28 <= encoded["frames"] <= 31  # 15 a second
    assert whole["cut"] == "copy"
    assert videos.numbers(path_of(whole)) == list(range(200))


def test_container_by_name_and_by_preset(serving: Daemon, r, origin: Origin, sources) -> None:
    url = origin.put("/dir/my%20talk.mp4", sources["mp4"].read_bytes()) + "?token=s3kret"
    clips = [{"end": 1, "upload": f"file:{serving.clips}/{{name}}-{{n}}.{ext}"} for ext in ("mkv", "mov", "ts", "mp4")]
    push(r, {"id": "c", "url": url, "clips": clips})
    for output, word in zip(final(r, "c", 60)["outputs"], ("matroska", "mov", "mpegts", "mov"), strict=True):
        found = videos.ffprobe(path_of(output), "-show_entries", "format=format_name")
        assert word in json.dumps(found)
        assert videos.numbers(path_of(output)) == list(range(25))
    assert "s3kret" not in serving.log + json.dumps(events(r))


def test_clips_that_are_alike_are_cut_once(serving: Daemon, r, sources) -> None:
    """One clip for several places; what differs in anything is another."""
    source = serving.folder / "v.mp4"
    source.write_bytes(sources["mp4"].read_bytes())
    same = {"start": 1, "end": 2.2}
    others = [{"start": 1, "end": 2.24}, {**same, "cut": "keyframe"}, {**same, "upload": f"file:{serving.clips}/x.mkv"}]
    push(r, {"id": "a", "url": str(source), "clips": [same, others[0], same, *others[1:], {**same, "duration": None}]})
    outputs = final(r, "a", 60)["outputs"]
    assert [output["n"] for output in outputs] == [1, 2, 3, 4, 5, 6]
    assert [(serving.log.count(f" clip {n}: asked "), serving.log.count(f" clip {n}: ")) for n in (1, 3, 6)] == [
        (1, 2),
        (0, 1),
        (0, 1),
    ]
    assert len({output["sha256"] for output in outputs}) == 4 and len({path_of(output) for output in outputs}) == 6
    for n in (1, 3, 5, 6):
        assert videos.numbers(path_of(outputs[n - 1])) == list(range(25, 55))
    told = [event["n"] for event in events(r, "a") if event["event"] == "output"]
    assert sorted(told) == [1, 2, 3, 4, 5, 6]


def test_many_clips_that_touch_hold_each_frame_once(serving: Daemon, r, sources) -> None:
    source = serving.folder / "v.mp4"
    source.write_bytes(sources["mp4"].read_bytes())
    bounds = [round(0.04 + n * 0.72, 2) for n in range(11)]
    clips = [{"start": a, "end": b, "cut": "exact"} for a, b in zip(bounds, bounds[1:], strict=False)]
    push(r, {"id": "m", "url": str(source), "clips": clips})
    outputs = final(r, "m", 60)["outputs"]
    assert [number for output in outputs for number in videos.numbers(path_of(output))] == list(range(1, 181))
    assert {output["cut"] for output in outputs} == {"smart", "encode"}


def test_what_stands_after_a_kill_is_not_cut_again(daemon: Daemon, r, sources) -> None:
    """To cut it again may give other bytes, which must not replace it where overwrite is false."""
    clips = [{"start": 0.52, "end": 3.2}, {"start": 3.2, "end": 4.6}, {"cut": "encode", "preset": "slow"}]
    daemon.sections = "[preset slow]\nvideo = hevc\nspeed = slower\n"
    daemon.start(lease=2)
    source = daemon.folder / "v.mp4"
    source.write_bytes(sources["mp4"].read_bytes())
    push(r, {"id": "k", "url": str(source), "overwrite": False, "clips": clips})
    until(lambda: [event["n"] for event in events(r, "k") if event["event"] == "output"] == [1, 2], 30, "two are made")
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(daemon.clips.iterdir())]
    daemon.kill()
    assert len(before) == 2
    daemon.start(lease=2)
    done = final(r, "k", 90)
    assert done["event"] == "done" and [output["n"] for output in done["outputs"]] == [1, 2, 3], done
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(daemon.clips.iterdir())][:2] == before
    for output, numbers in zip(done["outputs"], (range(13, 80), range(80, 115), range(200)), strict=True):
        assert hashlib.sha256(path_of(output).read_bytes()).hexdigest() == output["sha256"]
        assert videos.numbers(path_of(output)) == list(numbers)
    told = [event for event in events(r, "k") if event["event"] == "output"]
    assert [event["n"] for event in told] == [1, 2, 3]
    assert [event["sha256"] for event in told] == [output["sha256"] for output in done["outputs"]]
    assert "2 of 3 clips stand where they belong" in daemon.log
    assert daemon.stop() == 0
    assert not daemon.scratch()
    accounted(r, ["k"])


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (Page(status=404), "not_found"),
        (Page(status=403), "denied"),
        (Page(status=503), "fetch_failed"),
        (Page(b"<html>gone</html>"), "not_video"),
        (Page(b""), "not_video"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_source_that_fails_ends_with_its_code(serving: Daemon, r, origin: Origin, page: Page, code: str) -> None:
    push(r, {"id": "c", "url": origin.put("/v.mp4", page), "end": 1})
    error = final(r, "c")["error"]
    assert error["code"] == code
    assert error["stage"] in ("fetch", "probe")
    accounted(r, ["c"])


def test_a_cut_connection_is_resumed_and_a_short_one_is_never_success(
    serving: Daemon, r, origin: Origin, sources
) -> None:
    body = sources["mp4"].read_bytes()
    url = origin.put("/resumed.mp4", Page(body, cut_after=len(body) // 2), Page(body))
    push(r, {"id": "a", "url": url, "end": 1})
    assert final(r, "a", 60)["event"] == "done"
    assert len(origin.seen("/resumed.mp4")) == 2
    short = origin.put("/short.mp4", Page(body, cut_after=len(body) // 2, ranges=False))
    push(r, {"id": "b", "url": short, "end": 1})
    assert final(r, "b", 60)["error"]["code"] == "fetch_failed"


def test_out_of_range_and_past_the_end(serving: Daemon, r, origin: Origin, sources) -> None:
    url = origin.put("/v.mp4", sources["mp4"].read_bytes())
    push(r, {"id": "a", "url": url, "start": 100}, {"id": "b", "url": url, "start": 1.001, "end": 1.002})
    push(r, {"id": "c", "url": url, "start": 7, "end": 100})
    assert final(r, "a", 60)["error"]["code"] == "out_of_range"
    assert final(r, "b", 60)["error"]["code"] == "out_of_range"
    output = final(r, "c", 60)["outputs"][0]
    assert output["frames"] == 25
    assert "8.000000" in output["warning"]


def test_times_of_an_event_select_the_same_frames_again(serving: Daemon, r, sources) -> None:
    source = serving.folder / "v.mp4"
    source.write_bytes(sources["vfr"].read_bytes())
    push(r, {"id": "a", "url": str(source), "start": 1.9, "end": 3.3})
    first = final(r, "a", 60)["outputs"][0]
    push(r, {"id": "b", "url": f"file://{source}", "start": first["start"], "end": first["end"]})
    second = final(r, "b", 60)["outputs"][0]
    assert videos.numbers(path_of(first)) == videos.numbers(path_of(second))
    assert (first["start"], first["end"]) == (second["start"], second["end"])


def test_hostile_names_are_files_and_nothing_else(serving: Daemon, r, sources, tmp_path: Path) -> None:
    for n, name in enumerate(
        ["-i.mp4", "a;touch PWNED;.mp4", "$(touch PWNED).mp4", "%d.mp4", 'it\'s "q" ü.mp4', "concat:x.mp4"]
    ):
        (serving.folder / name).write_bytes(sources["mp4"].read_bytes())
        push(
            r,
            {
                "id": f"h{n}",
                "url": str(serving.folder / name),
                "end": 1,
                "upload": f"file:{serving.clips}/{{name}}.mp4",
            },
        )
        done = final(r, f"h{n}", 60)
        assert done["event"] == "done", (name, done)
        assert path_of(done["outputs"][0]).parent == serving.clips
    assert not list(serving.folder.rglob("PWNED"))
    assert not Path("PWNED").exists()


def test_kill_9_in_the_middle_of_encoding(serving: Daemon, r, sources) -> None:
    """Children die with the daemon within 2 s, the next start runs the job again, the scratch folder is gone."""
    source = serving.folder / "v.mp4"
    source.write_bytes(sources["mp4"].read_bytes())
    clips = [{"start": i / 4, "end": i / 4 + 2} for i in range(12)]
    push(r, {"id": "a", "url": str(source), "clips": clips})
    until(lambda: [pid for pid in serving.marked() if "ffmpeg" in _argv(pid)], 30, "ffmpeg runs")
    assert len(serving.scratch()) == 1
    serving.kill()
    until(lambda: not serving.marked(), 2, "no orphan is left")
    serving.start()
    assert final(r, "a", 120)["event"] == "done"
    accounted(r, ["a"])
    assert serving.stop() == 0
    assert serving.scratch() == []


def test_stop_now_in_the_middle_of_encoding(serving: Daemon, r, sources) -> None:
    source = serving.folder / "v.mp4"
    source.write_bytes(sources["mp4"].read_bytes())
    push(r, {"id": "a", "url": str(source), "clips": [{"start": i / 4, "end": i / 4 + 2} for i in range(12)]})
    until(lambda: [pid for pid in serving.marked() if "ffmpeg" in _argv(pid)], 30, "ffmpeg runs")
    assert serving.stop("--now") == 1
    assert not serving.marked()
    assert serving.scratch() == []
    assert r.llen("video_info_queue") == 1
    r.delete("video_info_queue")


def test_limits_end_the_job_with_their_code(daemon: Daemon, r, sources) -> None:
    source = daemon.folder / "v.mp4"
    source.write_bytes(sources["mp4"].read_bytes())
    daemon.start(max_pixels="50K", max_duration="3s", max_source_bytes="1G")
    push(r, {"id": "pixels", "url": str(source), "end": 1})
    assert final(r, "pixels", 60)["error"]["code"] == "too_big"
    daemon.write(max_pixels="36M")
    daemon.command("reload")
    until(lambda: "took up max_pixels" in daemon.log, 10, "reloaded")
    push(r, {"id": "long", "url": str(source), "end": 5}, {"id": "late", "url": str(source), "end": 2, "timeout": 0.05})
    assert final(r, "long", 60)["error"]["code"] == "too_big"
    assert final(r, "late", 60)["error"]["code"] == "timeout"


def _argv(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def test_a_timeout_above_the_limit_is_lowered(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, {"id": "a", "kind": "sleep", "timeout": 1e9})
    assert final(r, "a")["event"] == "done"
    assert "timeout: lowered to 86400 s" in r.hget("videod:job:a", "warnings")
