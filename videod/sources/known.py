"""Which files of a watched folder were queued: kept on the disk, so that a restart repeats nothing."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from pathlib import Path

from videod.errors import VideodError

# a file that was not seen for so long may be forgotten: a network folder may be away for days
FORGET = 30 * 86400.0


class Known:
    """The files of one folder by their keys. Owns its file; one process at a time."""

    def __init__(self, state_dir: str, root: Path) -> None:
        name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
        self._file = Path(state_dir, "watch", f"{name}.sqlite")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(self._file, timeout=1.0, isolation_level=None)
            # held until the end: two that watch one folder would each move the other's files
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS files (key TEXT PRIMARY KEY, path BLOB, id TEXT, open INTEGER, seen REAL)"
            )
            self._base.execute("BEGIN EXCLUSIVE")
            self._base.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise VideodError(f"another videod watches it already: {root}: stop that first") from None
            raise VideodError(f"cannot be opened: {self._file}: {error}") from None
        except (OSError, sqlite3.DatabaseError) as error:
            raise VideodError(f"cannot be used: {self._file}: {error}: remove it, or mend its folder") from None

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()

    def has(self, key: str) -> bool:
        """Whether a file was queued; it was seen now."""
        now = time.time()
        return self._base.execute("UPDATE files SET seen = ? WHERE key = ?", (now, key)).rowcount > 0

    def add(self, key: str, path: Path, ident: str) -> None:
        """A file was queued as job `ident`."""
        row = (key, os.fsencode(path), ident, time.time())
        self._base.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, 1, ?)", row)

    def running(self) -> list[tuple[str, Path, str]]:
        """Key, path and job of each file whose job has not ended as far as we know."""
        rows = self._base.execute("SELECT key, path, id FROM files WHERE open = 1 ORDER BY rowid")
        return [(key, Path(os.fsdecode(path)), ident) for key, path, ident in rows]

    def ended(self, key: str) -> None:
        """Its job has ended, and the file stays where it is."""
        self._base.execute("UPDATE files SET open = 0 WHERE key = ?", (key,))

    def forget(self, key: str) -> None:
        """The file is not there any more: who puts it back wants it done again."""
        self._base.execute("DELETE FROM files WHERE key = ?", (key,))

    def tidy(self) -> None:
        """Forget what was not seen for a month."""
        self._base.execute("DELETE FROM files WHERE open = 0 AND seen < ?", (time.time() - FORGET,))
