"""The pidfile with a kernel lock, on lockfile's class.

lockfile's own PIDLockFile takes an existing file for a lock: after kill -9 it stays locked for ever, and a
recycled pid looks like ours. Here the file's existence means nothing; flock does, and the kernel drops it
when the process ends, however it ends. flock, not lockf: lockf's locks go when any fd of the file is closed.
"""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass

from lockfile import AlreadyLocked, LockFailed, NotLocked, NotMyLock
from lockfile.pidlockfile import PIDLockFile

LOOKS = 10


@dataclass(frozen=True)
class Holder:
    """What a look at the pidfile shows. `pid` is what stands in it; `held` whether a process holds the lock."""

    held: bool
    pid: int | None
    exists: bool


class PidFile(PIDLockFile):  # type: ignore[misc]
    """A PIDLockFile whose lock the kernel keeps. Owns the lock's file descriptor."""

    def __init__(self, path: str) -> None:
        super().__init__(path, timeout=0)
        self._fd: int | None = None

    def acquire(self, timeout: float | None = None) -> None:
        """Lock and write our pid; AlreadyLocked when another process has it, LockFailed when we may not."""
        tries = LOOKS
        while self._fd is None:
            fd = self._open()
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                if tries := tries - 1:  # it may be somebody's `look`, which lasts a moment
                    time.sleep(0.01)
                    continue
                raise AlreadyLocked(f"{self.path} is locked") from None
            # its last holder unlinked it while we opened it: nobody else would ever see this lock
            if os.fstat(fd).st_nlink == 0:
                os.close(fd)
                continue
            self._fd = fd
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise LockFailed(f"{self.path}: {error.strerror}") from None

    def release(self) -> None:
        """Unlink, then unlock: in this order nobody locks a file that is about to go."""
        if self._fd is None:
            raise (NotMyLock if self.is_locked() else NotLocked)(f"{self.path} is not locked by us")
        try:
            # somebody may have put another file there: it is not ours to remove
            if os.path.samestat(os.stat(self.path), os.fstat(self._fd)):
                os.unlink(self.path)
        except FileNotFoundError:
            pass
        os.close(self._fd)
        self._fd = None

    def is_locked(self) -> bool:
        """Whether any process holds the lock."""
        return self.look().held

    def i_am_locking(self) -> bool:
        """Whether we hold it."""
        return self._fd is not None

    def break_lock(self) -> None:
        """Refused: a lock that the kernel keeps is never stale."""
        raise NotMyLock(f"{self.path}: end the process that holds it instead")

    def look(self) -> Holder:
        """Read pid and lock without changing either; PermissionError when we may not look."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return Holder(False, None, False)
        try:
            text = os.pread(fd, 32, 0).split(b"\n")[0]
            pid = int(text) if text.isdigit() else None
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Holder(True, pid, True)
            return Holder(False, pid, True)
        finally:
            os.close(fd)
