"""Proves a smart cut before it is written: its encoded edges and the key frames between them decode without complaint.

What was copied is not decoded: that would cost more than the cut. Its bytes are those of the source, its structure
was read sample by sample.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import BinaryIO

from videod.media.damage import decoded
from videod.media.pieces import Pieces, Row
from videod.media.splice import Unspliced
from videod.mp4.copying import FileCopy
from videod.mp4.entries import first_reference
from videod.mp4.model import Samples
from videod.mp4.output import TrackOut
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
        result = decoded(path, tools, 0, max_pixels)
    finally:
        path.unlink(missing_ok=True)
    if result.complaints or result.frames != len(rows):
        said = result.complaints[0] if result.complaints else f"{result.frames} of {len(rows)} frames"
        raise Unspliced(f"the parts do not decode together: {said}")


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
