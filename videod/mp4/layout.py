"""In which order samples lie in mdat: chunks of about half a second, tracks taking turns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from videod.mp4.output import Media, TrackOut

# a second
CHUNKS = 2


class Chunk(NamedTuple):
    """Samples `first` to `last`, which is not in it, of a track; `slot` is the half second on the movie's clock."""

    slot: int
    track: int
    first: int
    last: int


def interleaved(tracks: Sequence[TrackOut], media: Sequence[Media]) -> list[Chunk]:
    """All chunks in their order in the file."""
    chunks: list[Chunk] = []
    for number, (track, one) in enumerate(zip(tracks, media, strict=True)):
        zero = one.media_time - int(one.delay * track.timescale)
        at = 0
        while at < len(one.dts):
            slot = (one.dts[at] - zero) * CHUNKS // track.timescale
            end = zero - (-(slot + 1) * track.timescale // CHUNKS)
            last = max(at + 1, bisect_left(one.dts, end, at))
            chunks.append(Chunk(slot, number, at, last))
            at = last
    return sorted(chunks)


def places(tracks: Sequence[TrackOut], chunks: Sequence[Chunk]) -> tuple[list[list[int]], int]:
    """Where the chunks of each track begin, from the begin of mdat's body; and how long that is."""
    found: list[list[int]] = [[] for _ in tracks]
    at = 0
    for chunk in chunks:
        found[chunk.track].append(at)
        at += sum(tracks[chunk.track].samples.sizes[chunk.first : chunk.last])
    return found, at


def pieces(tracks: Sequence[TrackOut], chunks: Sequence[Chunk]) -> Iterator[tuple[int, int, int]]:
    """(source, offset, length) of what is to be copied, in order; what lies side by side is one piece."""
    source, start, end = 0, 0, 0
    for chunk in chunks:
        track = tracks[chunk.track]
        offsets, sizes, sources = track.samples.offsets, track.samples.sizes, track.sources
        for n in range(chunk.first, chunk.last):
            own = sources[n] if sources else 0
            if own != source or offsets[n] != end:
                if end > start:
                    yield source, start, end - start
                source, start, end = own, offsets[n], offsets[n]
            end += sizes[n]
    if end > start:
        yield source, start, end - start
