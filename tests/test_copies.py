"""Messages that look the same, and envelopes that are not ours: each element counts, and none stands for another."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.daemon import Daemon, events, final, push, until
from videod.config import Settings, load
from videod.events import Teller
from videod.job import Head
from videod.jobqueue import Claim, Connection, JobQueue
from videod.jobqueue.recovery import Recovery
from videod.message import Envelope, fresh

PATH = b"/films/same.mp4"
QUEUE = "video_info_queue"


@pytest.fixture
def settings(daemon: Daemon) -> Settings:
    daemon.write()
    made = load(str(daemon.ini)).settings("prod")
    daemon.ini.unlink()  # no daemon was started: there is none to stop
    return made


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    made = Connection(settings)
    yield made
    made.close()


def running(daemon: Daemon) -> str:
    return f"videod:running:{daemon.node}"


def claim(ident: str) -> Claim:
    return Claim.of(fresh(ident, PATH, QUEUE), Teller(ident, "clip", "n"), Head())


def claimed(queue: JobQueue, taken, ours: Claim) -> str:
    record = {"state": "running", "token": ours.envelope.token}
    return queue.claim(taken, ours, token="", again=False, bad=False, record=record)[0]


def test_a_claim_made_again_takes_no_other_message(daemon: Daemon, r, settings, connection) -> None:
    """Its answer was lost. Beside it stands a message without id that looks the same."""
    queue = JobQueue(settings, connection)
    r.lpush(QUEUE, PATH, PATH)
    one, two = queue.take(), queue.take()
    ours = claim("one")
    assert [claimed(queue, one, ours) for _ in range(3)] == ["ours"] * 3
    assert sorted(r.lrange(running(daemon), 0, -1)) == sorted([PATH.decode(), ours.element.decode()])
    theirs = claim("two")
    assert claimed(queue, two, theirs) == "ours"
    assert sorted(r.lrange(running(daemon), 0, -1)) == sorted([ours.element.decode(), theirs.element.decode()])


@pytest.mark.parametrize(("held", "flights", "back"), [
    (["raw", "raw"], [["raw"]], 1),  # nobody works on the second
    (["raw", "raw"], [["raw"], ["raw"]], 0),
    (["raw", "raw"], [["raw", "one"], ["raw"]], 0),  # claimed since the list was read
    (["one", "raw"], [["raw", "one"]], 1),  # claimed before: the raw one is another
    (["one", "raw"], [["raw", "one"], ["raw"]], 0),
    (["one", "raw", "raw"], [["raw", "one"], ["raw", "two"]], 1),
])  # fmt: skip
def test_each_flight_stands_for_one_element(
    daemon: Daemon, r, settings, connection, held: list[str], flights: list[list[str]], back: int
) -> None:
    r.rpush(running(daemon), *held)
    shapes = [[text.encode() for text in flight] for flight in flights]
    recovery = Recovery(settings, connection, logging.getLogger("test"))
    assert recovery.orphans(recovery.held(), shapes) == back
    assert r.lrange(QUEUE, 0, -1) == ["raw"] * back
    assert r.llen(running(daemon)) == len(held) - back


# ------------------------------------------------------------------ envelopes that are not ours
@pytest.mark.parametrize("record", [
    {}, {"state": "done", "token": "ours"}, {"state": "running", "token": "ours"}, {"state": "done", "token": "nope"},
])  # fmt: skip
def test_a_forged_envelope_goes_back_and_changes_nothing(
    daemon: Daemon, r, settings, connection, record: dict[str, str]
) -> None:
    """It was taken, and the daemon killed before it looked at it."""
    element = Envelope("x", "nope", 1, 0, QUEUE, PATH).dumps()
    r.rpush(running(daemon), element)
    if record:
        r.hset("videod:job:x", mapping=record)
    assert Recovery(settings, connection, logging.getLogger("test")).at_start("crash") == 1
    assert r.lrange(QUEUE, 0, -1) == [element.decode()]
    assert r.hgetall("videod:job:x") == record
    assert r.xlen("videod:events") == r.llen(running(daemon)) == 0


def test_a_start_leaves_the_record_of_a_done_job_alone(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, {"id": "x", "kind": "sleep"})
    assert final(r, "x")["event"] == "done"
    record = r.hgetall("videod:job:x")
    daemon.kill()
    r.lpush(running(daemon), *(Envelope(ident, "nope", 1, 0, QUEUE, PATH).dumps() for ident in ("x", "new")))
    daemon.start()
    until(lambda: r.llen("videod:dead") == 2, 10, "both are buried")
    assert r.hgetall("videod:job:x") == record and not r.exists("videod:job:new")
    assert [event["event"] for event in events(r, "x")] == ["started", "done"] and not events(r, "new")
