"""H.264 in a smart cut: edges are moved onto the source's SPS, copied samples stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
from videod.media.coding import Changed, Coding, Stored
from videod.media.edges import Encoded, Encoder
from videod.media.splice import Edge, Role
from videod.media.tracks import with_config
from videod.mp4.boxes import BadMp4
from videod.mp4.entries import child

SPEED, QUALITY, REFS = "superfast", 17, 2


class AvcCoding(Coding):
    """Of a track with avcC."""

    def __init__(self, stored: Stored) -> None:
        super().__init__(stored)
        config = AvcConfig.read(stored.tracks.config(b"avcC"))
        if reason := why_not(config):
            raise Misfit(reason)
        self._own = self._config = config
        self._sets = ParameterSets.read(config)

    def role(self, n: int) -> Role:
        """Nothing behind an IDR picture is shown before it."""
        return Role.START if self._facts(n).idr else Role.PLAIN

    def copied(self, copied: Sequence[int]) -> Mapping[int, Changed]:
        """None changes."""
        facts = [self._facts(n) for n in copied]
        if reason := next(filter(None, (picture_why_not(fact, self._own) for fact in facts)), ""):
            raise Misfit(reason)
        if self._leaves_out(facts):
            raise Misfit("the frame numbers leave some out: pictures are missing")
        return {}

    def _leaves_out(self, facts: Sequence[SliceFacts]) -> bool:
        """Whether pictures that others lean on are missing (ISO 14496-10, 7.4.3); an IDR picture is the first."""
        (sps,) = self._sets.sps.values()
        last = 0
        for fact in facts:
            if not fact.idr and not sps.gaps_allowed and fact.frame_num != (last + 1) % (1 << sps.log2_max_frame_num):
                return True
            last = fact.frame_num if fact.reference else last
        return False

    def needed(self, edge: Edge) -> list[int]:
        """What is neither wanted nor leaned on needs no decoding."""
        wants, pts = set(edge.pts), self.stored.tracks.pts
        return [n for n in edge.samples if pts[n] in wants or self._facts(n).reference]

    def encoder(self, pix_fmt: str, threads: int) -> Encoder:
        """x264 within what the source's SPS allows."""
        # as the source has it: the other range of values would be another picture under the same SPS
        own = ["-pix_fmt", pix_fmt] if pix_fmt in {"yuv420p", "yuvj420p"} else []
        start = ["-c:v", "libx264", "-preset", SPEED, "-crf", str(QUALITY), "-threads:v", str(threads)]
        return Encoder([*start, *edge_for(self._own).argv(refs=REFS), *own])

    def edge(self, made: Encoded, beside: int, *, first: bool) -> Sequence[bytes]:
        """With a PPS of its own, under the source's SPS."""
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
            idr_pic_id=free_idr_id([self._facts(beside).idr_pic_id]),
        )
        self._config = combined(self._config, moved.pps)
        return moved.samples

    @property
    def entry(self) -> bytes:
        """The source's, with the edges' PPS."""
        return with_config(self.stored.tracks.video.entry, b"avcC", self._config.write())

    def _facts(self, n: int) -> SliceFacts:
        return slice_facts(self.stored[n], self._own.length_size, self._sets)
