"""Upload into a folder of this machine: whole under its name, or not there at all.

The folder is walked by file descriptors without following links, so that nobody can swap one in between the
check and the write. What is being written has no name (O_TMPFILE) or a hidden one, so a crash leaves at most a
dot file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from videod.config import Settings
from videod.errors import Failure, UploadDenied, UploadFailed
from videod.process import Tools
from videod.transfer.landing import disk_full
from videod.transfer.paths import file_target
from videod.transfer.target import Sent, Target

CHUNK = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP),
    *(errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY),
)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)


def check(place: Target, settings: Settings, *, private: bool) -> None:
    """See upload.check."""
    file_target(place.path, settings.upload_paths)


def send(
    path: Path,
    place: Target,
    settings: Settings,
    tools: Tools,
    overwrite: bool,
    private: bool,
    on_progress: Callable[[float], None],
) -> Sent:
    """See upload.send."""
    base, inner = file_target(place.path, settings.upload_paths)
    sync = settings.fsync is not False
    parents, name = os.path.split(inner)
    try:
        with open_folder(base, parents, sync) as folder, _unnamed(folder, name) as (fd, source):
            size, digest = _copy(path, fd, tools, on_progress)
            if sync:
                os.fsync(fd)
            if overwrite:
                _replace(folder, source, name)
            else:
                _put_beside(folder, source, name, size, digest, place)
            if sync:
                os.fsync(folder)
    except OSError as error:
        raise _failure(error, place) from None
    return Sent(place.url, size, digest)


def holds(place: Target, settings: Settings, tools: Tools, private: bool, content: tuple[str, int]) -> bool:
    """See upload.holds."""
    base, inner = file_target(place.path, settings.upload_paths)
    parents, name = os.path.split(inner)
    try:
        with open_folder(base, parents, False, make=False) as folder:
            return _content(folder, name, content[1]) == content[0]
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _failure(error, place) from None


@contextmanager
def open_folder(base: str, parents: str, sync: bool, *, make: bool = True) -> Iterator[int]:
    """The folder `parents` below `base` as a descriptor, made where it is missing; no link on the way is followed."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(base, flags)
    except FileNotFoundError:
        if not make:
            raise
        os.makedirs(base, exist_ok=True)
        fd = os.open(base, flags)
    try:
        for part in filter(None, parents.split("/")):
            if make:
                _make(part, fd, sync)
            below = os.open(part, flags, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _make(name: str, folder: int, sync: bool) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=folder)
        if sync:
            os.fsync(folder)


@contextmanager
def _unnamed(folder: int, name: str) -> Iterator[tuple[int, str]]:
    """A new file to write to, and the path by which it can be linked; gone at the end unless it was."""
    flags = os.O_WRONLY | os.O_CLOEXEC
    hidden = ""
    try:
        fd = os.open(".", flags | os.O_TMPFILE, 0o644, dir_fd=folder)
    except OSError as error:
        if error.errno in (*_FULL, errno.EACCES, errno.EROFS):
            raise
        hidden = _hidden(name)  # NFS and others have no files without a name
        fd = os.open(hidden, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
    try:
        yield fd, hidden or f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
        if hidden:
            with suppress(FileNotFoundError):
                os.unlink(hidden, dir_fd=folder)


def _hidden(name: str) -> str:
    return f".{name.encode()[:100].decode('utf-8', 'ignore')}.{secrets.token_hex(8)}.part"


def _copy(path: Path, fd: int, tools: Tools, on_progress: Callable[[float], None]) -> tuple[int, str]:
    digest = hashlib.sha256()
    size, total = 0, path.stat().st_size
    with open(path, "rb") as source:
        while piece := source.read(CHUNK):
            tools.check()
            digest.update(piece)
            view = memoryview(piece)
            while view:
                view = view[os.write(fd, view) :]
            size += len(piece)
            on_progress(min(size / (total or 1), 1.0))
    if os.fstat(fd).st_size != size:
        raise OSError(errno.EIO, "the copy has another size")
    return size, digest.hexdigest()


def _link(folder: int, source: str, name: str) -> None:
    # what has no name yet is reached by its descriptor, which is a link to follow
    os.link(source, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=source.startswith("/"))


def _replace(folder: int, source: str, name: str) -> None:
    hidden = source
    if source.startswith("/"):
        hidden = _hidden(name)
        _link(folder, source, hidden)
    try:
        os.rename(hidden, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(hidden, dir_fd=folder)
        raise


def _put_beside(folder: int, source: str, name: str, size: int, digest: str, place: Target) -> None:
    """Give it its name unless that is taken; taken by the same content is fine, too."""
    try:
        try:
            _link(folder, source, name)
        except OSError as error:
            if error.errno not in _NO_LINKS or source.startswith("/"):
                raise
            # a file system without links: claim the name, then replace our own claim
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder))
            os.rename(source, name, src_dir_fd=folder, dst_dir_fd=folder)
    except FileExistsError:
        if _content(folder, name, size) != digest:
            raise UploadDenied(f"other content is there already: {place.url}: overwrite is false") from None


def _content(folder: int, name: str, size: int) -> str:
    """The SHA-256 of a regular file of this size; empty for anything else."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return ""
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            return ""
        return hashlib.file_digest(file, "sha256").hexdigest()


def _failure(error: OSError, place: Target) -> Failure:
    if error.errno in _FULL:
        return disk_full(Path(place.path))
    text = f"cannot write the result: {place.url}: {error.strerror}"
    return UploadDenied(text) if error.errno in _DENIED else UploadFailed(text)
