"""What a smart cut is put together from: samples of the source, and those of its encoded edges."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from videod.media.ahead import Ahead
from videod.media.coding import Coding, Stored
from videod.media.edges import Encoded, encode_edges
from videod.media.model import Video
from videod.media.splice import Edge, Splice, splice
from videod.mp4.patchwork import Patchwork
from videod.process import Tools

# where a row's bytes are: in the source's file, or in `Pieces.made`
SOURCE, MADE = 0, 1


class Row(NamedTuple):
    """A sample of the output; `pts` in ticks of the source."""

    source: int
    offset: int
    size: int
    pts: int
    sync: bool


class Pieces:
    """Collects the rows of an output in decoding order, and what of their bytes is not the source's.

    `seams`: the rows that prove the parts fit: those of the edges, and the copied key frames, each to be decoded by
    itself.
    """

    def __init__(self, stored: Stored, coding: Coding, about: Video, ahead: Ahead) -> None:
        self.coding, self.tracks = coding, stored.tracks
        self.rows: list[Row] = []
        self.seams: list[Row] = []
        self.made = Patchwork(stored.file)
        self._stored, self._about, self._ahead = stored, about, ahead

    def encode(self, found: Splice, tools: Tools, threads: int) -> None:
        """Fill the rows. Raises Unspliced, Misfit, BadMp4, BadBitstream, DiskFull."""
        changed = self.coding.copied(found.copied)
        if found.head:
            self._edge(found.head, found.copied[0], tools, threads)
        samples, pts = self.tracks.video.samples, self.tracks.pts
        for n in found.copied:
            sync, change = bool(samples.sync[n]), changed.get(n)
            row = alone = Row(SOURCE, samples.offsets[n], samples.sizes[n], pts[n], sync)
            if change:
                row = alone = self._made(change.parts, pts[n], sync)
                if sync and change.alone is not change.parts:
                    alone = self._made(change.alone, pts[n], sync)
            self.rows.append(row)
            self.seams += [alone] if sync else []
        if found.tail:
            self._edge(found.tail, found.copied[-1], tools, threads)

    def _edge(self, edge: Edge, beside: int, tools: Tools, threads: int) -> None:
        """Encode an edge; `beside`: the copied sample next to it."""
        made = self._ahead.made(edge) or self._encoded(edge, tools, threads)
        samples = self.coding.edge(made, beside, first=not self.rows)
        times = [edge.pts[rank] for rank in made.ranks]
        rows = [self._made([sample], time, n == 0) for n, (sample, time) in enumerate(zip(samples, times, strict=True))]
        self.rows += rows
        self.seams += rows

    def _encoded(self, edge: Edge, tools: Tools, threads: int) -> Encoded:
        """An edge, and with it what another clip needs of the same pictures."""
        also = self._ahead.beside(edge, self.tracks, self.spliced)
        if also:
            try:
                made, other = self._encode([edge, also], tools, threads)
            except ValueError:  # the fault may lie in what the other needs alone
                pass
            else:
                self._ahead.keep(edge, made)
                self._ahead.keep(also, other)
                return made
        (made,) = self._encode([edge], tools, threads)
        self._ahead.keep(edge, made)
        return made

    def _encode(self, edges: Sequence[Edge], tools: Tools, threads: int) -> list[Encoded]:
        encoder = self.coding.encoder(self._about.pix_fmt, threads)
        needed = {n for edge in edges for n in self.coding.needed(edge)}
        return encode_edges(self.tracks, edges, needed, encoder, self._about, threads, tools)

    def spliced(self, pts: array[int]) -> Splice:
        """How the frames at these display times come together. Raises Unspliced."""
        return splice(self.tracks.pts, self.tracks.video.samples.sync, pts, self.coding.role)

    def _made(self, parts: Sequence[bytes | range], pts: int, sync: bool) -> Row:
        return Row(MADE, self.made.add(*parts), sum(map(len, parts)), pts, sync)
