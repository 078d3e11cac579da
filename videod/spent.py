"""What an attempt took: kept in the job record and added to the figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from videod.events import COMPACT


@dataclass(frozen=True)
class Spent:
    """`seconds` in all and by stage, bytes of bodies that came in and of results that went out, CPU seconds with
    those of the tools."""

    seconds: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    fetched_bytes: int = 0
    uploaded_bytes: int = 0
    cpu_seconds: float = 0.0

    def event(self) -> dict[str, Any]:
        """The fields of the event `done`."""
        return {"seconds": self.seconds, "fetched_bytes": self.fetched_bytes, "cpu_seconds": self.cpu_seconds}

    def record(self) -> dict[str, Any]:
        """The fields of the job record."""
        stages = {stage: round(seconds, 3) for stage, seconds in self.stages.items()}
        return {**self.event(), "stages": COMPACT.encode(stages)}
