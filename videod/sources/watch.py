"""Queue each video that appears in a folder, once, when it is whole; put it away when its job has ended."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import queue
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

from videod.config import Settings
from videod.config.settings import Watched
from videod.errors import RedisAway
from videod.sources.folder import Folder, Found, put_away, written
from videod.sources.known import Known
from videod.transfer.paths import below

# seconds: between two looks at all that is there, at files that may become whole, and at jobs that run
WALK, LOOK = 30.0, 1.0
# where nobody tells whether a file is written, it is whole when it stays the same for so long
STEADY = 5.0
# a file that nobody has open may have been made just now, to be filled next
FRESH = 1.0
AT_ONCE = 500


@dataclass(frozen=True)
class Door:
    """What the watcher needs of Redis: put a message (for a node), state and error, and URLs, of ended jobs."""

    push: Callable[[bytes, str | None], object]
    ended: Callable[[Sequence[str]], Mapping[str, tuple[str, Any]]]
    results: Callable[[str], Sequence[str]] = lambda ident: ()


class Watcher:
    """Used by one thread; `hint` may be called by others."""

    def __init__(self, folder: Path, preset: str, settings: Settings, door: Door, log: logging.Logger) -> None:
        rules = settings.watch
        self._done, self._failed = _apart(folder, rules)
        self._folder = Folder(folder, tuple(path for path in (self._done, self._failed) if path))
        self._known = Known(settings.state_dir, folder)
        self._preset, self._door, self._log = preset, door, log
        # the others could not read it
        self._node = None if below(str(folder), settings.shared_paths) else settings.node
        self._hints: queue.SimpleQueue[tuple[Path, bool]] = queue.SimpleQueue()
        self._maybe: dict[Path, tuple[str, float]] = {}
        self._walked = self._looked = float("-inf")
        self._troubles: set[str] = set()

    def close(self) -> None:
        """Let go of what is known."""
        self._known.close()

    def hint(self, path: Path, *, closed: bool) -> None:
        """Something happened to a file; `closed`: it was written and closed."""
        self._hints.put((path, closed))

    def step(self) -> None:
        """Look at what was hinted at, and from time to time at all there is. Raises RedisAway."""
        while not self._hints.empty():
            path, closed = self._hints.get_nowait()
            self._consider(path, closed=closed)
        now = time.monotonic()
        if now >= self._walked + WALK:
            self._walked = now
            self._walk()
        if now >= self._looked + LOOK:
            self._looked = now
            for path in list(self._maybe):
                self._consider(path, closed=False)
            self._settle()

    def _walk(self) -> None:
        try:
            for found in self._folder.files():
                self._consider(found.path, closed=False)
        except OSError as error:
            self._once(f"cannot be read: {self._folder.root}: {error.strerror}")
        else:
            self._known.tidy()

    def _consider(self, path: Path, *, closed: bool) -> None:
        found = self._folder.look(path)
        if found is None or self._known.has(found.key):
            self._maybe.pop(path, None)
        elif self._whole(found, closed=closed):
            try:
                self._queue(found)
            except RedisAway:
                self._maybe[path] = (found.key, time.monotonic())
                raise
            self._maybe.pop(path, None)

    def _whole(self, found: Found, *, closed: bool) -> bool:
        key, since = self._maybe.get(found.path, ("", 0.0))
        now = time.monotonic()
        if key != found.key:
            since = now
            self._maybe[found.path] = (found.key, now)
        busy = written(found.path)
        if busy:
            return False
        return closed or now - since >= (STEADY if busy is None else FRESH)

    def _queue(self, found: Found) -> None:
        name = os.fsencode(found.path.stem).decode("ascii", "replace")
        stem = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:60] or "video"
        ident = f"{stem}-{hashlib.sha256(found.key.encode()).hexdigest()[:16]}"
        message = {"id": ident, "kind": "convert", "url": "file://" + quote_from_bytes(os.fsencode(found.path))}
        message |= {"preset": self._preset} if self._preset else {}
        message |= {"node": self._node} if self._node else {}
        # an id that is known to Redis is not run twice: dying before the next line repeats nothing
        self._door.push(json.dumps(message).encode(), self._node)
        self._known.add(found.key, found.path, ident)
        self._log.info("queued %s as %s", found.path, ident)

    def _settle(self) -> None:
        running = self._known.running()
        for begin in range(0, len(running), AT_ONCE):
            some = running[begin : begin + AT_ONCE]
            ended = self._door.ended([ident for _, _, ident in some])
            for key, path, ident in some:
                if ident in ended:
                    self._end(key, path, ident, *ended[ident])

    def _end(self, key: str, path: Path, ident: str, state: str, error: Any) -> None:
        found = self._folder.look(path)
        why = f"{error.get('code')}: {error.get('message')}" if isinstance(error, dict) else ""
        target = self._done if state == "done" else self._failed
        why = why or ", ".join(self._door.results(ident))
        moved = found is None or found.key != key
        if moved and isinstance(error, dict) and error.get("code") == "not_found":
            # renamed before its turn came: under its new name it is still to be done
            self._known.forget(key)
            self._walked = float("-inf")
        else:
            self._known.ended(key)
        self._log.info("%s: %s ended %s%s", path, ident, state, f": {why}" if why else "")
        if target is None or moved:
            return
        try:
            place = put_away(path, self._folder.root, target)
            if state != "done":
                reason = f"{state}: {why or 'by command'}\njob {ident}: videod show {ident}\n"
                reason += f"to try again: move {place.name} back into {path.parent}\n"
                place.with_name(place.name + ".reason.txt").write_text(reason, encoding="utf-8")
        except OSError as trouble:
            self._once(f"cannot be moved: {path}: {target}: {trouble.strerror}")
        else:
            self._known.forget(key)

    def _once(self, text: str) -> None:
        if text not in self._troubles:
            self._troubles.add(text)
            self._log.warning("%s", text)


def _apart(folder: Path, rules: Watched) -> tuple[Path | None, Path | None]:
    done, failed = (folder / given if given else None for given in (rules.done_dir, rules.failed_dir))
    return done, failed
