"""A kind that only waits: what the dispatch itself costs. Found by the entry point beside it."""

from __future__ import annotations

from dataclasses import dataclass

from videod.config.settings import Settings
from videod.context import Context
from videod.events import Output
from videod.job import Job


@dataclass(frozen=True)
class Params:
    """How long."""

    seconds: float

    @classmethod
    def read(cls, job: Job, settings: Settings) -> Params:
        """From a message."""
        return cls(job.fields.seconds("seconds") or 0.0)


def run(params: Params, ctx: Context) -> list[Output]:
    """Wait, but not past the job's cancel token and deadline."""
    if params.seconds:
        ctx.tools.cancel.wait(params.seconds)
    return []
