"""Turns at recorders: never more than there are, over all nodes; in order; over when nobody keeps them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import until
from tests.transfer_fixtures import settings_of
from videod.errors import FetchFailed
from videod.jobqueue import Connection
from videod.jobqueue.turns import Turn, Turns
from videod.message import Envelope

PLACE = "192.0.2.1:80"
Node = Callable[..., Turns]


@pytest.fixture
def node(redis_server: Any, tmp_path: Path) -> Any:
    """Makes the turns of a node."""
    made: list[Connection] = []

    def make(name: str, **keys: str) -> Turns:
        settings = settings_of(tmp_path, redis=redis_server.url, node=name, **{"lease": "30", **keys})
        made.append(Connection(settings))
        return Turns(settings, made[-1])

    yield make
    for connection in made:
        connection.close()


def turn(turns: Turns, ident: str) -> Turn:
    return turns.of(PLACE, ident, lambda step: step())


def test_one_over_all_nodes(node: Node) -> None:
    a, b = turn(node("a"), "x"), turn(node("b"), "y")
    assert a.take() and not b.take() and a.take()
    a.leave()
    a.leave()
    assert b.take() and not a.take()


def test_many_threads_of_many_nodes(node: Node) -> None:
    nodes = [node(name, recorder_jobs="2") for name in "abc"]
    lock, now, most = threading.Lock(), 0, 0

    def work(turns: Turns, name: str) -> None:
        nonlocal now, most
        for n in range(30):
            mine = turn(turns, f"{name}{n}")
            while not mine.take():
                pass
            with lock:
                now += 1
                most = max(most, now)
            with lock:
                now -= 1
            mine.leave()

    threads = [threading.Thread(target=work, args=(turns, f"{i}-")) for i, turns in enumerate(nodes * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most <= 2


def test_one_that_is_kept_lasts_and_one_that_is_not_ends(node: Node, r: Any) -> None:
    a, b = node("a", lease="0.3"), node("b", lease="0.3")
    mine, theirs = turn(a, "x"), turn(b, "y")
    assert mine.take()
    before = r.zscore(f"videod:recorder:{PLACE}", mine.member)
    until(lambda: a.keep() or r.zscore(f"videod:recorder:{PLACE}", mine.member) > before, 5, "it is kept")
    assert not theirs.take()
    until(theirs.take, 5, "it ended, since nobody kept it")
    until(lambda: a.keep() or mine.lost, 5, "that is noticed")
    with pytest.raises(FetchFailed, match="lost its turn"):
        mine.check()
    theirs.check()


def test_a_new_run_of_a_node_ends_the_turns_of_the_last(node: Node) -> None:
    assert turn(node("a"), "x").take()
    assert not turn(node("ab"), "y").take(), "another name"
    assert turn(node("a"), "z").take()


def test_who_waits_longest_is_woken(node: Node, r: Any) -> None:
    """And the turn is kept for it for a moment; one that was cancelled meanwhile is passed over."""
    turns = node("a")
    mine = turn(turns, "x")
    assert mine.take()
    waiting = {
        ident: Envelope(ident, f"token-{ident}", 3, 0, "video_info_queue", b"{}") for ident in ("gone", "b", "c")
    }
    for n, (ident, envelope) in enumerate(waiting.items()):
        r.zadd(f"videod:line:{PLACE}", {ident: n})
        if ident != "gone":
            r.zadd("videod:delayed", {envelope.dumps(): 9e12})
            fields = {"message": "{}", "token": envelope.token, "attempt": 3, "crashes": 0}
            r.hset(f"videod:job:{ident}", mapping={**fields, "origin": envelope.origin, "state": "requeued"})
    mine.leave()
    assert r.lrange("abnormal_video_info_queue", 0, -1) == [waiting["b"].dumps().decode()]
    assert r.zrange("videod:delayed", 0, -1) == [waiting["c"].dumps().decode()]
    assert not turn(turns, "x").take() and not turn(node("b"), "c").take()
    assert turn(node("b"), "b").take()


def test_a_refused_login_is_known_by_a_digest(node: Node, r: Any) -> None:
    a, b = turn(node("a"), "x"), turn(node("b"), "y")
    assert not a.refused("admin", "secret-1")
    a.refuse("admin", "secret-1")
    assert b.refused("admin", "secret-1")
    assert not b.refused("admin", "secret-2") and not b.refused("root", "secret-1")
    assert "secret" not in repr(r.hgetall(f"videod:refused:{PLACE}"))
    b.refuse("admin", "secret-2")
    assert a.refused("admin", "secret-2") and not a.refused("admin", "secret-1")
