"""Since when the oldest message of a list waits, seen from outside: messages carry no times."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.daemon import Daemon
from videod.config import load
from videod.errors import RedisAway
from videod.jobqueue import Connection
from videod.jobqueue.ages import AT_ONCE, DEEP, LONGEST, MOST, Ages

NAME = "video_info_queue"


@pytest.fixture
def connection(daemon: Daemon, r) -> Iterator[Connection]:
    daemon.write()
    made = Connection(load(str(daemon.ini)).settings("prod"))
    yield made
    made.close()


@pytest.fixture
def ages(connection: Connection) -> Ages:
    return Ages(connection)


def test_the_oldest_waits_since_it_was_the_newest(r, ages: Ages) -> None:
    assert ages.since([NAME], 1000) == {}
    r.lpush(NAME, "a")
    assert ages.since([NAME], 1010) == {NAME: 1010}
    r.lpush(NAME, "b", "c")
    assert ages.since([NAME], 1020) == {NAME: 1010}
    r.rpop(NAME)
    # nobody saw b come, which waits longer than c
    assert ages.since([NAME], 1030) == {NAME: 1020}
    r.rpop(NAME)
    assert ages.since([NAME], 1040) == {NAME: 1020}
    r.rpop(NAME)
    assert ages.since([NAME], 1050) == {}
    r.lpush(NAME, "c")
    assert ages.since([NAME], 1060) == {NAME: 1060}


def test_who_asks_often_is_told_what_was_seen(r, ages: Ages) -> None:
    r.lpush(NAME, "a")
    assert ages.since([NAME], 1000) == {NAME: 1000}
    r.delete(NAME)
    assert ages.since([NAME], 1009) == {NAME: 1000}
    assert ages.since([NAME], 1010) == {}
    r.lpush(NAME, "b")
    assert ages.since([NAME], 900) == {NAME: 900}  # the clock was set back


def test_a_long_list_that_moves_on(r, ages: Ages) -> None:
    now = 0
    for n in range(3 * MOST):
        r.lpush(NAME, f"m{n}")
        now += 10
        assert ages.since([NAME], now) == {NAME: 10}
    assert len(ages._seen[NAME]) <= MOST
    r.ltrim(NAME, 0, MOST)  # all but the newest are taken at once, many more than one question names
    assert MOST > 2 * AT_ONCE
    since = ages.since([NAME], now + 10)[NAME]
    assert now - 10 * MOST - 20 <= since <= now - 10 * MOST + 100


def test_a_burst_that_is_longer_than_what_is_looked_through(r, ages: Ages) -> None:
    r.lpush(NAME, "first")
    ages.since([NAME], 1000)
    for n in range(0, DEEP + 5000, 5000):
        r.lpush(NAME, *(f"m{i}" for i in range(n, n + 5000)))
    ages.since([NAME], 1010)
    r.rpop(NAME)
    assert ages.since([NAME], 1020) == {NAME: 1000}  # it cannot be known yet
    r.ltrim(NAME, 0, DEEP - 10)
    assert ages.since([NAME], 1030) == {NAME: 1010}


def test_what_is_no_message_of_ours(r, ages: Ages) -> None:
    r.lpush(NAME, b"\xff\0" * 10)
    r.lpush("long", b"x" * (LONGEST + 1))
    r.set("text", "a")
    assert ages.since([NAME, "long", "text", "none"], 1000) == {NAME: 1000}
    r.lpush("long", "short")
    assert ages.since([NAME, "long", "text"], 1010) == {NAME: 1000, "long": 1010}


def test_one_looks_and_nobody_waits_for_it(r, redis_server, ages: Ages) -> None:
    r.lpush(NAME, "a")
    assert ages.since([NAME], 1000) == {NAME: 1000}
    assert ages._looking.acquire(blocking=False)
    done: list[dict[str, float]] = []
    other = threading.Thread(target=lambda: done.append(ages.since([NAME], 2000)))
    other.start()
    other.join(5)
    ages._looking.release()
    assert done == [{NAME: 1000}]


def test_redis_away(r, redis_server, ages: Ages) -> None:
    r.lpush(NAME, "a")
    assert ages.since([NAME], 1000) == {NAME: 1000}
    redis_server.kill()
    with pytest.raises(RedisAway):
        ages.since([NAME], 1010)
    redis_server.start()
    assert ages.since([NAME], 1020) == {NAME: 1000}
