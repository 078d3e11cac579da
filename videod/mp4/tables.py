"""The sample tables of stbl, unfolded into columns.

All counts are compared with each other while they are still runs, so that a table which claims 2^32 samples fails
before anything of that size is made. Then the columns are made by C loops: `repeat`, `accumulate`, `array`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import accumulate, chain, repeat
from operator import add, mul
from typing import NamedTuple

from videod.mp4.boxes import BadMp4, Box, Data, column, fields, need, pick
from videod.mp4.model import MOST_PICTURES, MOST_SOUNDS, Samples, lengths, numbers

_KINDS = (b"stsd", b"stts", b"ctts", b"stss", b"stsz", b"stz2", b"stsc", b"stco", b"co64")
# moments of raw sound that are handled as one; ffmpeg reads as many
GROUP = 1024


class Sizes(NamedTuple):
    """stsz of `total` samples: `fixed` bytes each, or the column if that is 0."""

    total: int
    fixed: int
    column: array[int]


class Runs(NamedTuple):
    """A run-length table: `counts` samples each have `values`."""

    counts: array[int]
    values: array[int]

    def unfold(self) -> Iterator[int]:
        """A value for each sample."""
        return chain.from_iterable(map(repeat, self.values, self.counts))


class Chunks(NamedTuple):
    """stsc and stco: from chunk `firsts[n]` (from 0) on, `per[n]` samples lie in each; `offsets` of the chunks."""

    firsts: array[int]
    per: array[int]
    descriptions: array[int]
    offsets: array[int]

    def spans(self) -> Iterator[tuple[int, int, int]]:
        """(first chunk, chunk behind the last, samples in each) of each run."""
        ends = chain(self.firsts[1:], [len(self.offsets)])
        return zip(self.firsts, ends, self.per, strict=True)


class Tables(NamedTuple):
    """All tables of a track, found consistent but not unfolded."""

    stsd: Box
    sizes: Sizes
    durations: Runs
    shifts: Runs | None
    sync: array[int] | None
    chunks: Chunks

    @property
    def is_raw(self) -> bool:
        """Whether each sample is a moment of sound, one tick long: they would be 48,000 a second."""
        return bool(self.sizes.fixed) and all(value == 1 for value in self.durations.values) and self.shifts is None


def most(handler: bytes) -> int:
    """Samples that a track may have."""
    return MOST_SOUNDS if handler == b"soun" else MOST_PICTURES


def read_tables(data: Data, stbl: Box) -> Tables:
    """Compare all tables of a track with each other."""
    found = pick(data, stbl, *_KINDS)
    sizes = _sizes(data, found, stbl)
    durations = _runs(data, need(found, stbl, b"stts"), "I")
    # the sign is meant in version 0, too: QuickTime has always written it
    shifts = _runs(data, found[b"ctts"], "i") if b"ctts" in found else None
    sync = _table(data, found[b"stss"]) if b"stss" in found else None
    if b"stco" in found and b"co64" in found:
        raise BadMp4("stbl has both stco and co64")
    chunks = _chunks(data, need(found, stbl, b"stsc"), found.get(b"co64") or need(found, stbl, b"stco"))
    for name, counts in (("stts", durations.counts), ("ctts", shifts.counts if shifts else None)):
        if counts is not None and sum(counts) != sizes.total:
            raise BadMp4(f"{name} is for {sum(counts)} samples, stsz for {sizes.total}")
    if sizes.total:
        _compare(sizes, chunks, sync)
    if any(value >> 31 for value in durations.values):
        raise BadMp4("stts goes back in time")
    return Tables(need(found, stbl, b"stsd"), sizes, durations, shifts, sync, chunks)


def unfold(tables: Tables, room: int) -> Samples:
    """One entry a sample. `room`: how many there may be."""
    sizes, count = tables.sizes, tables.sizes.total
    if count > room:
        raise BadMp4(f"{count} samples are too many")
    if not count:
        return Samples()
    column = array("I", [sizes.fixed]) * count if sizes.fixed else sizes.column
    offsets = numbers()
    at = 0
    for first, end, per in tables.chunks.spans():
        if per == 1:
            offsets.extend(tables.chunks.offsets[first:end])
            at += end - first
            continue
        for place in tables.chunks.offsets[first:end]:
            offsets.extend(accumulate(column[at : at + per - 1], initial=place))
            at += per
    durations = array("I", tables.durations.unfold())
    dts = array("q", accumulate(durations, initial=0))
    dts.pop()
    pts = array("q", map(add, dts, tables.shifts.unfold())) if tables.shifts else dts
    return Samples(column, offsets, dts, pts, durations, _sync(tables.sync, count))


def unfold_raw(tables: Tables, unit: int, room: int) -> Samples:
    """Raw sound: one entry for up to GROUP moments of a chunk. `unit`: bytes of a moment."""
    pieces = sum((end - first) * -(-per // GROUP) for first, end, per in tables.chunks.spans())
    if pieces > room:
        raise BadMp4(f"{pieces} pieces of raw sound are too many")
    if unit * GROUP >> 32:
        raise BadMp4(f"a moment of sound has {unit} bytes")
    durations, offsets = lengths(), numbers()
    for first, end, per in tables.chunks.spans():
        whole, rest = divmod(per, GROUP)
        durations.extend((array("I", [GROUP]) * whole + array("I", [rest] * (rest > 0))) * (end - first))
        for place in tables.chunks.offsets[first:end]:
            offsets.extend(range(place, place + per * unit, GROUP * unit))
    dts = array("q", accumulate(durations, initial=0))
    dts.pop()
    return Samples(array("I", map(mul, durations, repeat(unit))), offsets, dts, dts, durations, bytes([1]) * pieces)


def check_places(samples: Samples, size: int | None) -> None:
    """Compare where samples lie with the size of the file, as far as it is known."""
    if not samples or size is None:
        return
    if max(map(add, samples.offsets, samples.sizes)) > size:
        raise BadMp4(f"a sample lies behind the end of the file, {size}")
    # samples that share their bytes would make a copy of them much larger than the file
    if sum(samples.sizes) > size:
        raise BadMp4("the samples of a track are larger than the file")


def _sizes(data: Data, found: dict[bytes, Box], stbl: Box) -> Sizes:
    if b"stz2" in found and b"stsz" not in found:
        box = found[b"stz2"]
        width, count = fields(data, box, "II", 4)
        if width in {8, 16}:
            return Sizes(count, 0, array("I", column(data, box, "B" if width == 8 else "H", 12, count)))
        if width != 4:
            raise BadMp4(f"stz2 has fields of {width} bits")
        pairs = column(data, box, "B", 12, (count + 1) // 2)
        return Sizes(count, 0, array("I", chain.from_iterable((pair >> 4, pair & 15) for pair in pairs))[:count])
    box = need(found, stbl, b"stsz")
    fixed, count = fields(data, box, "II", 4)
    return Sizes(count, fixed, lengths() if fixed else column(data, box, "I", 12, count))


def _count(data: Data, box: Box) -> int:
    (count,) = fields(data, box, "I", 4)
    if count > MOST_SOUNDS:
        raise BadMp4(f"{box.name} has {count} entries")
    return int(count)


def _table(data: Data, box: Box) -> array[int]:
    count = _count(data, box)
    return column(data, box, "Q" if box.kind == b"co64" else "I", 8, count)


def _runs(data: Data, box: Box, code: str) -> Runs:
    count = _count(data, box)
    both = column(data, box, "I", 8, 2 * count)
    values = both[1::2]
    return Runs(both[::2], values if code == "I" else array("i", values.tobytes()))


def _chunks(data: Data, stsc: Box, places: Box) -> Chunks:
    count = _count(data, stsc)
    cells = column(data, stsc, "I", 8, 3 * count)
    offsets = _table(data, places)
    # so high that adding up sizes leaves 64 bits
    if offsets and max(offsets) >> 62:
        raise BadMp4(f"{places.name} names a place that cannot be")
    return Chunks(array("q", (n - 1 for n in cells[::3])), cells[1::3], cells[2::3], array("q", offsets))


def _compare(sizes: Sizes, chunks: Chunks, sync: array[int] | None) -> None:
    if not chunks.firsts:
        raise BadMp4("stsc has no runs")
    last = -1
    for first in chunks.firsts:
        if not last < first < len(chunks.offsets) or last < 0 < first:
            raise BadMp4(f"stsc begins a run at chunk {first + 1} of {len(chunks.offsets)}")
        last = first
    held = sum((end - first) * per for first, end, per in chunks.spans())
    if held != sizes.total:
        raise BadMp4(f"the chunks hold {held} samples, stsz is for {sizes.total}")
    if not all(chunks.per):
        raise BadMp4("stsc has chunks without samples")
    if sync and not 1 <= min(sync) <= max(sync) <= sizes.total:
        raise BadMp4(f"stss names a sample that is not among {sizes.total}")


def _sync(table: array[int] | None, count: int) -> bytes:
    if table is None:
        return bytes([1]) * count
    marks = bytearray(count)
    for number in table:
        marks[number - 1] = 1
    return bytes(marks)
