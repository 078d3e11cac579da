"""Look at the steady node: descriptors, threads and memory, and by how much they grow."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

EVERY = 10.0
WARM_UP = 0.2


@dataclass(frozen=True)
class Sample:
    """At `at` seconds; memory in KiB."""

    at: float
    descriptors: float
    threads: float
    rss: float
    pss: float


@dataclass(frozen=True)
class Growth:
    """Of one number: first and last sample after the warm-up, their most, and the slope of a straight fit."""

    first: float
    last: float
    most: float
    per_hour: float

    @property
    def percent(self) -> float:
        return 100 * self.per_hour / self.first if self.first else 0.0


class Watch:
    """A thread that takes a sample of one process every ten seconds."""

    def __init__(self, pid: int) -> None:
        self._pid, self._begun = pid, time.monotonic()
        self._over = threading.Event()
        self.samples: list[Sample] = []
        self._thread = threading.Thread(target=self._run, name="watch")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self.samples.append(self._take())
            except OSError:  # it is gone, which the account says elsewhere
                return
            if self._over.wait(EVERY):
                return

    def _take(self) -> Sample:
        proc = Path(f"/proc/{self._pid}")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        rollup = dict(line.split(":", 1) for line in (proc / "smaps_rollup").read_text().splitlines()[1:])
        sizes = (float(text.split()[0]) for text in (status["Threads"], status["VmRSS"], rollup["Pss"]))
        return Sample(time.monotonic() - self._begun, len(os.listdir(proc / "fd")), *sizes)

    def growth(self, name: str) -> Growth:
        """After the first fifth of the time: threads and pools are made when first needed."""
        end = self.samples[-1].at
        kept = [sample for sample in self.samples if sample.at >= end * WARM_UP] or self.samples
        values = [(sample.at, float(getattr(sample, name))) for sample in kept]
        return Growth(values[0][1], values[-1][1], max(value for _, value in values), _slope(values) * 3600)


def _slope(values: list[tuple[float, float]]) -> float:
    """Least squares."""
    n = len(values)
    mean_x, mean_y = sum(x for x, _ in values) / n, sum(y for _, y in values) / n
    spread = sum((x - mean_x) ** 2 for x, _ in values)
    return sum((x - mean_x) * (y - mean_y) for x, y in values) / spread if spread else 0.0
