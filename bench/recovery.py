"""How soon work goes on: after a restart, on another node, after Redis is back, and after a cancel.

    python bench/recovery.py [ROUNDS]

Prints seconds as seen by an observer of Redis, and their share of what docs/protocol.md and the contract with
the sysadmin promise: 1 s after a restart, the lease and 2 s on another node, 2 s after Redis is back, 1 s for a cancel.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.conftest import RedisServer, pytest_configure
from tests.daemon import Daemon, push, until

LEASE = 3.0


class Stage:
    """A Redis and two nodes, on empty keys each time."""

    def __init__(self, folder: Path) -> None:
        self.redis = RedisServer(folder)
        self.redis.start()
        self.nodes = [self._node(folder / name) for name in ("one", "two")]

    def _node(self, folder: Path) -> Daemon:
        folder.mkdir()
        made = Daemon(folder, self.redis.url)
        made.node = folder.name
        made.settings |= {"node": folder.name, "lease": LEASE, "max_crashes": 100}
        return made

    def runs(self, ident: str, node: str) -> None:
        """Wait until the job runs on this node."""
        r = self.redis.client()
        until(lambda: r.hmget(f"videod:job:{ident}", "state", "node") == ["running", node], 60, f"{ident} on {node}")

    def begin(self, ident: str) -> None:
        """A job that runs on the first node."""
        self.redis.client().flushall()
        self.nodes[0].start()
        push(self.redis.client(), {"id": ident, "kind": "sleep", "seconds": 60})
        self.runs(ident, "one")

    def end(self) -> None:
        """All nodes down, without waiting for jobs."""
        for node in self.nodes:
            node.stop("--now")


def restart(stage: Stage) -> float:
    """From the start of the same node to the interrupted job's run."""
    stage.begin("again")
    stage.nodes[0].kill()
    before = stage.redis.client().hget("videod:job:again", "taken_at")
    begun = time.monotonic()
    stage.nodes[0].start()
    until(lambda: stage.redis.client().hget("videod:job:again", "taken_at") != before, 30, "it runs again")
    return time.monotonic() - begun


def takeover(stage: Stage) -> float:
    """From kill -9 of one node to the run on the other."""
    stage.begin("moved")
    stage.nodes[1].start()
    begun = time.monotonic()
    stage.nodes[0].kill()
    stage.runs("moved", "two")
    return time.monotonic() - begun


def redis_back(stage: Stage) -> float:
    """From the return of Redis, after 5 s, to the next job's run."""
    stage.begin("before")
    stage.redis.kill()
    time.sleep(5)  # the time away is the point
    stage.redis.start()
    begun = time.monotonic()
    push(stage.redis.client(), {"id": "next", "kind": "sleep", "seconds": 60})
    stage.runs("next", "one")
    return time.monotonic() - begun


def cancel(stage: Stage) -> float:
    """From the wish to the committed end."""
    stage.begin("c")
    begun = time.monotonic()
    stage.redis.client().set("videod:cancel:c", 1)
    until(lambda: stage.redis.client().hget("videod:job:c", "state") == "cancelled", 10, "cancelled")
    return time.monotonic() - begun


PROMISED: dict[Callable[[Stage], float], float] = {restart: 1.0, takeover: LEASE + 2, redis_back: 2.0, cancel: 1.0}


def main() -> None:
    """Each several times; the median and the worst."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    pytest_configure()
    folder = Path(tempfile.mkdtemp(prefix="videod-bench-"))
    stage = Stage(folder)
    try:
        for what, promised in PROMISED.items():
            seen = []
            for _ in range(rounds):
                seen.append(what(stage))
                stage.end()
            seen.sort()
            worst, middle = seen[-1], seen[len(seen) // 2]
            print(f"{what.__name__}: median {middle:.2f} s, worst {worst:.2f} s, promised {promised:g} s:"
                  f" worst/promised {worst / promised:.2f}", flush=True)  # fmt: skip
    finally:
        stage.end()
        stage.redis.kill()
        shutil.rmtree(folder)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
