"""A kind that only waits: what the dispatch itself costs. Found by the entry point beside it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from videod.config.settings import Settings
from videod.context import Context
from videod.errors import Failure
from videod.events import Output
from videod.job import Job


@dataclass(frozen=True)
class Params:
    """How long, and how it ends: `fault` is one of videod's, `fail` a code of the protocol."""

    seconds: float
    fault: str | None = None
    fail: str | None = None

    @classmethod
    def read(cls, job: Job, settings: Settings) -> Params:
        """From a message."""
        params = cls(job.fields.seconds("seconds") or 0.0, job.fields.text("fault"), job.fields.text("fail"))
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
    if params.fault == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    if params.fail:
        kind = next(kind for kind in _kinds(Failure) if vars(kind).get("code") == params.fail)
        raise kind("as the message asked for")
    return []


def _kinds(base: type[Failure]) -> list[type[Failure]]:
    return [found for kind in base.__subclasses__() for found in (kind, *_kinds(kind))]
