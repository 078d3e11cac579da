"""How much was done: counted in the transactions that commit an end or a retry, so that each counts once.

Two hashes of whole numbers: one for ever, and one for each hour, for charts. Their fields:

    ended:KIND:OUTCOME      both: jobs that ended done, dead or cancelled; attempts that ended in retry
    at:MINUTE:OUTCOME       of an hour: in the STEP minutes from that one on
    error:CODE              for ever, as all below: of those that ended dead or in retry
    ms, fetched, uploaded, cpu_ms
    stage:STAGE:LE          attempts whose stage took at most LE seconds, and more than the bound below
    stage:STAGE:ms

The hour is that of the clock of the node that writes, as all times in events are.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

from videod.config.settings import Settings
from videod.jobqueue.connection import Connection
from videod.jobqueue.names import Names
from videod.spent import Spent

# seconds
BOUNDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
MORE = "more"
_TEXTS = (*map(str, BOUNDS), MORE)
STEP = 5
HOUR = 3600
OUTCOMES = ("done", "dead", "cancelled", "retry")
# the kind of a message that nobody worked on is what its producer wrote: any text, any number of them
OWN_KINDS = ("clip", "convert", "download", "look", "recording")
OTHER = "other"


@dataclass(frozen=True)
class Tally:
    """What one end adds: arguments of a script, and the start of the hour in seconds since 1970."""

    total: str
    recent: str
    hour: int


def tally(kind: str, outcome: str, code: str = "", spent: Spent | None = None, now: float | None = None) -> Tally:
    """Of one end, or one retry. `spent` None: no attempt was made. `now` in seconds since 1970."""
    if spent is None and kind not in OWN_KINDS:
        kind = OTHER
    at = int(time.time() if now is None else now)
    minute = at % HOUR // 60 // STEP * STEP
    ended = f"ended:{kind}:{outcome} 1"
    facts = [ended, f"error:{code} 1"] if code else [ended]
    if spent:
        facts.append(f"ms {spent.seconds * 1000:.0f} cpu_ms {spent.cpu_seconds * 1000:.0f}")
        if spent.fetched_bytes or spent.uploaded_bytes:
            facts.append(f"fetched {spent.fetched_bytes} uploaded {spent.uploaded_bytes}")
        for stage, seconds in spent.stages.items():
            bound = _TEXTS[bisect_left(BOUNDS, seconds)]
            facts.append(f"stage:{stage}:{bound} 1 stage:{stage}:ms {seconds * 1000:.0f}")
    return Tally(" ".join(facts), f"{ended} at:{minute}:{outcome} 1", at - at % HOUR)


@dataclass
class Histogram:
    """How long a stage took: attempts by bound (BOUNDS, and what is above), seconds in all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0


@dataclass
class Totals:
    """What was done in some span. `ended` is {(kind, outcome): number}; sums in bytes and seconds."""

    ended: dict[tuple[str, str], int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    stages: dict[str, Histogram] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    fetched_bytes: int = 0
    uploaded_bytes: int = 0


@dataclass(frozen=True)
class Bar:
    """One bar of a chart: from `start` (seconds since 1970), how many of each outcome."""

    start: int
    seconds: int
    ended: Mapping[str, int]


class Figures:
    """Reads them. RedisAway."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._names, self._connection = Names.of(settings), connection

    def total(self) -> Totals:
        """Since the beginning."""
        return _totals(_numbers(self._connection.call("HGETALL", self._names.counts)))

    def bars(self, hours: int, now: float | None = None) -> tuple[list[Bar], list[Bar]]:
        """The last `hours` by the hour, and the last hour by STEP minutes; oldest first, the last unfinished."""
        at = int(time.time() if now is None else now)
        last = at - at % HOUR
        starts = range(last - (hours - 1) * HOUR, last + 1, HOUR)
        asked = [("HGETALL", self._names.counts_of(start)) for start in (starts[0] - HOUR, *starts)]
        found = [_numbers(flat) for flat in self._connection.many(asked)]
        by_hour = [Bar(start, HOUR, _outcomes(_totals(facts))) for start, facts in zip(starts, found[1:], strict=True)]
        step = STEP * 60
        first = at - at % step - HOUR + step
        by_step = [Bar(start, step, _of_minute(found[-1 if start >= last else -2], start)) for start in
                   range(first, first + HOUR, step)]  # fmt: skip
        return by_hour, by_step


def _numbers(flat: list[bytes]) -> dict[str, int]:
    found = {}
    for name, number in zip(flat[::2], flat[1::2], strict=True):
        if number.isdigit():
            found[name.decode("utf-8", "replace")] = int(number)
    return found


def _totals(facts: Mapping[str, int]) -> Totals:
    made = Totals(
        seconds=facts.get("ms", 0) / 1000,
        cpu_seconds=facts.get("cpu_ms", 0) / 1000,
        fetched_bytes=facts.get("fetched", 0),
        uploaded_bytes=facts.get("uploaded", 0),
    )
    places = {text: n for n, text in enumerate(_TEXTS)}
    for name, number in facts.items():
        match name.split(":"):
            case ["ended", kind, outcome]:
                made.ended[kind, outcome] = number
            case ["error", code]:
                made.errors[code] = number
            case ["stage", stage, "ms"]:
                made.stages.setdefault(stage, Histogram()).seconds = number / 1000
            case ["stage", stage, bound] if bound in places:
                made.stages.setdefault(stage, Histogram()).counts[places[bound]] = number
    return made


def _outcomes(totals: Totals) -> dict[str, int]:
    found = dict.fromkeys(OUTCOMES, 0)
    for (_, outcome), number in totals.ended.items():
        if outcome in found:
            found[outcome] += number
    return found


def _of_minute(facts: Mapping[str, int], start: int) -> dict[str, int]:
    minute = start % HOUR // 60
    return {outcome: facts.get(f"at:{minute}:{outcome}", 0) for outcome in OUTCOMES}
