"""The files of a watched folder: which are meant, which are whole, and where they go when they are done with."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UNFINISHED = (".part", ".tmp")
# file systems whose files others may write, unknown to this kernel; and all of FUSE
REMOTE = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "lustre", "nfs", "nfs4", "ocfs2", "smb3", "virtiofs"}
)


@dataclass(frozen=True)
class Found:
    """A file that is meant. `key`: device, inode, size and time; another content has another."""

    path: Path
    key: str


class Folder:
    """A folder with all below it, but for `apart`, folders that are not looked into."""

    def __init__(self, root: Path, apart: tuple[Path, ...] = ()) -> None:
        self.root = root
        self._apart = apart

    def files(self) -> Iterator[Found]:
        """All files that are meant, in order. OSError where the folder itself cannot be read."""
        os.stat(self.root)
        for folder, names, files in os.walk(self.root):
            names[:] = sorted(name for name in names if self._meant(Path(folder, name)))
            for name in sorted(files):
                if found := self.look(Path(folder, name)):
                    yield found

    def look(self, path: Path) -> Found | None:
        """What stands there, if it is meant: a regular file with something in it, no dot file, no *.part or *.tmp."""
        if not path.is_relative_to(self.root) or path.name.lower().endswith(UNFINISHED):
            return None
        inside = path.relative_to(self.root)
        if any(part.startswith(".") for part in inside.parts) or not self._meant(path):
            return None
        try:
            status = path.lstat()
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            return None
        return Found(path, f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}")

    def _meant(self, path: Path) -> bool:
        return not path.name.startswith(".") and not any(path.is_relative_to(one) for one in self._apart)


def written(path: Path) -> bool | None:
    """Whether somebody has the file open for writing; None where the kernel does not tell (NFS, FUSE, foreign files).

    A lease for reading is given only for a file that nobody writes. Who opens it for writing meanwhile waits for
    us, and we get SIGIO: the caller ignores that.
    """
    if _remote(path):
        return None
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(number)
    return False


def _remote(path: Path) -> bool:
    """Whether another machine, or a program, may write the file without this kernel's knowing."""
    here, deepest, kind = os.path.realpath(path), -1, ""
    for line in Path("/proc/self/mounts").read_text(errors="surrogateescape").splitlines():
        _, place, name, *_ = line.split(" ")
        for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
            place = place.replace(code, char)
        # of two at one place the later one is seen; a mount that hangs is not touched
        if len(place) >= deepest and f"{here}/".startswith(place.rstrip("/") + "/"):
            deepest, kind = len(place), name
    return kind in REMOTE or kind.startswith("fuse")


def put_away(path: Path, root: Path, target: Path) -> Path:
    """Move a file of `root` into `target`, below the same sub-folders; where it is now. OSError.

    What stands there under its name stays: the new one gets a number.
    """
    inside = path.relative_to(root)
    folder = target / inside.parent
    folder.mkdir(parents=True, exist_ok=True)
    place, n = folder / inside.name, 2
    while os.path.lexists(place):
        place, n = folder / f"{inside.stem}-{n}{inside.suffix}", n + 1
    shutil.move(path, place)
    return place
