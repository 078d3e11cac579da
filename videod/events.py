"""The event objects that producers read (docs/protocol.md). Plain data: what is told, not to whom."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

FINAL = ("done", "dead", "cancelled")
COMPACT = json.JSONEncoder(separators=(",", ":"))


def stamp(seconds: float | None = None) -> str:
    """A time (seconds since 1970; None: now) as ISO 8601 UTC with milliseconds: `2026-11-20T21:18:03.412Z`."""
    whole, part = divmod(int((time.time() if seconds is None else seconds) * 1000), 1000)
    return f"{_second(whole)}.{part:03d}Z"


@lru_cache(8)
def _second(whole: int) -> str:
    # each job stamps nine times: the date is worked out once a second
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


@dataclass(frozen=True)
class Output:
    """One result. Times in seconds from the first shown frame of the source; `asked` is `[start, end]`."""

    n: int
    url: str
    bytes: int
    sha256: str
    start: float | None = None
    end: float | None = None
    asked: tuple[float | None, float | None] | None = None
    frames: int | None = None
    duration: float | None = None
    cut: str | None = None
    width: int | None = None
    height: int | None = None
    warning: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields that are known."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Said:
    """What became of one file of a job: kept as `mark`, plain JSON, under `field` until the job ends, and announced.

    `name` is as the producer sent it; None: the file is marked only. `error` is why it failed for good, '' if not.
    """

    field: str
    mark: Any
    name: str | None = None
    error: str = ""
    output: Output | None = None


def said_as_text(said: Said) -> str:
    """What a batch's reply list gets: the name alone where that cannot be taken for anything else."""
    if said.name is None:
        return ""
    if said.error:
        return COMPACT.encode({"fn": said.name, "error": said.error})
    plain = said.name not in ("start", "end") and not said.name.startswith("{")
    return said.name if plain else COMPACT.encode({"fn": said.name})


@dataclass(frozen=True)
class Teller:
    """Makes the events of one job: knows what each of them repeats."""

    id: str
    kind: str
    node: str
    attempt: int = 1
    meta: Any = None

    def event(self, name: str, **more: Any) -> str:
        """One event as JSON text. ASCII, so that half a surrogate pair in `meta` cannot break it."""
        made: dict[str, Any] = {"event": name, "id": self.id, "kind": self.kind, "at": stamp(), "node": self.node}
        made = {**made, "attempt": self.attempt, **({"meta": self.meta} if self.meta is not None else {}), **more}
        return COMPACT.encode(made)
