"""The command: run for so many minutes, print the account; exit 1 where a promise was broken."""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import sys
import time
from pathlib import Path

from tests.chaos import account as sums
from tests.chaos.harm import Harm
from tests.chaos.load import SERVED, Load
from tests.chaos.results import Results
from tests.chaos.watch import Watch
from tests.chaos.world import World
from tests.conftest import pytest_configure
from tests.daemon import until

SETTLE_SECONDS = 240
# docs/internals.md: no child outlives its daemon by more
ORPHAN_SECONDS = 2
EACH = ("videod:running:", "video_info_queue@")
# memory of a process that is young grows: its threads, pools and caches are made when first needed
JUDGED_FROM_MINUTES = 20
MOST_GROWTH_PERCENT = 5.0


class Soak:
    """One run from the start of the servers to the account."""

    def __init__(self, minutes: float, seed: int, rate: float) -> None:
        self.minutes, self.seed = minutes, seed
        self.world = World(random.Random(f"{seed} receiver"), self.say)
        self.load = Load(self.world, random.Random(f"{seed} load"), rate)
        self.harm = Harm(self.world, random.Random(f"{seed} harm"))

    def say(self, text: str) -> None:
        """A line into chaos.log, with the time of the nodes' logs."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 10**6 % 1000:03}Z"
        with (self.world.folder / "chaos.log").open("a") as file:
            file.write(f"{stamp} {text}\n")

    def run(self) -> sums.Account:
        for node in self.world.nodes:
            node.up()
        assert self.world.c.pid
        watch = Watch(self.world.c.pid)
        for part in (watch, self.load, self.harm):
            part.start()
        end = time.monotonic() + self.minutes * 60
        try:
            while time.monotonic() < end and not self._failed():
                time.sleep(1.0)
        finally:  # after Ctrl-C, too: else the harm would start nodes anew while the world is taken down
            self.harm.stop()
            self.load.stop()
        self.say("harm and load are over")
        self.world.heal()
        settled = self._settle()
        watch.stop()
        self.say(f"settled: {settled or 'yes'}")
        for node in self.world.nodes:
            node.down()
        return self._account(watch, settled)

    def _failed(self) -> list[str]:
        return self.harm.failed + self.load.failed

    def _settle(self) -> str:
        """Wait until nothing waits or runs any more; what does, if that takes too long."""
        left: dict[str, int] = {}

        def look() -> bool:
            r = self.world.redis.client()
            for name in ("videod:delayed", "videod:outbox"):  # what waits for its time need not wait for it here
                for member in r.zrange(name, 0, -1):
                    r.zadd(name, {member: 0}, xx=True)
            lists = [*SERVED, *(f"{name}{node.node}" for node in self.world.nodes for name in EACH)]
            pipe = r.pipeline(transaction=True)  # at one moment: a message that moves meanwhile is seen
            for name in lists:
                pipe.llen(name)
            numbers = pipe.zcard("videod:delayed").zcard("videod:outbox").execute()
            left.update(zip([*lists, "videod:delayed", "videod:outbox"], numbers, strict=True))
            time.sleep(0.5)  # each look makes all callbacks due: not faster than they can be delivered
            return not any(left.values())

        try:
            until(look, SETTLE_SECONDS, "all ended")
        except AssertionError:
            return ", ".join(f"{name}: {number}" for name, number in left.items() if number)
        return ""

    def _account(self, watch: Watch, settled: str) -> sums.Account:
        made, world = sums.Account(), self.world
        made.tell("minutes, seed", f"{self.minutes:g}, {self.seed}")
        for text in world.skipped:
            made.tell("skipped", text)
        with contextlib.suppress(AssertionError):  # the account names who is left then
            until(lambda: not any(node.marked() for node in world.nodes), ORPHAN_SECONDS, "children are gone")
        events = sums.Events(world.redis.client())
        sums.jobs(made, world, self.load, events)
        sums.results(made, self.load, events, Results(world.shared, random.Random(self.seed)))
        sums.callbacks(made, world, self.load)
        sums.leftovers(made, world)
        made.zero("not ended in time", [settled] if settled else [])
        made.zero("faults of the soak itself", self._failed())
        sums.what_happened(made, world, events, self.harm.counts)
        self._growth(made, watch)
        return made

    def _growth(self, made: sums.Account, watch: Watch) -> None:
        made.section("the steady node, after a warm-up of 20 % of the time")
        for name, unit, scale in (
            ("descriptors", "", 1),
            ("threads", "", 1),
            ("rss", " MiB", 1024),
            ("pss", " MiB", 1024),
        ):
            found = watch.growth(name)
            values = " / ".join(f"{value / scale:.4g}" for value in (found.first, found.last, found.most))
            made.tell(f"{name}: first / last / most, growth", f"{values}{unit}, {found.percent:+.1f} % an hour")
        for sample in watch.samples:
            self.say(str(sample))
        if self.minutes >= JUDGED_FROM_MINUTES:
            percent = watch.growth("rss").percent
            made.zero(f"RSS grows by {MOST_GROWTH_PERCENT:g} % an hour or more", int(percent >= MOST_GROWTH_PERCENT))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--rate", type=float, default=2.0, help="messages a second while the nodes keep up")
    parser.add_argument("--keep", action="store_true", help="keep the folder though all went well")
    arguments = parser.parse_args()
    pytest_configure()  # commands find the checkout and the `sleep` kind
    soak = Soak(arguments.minutes, arguments.seed, arguments.rate)
    made = None
    try:
        made = soak.run()
    finally:
        soak.world.close()
        folder: Path = soak.world.folder
        if made and not made.broken and not arguments.keep:
            shutil.rmtree(folder)
        else:
            print(f"logs and the AOF of Redis are kept in {folder}", file=sys.stderr)
    print(made)
    print("\n".join(["", "broken:", *made.broken]) if made.broken else "\nall promises kept")
    return 1 if made.broken else 0


if __name__ == "__main__":
    sys.exit(main())
