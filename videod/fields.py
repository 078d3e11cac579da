"""Read the fields of an untrusted JSON object, one by one, with an error that names the field.

`Fields` remembers what was asked for: what nobody asked for is an unknown field. That way the list of
known fields cannot drift from the code that reads them.
"""

from __future__ import annotations

import difflib
import itertools
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from videod.errors import BadMessage

ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]{0,127}")
_CLOCK = re.compile(r"(?:(\d{1,6}):)?(?:(\d{1,6}):)?(\d{1,9}(?:\.\d{1,12})?)", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MAX_SECONDS = 1e12
MOST_NAMED = 20


def seconds(value: object) -> float:
    """Seconds from a number or from text such as `90`, `90.5`, `1:30`, `00:01:30.250`; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("is no time: give seconds, or text like 1:30 or 00:01:30.250")
    if isinstance(value, str):
        found = _CLOCK.fullmatch(value.strip())
        if not found:
            raise ValueError("is no time: give seconds, or text like 1:30 or 00:01:30.250")
        parts = [float(part) for part in found.groups() if part is not None]
        if any(part >= 60 for part in parts[1:]):
            raise ValueError("has more than 59 minutes or seconds behind a colon")
        value = 0.0
        for part in parts:
            value = value * 60 + part
    if (isinstance(value, int) and abs(value) > MAX_SECONDS) or not math.isfinite(value):
        raise ValueError("is out of range")
    if value < 0 or value > MAX_SECONDS:
        raise ValueError("is negative" if value < 0 else "is out of range")
    return float(value)


class Fields:
    """The fields of one object of a message; `where` is its path for error texts, as in `clips[2].`"""

    def __init__(self, values: Mapping[str, Any], where: str = "", asked: set[str] | None = None) -> None:
        self._values = values
        self._where = where
        self._asked = set() if asked is None else asked
        self._below: list[Fields] = []

    def __contains__(self, name: str) -> bool:
        self._asked.add(name)
        return self._values.get(name) is not None

    def bad(self, name: str, message: str) -> BadMessage:
        """The error for field `name`, to be raised by the caller."""
        return BadMessage(message, field=self._where + name)

    def raw(self, name: str) -> Any:
        """The field as it came, or None."""
        self._asked.add(name)
        return self._values.get(name)

    def text(self, name: str, longest: int = 8192) -> str | None:
        """A text without control characters, not empty."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.bad(name, "is not a text")
        if not value:
            raise self.bad(name, "is empty")
        if len(value) > longest:
            raise self.bad(name, f"is longer than {longest} characters")
        if _CONTROL.search(value):
            raise self.bad(name, "holds control characters")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.bad(name, "holds half a surrogate pair") from None
        return value

    def needed(self, name: str, longest: int = 8192) -> str:
        """Like text, but the field must be there."""
        value = self.text(name, longest)
        if value is None:
            raise self.bad(name, "is missing")
        return value

    def ident(self, name: str) -> str | None:
        """An id: letters, digits and . _ : - up to 128."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, str) or not ID.fullmatch(value):
            raise self.bad(name, "is no id: 1 to 128 of A-Z a-z 0-9 . _ : - and the first a letter, digit or _")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """true or false."""
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.bad(name, "is neither true nor false")
        return value

    def whole(self, name: str, low: int, high: int) -> int | None:
        """An integer in low..high."""
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.bad(name, "is not a whole number")
        if not low <= value <= high:
            raise self.bad(name, f"is not in {low}..{high}")
        return value

    def choice(self, name: str, allowed: Collection[str]) -> str | None:
        """One of `allowed`."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, str) or value not in allowed:
            raise self.bad(name, f"is none of {', '.join(sorted(allowed))}")
        return value

    def seconds(self, name: str) -> float | None:
        """A time in seconds, see `seconds`."""
        value = self.raw(name)
        if value is None:
            return None
        try:
            return seconds(value)
        except (ValueError, OverflowError) as error:
            raise self.bad(name, str(error)) from None

    def objects(self, name: str, most: int = 10000) -> Sequence[Fields] | None:
        """A list of objects, not empty."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, list) or not value:
            raise self.bad(name, "is not a list with something in it")
        if len(value) > most:
            raise self.bad(name, f"has more than {most} entries")
        below = []
        for n, entry in enumerate(value):
            if not isinstance(entry, dict):
                raise self.bad(f"{name}[{n}]", "is not an object")
            below.append(Fields(entry, f"{self._where}{name}[{n}]."))
        self._below += below
        return below

    def unknown(self) -> list[str]:
        """The fields that nobody asked for, with a guess at what was meant: `strat, did you mean start?`

        A message has room for a hundred thousand: the first are named, the others counted.
        """
        strange = self._strange()
        found = [fields._guess(name) for fields, name in itertools.islice(strange, MOST_NAMED)]
        more = sum(1 for _ in strange)
        return [*found, f"and {more} others"] if more else found

    def _strange(self) -> Iterator[tuple[Fields, str]]:
        for name in self._values:
            if name not in self._asked:
                yield self, name
        for fields in self._below:
            yield from fields._strange()

    def _guess(self, name: str) -> str:
        near = difflib.get_close_matches(name[:200], self._asked, n=1)
        shown = f"{self._where}{name}"[:200]
        return f"'{shown}'" + (f", did you mean '{near[0]}'?" if near else "")
