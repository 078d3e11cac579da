"""Checksums of a file, in one pass, with looks at the job's token and deadline."""

from __future__ import annotations

import hashlib
from pathlib import Path

from videod.process import Tools

CHUNK = 1 << 20


def digests(path: Path, tools: Tools, *kinds: str) -> dict[str, str]:
    """{kind: hex} of the file for hashlib's names such as `sha256`, `md5`."""
    made = {kind: hashlib.new(kind, usedforsecurity=False) for kind in kinds}
    with open(path, "rb") as file:
        while piece := file.read(CHUNK):
            tools.check()
            for one in made.values():
                one.update(piece)
    return {kind: one.hexdigest() for kind, one in made.items()}
