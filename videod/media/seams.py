"""Proves a smart cut: its encoded edges and the key frames between them decode without complaint, before it is written;
what was written is, byte by byte, what it was put together from.

What was copied is not decoded: that would cost more than the cut. Its structure was read sample by sample.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from videod.media.damage import decoded
from videod.media.pieces import SOURCE, Pieces, Row
from videod.media.splice import Unspliced
from videod.mp4.copying import FileCopy
from videod.mp4.entries import first_reference
from videod.mp4.index import load
from videod.mp4.model import Samples
from videod.mp4.output import TrackOut
from videod.mp4.patchwork import Patchwork
from videod.mp4.times import decode_times, durations
from videod.mp4.writer import write
from videod.process import Tools


def check_seams(pieces: Pieces, file: BinaryIO, tools: Tools, max_pixels: int) -> None:
    """Raise Unspliced where a decoder stumbles over an edge, or over a copied key frame."""
    rows = pieces.seams
    path = tools.scratch / "seams.mp4"
    try:
        with open(path, "wb") as out:
            copy = FileCopy(out, [file, pieces.made])
            write(out, [picture(pieces, rows, rows[0].pts, max(row.pts for row in rows) + 1)], copy)
        result = decoded(path, tools, 0, max_pixels, smooth=False)
    finally:
        path.unlink(missing_ok=True)
    if result.complaints or result.frames != len(rows):
        said = result.complaints[0] if result.complaints else f"{result.frames} of {len(rows)} frames"
        raise Unspliced(f"the parts do not decode together: {said}")


def check_copied(pieces: Pieces, file: BinaryIO, out: Path) -> None:
    """Raise Unspliced where a sample in the written file is not the one that was put there."""
    with open(out, "rb", buffering=0) as made:
        number = made.fileno()
        movie = load(lambda offset, length: os.pread(number, length, offset), os.fstat(number).st_size).movie
        samples = movie.lead.samples if movie.lead else Samples()
        if len(samples) != len(pieces.rows):
            raise Unspliced(f"{len(samples)} samples were written of {len(pieces.rows)}")
        for n, (row, offset, size) in enumerate(zip(pieces.rows, samples.offsets, samples.sizes, strict=True)):
            origin: BinaryIO | Patchwork = file if row.source == SOURCE else pieces.made
            origin.seek(row.offset)
            if size != row.size or _read(origin, size) != os.pread(number, size, offset):
                raise Unspliced(f"sample {n} was not written as it is")


def _read(origin: BinaryIO | Patchwork, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (piece := origin.read(size - len(data))):
        data += piece
    return bytes(data)


def picture(pieces: Pieces, rows: Sequence[Row], zero: int, end: int) -> TrackOut:
    """The track of these rows, in decoding order. `zero`: the display time that becomes 0, `end`: when it is over."""
    old = pieces.tracks.video
    pts = array("q", [row.pts - zero for row in rows])
    dts = decode_times(pts)
    samples = Samples(
        array("I", [row.size for row in rows]),
        array("q", [row.offset for row in rows]),
        dts,
        pts,
        durations(dts, end - zero),
        bytes(row.sync for row in rows),
    )
    return TrackOut(
        b"vide",
        old.timescale,
        first_reference(pieces.coding.entry),
        samples,
        bytes(row.source for row in rows),
        header=old.header,
        language=old.language,
        media_header=old.media_header,
    )
