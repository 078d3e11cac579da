"""Of the jobs that run, at most max_encode encode at once, each in its turn."""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, final, push, until
from videod.cancel import Cancel
from videod.config import load
from videod.config.settings import Settings
from videod.errors import Cancelled, TimedOut
from videod.process import Guardian, Tools
from videod.slots import MOST_THREADS, Slots
from videod.space import Space


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "v.ini").write_text(f"[DEFAULT]\nstate_dir = {tmp_path}\n[prod]\n")
    return replace(load(str(tmp_path / "v.ini")).settings("prod"), max_encode=2)


def test_never_more_at_once_and_each_in_its_turn(settings: Settings) -> None:
    slots, lock, gate = Slots(lambda: settings), threading.Lock(), threading.Event()
    began: list[int] = []
    most, now = [0], [0]

    def encode(n: int) -> None:
        with slots.encode(Cancel().wait) as threads:
            assert 1 <= threads <= MOST_THREADS
            with lock:
                began.append(n)
                now[0] += 1
                most[0] = max(most[0], now[0])
            gate.wait(10)
            with lock:
                now[0] -= 1

    workers = []
    for n in range(6):
        workers.append(threading.Thread(target=encode, args=(n,)))
        workers[-1].start()
        until(lambda n=n: len(slots._line) + len(began) > n, 5, "it stands in the line")
    until(lambda: len(began) == 2, 5, "two encode")
    assert now[0] == 2
    gate.set()
    for worker in workers:
        worker.join(10)
    assert most[0] == 2
    assert sorted(began[:2]) == [0, 1] and sorted(began) == list(range(6))
    assert not slots._line and not slots._busy


def test_who_is_alone_has_all_cores(settings: Settings) -> None:
    slots = Slots(lambda: settings)
    with slots.encode(Cancel().wait) as one:
        assert one == min(MOST_THREADS, os.cpu_count() or 1)
        with slots.encode(Cancel().wait) as two:
            assert two == max(1, (os.cpu_count() or 1) // 2)


def test_who_is_cancelled_leaves_the_line(settings: Settings) -> None:
    slots, cancel = Slots(lambda: replace(settings, max_encode=1)), Cancel()
    failed: list[bool] = []

    def wait() -> None:
        with pytest.raises(Cancelled), slots.encode(cancel.wait):
            failed.append(True)

    with slots.encode(Cancel().wait):
        waits = threading.Thread(target=wait)
        waits.start()
        until(lambda: slots._line, 5, "it waits")
        cancel.set()
        waits.join(5)
        assert not waits.is_alive() and not slots._line and not failed
    with slots.encode(Cancel().wait):  # the slot is free again
        pass


def test_a_timeout_counts_in_the_line(settings: Settings, tmp_path: Path) -> None:
    Path(settings.work_dir).mkdir(parents=True, exist_ok=True)
    slots, guardian = Slots(lambda: replace(settings, max_encode=1)), Guardian("test-slots")
    tools = Tools(guardian, Cancel(), tmp_path, deadline=time.monotonic() + 0.2)
    tools.slots = slots
    try:
        with slots.encode(Cancel().wait), pytest.raises(TimedOut), tools.encoding():
            raise AssertionError("it encodes")
        assert not slots._line
        tools.room = Space(lambda: settings).room(tmp_path / "job", tools.pause)
        other = tools.room.space.room(tmp_path / "other", Cancel().wait)
        free = shutil.disk_usage(tmp_path).free - settings.min_free
        assert other.fits(free * 2 // 5)
        with pytest.raises(TimedOut):
            tools.room.wait(free * 2 // 5)
    finally:
        guardian.close()


def encoders(mark: bytes) -> int:
    """How many ffmpeg with libx264 run for this daemon."""
    found = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            # prlimit and the like become ffmpeg: before that the name is another
            found += mark in command and b"libx264" in command and command.split(b"\0")[0].endswith(b"ffmpeg")
    return found


def test_a_daemon_of_four_slots_encodes_one_at_a_time(daemon: Daemon, r) -> None:  # type: ignore[no-untyped-def]
    film = videos.encode(videos.make_master(daemon.folder / "m.mkv", "25", 8.0), daemon.folder / "f.mp4")
    daemon.start(max_worker=4, max_encode=1)
    for n in range(6):
        push(r, {"id": f"e{n}", "url": str(film), "start": 0.1, "end": 7.9, "cut": "encode"})
    most, running = 0, 0
    deadline = time.monotonic() + 60
    while r.llen("video_info_queue") or r.llen(f"videod:running:{daemon.node}"):
        assert time.monotonic() < deadline
        most = max(most, encoders(str(daemon.folder).encode()))
        running = max(running, r.llen(f"videod:running:{daemon.node}"))
    assert most == 1
    assert running == 4
    for n in range(6):
        assert final(r, f"e{n}")["event"] == "done"
    accounted(r, [f"e{n}" for n in range(6)])
