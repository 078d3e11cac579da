"""Recordings through the real daemon, from a recorder that does what recorders do badly."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, events, final, push, until
from tests.isapi import PASSWORD, Recorder
from tests.psfiles import recording
from tests.transfer_fixtures import ArgvWatch

DAY = "2026-11-20T"
REFUSED = "videod:refused:127.0.0.1:"


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Three recordings of two seconds that follow one another; each clock begins anew."""
    master = videos.make_master(tmp_path_factory.mktemp("parts") / "master.nut", seconds=6.0)
    return [recording(master, start, 2.0) for start in (0, 2, 4)]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as made:
        yield made


def ask(r, ident: str, queue: str = "video_info_queue", **more: Any) -> dict[str, Any]:
    span = {"from": f"{DAY}00:00:00", "to": f"{DAY}23:59:59"}
    message = {"id": ident, "kind": "recording", "recorder": "nvr", "channels": 1, **span, **more}
    push(r, {name: value for name, value in message.items() if value is not None}, queue=queue)
    return message


def fetched(r, ident: str, **more: Any) -> dict[str, Any]:
    ask(r, ident, **more)
    return final(r, ident, 100)


def path_of(output: dict[str, Any]) -> Path:
    return Path(unquote(output["url"].removeprefix("file://")))


def shown(output: dict[str, Any]) -> list[int]:
    return videos.look(path_of(output)).numbers


@pytest.fixture
def serving(daemon: Daemon, recorder: Recorder) -> Daemon:
    daemon.sections = recorder.section()
    daemon.start(allow_hosts="* 127.0.0.1", retry_delay=1)
    return daemon


# ------------------------------------------------------------------ what comes out
def test_one_recording(serving: Daemon, recorder: Recorder, parts, r, argv_watch: ArgvWatch) -> None:
    segment = recorder.add(f"{DAY}08:00:00", 2, parts[0])
    done = fetched(r, "one", keep_original=True)
    assert done["event"] == "done", done
    video, original = done["outputs"]
    assert shown(video) == list(range(50))
    assert videos.look(path_of(video)).worst_sync() < 0.05
    assert (video["n"], video["frames"], video["cut"], video["duration"]) == (1, 50, "copy", 2.0)
    assert videos.ffprobe(path_of(video), "-show_streams")["streams"][1]["codec_name"] == "aac"
    assert path_of(original).read_bytes() == parts[0] and original["n"] == 2
    assert path_of(original).name == "one-1-original.mpg"
    told = json.loads((serving.clips / "one-manifest.json").read_text())
    assert (told["recorder"], told["utc_offset_minutes"]) == ("nvr", 60)
    (channel,) = told["channels"]
    assert channel["covered"] == [{"from": f"{DAY}08:00:00", "to": f"{DAY}08:00:02"}]
    assert [gap["to"] for gap in channel["gaps"]] == [f"{DAY}08:00:00", f"{DAY}23:59:59"]
    assert channel["files"][0]["recordings"] == [{"from": f"{DAY}08:00:00", "to": f"{DAY}08:00:02"}]
    assert done["fetched_bytes"] > len(parts[0])
    assert recorder.failed == 0 and set(recorder.wanted) == {segment.uri}
    # the password is nowhere
    everything = serving.log + json.dumps(events(r)) + serving.command("show", "one", "--json").stdout
    for name in r.scan_iter("*"):
        everything += repr(r.hgetall(name)) if r.type(name) == "hash" else ""
    assert PASSWORD not in everything and "quoted" not in everything
    assert not any("quoted" in line for line in argv_watch.seen)


def test_files_that_follow_one_another_are_one(serving: Daemon, recorder: Recorder, parts, r) -> None:
    start = datetime.fromisoformat(f"{DAY}08:00:00")
    for n in range(3):
        recorder.add(start + timedelta(seconds=2 * n), 2, parts[n])
    recorder.add(f"{DAY}09:00:00", 2, parts[0])
    done = fetched(r, "joined", keep_original=True)
    assert done["event"] == "done", done
    first, second, *originals = done["outputs"]
    seen = videos.look(path_of(first))
    assert seen.numbers == list(range(150)) and first["duration"] == pytest.approx(6.0, abs=0.05)
    assert seen.worst_sync() < 0.08
    assert shown(second) == list(range(50))
    assert [output["n"] for output in done["outputs"]] == [1, 2, 3, 4, 5, 6] and second["url"].endswith(".mp4")
    assert first["asked"] == [None, None]
    found = {path_of(o).name: path_of(o).read_bytes() for o in done["outputs"] if o["url"].endswith(".mpg")}
    assert found == {
        **{f"joined-1-original-{n + 1}.mpg": parts[n] for n in range(3)},
        "joined-2-original.mpg": parts[0],
    }
    assert len(originals) == 4


@pytest.mark.long
def test_each_file_by_itself(serving: Daemon, recorder: Recorder, parts, r) -> None:
    """Of one second, too: no name is used twice."""
    for n in range(3):
        recorder.add(f"{DAY}08:00:00", 2, parts[n])
    done = fetched(r, "apart", join=False, upload=f"file:{serving.clips}/{{name}}.{{ext}}")
    names = [path_of(output).name for output in done["outputs"]]
    assert names == [f"nvr_101_20261120T080000{end}.mp4" for end in ("", "-2", "-3")]
    assert sorted(shown(output)[0] for output in done["outputs"]) == [0, 50, 100]
    assert (serving.clips / "manifest.json").exists()


def test_one_name_for_several_is_refused(serving: Daemon, recorder: Recorder, parts, r) -> None:
    recorder.add(f"{DAY}08:00:00", 2, parts[0])
    recorder.add(f"{DAY}09:00:00", 2, parts[0])
    dead = fetched(r, "same", upload=f"file:{serving.clips}/a.mp4")
    assert dead["error"]["code"] == "bad_message" and "{n}" in dead["error"]["message"]
    assert recorder.downloads == 0


@pytest.mark.long
def test_all_channels(serving: Daemon, recorder: Recorder, parts, r) -> None:
    recorder.channels, recorder.proxied = (101, 102), (2,)
    for track in (101, 102, 201):
        recorder.add(f"{DAY}08:00:00", 2, parts[0], track)
    done = fetched(r, "all", channels="all", upload=f"file:{serving.clips}/{{name}}.mp4")
    assert [path_of(o).name.split("_")[1] for o in done["outputs"]] == ["101", "201"]
    done = fetched(r, "sub", channels="102,2", upload=f"file:{serving.clips}/{{name}}.mp4")
    assert [path_of(o).name.split("_")[1] for o in done["outputs"]] == ["102", "201"]


def test_none(serving: Daemon, recorder: Recorder, r) -> None:
    done = fetched(r, "none")
    assert done["event"] == "done" and done["outputs"] == []
    assert not serving.clips.exists() or not list(serving.clips.iterdir())


@pytest.mark.long
def test_times(serving: Daemon, recorder: Recorder, parts, r) -> None:
    """By the recorder's clock, by an offset, and today."""
    recorder.add(f"{DAY}08:00:00", 2, parts[0])
    hour = {"from": f"{DAY}07:00:00Z", "to": f"{DAY}07:00:01Z"}
    assert len(fetched(r, "utc", **hour)["outputs"]) == 1
    assert len(fetched(r, "wall", **{name: text[:-1] for name, text in hour.items()})["outputs"]) == 0
    east = {"from": f"{DAY}12:30:00+05:30", "to": f"{DAY}12:30:01+05:30"}
    assert len(fetched(r, "east", **east)["outputs"]) == 1
    now = recorder.now()
    recorder.segments.clear()
    recorder.add(now.replace(hour=0, minute=0, second=0, microsecond=0), 2, parts[1])
    recorder.add(now - timedelta(days=1, hours=1), 2, parts[2])
    today = fetched(r, "today", **{"from": None, "to": None})
    assert [shown(output)[0] for output in today["outputs"]] == [50]


@pytest.mark.long
def test_mp4_as_it_comes(serving: Daemon, recorder: Recorder, tmp_path, parts, r) -> None:
    bodies = []
    for n in range(2):
        made = tmp_path / f"{n}.mp4"
        videos.encode(videos.make_master(tmp_path / "m.nut", seconds=2.0), made, "-bf", "0", "-movflags", "+faststart")
        bodies.append(made.read_bytes())
        recorder.add(f"{DAY}08:00:0{2 * n}", 2, bodies[n])
    done = fetched(r, "mp4", keep_original=True)
    assert done["event"] == "done", done
    assert shown(done["outputs"][0]) == [*range(50), *range(50)]
    assert path_of(done["outputs"][1]).read_bytes() == bodies[0]
    assert path_of(done["outputs"][1]).suffix == ".mp4"


CODECS = (["hevc", "aac"], ["h264", "aac"], ["hevc"], ["h264", "aac"])


@pytest.mark.long
def test_codecs(serving: Daemon, recorder: Recorder, tmp_path, r) -> None:
    """HEVC, AAC, no sound at all; with and without the recorder's own header."""
    master = videos.make_master(tmp_path / "m.nut", seconds=4.0)
    for n, (picture, sound) in enumerate((("hevc", "alaw"), ("h264", "aac"), ("hevc", ""))):
        for half in (0, 2):
            body = recording(master, half, 2.0, picture=picture, sound=sound, own=n == 1)
            recorder.add(f"{DAY}0{n}:00:0{half}", 2, body)
    recorder.add(f"{DAY}09:00:00", 2, recording(master, 0, 4.0, own=False))
    done = fetched(r, "codecs")
    assert done["event"] == "done", done
    for output, codecs in zip(done["outputs"], CODECS, strict=True):
        streams = videos.ffprobe(path_of(output), "-show_streams")["streams"]
        assert [stream["codec_name"] for stream in streams] == codecs
        seen = videos.look(path_of(output))
        assert seen.numbers == list(range(100)) and output["cut"] == "copy"
    assert seen.worst_sync() < 0.05, "of G.711 without the header"


@pytest.mark.long
def test_what_is_still_being_written(serving: Daemon, recorder: Recorder, parts, r) -> None:
    """Cut somewhere, and one that the recorder does not hand out yet."""
    now = recorder.now().replace(microsecond=0)
    half = parts[0][: len(parts[0]) * 4 // 5]
    recorder.add(now - timedelta(seconds=30), 3600, half)
    done = fetched(r, "growing", **{"from": None, "to": None})
    assert done["event"] == "done", done
    (video,) = done["outputs"]
    assert "still being written" in video["warning"]
    assert shown(video) == list(range(len(shown(video)))) and len(shown(video)) >= 14


@pytest.mark.long
def test_a_broken_one_does_not_keep_the_others(serving: Daemon, recorder: Recorder, parts, r) -> None:
    recorder.add(f"{DAY}08:00:00", 2, parts[0])
    recorder.add(f"{DAY}09:00:00", 2, parts[1][:60] + bytes(8000))
    recorder.add(f"{DAY}10:00:00", 2, parts[2])
    dead = fetched(r, "broken")
    assert (dead["event"], dead["error"]["code"]) == ("dead", "damaged") or dead["error"]["code"] == "not_video", dead
    outputs = [event for event in events(r, "broken") if event["event"] == "output"]
    assert [shown(output)[0] for output in outputs] == [0, 100]
    told = json.loads((serving.clips / "broken-manifest.json").read_text())
    assert [bool(file.get("error")) for file in told["channels"][0]["files"]] == [False, True, False]


# ------------------------------------------------------------------ trouble
@pytest.mark.long
def test_a_busy_recorder(serving: Daemon, recorder: Recorder, parts, r) -> None:
    for n in range(3):
        recorder.add(f"{DAY}0{n}:00:00", 2, parts[n])
    recorder.faults.refuse_every, recorder.faults.busy = 2, 1
    recorder.faults.instead, recorder.faults.cut = [b"<html></html>"], [5000]
    done = fetched(r, "busy", keep_original=True)
    assert done["event"] == "done", done
    assert sorted(path_of(o).read_bytes() for o in done["outputs"] if o["url"].endswith(".mpg")) == sorted(parts)


def test_an_unreachable_recorder_is_tried_again(daemon: Daemon, parts, r) -> None:
    with Recorder() as gone:
        section, port = gone.section(), gone.port
    daemon.sections = section
    daemon.start(allow_hosts="* 127.0.0.1", retry_delay=1, max_attempts=2)
    dead = fetched(r, "gone")
    assert dead["error"]["code"] == "fetch_failed" and str(port) in dead["error"]["message"]
    assert "host=" not in dead["error"]["message"], "no object of ours"
    assert [event["event"] for event in events(r, "gone")] == ["started", "retry", "started", "dead"]


@pytest.mark.long
def test_silence_is_a_stall(daemon: Daemon, recorder: Recorder, parts, r) -> None:
    daemon.sections = recorder.section()
    daemon.start(allow_hosts="* 127.0.0.1", stall_timeout=1)
    recorder.add(f"{DAY}08:00:00", 2, parts[0])
    recorder.faults.stall = True
    assert fetched(r, "stall")["error"]["code"] == "stalled"


# ------------------------------------------------------------------ logins
def test_a_refused_password_is_tried_once(serving: Daemon, recorder: Recorder, parts, r) -> None:
    recorder.add(f"{DAY}08:00:00", 2, parts[0])
    recorder.password = "another"
    assert fetched(r, "first", max_attempts=5)["error"]["code"] == "denied"
    for n in range(6):
        assert "before" in fetched(r, f"then{n}", max_attempts=5)["error"]["message"]
    assert recorder.failed == 1
    assert PASSWORD not in repr(r.hgetall(f"{REFUSED}{recorder.port}"))
    # changed in the ini
    serving.sections = recorder.section()
    serving.write()
    assert serving.command("reload", "prod").returncode == 0
    until(lambda: "reload: took up" in serving.log, 10, "the ini was read")
    assert fetched(r, "changed")["event"] == "done"
    assert recorder.failed == 1


@pytest.mark.long
def test_retry_is_one_more_try(serving: Daemon, recorder: Recorder, parts, r) -> None:
    recorder.add(f"{DAY}08:00:00", 2, parts[0])
    right, recorder.password = recorder.password, "another"
    for n in range(8):
        assert fetched(r, f"no{n}")["error"]["code"] == "denied"
    assert serving.command("retry", "--all").returncode == 0
    until(lambda: len([e for e in events(r) if e["event"] == "dead"]) == 16, 30, "all ended again")
    assert recorder.failed == 2
    recorder.password = right
    recorder.row = 0
    assert serving.command("retry", "no0").returncode == 0
    until(lambda: r.hget("videod:job:no0", "state") == "done", 30, "it is done")
    assert recorder.failed == 2


def test_secrets_file_and_pinned_tls(daemon: Daemon, parts, tls_files, r, tmp_path: Path) -> None:
    line = subprocess.run(
        ["openssl", "x509", "-in", str(tls_files[1]), "-noout", "-fingerprint", "-sha256"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    with Recorder(tls=tls_files[1:], algorithms=("SHA-256",)) as recorder:
        recorder.add(f"{DAY}08:00:00", 2, parts[0])
        secret = tmp_path / "secrets.ini"
        secret.write_text(f"[recorder nvr]\nuser = {recorder.user}\npassword = {recorder.password}\n")
        secret.chmod(0o600)
        print_ = line.strip().partition("=")[2]
        daemon.sections = f"[recorder nvr]\nhost = {recorder.host}\nfingerprint = {print_}\n"
        daemon.start(allow_hosts="* 127.0.0.1", secrets_file=secret)
        assert fetched(r, "pinned", recorder=recorder.host)["event"] == "done"
        assert recorder.failed == 0


# ------------------------------------------------------------------ messages
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"user": "admin"}, "bad_message", "user"), ({"password": "pw-in-message"}, "bad_message", "password"),
    ({"recorder": "admin:pw-in-message@host"}, "bad_message", "recorder"),
    ({"recorder": None}, "bad_message", "recorder"),
    ({"recorder": "169.254.169.254"}, "forbidden_source", "recorder"), ({"channels": 0}, "bad_message", "channels"),
    ({"channels": "1,x"}, "bad_message", "channels"), ({"channels": [1]}, "bad_message", "channels"),
    ({"channels": "٣"}, "bad_message", "channels"), ({"from": "yesterday"}, "bad_message", "from"),
    ({"to": f"{DAY}00:00:00"}, "bad_message", "to"), ({"from": 5}, "bad_message", "from"),
    ({"join": "yes"}, "bad_message", "join"), ({"recorder": "127.0.0.1:9"}, "denied", "no user"),
    ({"upload": "file:/etc/x-{n}.mp4"}, "upload_denied", "upload"),
]  # fmt: skip


def test_messages_that_are_wrong(serving: Daemon, recorder: Recorder, r) -> None:
    for n, (more, _, _) in enumerate(WRONG):
        ask(r, f"w{n}", **more)
    for n, (_, code, text) in enumerate(WRONG):
        dead = final(r, f"w{n}")
        assert dead["error"]["code"] == code and text in dead["error"]["message"], dead
        assert "pw-in-message" not in json.dumps(dead)
    shown = serving.command("show", "w1").stdout + serving.command("dead").stdout
    assert "pw-in-message" not in serving.log + shown
    assert recorder.seen == []


# ------------------------------------------------------------------ turns
@pytest.fixture
def other(redis_server, recorder: Recorder, tmp_path: Path) -> Iterator[Daemon]:
    """A second node on the same Redis."""
    folder = tmp_path / "other"
    folder.mkdir()
    made = Daemon(folder, redis_server.url)
    made.sections = recorder.section()
    made.write(node="other", allow_hosts="* 127.0.0.1")
    yield made
    made.end()


@pytest.mark.parametrize("jobs", [8, pytest.param(40, marks=pytest.mark.long)])
def test_two_nodes_never_two_at_one_recorder(
    daemon: Daemon, other: Daemon, recorder: Recorder, parts, r, jobs: int
) -> None:
    """Others run meanwhile, since none of these holds a slot while it waits."""
    recorder.add(f"{DAY}08:00:00", 2, parts[0])
    recorder.faults.hold = 0.05
    daemon.sections = recorder.section()
    daemon.write(allow_hosts="* 127.0.0.1", max_worker=4)
    names = [f"r{n}" for n in range(jobs)]
    for n, name in enumerate(names):
        # else who is started first may have taken all of them
        ask(r, name, queue=f"video_info_queue@{('other', daemon.node)[n % 2]}")
    push(r, {"id": "quick", "kind": "sleep", "seconds": 0})
    daemon.start()
    other.start()
    assert final(r, "quick")["event"] == "done"
    for name in names:
        assert final(r, name, 120)["event"] == "done"
    assert recorder.busiest == 1 and recorder.failed == 0
    for node in (daemon, other):
        assert "waits for its turn at the recorder" in node.log
    # waiting says nothing: no job started twice
    kinds = [event["event"] for event in events(r, "r7")]
    assert kinds == ["started", "output", "done"]
    accounted(r, [*names, "quick"])
    until(lambda: not r.zcard(f"videod:recorder:127.0.0.1:{recorder.port}"), 5, "no turn is left")
    assert not r.zcard(f"videod:line:127.0.0.1:{recorder.port}")


@pytest.mark.long
def test_more_than_one_where_it_is_allowed(daemon: Daemon, recorder: Recorder, parts, r) -> None:
    recorder.add(f"{DAY}08:00:00", 2, parts[0])
    recorder.faults.hold = 0.5
    daemon.sections = recorder.section()
    daemon.start(allow_hosts="* 127.0.0.1", recorder_jobs=2)
    for n in range(4):
        ask(r, f"t{n}")
    for n in range(4):
        assert final(r, f"t{n}")["event"] == "done"
    assert recorder.busiest == 2


def waits(r, ident: str) -> bool:
    return r.hmget(f"videod:job:{ident}", "state", "stage") == ["requeued", "waits"]


def busy(recorder: Recorder, r, parts) -> None:
    """One job downloads for long, another waits."""
    recorder.add(f"{DAY}08:00:00", 2, parts[0])
    recorder.faults.hold = 60
    ask(r, "long")
    until(lambda: recorder.busy == 1, 20, "it downloads")
    ask(r, "next")
    until(lambda: waits(r, "next"), 20, "the other waits")


def test_cancel_while_it_waits_and_while_it_runs(serving: Daemon, recorder: Recorder, parts, r) -> None:
    busy(recorder, r, parts)
    assert serving.command("cancel", "next").returncode == 0
    assert [event["event"] for event in events(r, "next")] == ["cancelled"]
    recorder.faults.hold = 0
    ask(r, "third")
    until(lambda: waits(r, "third"), 20, "it waits, too")
    assert serving.command("cancel", "long").returncode == 0
    assert final(r, "third")["event"] == "done", "woken at once"
    accounted(r, ["next", "long", "third"])


@pytest.mark.long
def test_a_forced_stop_gives_the_turn_back(serving: Daemon, recorder: Recorder, parts, r) -> None:
    busy(recorder, r, parts)
    assert serving.stop("--now") == 1
    assert r.zcard(f"videod:recorder:127.0.0.1:{recorder.port}") <= 1, "kept for who is next at most"
    recorder.faults.hold = 0
    serving.start()
    for name in ("long", "next"):
        assert final(r, name)["event"] == "done"
    accounted(r, ["long", "next"])


def told(r, ident: str) -> int:
    """How many outputs an attempt has told of."""
    return len([event for event in events(r, ident) if event["event"] == "output"])


@pytest.mark.parametrize("kills", [1, pytest.param(2, marks=pytest.mark.long)])
def test_kill_9_in_the_middle(serving: Daemon, recorder: Recorder, parts, r, kills: int) -> None:
    for n, part in enumerate(parts):
        recorder.add(f"{DAY}0{n + 7}:00:00", 2, part)
    recorder.faults.trickle = 0.1
    ask(r, "killed", keep_original=True, join=False)
    for outputs in (2, 4)[:kills]:  # while the second and then the third come
        until(lambda n=outputs: told(r, "killed") >= n and recorder.busy, 30, "the next is under way")
        serving.kill()
        recorder.faults.trickle = 0
        until(lambda: not recorder.busy, 20, "its connection is closed")
        recorder.faults.trickle = 0.1
        r.delete("videod:events")
        serving.start()
    recorder.faults.trickle = 0
    done = final(r, "killed", 100)
    assert done["event"] == "done", done
    videos_made, originals = done["outputs"][:3], done["outputs"][3:]
    assert [shown(output) for output in videos_made] == [list(range(n, n + 50)) for n in (0, 50, 100)]
    assert [path_of(output).read_bytes() for output in originals] == parts
    assert len(list(serving.clips.iterdir())) == 7
    accounted(r, ["killed"])


def test_the_turn_of_a_killed_node_ends_at_its_restart(serving: Daemon, recorder: Recorder, parts, r) -> None:
    busy(recorder, r, parts)
    serving.kill()
    recorder.faults.hold = 0
    serving.start(lease=300)
    for name in ("long", "next"):
        assert final(r, name, 100)["event"] == "done"
    accounted(r, ["long", "next"])


@pytest.mark.long
def test_the_turn_of_a_node_that_is_gone_ends_with_its_lease(
    serving: Daemon, other: Daemon, recorder: Recorder, parts, r
) -> None:
    busy(recorder, r, parts)
    other.start(lease=3)
    serving.kill()
    recorder.faults.hold = 0
    for name in ("long", "next"):
        assert final(r, name, 60)["node"] == "other"
    accounted(r, ["long", "next"])


@pytest.mark.long
def test_a_duplicate_of_one_that_waits(serving: Daemon, recorder: Recorder, parts, r) -> None:
    busy(recorder, r, parts)
    ask(r, "next")
    until(lambda: [e for e in events(r, "next") if e["event"] == "duplicate"], 10, "it is dropped")
    ask(r, "long")
    until(lambda: [e for e in events(r, "long") if e["event"] == "duplicate"], 10, "it is dropped")
    recorder.faults.hold = 0  # of those that come
    assert serving.command("cancel", "long").returncode == 0
    assert final(r, "next")["event"] == "done"


def test_check_tells_of_recorders(daemon: Daemon, recorder: Recorder, r) -> None:
    daemon.sections = recorder.section() + "[recorder empty]\nhost = 192.0.2.1\n"
    daemon.write(allow_hosts="* 127.0.0.1")
    done = daemon.command("check", "prod")
    assert done.returncode == 6 and "recorder empty: 192.0.2.1:80 by http: no user" in done.stdout
    assert f"ok       recorder nvr: {recorder.host} by http" in done.stdout and PASSWORD not in done.stdout
    daemon.sections = "[recorder nvr]\nhost = a b\n"
    daemon.write()
    done = daemon.command("check", "prod")
    assert done.returncode == 6 and "[recorder nvr] host" in done.stderr
    daemon.sections = "[recorder nvr]\nfingerprint = 12\n"
    daemon.write()
    assert "64 hexadecimal" in daemon.command("check", "prod").stderr
    daemon.sections = ""
