"""The Lua scripts beside this package, and what their answers tell."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Any

# what a full or read-only Redis refuses for sure; a script that removes first may write on in a full one
PROOFS = ("BLMOVE", "LPUSH", "take", "claim", "register")


class Script:
    """One script; `_say.lua` is put in front of each."""

    def __init__(self, name: str) -> None:
        folder = files("videod.jobqueue") / "scripts"
        self.name = name
        self.text = (folder / "_say.lua").read_text() + (folder / f"{name}.lua").read_text()
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()  # as Redis names it


def wrote(answer: Any) -> bool:
    """Whether a script changed anything: one that found nothing to do is refused nowhere."""
    return bool(answer) and b"gone" not in (answer, answer[0] if isinstance(answer, list) else None)
