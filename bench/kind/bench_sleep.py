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
    fault: str | None = None

    @classmethod
    def read(cls, job: Job, settings: Settings) -> Params:
        """From a message."""
        params = cls(job.fields.seconds("seconds") or 0.0, job.fields.text("fault"))
        params.fail_at("read")
        return params

    def fail_at(self, place: str) -> None:
        """For the tests: the fault that no kind should have."""
        if self.fault == place:
            raise RuntimeError(f"a fault while {place}")


def run(params: Params, ctx: Context) -> list[Output]:
    """Wait, but not past the job's cancel token and deadline."""
    params.fail_at("run")
    if params.seconds:
        ctx.tools.cancel.wait(params.seconds)
    return []
