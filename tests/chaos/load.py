"""The mix that is pushed: what each message is, and how it must end."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.world import FILM_SECONDS, SERVED, World
from tests.origin import Page

MOST_WAITING = 20
DONE = frozenset({"done"})
# once only, however often the answer is lost: a second copy of a job that ends dead would rightly run again
PUSH = """
if redis.call('SET', KEYS[1], 1, 'NX') then redis.call('LPUSH', KEYS[2], ARGV[1]) end
return 1
"""
GARBAGE = (
    b"\xff\xfe\x00 no UTF-8",
    b"{",
    b"hello",
    b'{"id": "' + b"x" * 200 + b'"}',
    b'{"a": NaN}',
    b"[" * 40 + b"]" * 40,
    b'{"id": "../../etc/passwd", "kind": "sleep"}',
    b'{"url": "x", "url": "y"}',
    b'{"videod": 1, "id": "forged", "token": "t", "attempt": 1, "crashes": 0, "origin": "q", "raw": "{}"}',
    b'{"videod": 7}',
)


@dataclass
class Pushed:
    """One message: `wanted` are the ways it may end, an event or `dead:CODE`. `clips`: (start, end, cut)."""

    ident: str
    sort: str
    message: dict[str, Any]
    wanted: frozenset[str]
    clips: list[tuple[float, float, str]] = field(default_factory=list)
    copies: int = 1
    cancel: str = ""  # what the cancel answered, if there was one


class Load:
    """A thread that pushes random messages, cancels some and pushes some twice. Sole writer of what it counts."""

    def __init__(self, world: World, rng: random.Random, rate: float) -> None:
        self._world, self._rng, self._rate = world, rng, rate
        self._over = threading.Event()
        self.pushed: dict[str, Pushed] = {}
        self.nameless: Counter[str] = Counter()  # messages whose id videod makes
        self.counts: Counter[str] = Counter()
        self.failed: list[str] = []
        self._pushes = 0
        self._thread = threading.Thread(target=self._run, name="load")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._over.wait(self._rng.expovariate(self._rate)):
                if self._waiting() < MOST_WAITING:  # the nodes shall keep up on any machine
                    self._one()
        except Exception as error:
            self.failed.append(f"load: {type(error).__name__}: {error}")

    def _waiting(self) -> int:
        lists = [*SERVED, *(f"video_info_queue@{node.node}" for node in self._world.nodes)]
        return self._world.insist(lambda r: sum(r.llen(name) for name in lists))

    def _one(self) -> None:
        sort = self._rng.choices(list(SORTS), [weight for weight, _ in SORTS.values()])[0]
        if sort in ("garbage", "address"):
            raw = self._rng.choice(GARBAGE) if sort == "garbage" else f"{self._world.base}/film.mp4".encode()
            self.nameless[sort] += 1
            self._push(raw, self._rng.choice(SERVED))
        elif sort in ("copy", "cancel"):
            found = self._copy() if sort == "copy" else self._cancel()
            self.counts[sort] += found  # there may be no job to copy or to cancel
            return
        else:
            self._job(sort)
        self.counts[sort] += 1

    def _job(self, sort: str) -> None:
        ident = f"{sort}-{len(self.pushed)}"
        pushed = Pushed(ident, sort, {"id": ident}, DONE)
        SORTS[sort][1](pushed, self._world, self._rng)
        message, name = pushed.message, self._rng.choice(SERVED)
        if self._rng.random() < 0.3:
            message["reply_to"] = f"reply:{ident}"
        if self._rng.random() < 0.3:
            message["callback"] = self._world.receiver.url
        if self._rng.random() < 0.15:
            node = self._rng.choice(self._world.nodes).node
            message["node"] = node
            name = self._rng.choice((name, f"video_info_queue@{node}"))
        self.pushed[ident] = pushed
        self._push(json.dumps(message).encode(), name)

    def _push(self, raw: bytes, name: str) -> None:
        self._pushes += 1
        mark = f"chaos:pushed:{self._pushes}"
        self._world.insist(lambda r: r.eval(PUSH, 2, mark, name, raw))

    def _some(self, may: Callable[[Pushed], bool]) -> Pushed | None:
        found = [pushed for pushed in list(self.pushed.values())[-8:] if may(pushed)]
        return self._rng.choice(found) if found else None

    def _copy(self) -> bool:
        # only of what ends `done` for sure: an id that ended dead or cancelled rightly runs again
        if pushed := self._some(lambda pushed: pushed.sort == "sleep" and not pushed.cancel):
            pushed.copies += 1
            self._push(json.dumps(pushed.message).encode(), self._rng.choice(SERVED))
        return pushed is not None

    def _cancel(self) -> bool:
        if pushed := self._some(lambda pushed: pushed.copies == 1 and not pushed.cancel):
            pushed.cancel = "sent"
            answer = self._world.insist(lambda _: self._world.steer.cancel(pushed.ident))
            pushed.cancel = answer or "unknown"
        return pushed is not None


# ------------------------------------------------------------- the sorts
def _times(rng: random.Random) -> tuple[float, float]:
    start = rng.randrange(0, (FILM_SECONDS - 3) * 10) / 10
    return start, round(start + rng.randrange(5, 25) / 10, 1)


def _clip(pushed: Pushed, world: World, rng: random.Random) -> None:
    cut = "keyframe" if pushed.sort == "keyframe" else "exact"
    start, end = _times(rng)
    pushed.clips = [(start, end, cut)]
    pushed.message |= {"url": f"{world.base}/film.mp4", "start": start, "end": end, "cut": cut}


def _clips(pushed: Pushed, world: World, rng: random.Random) -> None:
    pushed.clips = [(*_times(rng), rng.choice(("exact", "keyframe"))) for _ in range(rng.randrange(2, 4))]
    clips = [{"start": start, "end": end, "cut": cut} for start, end, cut in pushed.clips]
    pushed.message |= {"url": f"{world.base}/film.mp4", "clips": clips}


def _flaky(pushed: Pushed, world: World, rng: random.Random) -> None:
    _clip(pushed, world, rng)
    film = world.film.read_bytes()
    bad = [Page(status=503), Page(film, cut_after=5000), Page(film, cut_after=5000, reset=True)]
    world.origin.put(f"/{pushed.ident}.mp4", *rng.choices(bad, k=rng.randrange(1, 4)), Page(film))
    pushed.message["url"] = f"{world.base}/{pushed.ident}.mp4"


def _local(pushed: Pushed, world: World, rng: random.Random) -> None:
    _clip(pushed, world, rng)
    pushed.message["url"] = str(world.film)


def _sleep(pushed: Pushed, world: World, rng: random.Random) -> None:
    pushed.message |= {"kind": "sleep", "seconds": rng.randrange(0, 31) / 10}


def _fails(pushed: Pushed, world: World, rng: random.Random) -> None:
    film = f"{world.base}/film.mp4"
    code, message = rng.choice((
        ("not_found", {"url": f"{world.base}/nothing.mp4", "start": 1, "end": 2}),
        ("not_video", {"url": f"{world.base}/text.mp4", "start": 1, "end": 2}),
        ("out_of_range", {"url": film, "start": 100, "end": 110}),
        ("bad_message", {"url": film, "start": 5, "end": 2}),
        ("bad_message", {"kind": "nope"}),
        ("bad_message", {"url": 7}),
        ("bad_message", {"url": film, "clips": "all"}),
        ("forbidden_source", {"url": "http://169.254.169.254/latest"}),
        ("upload_denied", {"url": film, "end": 1, "upload": "file:/etc/x.mp4"}),
    ))  # fmt: skip
    pushed.message |= message
    pushed.wanted = frozenset({f"dead:{code}"})


Builder = Callable[[Pushed, World, random.Random], None]
SORTS: dict[str, tuple[float, Builder]] = {
    "exact": (18, _clip),
    "keyframe": (8, _clip),
    "clips": (6, _clips),
    "flaky": (8, _flaky),
    "local": (6, _local),
    "sleep": (28, _sleep),
    "fails": (12, _fails),
    "garbage": (5, lambda *_: None),
    "address": (3, lambda *_: None),
    "copy": (8, lambda *_: None),
    "cancel": (8, lambda *_: None),
}
