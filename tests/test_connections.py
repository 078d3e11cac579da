"""Who may open a connection: bounds hold, what becomes free goes to who was served longest ago."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from tests.transfer_fixtures import settings_of
from videod.connections import Connections


def test_bounds_and_turns(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, connections="7", connections_per_task="4", connections_per_host="3")
    shared, luck = Connections(lambda: settings), random.Random(3)
    begun: list[tuple[int, str, int]] = []
    lines = [shared.line(lambda host, n, k=k: begun.append((k, host, n))) for k in range(3)]
    for k, line in enumerate(lines):
        for host in "abc":
            line.add(host, *range(100 if k == 0 else 4))
    over = 0
    while over < len(begun):
        busy = begun[over:]
        assert len(busy) <= 7
        assert max(Counter(k for k, _, _ in busy).values()) <= 4
        assert max(Counter(host for _, host, _ in busy).values()) <= 3
        pick = over + luck.randrange(len(busy))
        begun[over], begun[pick] = begun[pick], begun[over]
        k, host, _ = begun[over]
        over += 1
        if turn := lines[k].done(host):
            begun.append((k, *turn))
    assert Counter(begun) == Counter(
        (k, host, n) for k in range(3) for host in "abc" for n in range(100 if k == 0 else 4)
    )
    # the small ones are through while the large one has hardly begun
    assert max(n for n, (k, _, _) in enumerate(begun) if k) < 60


def test_a_line_that_left_starts_nothing(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, connections="1")
    shared = Connections(lambda: settings)
    begun: list[str] = []
    trimmed: list[str] = []
    one = shared.line(lambda host, n: begun.append(f"one {host} {n}"), trimmed.append)
    two = shared.line(lambda host, n: begun.append(f"two {host} {n}"))
    one.add("a", 1, 2, 3)
    two.add("a", 1)
    one.leave()
    assert begun == ["one a 1"]
    one.done("a")
    assert begun == ["one a 1", "two a 1"] and trimmed == ["a"]
    two.done("a")
    assert begun == ["one a 1", "two a 1"]
