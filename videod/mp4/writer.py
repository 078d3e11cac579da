"""A progressive MP4 or MOV, moov in front. Nothing is read here: `copy` brings the samples' bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import BinaryIO

from videod.mp4.boxes import BadMp4
from videod.mp4.headers import edts, ftyp, mdia, mvhd, ticks, tkhd
from videod.mp4.layout import Chunk, interleaved, pieces, places
from videod.mp4.model import TrackHeader
from videod.mp4.output import Media, TrackOut, media_of
from videod.mp4.packing import (
    box,
    chunk_table,
    composition_table,
    full,
    place_table,
    size_table,
    sync_table,
    time_table,
)
from videod.mp4.titles import movie_udta, track_udta

# source, offset, length: appends these bytes to the output
Copy = Callable[[int, int, int], None]
TIMESCALE = 90_000
_FULL_VOLUME = 0x100


def write(
    out: BinaryIO,
    tracks: Sequence[TrackOut],
    copy: Copy,
    *,
    quicktime: bool = False,
    timescale: int = TIMESCALE,
    title: str = "",
) -> int:
    """Write a file to `out` and give its size. The ids of the tracks are 1, 2 and so on.

    `copy(source, offset, length)` is called in the order of the file, after `out` was flushed. `timescale` is the
    movie's, in which edit lists count; `title` is empty if it has none. Raises BadMp4 for what cannot be written, and
    what `copy` raises.
    """
    if not tracks:
        raise BadMp4("a file needs a track")
    media = [media_of(track) for track in tracks]
    chunks = interleaved(tracks, media)
    begins, length = places(tracks, chunks)
    head = _ftyp(tracks, media, quicktime)
    tables = [_tables(track, one, n, chunks) for n, (track, one) in enumerate(zip(tracks, media, strict=True))]

    def moov(shift: int, long: bool) -> bytes:
        rows = [[shift + place for place in begin] for begin in begins]
        stbls = [box(b"stbl", table, place_table(row, long)) for table, row in zip(tables, rows, strict=True)]
        return _moov(tracks, media, stbls, quicktime, timescale, movie_udta(title, quicktime))

    wide = 8 + length >> 32
    mdat = struct.pack(">I4sQ", 1, b"mdat", 16 + length) if wide else struct.pack(">I4s", 8 + length, b"mdat")
    # where chunks lie depends on how long moov is, and that on how wide their places are
    long = length >> 32 > 0 or len(head) + len(moov(0, False)) + len(mdat) + length >> 32 > 0
    start = len(head) + len(moov(0, long)) + len(mdat)
    out.write(head + moov(start, long) + mdat)
    out.flush()
    for source, offset, size in pieces(tracks, chunks):
        copy(source, offset, size)
    return start + length


def _ftyp(tracks: Sequence[TrackOut], media: Sequence[Media], quicktime: bool) -> bytes:
    return ftyp(tracks, any(min(one.shifts) < 0 for one in media), quicktime)


def _tables(track: TrackOut, media: Media, number: int, chunks: Sequence[Chunk]) -> bytes:
    """stbl but for the places of the chunks."""
    own = [chunk for chunk in chunks if chunk.track == number]
    sizes, unit = track.samples.sizes, track.unit
    if unit:
        # one entry stands for several moments of sound, each one tick long
        times = struct.pack(">III", 1, sum(sizes) // unit, 1)
        counts = [sum(sizes[chunk.first : chunk.last]) // unit for chunk in own]
        stts = full(b"stts", times)
    else:
        counts = [chunk.last - chunk.first for chunk in own]
        stts = time_table(media.deltas)
    stsd = full(b"stsd", struct.pack(">I", 1), track.entry)
    parts = (stsd, stts, composition_table(media.shifts), sync_table(track.samples.sync))
    return b"".join((*parts, chunk_table(counts), size_table(sizes, unit)))


def _moov(
    tracks: Sequence[TrackOut],
    media: Sequence[Media],
    stbls: Sequence[bytes],
    quicktime: bool,
    timescale: int,
    about: bytes,
) -> bytes:
    traks = []
    longest = 0
    for number, (track, one, stbl) in enumerate(zip(tracks, media, stbls, strict=True), 1):
        header = track.header or TrackHeader(volume=_FULL_VOLUME if track.handler == b"soun" else 0)
        duration = ticks(one.delay, timescale) + ticks(one.shown, timescale)
        longest = max(longest, duration)
        inner = mdia(track, one, stbl, quicktime)
        name = track_udta(track.title)
        traks.append(box(b"trak", tkhd(number, header, duration), edts(one, timescale), inner, name))
    return box(b"moov", mvhd(timescale, longest, len(tracks)), *traks, about)
