"""How far a job is: percent of the whole job, made of stages with shares. Never falls.

100 is not told from here: it is told in the transaction that commits `done`, after the last upload was
confirmed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

EVERY_SECONDS = 0.5
# stage, percent, speed
Tell = Callable[[str, float, str], None]


class Progress:
    """Owned by one job's thread. `begin` a stage with its share of the whole, then `update` it from 0 to 1."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._stage = ""
        self._base = self._share = self._percent = 0.0
        self._told = 0.0
        self._first: tuple[str, float] | None = None
        self._seconds: dict[str, float] = {}
        self._since = time.monotonic()

    @property
    def stage(self) -> str:
        """The stage that began last."""
        return self._stage

    def begin(self, stage: str, share: float) -> None:
        """The next stage, worth `share` percent of the job; the one before is over."""
        self.seconds()
        self._base = min(self._base + self._share, 99.0)
        self._stage, self._share = stage, share
        self._first = self._first or (stage, share)
        self._told = 0.0
        self.update(0.0)

    def again(self) -> None:
        """The first stage once more, in another way: what was done of it led to nothing."""
        if self._first:
            self._base = self._share = 0.0
            self.begin(*self._first)

    def seconds(self) -> dict[str, float]:
        """How long each stage took so far, in the order in which they began; one that began twice, together."""
        now = time.monotonic()
        if self._stage:
            self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + now - self._since
        self._since = now
        return dict(self._seconds)

    def update(self, fraction: float, speed: str = "") -> None:
        """The stage is so far (0 to 1). Told at most twice a second."""
        wanted = self._base + self._share * min(max(fraction, 0.0), 1.0)
        self._percent = max(self._percent, min(round(wanted, 1), 99.0))
        now = time.monotonic()
        if now - self._told >= EVERY_SECONDS:
            self._told = now
            self._tell(self._stage, self._percent, speed)
