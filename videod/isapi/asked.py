"""What a message asks of a recorder: which channels, which span."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from videod.errors import BadMessage
from videod.fields import Fields
from videod.isapi.clock import Clock, read

DAY = timedelta(days=1)
ZERO = timedelta(0)
MOST_CHANNELS = 1000


@dataclass(frozen=True)
class Moment:
    """A time as the message says it: by its own offset from UTC, or by the recorder's clock."""

    wall: datetime
    offset: timedelta | None

    @property
    def plain(self) -> datetime:
        """In UTC, or as the recorder's clock shows it: to compare with another of the same kind."""
        return self.wall - (self.offset or ZERO)

    def at(self, clock: Clock) -> datetime:
        """What the recorder's clock shows then."""
        return self.wall if self.offset is None else clock.wall(self.plain.replace(tzinfo=UTC))


@dataclass(frozen=True)
class Asked:
    """`tracks`: none means all channels; a bound that is None is that of today at the recorder."""

    tracks: tuple[int, ...]
    begin: Moment | None
    end: Moment | None

    @classmethod
    def read(cls, fields: Fields) -> Asked:
        """From `channels`, `from` and `to`. BadMessage, naming the field."""
        made = cls(_tracks(fields), _moment(fields, "from"), _moment(fields, "to"))
        begin, end = made.begin, made.end
        if begin and end and (begin.offset is None) == (end.offset is None) and end.plain <= begin.plain:
            raise fields.bad("to", "is not after from")
        return made

    def span(self, clock: Clock) -> tuple[datetime, datetime]:
        """The span on the recorder's clock. BadMessage where it ends before it begins."""
        midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        begin = self.begin.at(clock) if self.begin else midnight
        end = self.end.at(clock) if self.end else midnight + DAY
        # within a span by UTC the clock may have been put back
        by_utc = self.begin and self.end and self.begin.offset is not None and self.end.offset is not None
        if end <= begin and by_utc:
            begin, end = end - clock.dst, begin + clock.dst
        if end <= begin:
            raise BadMessage("is not after from", field="to")
        return begin, end


def _tracks(fields: Fields) -> tuple[int, ...]:
    """The main stream of channel 1 is track 101: numbers below 100 are channels, the others tracks."""
    value = fields.raw("channels")
    if value is None or value == "all":
        return ()
    texts = [str(value)] if type(value) is int else value.split(",") if isinstance(value, str) else []
    numbers = [int(text) for text in map(str.strip, texts) if text.isascii() and text.isdigit() and len(text) < 8]
    if not numbers or len(numbers) != len(texts) or len(numbers) > MOST_CHANNELS or 0 in numbers:
        raise fields.bad("channels", 'is neither "all" nor numbers like 1 or "1,2" or 101')
    return tuple(dict.fromkeys(number * 100 + 1 if number < 100 else number for number in numbers))


def _moment(fields: Fields, name: str) -> Moment | None:
    text = fields.text(name, 64)
    try:
        return Moment(*read(text, zulu=ZERO)) if text else None
    except (ValueError, OverflowError) as error:
        raise fields.bad(name, str(error)) from None
