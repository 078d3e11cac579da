"""A source of H.264 to cut, edges for it, and sources that x264 does not make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests import coded
from tests.coded import Film
from tests.videos import ffmpeg
from videod.codec.bits import BitReader, BitWriter, escape, unescape
from videod.codec.move import Moved
from videod.codec.onto import combined, edge_for
from videod.codec.records import AvcConfig

GOP = 12
CLOSED = f"keyint={GOP}:min-keyint={GOP}:scenecut=0"


@dataclass(frozen=True)
class Cut:
    """A source, an edge as the encoder made it, and what decoders show of the source."""

    source: Film
    hashes: list[str]
    pictures: list[bytes]
    head: bytes
    folder: Path

    def edge(self, name: str, first: int, last: int, argv: Sequence[str]) -> Film:
        """Encode the shown pictures from `first` up to `last`."""
        return coded.encode(self.folder / f"{name}.mp4", self.head + b"".join(self.pictures[first:last]), *argv)


def open_cut(folder: Path, source: Film) -> Cut:
    hashes = coded.shown(source.stream())
    y4m = ffmpeg("-f", "h264", "-i", "-", "-fps_mode", "passthrough", "-f", "yuv4mpegpipe", "-", feed=source.stream())
    head, body = y4m.split(b"\n", 1)
    size = len(body) // len(hashes)
    pictures = [body[at : at + size] for at in range(0, len(body), size)]
    assert all(picture.startswith(b"FRAME\n") for picture in pictures)
    return Cut(source, hashes, pictures, head + b"\n", folder)


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Cut:
    folder = tmp_path_factory.mktemp("cut")
    pictures = coded.raw("322x184", 3 * GOP)
    source = coded.encode(folder / "source.mp4", pictures, "-bf", "2", "-x264-params", f"{CLOSED}:ref=3")
    return open_cut(folder, source)


@pytest.fixture(scope="module")
def edge(cut: Cut) -> Film:
    return cut.edge("plain", 2, GOP, edge_for(cut.source.config).argv())


def joined(cut: Cut, moved: Moved, first: int = GOP, last: int = 3 * GOP, source: AvcConfig | None = None) -> bytes:
    config = combined(source or cut.source.config, moved.pps)
    return coded.byte_stream(config, [*moved.samples, *cut.source.samples[first:last]])


def rewritten(nal: bytes, start: int, end: int, *bits: tuple[int, int]) -> bytes:
    """A parameter set whose bits from `start` up to `end` (the NAL unit's header counted) are replaced."""
    reader, out = BitReader(unescape(nal[1:])), BitWriter()
    out.copy(reader, 0, start - 8)
    for size, value in bits:
        out.u(size, value)
    out.copy(reader, end - 8, reader.stop())
    out.trailing()
    return nal[:1] + escape(out.data())


def place(film: Film, name: str, title: str = "Sequence Parameter Set") -> int:
    return coded.trace(film.path, lambda found: found == title)[0].places[name]


def with_sps(film: Film, *change: int | tuple[int, int], name: str, length: int = 1) -> Film:
    """The film with other bits in place of that element of its SPS."""
    at = place(film, name)
    bits = [c if isinstance(c, tuple) else (1, c) for c in change]
    return replace(film, config=replace(film.config, sps=(rewritten(film.config.sps[0], at, at + length, *bits),)))
