"""Room on the disk of work_dir, divided among the jobs that run: what is promised to one is no one else's.

Without it four jobs would each see the space that is enough for one of them, and all would fail when it is full.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from videod.config.settings import Settings
from videod.errors import NoRoom

# of a job: its source, and results that are at most as large
SHARES = 2
AGAIN_SECONDS = 0.5
LOOK_SECONDS = 1.0


class Space:
    """Knows what is promised to whom. Thread-safe; one for each daemon. `spare` gives up what is only kept."""

    def __init__(self, settings: Callable[[], Settings], spare: Callable[[], object] = lambda: None) -> None:
        self._settings, self._spare = settings, spare
        self._lock = threading.Lock()
        self._promised: dict[Path, int] = {}
        self._coming: Counter[int] = Counter()

    def room(self, folder: Path, pause: Callable[[float], None]) -> Room:
        """The room of one job, whose files are in `folder`; `pause` sleeps, and raises when it is time to give up."""
        return Room(self, folder, pause)

    def promise(self, folder: Path, size: int) -> bool:
        """Keep `size` bytes for `folder` if there is so much; NoRoom when waiting for other jobs is in vain."""
        with self._lock:
            others = [other for other in self._promised if other != folder]
            free = self._free(folder, others)
            if size > free:
                self._spare()
                free = self._free(folder, others)
            if size <= free:
                self._promised[folder] = size
                return True
        if not others:
            text = f"the job needs {size >> 20} MiB and {max(0, free) >> 20} MiB are free beside min_free"
            raise NoRoom(f"{text}: {self._settings().work_dir}: make room, or use a larger disk")
        return False

    def _free(self, folder: Path, others: list[Path]) -> int:
        settings = self._settings()
        kept = sum(max(0, self._promised[other] - _used(other)) for other in others)
        coming = self._coming[os.stat(settings.work_dir).st_dev] if self._coming else 0
        return shutil.disk_usage(settings.work_dir).free + _used(folder) - settings.min_free - kept - coming

    def expect(self, folder: str, size: int) -> int:
        """Keep `size` bytes on the disk of `folder` for a file that is coming, which stays; gives that disk's number.

        NoRoom: no job that ends would make any, since what is downloaded is not scratch.
        """
        settings, disk = self._settings(), os.stat(folder).st_dev
        scratch = disk == os.stat(settings.work_dir).st_dev
        for more in (self._spare, lambda: None):
            # looked at without the lock: all that download would wait for the disk
            free = shutil.disk_usage(folder).free - settings.min_free
            used = {other: _used(other) for other in list(self._promised)} if scratch else {}
            with self._lock:
                free -= self._coming[disk]
                free -= sum(max(0, self._promised.get(other, 0) - there) for other, there in used.items())
                if size <= free:
                    self._coming[disk] += size
                    return disk
            more()
        text = f"a file needs {size >> 20} MiB and {max(0, free) >> 20} MiB are free beside min_free"
        raise NoRoom(f"{text}: {folder}: make room, or use a larger disk")

    def arrived(self, disk: int, size: int) -> None:
        """So many of the bytes expected there are written, or do not come."""
        with self._lock:
            self._coming[disk] -= size

    def release(self, folder: Path) -> None:
        """The job has ended."""
        with self._lock:
            self._promised.pop(folder, None)


@dataclass(frozen=True)
class Room:
    """What one job may ask for."""

    space: Space
    folder: Path
    pause: Callable[[float], None]

    def fits(self, length: int) -> bool:
        """Whether there is room for a source of `length` bytes and what is made of it; it is kept, if so."""
        return self.space.promise(self.folder, length * SHARES)

    def wait(self, length: int) -> None:
        """Wait until there is; NoRoom when no other job would make any."""
        while not self.fits(length):
            self.pause(AGAIN_SECONDS)


class Watermark:
    """Looks once a second whether `min_free` is free. Used by one thread."""

    def __init__(self) -> None:
        self._looked = 0.0
        self.lack = ""

    def look(self, settings: Settings) -> bool:
        """Whether that has changed; `lack` tells what is missing, '' if nothing."""
        now = time.monotonic()
        if now < self._looked + LOOK_SECONDS:
            return False
        self._looked, before = now, self.lack
        free = shutil.disk_usage(settings.work_dir).free
        text = f"work_dir has {free >> 20} MiB free, min_free is {settings.min_free >> 20} MiB"
        self.lack = text if free < settings.min_free else ""
        return bool(before) != bool(self.lack)


def _used(folder: Path) -> int:
    try:
        return sum(path.lstat().st_blocks * 512 for path in folder.iterdir())
    except OSError:  # not made yet, or just removed
        return 0
