"""Parts of sources that were fetched already, kept for other jobs on the same source: no span is fetched twice.

An entry is a sparse file with the bytes where the source has them. Its key (`Remote.key`) tells one content from
another and holds a digest of the credentials, so that nobody is served what only others may see. Small files, the
segments of a playlist, are kept whole, each with the validator that it is recognized by. The server is asked by each
job whether the source is still the same. At most `cache_bytes` are kept, the least recently used go first; what has no
room passes by.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from videod.config.settings import Settings
from videod.transfer.gather import Sparse
from videod.transfer.spans import Span, joined, length, without

PIECE = 8 << 20
# each has a descriptor
MOST_ENTRIES = 128
MOST_FILES = 4096
TICK = 0.1


@dataclass(eq=False)
class _Kept:
    """One source. `held`, `coming`: spans in order, none beside another; `users` of them is a job each. A small file,
    which is there as a whole, has a `validator` in place of the `file` that is written to."""

    path: Path
    file: Sparse | None
    held: list[Span] = field(default_factory=list)
    coming: list[Span] = field(default_factory=list)
    users: int = 0
    validator: str = ""


class Cache:
    """Owns its folder and what is in it. Thread-safe; one for each daemon. `cache_bytes` may change while it runs."""

    def __init__(self, settings: Callable[[], Settings], folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._changed = threading.Condition()
        self._kept: dict[str, _Kept] = {}  # the least recently used first
        self._turns: set[str] = set()
        self._made = 0

    def open(self, key: str) -> Entry | None:
        """The entry of a source, to be closed after use; None where nothing is to be kept. Raises OSError."""
        if not key or not self.most:
            return None
        with self._changed:
            sources = [other for other, kept in self._kept.items() if kept.file]
            if key not in self._kept and len(sources) >= MOST_ENTRIES:
                idle = next((other for other in sources if not self._kept[other].users), None)
                if idle is None:
                    return None
                self._drop(idle)
            kept = self._kept.pop(key, None) or self._make()
            self._kept[key] = kept
            kept.users += 1
        return Entry(self, kept)

    @contextmanager
    def turn(self, key: str, check: Callable[[], object]) -> Iterator[str]:
        """Who fetches a small file while nobody else does; gives the validator of the one that is kept, or ''.

        `check` is called several times a second of waiting.
        """
        while (known := self._begin(key)) is None:
            check()
        try:
            yield known
        finally:
            with self._changed:
                self._turns.discard(key)
                self._changed.notify_all()

    def _begin(self, key: str) -> str | None:
        with self._changed:
            if key in self._turns:
                self._changed.wait(TICK)
            if key in self._turns:
                return None
            self._turns.add(key)
            return kept.validator if (kept := self._kept.get(key)) else ""

    def give(self, key: str, path: Path) -> bool:
        """Let `path`, which nobody may write to, be the small file that is kept; False where it is gone meanwhile."""
        with self._changed:
            if not (kept := self._kept.pop(key, None)):
                return False
            self._kept[key] = kept
            path.unlink(missing_ok=True)
            try:
                os.link(kept.path, path)
            except OSError:  # as many links as there may be
                return False
            return True

    def keep(self, key: str, validator: str, path: Path) -> None:
        """Keep the small file at `path`, which nobody may write to any more, if there is room."""
        size = path.stat().st_size
        with self._changed:
            if key in self._kept:
                self._drop(key)
            if not validator or not size or size > self.most or self.shrink(self.most - size) > self.most - size:
                return
            files = [other for other, kept in self._kept.items() if not kept.file]
            if len(files) >= MOST_FILES:
                self._drop(files[0])
            with suppress(OSError):  # a file system without links
                made = self._place()
                os.link(path, made)
                self._kept[key] = _Kept(made, None, [(0, size)], validator=validator)

    @property
    def most(self) -> int:
        """`cache_bytes`, as it is now."""
        return self._settings().cache_bytes

    def shrink(self, most: int = 0) -> int:
        """Let go of what no job uses until at most `most` bytes are kept; how many are."""
        with self._changed:
            for key in list(self._kept):
                if self._size() <= most:
                    break
                if not self._kept[key].users:
                    self._drop(key)
            return self._size()

    def close(self) -> None:
        """Let go of all."""
        with self._changed:
            for key in list(self._kept):
                self._drop(key)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _place(self) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._made += 1
        return self._folder / str(self._made)

    def _make(self) -> _Kept:
        path = self._place()
        return _Kept(path, Sparse(path, anew=True))

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key)
        if kept.file:
            kept.file.close()
        kept.path.unlink(missing_ok=True)

    def _size(self) -> int:
        return sum(length(kept.held) + length(kept.coming) for kept in self._kept.values())

    def claim(self, kept: _Kept, spans: Sequence[Span]) -> list[Span] | None:
        """What of the spans is neither here nor on its way: it is the caller's to bring. None: there is no room."""
        with self._changed:
            new = without(spans, [*kept.held, *kept.coming])
            left = self.most - length(new)
            if new and (left < 0 or self.shrink(left) > left):
                return None
            kept.coming = joined([*kept.coming, *new], 0)
            return new

    def settle(self, kept: _Kept, spans: Sequence[Span], came: Sequence[Span]) -> None:
        """Of what was claimed this came; the rest is for others to claim."""
        with self._changed:
            kept.coming = without(kept.coming, spans)
            kept.held = joined([*kept.held, *came], 0)
            self._changed.notify_all()

    def complete(self, kept: _Kept, spans: Sequence[Span], seconds: float) -> bool:
        """Whether all of the spans are here; waits so long for what others bring."""
        with self._changed:
            if without(spans, kept.held) and not without(spans, [*kept.held, *kept.coming]):
                self._changed.wait(seconds)
            return not without(spans, kept.held)

    def leave(self, kept: _Kept) -> None:
        """One user less."""
        with self._changed:
            kept.users -= 1
            for key in [key for key, other in self._kept.items() if not other.users and not other.held]:
                self._drop(key)
        self.shrink(self.most)


class Entry:
    """A job's use of what is kept of one source. Used by one thread."""

    def __init__(self, cache: Cache, kept: _Kept) -> None:
        self._cache, self._kept = cache, kept
        self.path = kept.path

    @property
    def most(self) -> int:
        """How much is kept of all sources together."""
        return self._cache.most

    def close(self) -> None:
        """Others may have the room now."""
        self._cache.leave(self._kept)

    def need(
        self,
        spans: Iterable[Span],
        bring: Callable[[Sequence[Span], Callable[[int, bytes], None]], object],
        check: Callable[[], object],
    ) -> bool:
        """See to it that the spans are here: `bring` what nobody brings, wait for what others do.

        `bring` gets spans and what takes their bytes, each piece with its offset, in any order, from any thread.

        `check` is called several times a second of waiting. False: there is no room for them, nothing was done.
        """
        wanted = joined(spans, 0)
        while not self._cache.complete(self._kept, wanted, TICK):
            check()
            mine = self._cache.claim(self._kept, wanted)
            if mine is None:
                return False
            if mine:
                came: list[Span] = []

                def put(at: int, piece: bytes, came: list[Span] = came) -> None:
                    assert self._kept.file
                    self._kept.file.put(at, piece)
                    came.append((at, at + len(piece)))

                try:
                    bring(mine, put)
                finally:  # what came of it takes room, whatever became of the rest
                    self._cache.settle(self._kept, mine, joined(came, 0))
        return True

    def read(self, start: int, stop: int) -> bytes:
        """Bytes that are here."""
        with open(self.path, "rb", buffering=0) as file:
            return os.pread(file.fileno(), stop - start, start)

    def pieces(self, spans: Sequence[Span]) -> Iterable[tuple[int, bytes]]:
        """The bytes of spans that are here, each piece with its offset."""
        with open(self.path, "rb", buffering=0) as file:
            for start, stop in spans:
                for at in range(start, stop, PIECE):
                    yield at, os.pread(file.fileno(), min(PIECE, stop - at), at)
