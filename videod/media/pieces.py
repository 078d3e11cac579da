"""What a smart cut of H.264 is put together from: samples of the source, and those of its encoded edges."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from videod.codec.avc import SliceFacts, slice_facts
from videod.codec.move import move
from videod.codec.onto import (
    Misfit,
    combined,
    edge_for,
    free_idr_id,
    free_pps_ids,
    picture_why_not,
    why_not,
)
from videod.codec.records import AvcConfig
from videod.codec.sets import ParameterSets
from videod.media.edges import encode_edge
from videod.media.model import Video
from videod.media.splice import Edge, Splice
from videod.media.tracks import Tracks, with_config
from videod.mp4.boxes import BadMp4
from videod.mp4.entries import child
from videod.process import Tools

# where a row's bytes are: in the source's file, or in `Pieces.blob`
SOURCE, EDGES = 0, 1


class Row(NamedTuple):
    """A sample of the output; `pts` in ticks of the source."""

    source: int
    offset: int
    size: int
    pts: int
    sync: bool


class Pieces:
    """Collects the rows of an output in decoding order, the bytes of its edges, its configuration."""

    def __init__(self, file: BinaryIO, tracks: Tracks, config: AvcConfig, about: Video) -> None:
        self.file, self.tracks = file, tracks
        self.rows: list[Row] = []
        self.blob = bytearray()
        self._about = about
        self._own = self._config = config
        self._sets = ParameterSets.read(config)

    @classmethod
    def of(cls, file: BinaryIO, tracks: Tracks, about: Video) -> Pieces:
        """For an H.264 track. Raises Misfit where its samples cannot stand beside edges, BadMp4, BadBitstream."""
        config = AvcConfig.read(tracks.config(b"avcC"))
        if reason := why_not(config):
            raise Misfit(reason)
        return cls(file, tracks, config, about)

    @property
    def entry(self) -> bytes:
        """The sample entry with what the edges need."""
        return with_config(self.tracks.video.entry, b"avcC", self._config.write())

    def clean(self, n: int) -> bool:
        """Whether nothing from sample n on leans on what is before it: an IDR picture."""
        return self._facts(n).idr

    def droppable(self, _: int) -> bool:
        """Nothing behind an IDR picture is shown before it."""
        return False

    def encode(self, found: Splice, tools: Tools, threads: int) -> None:
        """Fill the rows. Raises Unspliced, Misfit, BadMp4, BadBitstream, DiskFull."""
        facts = [self._facts(n) for n in found.copied]
        if reason := next(filter(None, (picture_why_not(fact, self._own) for fact in facts)), ""):
            raise Misfit(reason)
        if found.head:
            self._edge(found.head, facts[0], tools, threads)
        samples, pts = self.tracks.video.samples, self.tracks.pts
        for n in found.copied:
            self.rows.append(Row(SOURCE, samples.offsets[n], samples.sizes[n], pts[n], bool(samples.sync[n])))
        if found.tail:
            self._edge(found.tail, facts[-1], tools, threads)

    def _edge(self, edge: Edge, beside: SliceFacts, tools: Tools, threads: int) -> None:
        """Encode an edge; `beside`: the copied sample next to it."""
        wants, pts = set(edge.pts), self.tracks.pts
        # what is neither wanted nor leaned on needs no decoding
        needed = [n for n in edge.samples if pts[n] in wants or self._facts(n).reference]
        fit = edge_for(self._own)
        made = encode_edge(self.tracks, edge, needed, fit, self._about, threads, tools)
        config = child(made.track.entry, b"vide", b"avcC")
        if config is None:
            raise BadMp4("an edge without avcC")
        free = free_pps_ids(self._own, list(ParameterSets.read(self._config).pps))
        if not free:
            raise Misfit("no free PPS id")
        moved = move(
            AvcConfig.read(config),
            made.samples,
            self._own,
            pps_id=free[0],
            idr_pic_id=free_idr_id([beside.idr_pic_id]),
        )
        self._config = combined(self._config, moved.pps)
        self._append(moved.samples, [edge.pts[rank] for rank in made.ranks])

    def _append(self, samples: Sequence[bytes], pts: Sequence[int]) -> None:
        for n, (sample, time) in enumerate(zip(samples, pts, strict=True)):
            self.rows.append(Row(EDGES, len(self.blob), len(sample), time, n == 0))
            self.blob += sample

    def _facts(self, n: int) -> SliceFacts:
        samples = self.tracks.video.samples
        data = os.pread(self.file.fileno(), samples.sizes[n], samples.offsets[n])
        return slice_facts(data, self._own.length_size, self._sets)
