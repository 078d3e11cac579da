"""Files of one recording put together, as they follow one another."""

from __future__ import annotations

import mmap
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from videod.media.clocks import Extent, extent, follow, move
from videod.media.probe import Bounds, probe
from videod.media.reading import opened
from videod.process import Tools

# the header that recorders put in front of a program stream, and its length
OWN, OWN_BYTES = b"IMKH", 40
# how far into a stream its map may stand; the stream types of G.711 A-law and µ-law in it
HEAD_BYTES, G711 = 1 << 16, frozenset({0x90, 0x91})
MICRO = 1_000_000


def lacks_header(part: Path) -> bool:
    """Whether it is a program stream with G.711, but without the recorder's header by which alone ffmpeg knows that."""
    with open(part, "rb") as file:
        head = file.read(HEAD_BYTES)
    at = head.find(b"\0\0\1\xbc")
    if not head.startswith(b"\0\0\1\xba") or not 0 <= at < len(head) - 12:
        return False
    end = at + 6 + int.from_bytes(head[at + 4 : at + 6], "big") - 4
    entry = at + 12 + int.from_bytes(head[at + 8 : at + 10], "big")
    while entry + 4 <= min(end, len(head)):
        if head[entry] in G711:
            return True
        entry += 4 + int.from_bytes(head[entry + 2 : entry + 4], "big")
    return False


def glue(parts: Sequence[Path], out: Path, tools: Tools, settings: Bounds, *, keep: bool) -> None:
    """Write one file that holds all parts, MPEG-PS or MP4; they go then, unless `keep`.

    Program streams are put behind one another, their clocks moved so that each goes on where the one before ended, and
    a recorder's header in front where they need one. If one of the parts holds its index in one place, all are copied
    into MPEG-TS first, likewise. Raises EncodeFailed, DiskFull, and what `probe` does.
    """
    if all(_is_stream(part) for part in parts):
        _streams(parts, out, tools, keep)
    else:
        _indexed(parts, out, tools, settings, keep)


def _streams(parts: Sequence[Path], out: Path, tools: Tools, keep: bool) -> None:
    before, by = Extent(0, 0), 0
    with open(out, "w+b") as whole:
        if lacks_header(parts[0]):
            whole.write(OWN + bytes(OWN_BYTES - len(OWN)))
        for n, part in enumerate(parts):
            start = whole.tell()
            with open(part, "rb") as piece:
                piece.seek(OWN_BYTES if n and piece.read(len(OWN)) == OWN else 0)
                shutil.copyfileobj(piece, whole, 1 << 20)
            whole.flush()
            tools.check()
            if whole.tell() > start:
                before, by = _moved(whole.fileno(), start, n, before, by)
            if not keep:
                part.unlink()


def _moved(file: int, start: int, n: int, before: Extent, by: int) -> tuple[Extent, int]:
    """Move the last part, which begins at `start`; where it ends now, and by how much it was moved."""
    page = start - start % mmap.ALLOCATIONGRANULARITY
    with mmap.mmap(file, 0, offset=page) as data:
        found = extent(data, start - page)
        if found is None:
            return before, by
        by = follow(before, by, found) if n else 0
        move(data, start - page, by)
    return Extent(found.first + by, found.end + by), by


def _indexed(parts: Sequence[Path], out: Path, tools: Tools, settings: Bounds, keep: bool) -> None:
    at = Fraction(0)
    with open(out, "wb") as whole:
        for part in parts:
            plain = part.with_suffix(".ts")
            argv = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y", *opened(str(part))]
            argv += ["-map", "0:v:0", "-map", "0:a?", "-c", "copy", "-muxdelay", "0", "-muxpreload", "0"]
            tools.run([*argv, "-output_ts_offset", f"{round(at * MICRO)}us", "-f", "mpegts", f"file:{plain}"])
            at += probe(str(part), tools, settings).duration or Fraction(0)
            with open(plain, "rb") as piece:
                shutil.copyfileobj(piece, whole, 1 << 20)
            plain.unlink()
            if not keep:
                part.unlink()


def _is_stream(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(8)[4:8] != b"ftyp"
