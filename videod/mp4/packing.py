"""Boxes made of bytes, and the sample tables among them."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import groupby

from videod.mp4.boxes import BadMp4


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of 32 bits size around its parts."""
    size = 8 + sum(map(len, parts))
    if size >> 32:
        raise BadMp4(f"{kind.decode('latin-1')} would be larger than 4 GiB")
    return b"".join((struct.pack(">I4s", size, kind), *parts))


def full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def big_endian(column: array[int]) -> bytes:
    """The numbers of a column, as wide as it is."""
    if sys.byteorder == "little":
        column = column[:]
        column.byteswap()
    return column.tobytes()


def runs(values: Iterable[int]) -> array[int]:
    """Count, value, count, value…, in 32 bits; negative values as their two's complement."""
    cells = array("I")
    for value, group in groupby(values):
        cells.extend((sum(1 for _ in group), value & 0xFFFFFFFF))
    return cells


def table(kind: bytes, cells: array[int], width: int = 1, version: int = 0) -> bytes:
    """A box with a count of entries, `width` cells each."""
    return full(kind, struct.pack(">I", len(cells) // width), big_endian(cells), version=version)


def time_table(durations: Iterable[int]) -> bytes:
    """stts."""
    return table(b"stts", runs(durations), 2)


def composition_table(shifts: Sequence[int]) -> bytes:
    """ctts, of version 1 if an offset is negative; nothing if all are 0."""
    if not any(shifts):
        return b""
    low, high = min(shifts), max(shifts)
    if low < -(1 << 31) or high >= 1 << 31:
        raise BadMp4("a picture is shown too long after it is decoded")
    return table(b"ctts", runs(shifts), 2, version=1 if low < 0 else 0)


def sync_table(sync: bytes) -> bytes:
    """stss; nothing if decoding can begin at all samples."""
    if 0 not in sync:
        return b""
    return table(b"stss", array("I", (n for n, is_sync in enumerate(sync, 1) if is_sync)))


def size_table(sizes: array[int], unit: int = 0) -> bytes:
    """stsz. `unit`: bytes of one sample, where an entry of `sizes` stands for several."""
    if unit:
        return full(b"stsz", struct.pack(">II", unit, sum(sizes) // unit))
    if sizes and min(sizes) == max(sizes) > 0:
        return full(b"stsz", struct.pack(">II", sizes[0], len(sizes)))
    return full(b"stsz", struct.pack(">II", 0, len(sizes)), big_endian(sizes))


def chunk_table(counts: Sequence[int]) -> bytes:
    """stsc: `counts` samples in the chunks."""
    cells = array("I")
    chunk = 1
    for count, group in groupby(counts):
        cells.extend((chunk, count, 1))
        chunk += sum(1 for _ in group)
    return table(b"stsc", cells, 3)


def place_table(places: Sequence[int], long: bool) -> bytes:
    """stco, or co64 if `long`."""
    return table(b"co64", array("Q", places)) if long else table(b"stco", array("I", places))
