"""A note in state_dir for the commands that are not the daemon's parent: who runs, and how it ended.

The pidfile holds the pid alone, as other tools expect, and several environments may share one.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from videod.config.settings import Settings
from videod.process import MARK


@dataclass(frozen=True)
class Note:
    """`code` is the exit code; None while the daemon runs, or when it was killed.

    `reloads` is how often it re-read its ini, `left` what of it needs a restart, as of the last time.
    """

    pid: int
    env: str
    code: int | None = None
    reloads: int = 0
    left: tuple[str, ...] = ()


def write(settings: Settings, code: int | None = None, *, reloads: int = 0, left: tuple[str, ...] = ()) -> None:
    """Note who we are, what a reload left, and at the end the exit code."""
    path = place(settings)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(Note(os.getpid(), settings.env, code, reloads, left))))
    fresh.replace(path)


def read(path: Path) -> Note | None:
    """The note of the daemon that runs or ran last; None when there is none."""
    try:
        return Note(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def place(settings: Settings, pid: int | None = None) -> Path:
    """Where the note lies; with `pid` that of the daemon that runs, whose state_dir the ini may not name any more."""
    folder = (_state_dir_of(pid) if pid else "") or settings.state_dir
    # one note for each pidfile: environments that share a state_dir do not write over each other
    return Path(folder) / (Path(settings.pid_file).name + ".json")


def _state_dir_of(pid: int) -> str:
    """What a daemon has for state_dir, by what its guardian was called with; empty where that cannot be seen."""
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            last = Path(f"/proc/{entry}/cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2]
            found = re.fullmatch(rf"{MARK}=[^:/]*:(/.*)/[0-9a-f]+", os.fsdecode(last), re.DOTALL)
            # the name in parentheses may hold blanks and parentheses itself
            if found and int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1]) == pid:
                return found[1]
        except OSError:  # gone, or another user's
            continue
    return ""
