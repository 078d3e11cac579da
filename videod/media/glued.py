"""Files of one recording put together, as they follow one another."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from videod.media.reading import opened
from videod.process import Tools

# the header that recorders put in front of a program stream, and its length
OWN, OWN_BYTES = b"IMKH", 40


def glue(parts: Sequence[Path], out: Path, tools: Tools, *, keep: bool) -> None:
    """Write one file that holds all parts, MPEG-PS or MP4; they go then, unless `keep`.

    Program streams are put behind one another as they are. What holds its index in one place is copied into MPEG-TS
    first. Where a clock starts again at a seam is left to `examine`. Raises EncodeFailed, DiskFull.
    """
    with open(out, "wb") as whole:
        for n, part in enumerate(parts):
            plain = part if _is_stream(part) else _as_ts(part, tools)
            with open(plain, "rb") as piece:
                if n and piece.read(len(OWN)) == OWN:
                    piece.seek(OWN_BYTES)
                else:
                    piece.seek(0)
                shutil.copyfileobj(piece, whole, 1 << 20)
            tools.check()
            if plain != part:
                plain.unlink()
            if not keep:
                part.unlink()


def _is_stream(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(8)[4:8] != b"ftyp"


def _as_ts(path: Path, tools: Tools) -> Path:
    out = path.with_suffix(".ts")
    argv = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y", *opened(str(path))]
    tools.run([*argv, "-map", "0:v:0", "-map", "0:a?", "-c", "copy", "-f", "mpegts", f"file:{out}"])
    return out
