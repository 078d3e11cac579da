"""A file while it comes: beside its final name, under which it stands only when it is whole.

Its folder is open as a descriptor, reached without following links. What an earlier run left is gone on with
only where a note says what it is part of; it may be another's file, a link, a pipe.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from videod.errors import FetchFailed, UploadDenied
from videod.transfer.filenames import beside
from videod.transfer.landing import FULL, disk_full
from videod.transfer.to_file import open_folder

_STEP = 1 << 20
# a note doubles what a small file costs: one that is smaller than this, and does not take longer, comes anew
_SMALL, _SMALL_SECONDS = 256 << 10, 0.5
_LONGEST_NOTE = 16 << 10
_DENIED = (
    *(errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST, errno.ENAMETOOLONG),
    *(errno.EACCES, errno.EPERM),
)
_VALIDATOR = re.compile(r"[\x20-\x7e]{1,1024}")


@contextmanager
def part_of(base: str, path: str, url: str, *, sync: bool) -> Iterator[Part]:
    """The part of the file `path` below `base` that `url` is fetched into; its folders are made.

    Raises UploadDenied where the name cannot be had, FetchFailed while another job writes it, DiskFull.
    """
    folder, _, name = path.rpartition("/")
    try:
        with open_folder(base, folder, sync) as fd:
            part = Part(fd, name, url, sync)
            try:
                yield part
            finally:
                part.close()
    except OSError as error:
        raise failure_of(error, base, path) from None


def make_folder(path: str, *, sync: bool) -> None:
    """The folder of a job, where it is missing. UploadDenied where a link or a file stands there."""
    base, name = os.path.split(path)
    try:
        with open_folder(base, name, sync):
            return
    except OSError as error:
        raise failure_of(error, base, name) from None


def failure_of(error: OSError, base: str, path: str) -> Exception:
    """What it means that a file cannot be written."""
    if error.errno in FULL:
        return disk_full(Path(base, path))
    if error.errno in _DENIED:
        return UploadDenied(f"cannot write the file: {path}: {error.strerror}")
    return error


class Part:
    """Written by one thread. `size` bytes are there, `sha` is their running SHA-256; `total` (None: not known) and
    `validator` are of the source that they are part of."""

    def __init__(self, folder: int, name: str, url: str, sync: bool) -> None:
        self._folder, self._name, self._sync = folder, name, sync
        self._part, self._note = beside(name)
        self._url = hashlib.sha256(url.encode()).hexdigest()
        self._noted, self._begun = False, time.monotonic()
        self.sha = hashlib.sha256()
        self.size, self.total, self.validator = 0, None, ""  # type: int, int | None, str
        self._fd, size = self._open()
        self.earlier = self._take_up(size)

    def _open(self) -> tuple[int, int]:
        """The part, locked, and its size: of two jobs that write one file the second fails, and may try again."""
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        new = flags | os.O_CREAT | os.O_EXCL
        fd = -1
        with suppress(FileExistsError):  # mostly nothing stands there
            fd = os.open(self._part, new, 0o644, dir_fd=self._folder)
        if fd < 0 and (fd := self._open_earlier(flags)) < 0:
            fd = os.open(self._part, new, 0o644, dir_fd=self._folder)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            here, ours = os.stat(self._part, dir_fd=self._folder, follow_symlinks=False), os.fstat(fd)
            if not os.path.samestat(here, ours):
                raise FileNotFoundError
        except (BlockingIOError, FileNotFoundError):
            os.close(fd)
            raise FetchFailed(f"another job writes this file just now: {self._name}") from None
        return fd, ours.st_size

    def _open_earlier(self, flags: int) -> int:
        """What stands there; -1 where it was none of ours, or is gone: nothing is there now."""
        try:
            fd = os.open(self._part, flags, dir_fd=self._folder)
        except FileNotFoundError:
            return -1
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EACCES):
                raise
        else:
            if _ours(os.fstat(fd)):
                return fd
            os.close(fd)
        os.unlink(self._part, dir_fd=self._folder)
        return -1

    def _take_up(self, size: int) -> bool:
        """What an earlier run left, where its note fits; else nothing is there. A part from before the machine
        started is not believed: its last blocks may never have been written."""
        note = self._read_note() if size else {}
        total, found = note.get("total"), note.get("validator")
        sound = isinstance(found, str) and _VALIDATOR.fullmatch(found) and isinstance(total, int) and size < total
        if not sound or note.get("url") != self._url or note.get("boot") != _boot():
            if size:
                os.ftruncate(self._fd, 0)
            # looking holds nobody up, removing does: all that write into this folder
            if os.access(self._note, os.F_OK, dir_fd=self._folder, follow_symlinks=False):
                self._drop_note()
            return False
        while piece := os.read(self._fd, _STEP):
            self.sha.update(piece)
        self.size, self.total, self.validator, self._noted = size, total, str(found), True
        return True

    def reset(self) -> None:
        """Nothing of it is there."""
        if self.size:
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
            self.sha = hashlib.sha256()
        if self._noted:
            self._drop_note()
        self.size, self.total, self.validator, self.earlier = 0, None, "", False

    def write(self, piece: bytes | memoryview) -> None:
        """The next bytes."""
        if (done := os.write(self._fd, piece)) < len(piece):
            view = memoryview(piece)[done:]
            while view:
                view = view[os.write(self._fd, view) :]
        self.sha.update(piece)
        self.size += len(piece)
        if not self._noted and self.validator and self.total is not None and self.size < self.total:
            self._consider_note()

    def _consider_note(self) -> None:
        if (self.total or 0) >= _SMALL or time.monotonic() >= self._begun + _SMALL_SECONDS:
            self._write_note()

    def _write_note(self) -> None:
        text = json.dumps({"url": self._url, "validator": self.validator, "total": self.total, "boot": _boot()})
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._drop_note()
        fd = os.open(self._note, flags, 0o600, dir_fd=self._folder)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
        self._noted = True

    def _read_note(self) -> dict[str, Any]:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(self._note, flags, dir_fd=self._folder)
        except OSError:
            return {}
        try:
            found = json.loads(os.read(fd, _LONGEST_NOTE)) if _ours(os.fstat(fd)) else {}
        except (OSError, ValueError, RecursionError):
            return {}
        finally:
            os.close(fd)
        return found if isinstance(found, dict) else {}

    def _drop_note(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._note, dir_fd=self._folder)
        self._noted = False

    def finish(self, *, overwrite: bool) -> None:
        """It is whole: give it its name. UploadDenied where other content has it and may not be replaced."""
        if self._sync:
            os.fsync(self._fd)
        if overwrite:
            os.rename(self._part, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        else:
            self._put_beside()
        if self._noted:
            self._drop_note()
        if self._sync:
            os.fsync(self._folder)

    def _put_beside(self) -> None:
        try:
            os.link(self._part, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)
        except FileExistsError:
            if content_of(self._folder, self._name) != (self.size, self.sha.hexdigest()):
                raise UploadDenied(f"other content is there already: {self._name}: overwrite is false") from None
        os.unlink(self._part, dir_fd=self._folder)

    def drop(self) -> None:
        """It is of no use any more."""
        self._drop_note()
        with suppress(FileNotFoundError):
            os.unlink(self._part, dir_fd=self._folder)

    def close(self) -> None:
        """Leave it as it is."""
        os.close(self._fd)


def _ours(found: os.stat_result) -> bool:
    """Whether nobody else can write to it or sees it under another name."""
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid()


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def content_of(folder: int, name: str) -> tuple[int, str]:
    """Size and SHA-256 of a regular file; (-1, '') for anything else."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return -1, ""
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return -1, ""
        return os.fstat(fd).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def discard(base: str, path: str) -> None:
    """Remove what came of a file that will not be whole."""
    with suppress(OSError), open_folder(base, os.path.dirname(path), False, make=False) as folder:
        for one in beside(path.rpartition("/")[2]):
            with suppress(FileNotFoundError):
                os.unlink(one, dir_fd=folder)


def size_there(base: str, path: str) -> int:
    """The size of the regular file `path` below `base`, with no link on the way; -1 where there is none."""
    with suppress(OSError), open_folder(base, os.path.dirname(path), False, make=False) as folder:
        found = os.stat(path.rpartition("/")[2], dir_fd=folder, follow_symlinks=False)
        return found.st_size if stat.S_ISREG(found.st_mode) else -1
    return -1
