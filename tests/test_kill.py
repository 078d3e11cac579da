"""Pull the plug, again and again: every message ends once, and nothing is left."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, events, push, until


def kill_all(daemon: Daemon) -> None:
    """The daemon, its guardian and all tools at once, as a power cut would."""
    pid = daemon.pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid or 0, signal.SIGSTOP)  # so that it starts nothing more
    for child in daemon.marked():
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    daemon.kill()


@pytest.mark.parametrize(("jobs", "every"), [(12, 2.0), pytest.param(60, 3.0, marks=pytest.mark.long)])
def test_killed_every_few_seconds(daemon: Daemon, r, tmp_path: Path, jobs: int, every: float) -> None:
    """Half of the jobs are clips, so that tools, scratch folders and uploads are under way, too."""
    film = videos.encode(videos.make_master(tmp_path / "master.mkv", rate="25", seconds=3.0), tmp_path / "a.mp4")
    daemon.start(max_worker=4, max_crashes=50)
    for n in range(jobs):
        nap = {"id": f"j{n}", "kind": "sleep", "seconds": 0.7 * every}  # some run yet when the first kill comes
        push(r, nap if n % 2 else {"id": f"j{n}", "url": str(film), "start": 1, "end": 2})
    idents = [f"j{n}" for n in range(jobs)]
    kills = 0

    def ended() -> int:
        return sum(event["event"] in ("done", "dead") for event in events(r))

    while ended() < jobs:
        until(lambda due=time.monotonic() + every: time.monotonic() > due or ended() == jobs, every + 1, "time is up")
        kill_all(daemon)
        kills += 1
        daemon.start()
        requeued = [event["id"] for event in events(r) if event["event"] == "requeued"]
        if requeued:  # the oldest went back last, and is taken first
            until(lambda ident=requeued[-1]: events(r, ident)[-1]["event"] != "requeued", 10, "it runs again")
        assert kills < jobs * 3
    accounted(r, idents)
    assert {event["event"] for event in events(r)} >= {"requeued", "done"}
    assert not [event for event in events(r) if event["event"] == "dead"]
    assert len(list(daemon.clips.iterdir())) == (jobs + 1) // 2
    print(f"{jobs} jobs, {kills} kills, {sum(e['event'] == 'requeued' for e in events(r))} requeued")
