"""One ZIP archive of many files: stored, as most of what is downloaded is compressed already; Zip64 where needed."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Callable, Sequence
from typing import IO, cast

from videod.config import Settings
from videod.space import Space
from videod.transfer.part import Part, part_of

_STEP = 1 << 20


def archive(
    files: Sequence[tuple[str, str, int]],
    folder: str,
    name: str,
    settings: Settings,
    space: Space | None,
    on_bytes: Callable[[int], object],
    *,
    overwrite: bool,
) -> tuple[int, str]:
    """Make the archive `name` in `folder` of files, each (name in the archive, path, bytes); its size and SHA-256.

    `on_bytes` gets those of each piece, and raises when it is time to end. Raises NoRoom, DiskFull, UploadDenied.
    """
    os.makedirs(folder, exist_ok=True)
    total = sum(size for _, _, size in files)
    disk = space.expect(folder, total) if space else 0
    try:
        with part_of(folder, name, "", sync=settings.fsync is True) as part:
            part.reset()
            _pack(files, part, on_bytes)
            part.finish(overwrite=overwrite)
            return part.size, part.sha.hexdigest()
    finally:
        if space:
            space.arrived(disk, total)


def _pack(files: Sequence[tuple[str, str, int]], part: Part, on_bytes: Callable[[int], object]) -> None:
    sink = cast(IO[bytes], _Sink(part))
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, allowZip64=True) as made:
        for name, path, _ in files:
            with open(path, "rb") as source:
                status = os.fstat(source.fileno())
                entry = zipfile.ZipInfo(name, max(time.localtime(status.st_mtime)[:6], (1980, 1, 1, 0, 0, 0)))
                entry.external_attr = 0o100644 << 16
                with made.open(entry, "w", force_zip64=status.st_size >= zipfile.ZIP64_LIMIT) as target:
                    while piece := source.read(_STEP):
                        on_bytes(len(piece))
                        target.write(piece)


class _Sink:
    """A file that can only be appended to: sizes then stand behind each entry, and the hash runs along."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def write(self, data: bytes) -> int:
        """All of it."""
        self._part.write(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""
