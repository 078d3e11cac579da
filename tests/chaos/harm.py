"""What goes wrong, one thing at a time, at random."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections import Counter
from pathlib import Path

from tests.chaos.world import Node, World
from tests.daemon import until

TOOLS = ("ffmpeg", "ffprobe", "wget")
CHILD_WAIT = 3.0


class Harm:
    """A thread that harms nodes A and B, Redis, the network, a disk and a clock; node C only sees it.

    `counts`: how often each was done. `failed`: what this thread itself could not do, such as a start.
    """

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world, self._rng = world, rng
        self._over = threading.Event()
        self.counts: Counter[str] = Counter()
        self.failed: list[str] = []
        self._thread = threading.Thread(target=self._run, name="harm")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._over.wait(self._rng.uniform(2, 5)):
                names = [name for name in HARMS if self._possible(name)]
                name = self._rng.choices(names, [HARMS[name] for name in names])[0]
                self._world.say(f"harm: {name}")
                if getattr(self, "_" + name)() is not False:
                    self.counts[name] += 1
        except Exception as error:
            self.failed.append(f"harm: {type(error).__name__}: {error}")

    def _possible(self, name: str) -> bool:
        return {"disk_full": self._world.disk, "clock": self._world.clock}.get(name, True) is not None

    def _victim(self) -> Node:
        return self._rng.choice((self._world.a, self._world.b))

    def _pass(self, least: float, most: float) -> None:
        self._over.wait(self._rng.uniform(least, most))

    # ------------------------------------------------------------- daemons
    def _kill_node(self) -> None:
        node = self._victim()
        node.kill()
        node.up()

    def _kill_node_for_a_lease(self) -> None:
        node = self._victim()
        node.kill()
        self._pass(4, 7)
        node.up()

    def _kill_two_nodes(self) -> None:
        self._world.a.kill()
        self._world.b.kill()
        self._pass(0, 5)
        self._world.a.up()
        self._world.b.up()

    def _term_node(self) -> None:
        node = self._victim()
        node.down()
        node.up()

    def _stop_now(self) -> None:
        node = self._victim()
        node.down("--now")
        node.up()

    def _freeze_node(self) -> None:
        node = self._victim()
        node.signal(signal.SIGSTOP)
        self._pass(0.5, 6)
        node.signal(signal.SIGCONT)

    def _kill_frozen_node(self) -> None:
        """Its start must not wait for messages that are being taken over."""
        node = self._victim()
        node.signal(signal.SIGSTOP)
        self._pass(2.5, 4.5)
        node.kill()
        node.up()

    def _hup(self) -> None:
        self._victim().signal(signal.SIGHUP)

    def _kill_child(self) -> bool:
        """Of A or B, whichever has one first."""
        nodes, found = [self._world.a, self._world.b], []

        def look() -> bool:
            found[:] = [pid for node in nodes for pid in node.marked() if _name(pid) in TOOLS]
            return bool(found)

        with contextlib.suppress(AssertionError):
            until(look, CHILD_WAIT, "a child")
        if not found:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._rng.choice(found), signal.SIGKILL)
            return True
        return False

    # ------------------------------------------------------------- Redis
    def _kill_redis(self) -> None:
        self._world.redis.kill()
        self._pass(0, 4)
        self._world.redis.start()

    def _cut_clients(self) -> None:
        self._world.insist(lambda r: r.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))

    def _flush_scripts(self) -> None:
        self._world.insist(lambda r: r.script_flush())

    # ------------------------------------------------------------- network, disk, clock, people
    def _cut_network(self) -> None:
        self._world.relay.cut(self._rng.choice(("reset", "silent")))
        self._pass(1, 4)
        self._world.relay.restore()

    def _disk_full(self) -> None:
        assert self._world.disk
        ballast = self._world.disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
        self._pass(1, 4)
        ballast.unlink()
        # three jobs in a row that found no room make the node pause itself until somebody looked
        self._world.insist(lambda _: self._world.steer.resume(self._world.b.node))

    def _clock(self) -> None:
        offset = f"{self._rng.uniform(-40, 40):+.2f}h"
        self._world.say(f"clock of b: {offset}")
        self._world.set_clock(offset)

    def _pause(self) -> None:
        node = self._rng.choice((self._world.a.node, self._world.b.node, "*"))
        self._world.insist(lambda _: self._world.steer.pause(node, "chaos", "somebody"))
        self._pass(0.5, 3)
        self._world.insist(lambda _: self._world.steer.resume(node))


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


# how likely each is, by the method of this name
HARMS = {
    "kill_node": 4,
    "kill_node_for_a_lease": 3,
    "kill_two_nodes": 1,
    "term_node": 2,
    "stop_now": 2,
    "freeze_node": 4,
    "kill_frozen_node": 1,
    "hup": 1,
    "kill_child": 4,
    "kill_redis": 4,
    "cut_clients": 2,
    "flush_scripts": 1,
    "cut_network": 3,
    "disk_full": 3,
    "clock": 3,
    "pause": 2,
}
