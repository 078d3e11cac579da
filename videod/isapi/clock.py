"""The clock of a recorder: what it shows is local time, even where it writes a Z behind it.

Its offset from UTC is told by System/time: `localTime`, and `timeZone` in the form of POSIX with colons, as in
`CST-1:00:00DST01:00:00,M3.5.0/02:00:00,M10.5.0/03:00:00`: one hour east of UTC, and one more from the last Sunday of
March to that of October. Times here are naive datetimes of that clock ("wall"), unless they say UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_ZONE = re.compile(
    r"[A-Za-z<>+-]{1,12}?([+-]?\d{1,2})(?::(\d{2}))?(?::(\d{2}))?(?:DST(\d{1,2}):(\d{2})(?::\d{2})?)?(?:,(.*))?"
)
_RULE = re.compile(r"M(\d{1,2})\.(\d)\.(\d)(?:/(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?)?")
_TIME = re.compile(
    r"(\d{4})-?(\d{2})-?(\d{2})(?:[T ](\d{2}):?(\d{2})(?::?(\d{2})(?:\.\d{1,9})?)?)?\s*(Z|[+-]\d{2}:?\d{2})?",
    re.IGNORECASE | re.ASCII,
)
NOTHING = timedelta(0)
QUARTER = timedelta(minutes=15)
MOST = timedelta(hours=18)


@dataclass(frozen=True)
class Rule:
    """When the clock changes: the `week`-th (5: last) `day` (0: Sunday) of `month`, so long `after` midnight."""

    month: int
    week: int
    day: int
    after: timedelta

    def in_year(self, year: int) -> datetime:
        """That moment, as the clock shows it before the change."""
        first = date(year, self.month, 1)
        # Python's Monday is 0, here it is 1
        ahead = (self.day - first.isoweekday()) % 7
        found = first + timedelta(days=ahead + 7 * (self.week - 1))
        while found.month != self.month:
            found -= timedelta(days=7)
        return datetime(found.year, found.month, found.day) + self.after


@dataclass(frozen=True)
class Clock:
    """`offset` is east of UTC and without DST, `dst` what is added from `begins` to `ends`, `ahead` by how much the
    clock runs before ours."""

    offset: timedelta
    dst: timedelta = NOTHING
    begins: Rule | None = None
    ends: Rule | None = None
    ahead: timedelta = NOTHING

    def at(self, utc: datetime) -> timedelta:
        """The offset at a moment (aware)."""
        return self.offset + (self.dst if self._summer(utc.astimezone(UTC).replace(tzinfo=None)) else NOTHING)

    def wall(self, utc: datetime) -> datetime:
        """What the clock shows at a moment (aware) if it is right."""
        return utc.astimezone(UTC).replace(tzinfo=None) + self.at(utc)

    def utc(self, wall: datetime) -> datetime:
        """The moment at which the clock shows this; of two the first."""
        summer = (wall - self.offset - self.dst).replace(tzinfo=UTC)
        return summer if self.wall(summer) == wall else (wall - self.offset).replace(tzinfo=UTC)

    def now(self) -> datetime:
        """What the clock shows now."""
        return self.wall(datetime.now(UTC)) + self.ahead

    def _summer(self, utc: datetime) -> bool:
        if not self.begins or not self.ends or not self.dst:
            return False
        year = (utc + self.offset).year
        begin = self.begins.in_year(year) - self.offset
        end = self.ends.in_year(year) - self.offset - self.dst
        return begin <= utc < end if begin < end else not end <= utc < begin


def clock_of(local_time: str, zone: str, now: datetime) -> Clock:
    """The clock that System/time tells of; `now` is ours, aware. ValueError where it tells nothing to go by."""
    wall, written = read(local_time)
    made = _zone(zone)
    if made is None:
        # an offset is believed, a Z is not: many put it behind local time
        guess = round((wall - now.astimezone(UTC).replace(tzinfo=None)) / QUARTER) * QUARTER
        made = Clock(guess if written is None else written)
    if abs(made.offset) > MOST:
        raise ValueError("is more than 18 hours off UTC")
    return Clock(made.offset, made.dst, made.begins, made.ends, wall - made.wall(now))


def _zone(text: str) -> Clock | None:
    found = _ZONE.fullmatch(text.strip())
    if not found:
        return None
    hours, minutes, seconds = int(found[1]), int(found[2] or 0), int(found[3] or 0)
    west = timedelta(hours=abs(hours), minutes=minutes, seconds=seconds) * (-1 if found[1].startswith("-") else 1)
    if abs(west) > MOST:
        return None
    begins, _, ends = (found[6] or "").partition(",")
    first, last = _rule(begins), _rule(ends)
    if not found[4] or not first or not last:
        return Clock(-west)
    return Clock(-west, timedelta(hours=int(found[4]), minutes=int(found[5])), first, last)


def _rule(text: str) -> Rule | None:
    found = _RULE.fullmatch(text.strip())
    if not found or not 1 <= int(found[1]) <= 12 or not 1 <= int(found[2]) <= 5 or int(found[3]) > 6:
        return None
    after = timedelta(hours=int(found[4] or 2), minutes=int(found[5] or 0), seconds=int(found[6] or 0))
    return Rule(int(found[1]), int(found[2]), int(found[3]), after)


def read(text: str, zulu: timedelta | None = None) -> tuple[datetime, timedelta | None]:
    """A time as it is written, and the offset that stands behind it: None without one, `zulu` for a Z.

    ValueError otherwise.
    """
    found = _TIME.fullmatch(text.strip())
    if not found:
        raise ValueError("is no time like 2026-11-20T08:00:00")
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    if not 1971 <= year <= 9000:
        raise ValueError("is out of range")
    # some write 24:00:00, and a leap second
    made = datetime(year, month, day) + timedelta(hours=hour, minutes=minute, seconds=second)
    if hour > 24 or minute > 59 or second > 60:
        raise ValueError("is no time of a day")
    mark = (found[7] or "").upper()
    if mark in ("", "Z"):
        return made, zulu if mark else None
    digits = mark[1:].replace(":", "")
    away = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return made, away if mark[0] == "+" else -away


def written(wall: datetime) -> str:
    """A wall time as recorders want it."""
    return wall.strftime("%Y-%m-%dT%H:%M:%SZ")
