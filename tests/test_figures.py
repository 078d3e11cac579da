"""Figures: each end and each retry is counted once, in the transaction that commits it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests import videos
from tests.daemon import Daemon, events, final, push, until
from videod import kinds
from videod.config import Settings
from videod.events import Teller
from videod.job import Head
from videod.jobqueue import Claim, Connection, JobQueue
from videod.jobqueue.figures import BOUNDS, HOUR, OWN_KINDS, Figures, Totals, tally
from videod.message import READ_BYTES, fresh
from videod.progress import Progress
from videod.spent import Spent


@pytest.fixture
def figures(settings: Settings, connection: Connection) -> Figures:
    return Figures(settings, connection)


def ended(r) -> dict[tuple[str, str], int]:
    """What the stream of events says, which is told exactly once."""
    found: dict[tuple[str, str], int] = {}
    for event in events(r):
        if event["event"] in ("done", "dead", "cancelled", "retry"):
            kind = event["kind"] if event["kind"] in (*OWN_KINDS, "sleep") else "other"
            found[kind, event["event"]] = found.get((kind, event["event"]), 0) + 1
    return found


def test_every_end_counts_once(daemon: Daemon, r, figures: Figures) -> None:
    daemon.start(retry_delay=0.01, max_attempts=3, max_worker=2)
    push(r, *({"id": f"a{n}", "kind": "sleep"} for n in range(5)))
    push(r, {"id": "again", "kind": "sleep", "fail": "fetch_failed"}, {"id": "bad", "kind": "sleep", "fail": "damaged"})
    push(r, {"id": "runs", "kind": "sleep", "seconds": 60}, "nonsense", {"id": "odd", "kind": "no-such-kind"})
    push(r, b"x" * (READ_BYTES + 1))
    for n in range(5):
        assert final(r, f"a{n}")["event"] == "done"
    assert final(r, "again")["event"] == final(r, "bad")["event"] == final(r, "odd")["event"] == "dead"
    assert daemon.command("pause").returncode == 0
    until(lambda: "paused" in daemon.log, 10, "it takes no more")
    push(r, {"id": "waits", "kind": "clip", "url": "/nowhere.mp4"})
    assert daemon.command("cancel", "waits").returncode == daemon.command("cancel", "runs").returncode == 0
    assert final(r, "runs")["event"] == final(r, "waits")["event"] == "cancelled"
    until(lambda: len([e for e in events(r) if e["event"] in ("done", "dead", "cancelled")]) == 12, 10, "all ended")
    total = figures.total()
    assert total.ended == ended(r)
    assert total.ended["sleep", "done"] == 5 and total.ended["sleep", "retry"] == 2
    assert total.ended["other", "dead"] == 1 and total.ended["clip", "cancelled"] == 1
    assert total.errors["fetch_failed"] == 3 and total.errors["bad_message"] == 3 and total.errors["damaged"] == 1
    by_hour, by_step = figures.bars(24)
    for bars in (by_hour, by_step):
        assert [sum(bar.ended[name] for bar in bars) for name in ("done", "dead", "cancelled", "retry")] == [5, 5, 2, 2]


def test_a_commit_made_again_counts_nothing(daemon: Daemon, r, settings, connection, figures: Figures) -> None:
    """Its answer was lost: the same script comes once more."""
    queue = JobQueue(settings, connection)
    spent = Spent(2.0, {"fetch": 0.75, "cut": 1.25}, 1000, 50, 0.5)
    for name in ("finish", "retry"):
        r.lpush("video_info_queue", "/x.mp4")
        taken = queue.take()
        assert taken
        ours = Claim.of(fresh(name, b"/x.mp4", "video_info_queue"), Teller(name, "clip", "n"), Head())
        record = {"state": "running", "token": ours.envelope.token}
        assert queue.claim(taken, ours, token="", again=False, bad=False, record=record)[0] == "ours"
        for _ in range(3):
            if name == "finish":
                assert queue.finish(ours, "done", {"outputs": []}, {}, spent) == "done"
            else:
                assert queue.retry(ours, 9.0, {"error": {"code": "stalled"}}, {}, spent) == "done"
    total = figures.total()
    assert total.ended == {("clip", "done"): 1, ("clip", "retry"): 1}
    assert (total.seconds, total.cpu_seconds, total.fetched_bytes, total.uploaded_bytes) == (4.0, 1.0, 2000, 100)
    assert total.stages["fetch"].seconds == 1.5 and total.stages["cut"].seconds == 2.5
    assert total.stages["fetch"].counts[BOUNDS.index(1.0)] == 2 and total.stages["cut"].counts[BOUNDS.index(5.0)] == 2


def test_a_key_that_is_none_of_ours_stops_nobody(daemon: Daemon, r, figures: Figures) -> None:
    """An end is worth more than its count."""
    hour = int(time.time()) // HOUR * HOUR
    r.set("videod:counts", "a text")
    for start in (hour, hour + HOUR):
        r.hset(f"videod:counts:{start}", "ended:sleep:done", "a text")
    daemon.start()
    push(r, {"id": "a", "kind": "sleep"})
    assert final(r, "a")["event"] == "done"
    assert sum(bar.ended["done"] for bar in figures.bars(2)[0]) == 0


def test_what_a_job_took_stands_in_its_record(daemon: Daemon, r, figures: Figures, tmp_path: Path) -> None:
    source = videos.encode(videos.make_master(tmp_path / "m.nut", "25", 2), tmp_path / "s.mp4")
    daemon.start()
    push(r, {"id": "a", "url": str(source), "start": 0.2, "end": 1.1, "cut": "encode"})
    done = final(r, "a")
    assert done["event"] == "done", done
    record = r.hgetall("videod:job:a")
    stages = json.loads(record["stages"])
    assert list(stages) == ["fetch", "cut", "encode", "upload"] or list(stages)[0] == "fetch", stages
    assert abs(sum(stages.values()) - float(record["seconds"])) < 0.2
    assert [float(record[name]) for name in ("seconds", "cpu_seconds")] == [done["seconds"], done["cpu_seconds"]]
    assert int(record["fetched_bytes"]) == done["fetched_bytes"]
    total = figures.total()
    assert total.uploaded_bytes == done["outputs"][0]["bytes"] and total.cpu_seconds > 0
    assert {stage: sum(found.counts) for stage, found in total.stages.items()} == dict.fromkeys(stages, 1)


def test_the_hash_of_an_hour_goes(daemon: Daemon, r, settings, connection) -> None:
    daemon.start()
    push(r, {"id": "a", "kind": "sleep"})
    final(r, "a")
    keys = [key for key in r.keys("videod:counts*") if key != "videod:counts"]
    assert keys and all(7 * 86400 < r.ttl(key) <= 8 * 86400 for key in keys) and r.ttl("videod:counts") == -1


def test_bars_fall_where_they_belong(r, figures: Figures) -> None:
    noon = 1_795_262_400
    assert noon % HOUR == 0
    for at, outcome in ((noon - 61, "done"), (noon + 1, "dead"), (noon + 299, "dead"), (noon + 301, "cancelled")):
        made = tally("clip", outcome, now=at)
        for pair in (made.recent.split()[i : i + 2] for i in range(0, len(made.recent.split()), 2)):
            r.hincrby(f"videod:counts:{made.hour}", pair[0], int(pair[1]))
    by_hour, by_step = figures.bars(24, now=noon + 302)
    assert (len(by_hour), by_hour[-1].start, by_hour[-2].ended["done"], by_hour[-1].ended["dead"]) == (24, noon, 1, 2)
    assert len(by_step) == 12 and by_step[-1].start == noon + 300
    assert [bar.ended["done"] for bar in by_step[-3:]] == [1, 0, 0]
    assert [bar.ended["dead"] for bar in by_step[-3:]] == [0, 2, 0]
    assert by_step[-1].ended["cancelled"] == 1


def test_any_text_as_a_kind_makes_no_field_of_its_own() -> None:
    """Else who may push could fill the hash."""
    assert set(OWN_KINDS) == set(kinds.names())
    assert "ended:other:dead 1" in tally("anything", "dead").total
    assert "ended:plugin:dead 1" in tally("plugin", "dead", spent=Spent()).total
    assert tally("clip", "done", spent=Spent(1e9, {"fetch": 1e9})).total.endswith("stage:fetch:ms 1000000000000")
    assert "stage:fetch:more 1" in tally("clip", "done", spent=Spent(1e9, {"fetch": 1e9})).total


def test_stages_that_come_again_add_up() -> None:
    progress = Progress(lambda stage, percent, speed: None)
    assert progress.seconds() == {}
    for stage in ("fetch", "cut", "fetch"):
        progress.begin(stage, 10)
    before = progress.seconds()
    assert list(before) == ["fetch", "cut"]
    assert progress.seconds()["fetch"] > before["fetch"] and progress.seconds()["cut"] == before["cut"]
    assert Totals().ended == {}
