"""What cutting must know of a codec: where a copy may begin, and what lets encoded edges stand beside it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import BinaryIO, NamedTuple

from videod.media.edges import Encoded, Encoder
from videod.media.splice import Edge, Role
from videod.media.tracks import Tracks

# what a changed sample is made of: bytes, and ranges of offsets in the source's file
Parts = tuple[bytes | range, ...]


class Changed(NamedTuple):
    """A copied sample that is not the source's: as it stands in the output, and as it can be decoded by itself."""

    parts: Parts
    alone: Parts


class Stored:
    """The samples of a picture's track in an open file."""

    def __init__(self, file: BinaryIO, tracks: Tracks) -> None:
        self.file, self.tracks = file, tracks

    def __getitem__(self, n: int) -> bytes:
        """The bytes of sample n."""
        place = self.place(n)
        return os.pread(self.file.fileno(), len(place), place.start)

    def place(self, n: int) -> range:
        """Where they are."""
        samples = self.tracks.video.samples
        return range(samples.offsets[n], samples.offsets[n] + samples.sizes[n])


class Coding(ABC):
    """The rules of one codec for one track. All methods may raise Misfit, BadMp4, BadBitstream."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored

    @abstractmethod
    def role(self, n: int) -> Role:
        """What sample n is for a copy that begins there or before it."""

    @abstractmethod
    def copied(self, copied: Sequence[int]) -> Mapping[int, Changed]:
        """Prove that these samples may be copied between edges; those of them that change."""

    @abstractmethod
    def needed(self, edge: Edge) -> list[int]:
        """Which samples of an edge have to be decoded for its frames."""

    @abstractmethod
    def encoder(self, pix_fmt: str, threads: int) -> Encoder:
        """How an edge is encoded; `pix_fmt`: the samples of the source as ffmpeg names them."""

    @abstractmethod
    def edge(self, made: Encoded, beside: int, *, first: bool) -> Sequence[bytes]:
        """The samples of an edge as they stand in the output. `beside`: the copied sample next to it; `first`: the
        output begins with it."""

    @property
    @abstractmethod
    def entry(self) -> bytes:
        """The sample entry of the output, with what the edges so far need."""
