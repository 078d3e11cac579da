"""moof: the samples of one movie fragment."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from operator import add

from videod.mp4.boxes import BadMp4, Box, Data, column, fields, header, need, pick, walk
from videod.mp4.model import Defaults, Movie, Samples, Track, join
from videod.mp4.tables import check_places

# two hours of picture and sound in one fragment; a fragment is read in one piece
MOST_IN_FRAGMENT = 1 << 20
MOST_RUNS = 1 << 14
_NON_SYNC = 0x10000
# flags of tfhd and trun (14496-12, 8.8.7 and 8.8.8)
_BASE, _DESCRIPTION, _DURATION, _SIZE, _FLAGS, _MOOF_IS_BASE = 0x1, 0x2, 0x8, 0x10, 0x20, 0x20000
_RUN_PLACE, _RUN_FIRST = 0x1, 0x4
_RUN_COLUMNS = (0x100, 0x200, 0x400, 0x800)


@dataclass
class _Reading:
    """How far a moof is read: `place` is where data without a place of its own begin, `room` counts samples."""

    base: int
    place: int
    size: int | None
    clocks: dict[int, int]
    room: int = MOST_IN_FRAGMENT
    runs: int = MOST_RUNS
    found: dict[int, list[Samples]] = field(default_factory=dict)


def read_fragment(
    movie: Movie, moof: bytes, offset: int, size: int | None = None, clocks: Mapping[int, int] | None = None
) -> dict[int, Samples]:
    """The samples of a whole moof box that begins at `offset` of the file, by track id.

    `size`: that of the file, None if unknown. `clocks`: for each track when its next sample is decoded; needed where
    a fragment has no tfdt.
    """
    data = memoryview(moof)
    top = header(data, 0, len(data))
    if top.kind != b"moof":
        raise BadMp4(f"{top.name} in place of moof")
    reading = _Reading(offset, offset, size, dict(clocks or {}))
    for traf in walk(data, top.body, top.end):
        if traf.kind == b"traf":
            _traf(data, traf, movie, reading)
    return {number: join(parts) for number, parts in reading.found.items()}


def _traf(data: Data, traf: Box, movie: Movie, reading: _Reading) -> None:
    found = pick(data, traf, b"tfhd", b"tfdt")
    tfhd = need(found, traf, b"tfhd")
    flags, number = fields(data, tfhd, "II")
    track = movie.track(number)
    if track is None:
        raise BadMp4(f"tfhd names track {number}, which moov has not")
    defaults, base = _defaults(data, tfhd, flags, track)
    if base is not None:
        reading.place = base
    elif flags & _MOOF_IS_BASE:
        reading.place = reading.base
    # else behind the data of the traf before, and for the first at the moof
    start = reading.place
    if b"tfdt" in found:
        tfdt = found[b"tfdt"]
        (clock,) = fields(data, tfdt, "Q" if fields(data, tfdt, "B")[0] else "I", 4)
        if clock >> 62:
            raise BadMp4(f"tfdt says {clock}")
    elif number in reading.clocks:
        clock = reading.clocks[number]
    else:
        raise BadMp4(f"a fragment of track {number} has no tfdt")
    parts = reading.found.setdefault(number, [])
    for samples in _runs(data, traf, reading, defaults, start, clock):
        parts.append(samples)
        clock = samples.end
    reading.clocks[number] = clock
    if not parts:
        del reading.found[number]


def _defaults(data: Data, tfhd: Box, flags: int, track: Track) -> tuple[Defaults, int | None]:
    """What tfhd says for its samples, else trex; and its base data offset."""
    at = 8
    base = None
    if flags & _BASE:
        (base,) = fields(data, tfhd, "Q", at)
        at += 8
        if base >> 62:
            raise BadMp4(f"tfhd names the place {base}")
    values = list(track.defaults or (1, 0, 0, 0))
    for n, flag in enumerate((_DESCRIPTION, _DURATION, _SIZE, _FLAGS)):
        if flags & flag:
            (values[n],) = fields(data, tfhd, "I", at)
            at += 4
    if values[0] != track.description:
        raise BadMp4(f"a fragment of track {track.id} uses another sample entry, {values[0]}")
    return Defaults(*values), base


def _runs(data: Data, traf: Box, reading: _Reading, said: Defaults, base: int, clock: int) -> Iterator[Samples]:
    for box in walk(data, traf.body, traf.end):
        if box.kind != b"trun":
            continue
        reading.runs -= 1
        if reading.runs < 0:
            raise BadMp4(f"more than {MOST_RUNS} trun in a fragment")
        flags, count = fields(data, box, "II")
        at = 8
        if flags & _RUN_PLACE:
            reading.place = base + fields(data, box, "i", at)[0]
            at += 4
        reading.room -= count
        if reading.room < 0:
            raise BadMp4(f"more than {MOST_IN_FRAGMENT} samples in a fragment")
        if not count:
            continue
        if reading.place < 0:
            raise BadMp4("trun places data before the file")
        samples = _run(data, box, flags & 0xFFFFFF, count, at, said, reading.place, clock, reading.size)
        check_places(samples, reading.size)
        reading.place = samples.offsets[-1] + samples.sizes[-1]
        clock = samples.end
        yield samples


def _run(
    data: Data, box: Box, flags: int, count: int, at: int, said: Defaults, place: int, clock: int, size: int | None
) -> Samples:
    first = said.flags
    if flags & _RUN_FIRST:
        (first,) = fields(data, box, "I", at)
        at += 4
    present = [flag for flag in _RUN_COLUMNS if flags & flag]
    cells = column(data, box, "I", at, count * len(present))
    columns = {flag: cells[n :: len(present)] for n, flag in enumerate(present)}
    if 0x200 not in columns and size is not None and said.size * count > size:
        raise BadMp4("the samples of a fragment are larger than the file")
    durations = columns.get(0x100) or array("I", [said.duration]) * count
    sizes = columns.get(0x200) or array("I", [said.size]) * count
    offsets = array("q", accumulate(sizes[:-1], initial=place))
    dts = array("q", accumulate(durations[:-1], initial=clock))
    # the sign is meant in version 0, too
    shifts = array("i", columns[0x800].tobytes()) if 0x800 in columns else repeat(0)
    pts = array("q", map(add, dts, shifts))
    if 0x400 in columns:
        sync = bytes(not value & _NON_SYNC for value in columns[0x400])
    else:
        sync = bytes([not first & _NON_SYNC]) + bytes([not said.flags & _NON_SYNC]) * (count - 1)
    return Samples(sizes, offsets, dts, pts, durations, sync)
