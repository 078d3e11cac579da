"""The time stamps in an MPEG program stream (ISO 13818-1, 2.5), found and moved where they stand. Pure.

Files of one recording begin their clocks anew, or go on, or leap. Put behind one another as they are they make a
demuxer guess, and sound and picture are a frame apart behind each seam.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

CLOCK = 90_000
WRAP = 1 << 33
# without a second picture: 25 a second
USUAL = CLOCK // 25
# a clock that goes on behind a seam may leave out so much
PAUSE = 2 * CLOCK
_PACK, _END = 0xBA, 0xB9
# streams whose packets have no header with times
_BARE = frozenset({0xBB, 0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF})
_PICTURE = range(0xE0, 0xF0)


class Buffer(Protocol):
    """Bytes, or an mmap."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> bytes: ...
    def find(self, what: bytes, start: int, /) -> int: ...  # noqa: D102


class Writable(Buffer, Protocol):
    """A buffer that can be changed."""

    def __setitem__(self, part: slice, value: bytes, /) -> None: ...


@dataclass(frozen=True)
class Stamp:
    """The five bytes of a time stamp at `at`: `time` in ticks of 90 kHz. `shown`: when a picture is shown."""

    at: int
    time: int
    shown: bool


def stamps(data: Buffer, start: int = 0) -> Iterator[Stamp]:
    """All time stamps behind `start`, in order; what is no packet is passed over."""
    at = start
    while 0 <= at <= len(data) - 20:
        head = data[at : at + 20]
        ident = head[3]
        if head[:3] != b"\0\0\1" or ident < _END:
            at = data.find(b"\0\0\1", at + 1)
        elif ident == _PACK:
            # of MPEG-2, or of MPEG-1
            at += 14 + head[13] % 8 if head[4] >> 6 == 1 else 12
        elif ident == _END:
            at += 4
        else:
            if ident not in _BARE and head[6] >> 6 == 2:
                yield from _of_packet(head, at, ident)
            at += 6 + int.from_bytes(head[4:6], "big")


def _of_packet(head: bytes, at: int, ident: int) -> Iterator[Stamp]:
    flags, length = head[7] >> 6, head[8]
    if flags >= 2 and length >= 5:
        yield Stamp(at + 9, _time(head[9:14]), ident in _PICTURE)
    if flags == 3 and length >= 10:
        yield Stamp(at + 14, _time(head[14:19]), False)


@dataclass(frozen=True)
class Extent:
    """From when to when pictures are shown, in ticks; `end` is behind the last. May lie beyond a wrap."""

    first: int
    end: int


def extent(data: Buffer, start: int = 0) -> Extent | None:
    """That of the pictures behind `start`; None without any."""
    first = last = -1
    count = 0
    for stamp in stamps(data, start):
        if not stamp.shown:
            continue
        time = stamp.time
        if count:  # nearest to what came before: the clock has 33 bits
            time += round((last - time) / WRAP) * WRAP
        first = time if not count else min(first, time)
        last = max(last, time)
        count += 1
    if not count:
        return None
    step = (last - first) // (count - 1) if count > 1 else USUAL
    return Extent(first, last + (step or USUAL))


def move(data: Writable, start: int, by: int) -> None:
    """Add `by` ticks to each time stamp behind `start`."""
    if by % WRAP:
        for stamp in stamps(data, start):
            data[stamp.at : stamp.at + 5] = _bytes(data[stamp.at : stamp.at + 1][0] >> 4, (stamp.time + by) % WRAP)


def follow(before: Extent, by: int, part: Extent) -> int:
    """By how much to move a part that follows: as the one before it was moved, if that fits."""
    ahead = (part.first + by - before.end) % WRAP
    ahead -= WRAP if ahead > WRAP // 2 else 0
    return by if 0 <= ahead <= PAUSE else before.end - part.first


def _time(data: bytes) -> int:
    return (data[0] >> 1 & 7) << 30 | data[1] << 22 | data[2] >> 1 << 15 | data[3] << 7 | data[4] >> 1


def _bytes(mark: int, time: int) -> bytes:
    bits = mark << 36 | time >> 30 << 33 | 1 << 32 | (time >> 15 & 0x7FFF) << 17 | 1 << 16 | (time & 0x7FFF) << 1 | 1
    return bits.to_bytes(5, "big")
