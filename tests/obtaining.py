"""What `videod.obtain` works with, without a daemon: one job's tools and settings, and what it said."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from tests.transfer_fixtures import settings_of
from videod import obtain
from videod.context import Context
from videod.fields import Fields
from videod.job import Job
from videod.media.model import Source
from videod.process import Tools
from videod.progress import Progress


class Checked(Progress):
    """What it is told is a part of a stage."""

    def update(self, fraction: float, speed: str = "") -> None:
        assert 0 <= fraction <= 1
        super().update(fraction, speed)


class Attempt:
    """As much of a Context as the fetching of sources needs."""

    def __init__(self, tools: Tools, folder: Path, **keys: str) -> None:
        self.tools, self.scratch, self.settings = tools, tools.scratch, settings_of(folder, **keys)
        self.log, self.progress = self, Checked(lambda stage, percent, speed: None)
        self.said: list[str] = []
        self.fetched_bytes = 0
        self.cache = None
        self.job = Job("j", "clip", Fields({}))

    def info(self, text: str) -> None:
        self.said.append(text)

    @property
    def ctx(self) -> Context:
        return cast(Context, self)


def wishes(seconds: float, number: int, seed: str) -> list[obtain.Wish]:
    """Random parts of a video, and both of its ends."""
    dice = random.Random(seed)
    spans: list[tuple[float, float | None]] = [(0.0, 1.3), (round(seconds - 1.013, 3), None)]
    for _ in range(number):
        start = round(dice.uniform(0, seconds - 3), 3)
        spans.append((start, round(start + dice.uniform(0.04, 3), 3)))
    return [obtain.Wish(start, end, dice.choice(["exact", "exact", "keyframe"]), "mp4") for start, end in spans]


def plain(source: Source, wish: obtain.Wish) -> tuple[Any, ...]:
    """What a wish selects, on a clock that begins with the source."""
    ready = obtain.of_whole(source, wish)
    plan, zero = ready.plan, source.frames.zero
    origin = zero * plan.time_base
    sound = [None if at is None else at - origin for at in plan.sound]
    ticks = [Fraction(pts - zero) * plan.time_base for pts in plan.pts]
    return plan.cut, ticks, Fraction(plan.after - zero) * plan.time_base, plan.start, plan.end, sound
