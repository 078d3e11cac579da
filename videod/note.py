"""A note in state_dir for the commands that are not the daemon's parent: who runs, and how it ended.

The pidfile holds the pid alone, as other tools expect, and several environments may share one.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from videod.config.settings import Settings


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
    path = _path(settings)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(Note(os.getpid(), settings.env, code, reloads, left))))
    fresh.replace(path)


def read(settings: Settings) -> Note | None:
    """The note of the daemon that runs or ran last; None when there is none."""
    try:
        return Note(**json.loads(_path(settings).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _path(settings: Settings) -> Path:
    # one note for each pidfile: environments that share a state_dir do not write over each other
    return Path(settings.state_dir) / (Path(settings.pid_file).name + ".json")
