"""Recordings through the real daemon, from a recorder that does what recorders do badly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests import videos
from tests.daemon import Daemon, final, push
from tests.isapi import PASSWORD, Recorder
from tests.psfiles import recording

DAY = "2026-11-20T"


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Three recordings of two seconds that follow one another."""
    master = videos.make_master(tmp_path_factory.mktemp("parts") / "master.nut", seconds=6.0)
    return [recording(master, start, 2.0) for start in (0, 2, 4)]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as made:
        yield made


def ask(r, ident: str, **more: Any) -> dict[str, Any]:
    span = {"from": f"{DAY}00:00:00", "to": f"{DAY}23:59:59"}
    message = {"id": ident, "kind": "recording", "recorder": "nvr", "channels": 1, **span, **more}
    push(r, {name: value for name, value in message.items() if value is not None})
    return final(r, ident, 100)


def path_of(output: dict[str, Any]) -> Path:
    return Path(unquote(output["url"].removeprefix("file://")))


@pytest.fixture
def serving(daemon: Daemon, recorder: Recorder) -> Daemon:
    daemon.sections = recorder.section()
    daemon.start(allow_hosts="* 127.0.0.1")
    return daemon


def test_one_recording(serving: Daemon, recorder: Recorder, parts, r) -> None:
    recorder.add(f"{DAY}08:00:00", 2, parts[0])
    done = ask(r, "one", keep_original=True)
    assert done["event"] == "done", done
    video, original = done["outputs"]
    seen = videos.look(path_of(video))
    assert seen.numbers == list(range(50))
    assert (video["n"], video["frames"], video["cut"], video["duration"]) == (1, 50, "copy", 2.0)
    assert videos.ffprobe(path_of(video), "-show_streams")["streams"][1]["codec_name"] == "aac"
    assert path_of(original).read_bytes() == parts[0]
    assert path_of(original).name == "one-1-original.mpg"
    told = json.loads((serving.clips / "one-manifest.json").read_text())
    assert told["channels"][0]["covered"] == [{"from": f"{DAY}08:00:00", "to": f"{DAY}08:00:02"}]
    assert len(told["channels"][0]["gaps"]) == 2
    assert recorder.failed == 0
    assert PASSWORD not in serving.log
