"""Parts of a remote Matroska or WebM file: the clusters around each clip, as its Cues tell."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from videod.media.ebml import BadMatroska
from videod.media.excerpt import BEHIND, Zero, part_of
from videod.media.matroska import CLUSTER, MARK, load
from videod.media.model import Source
from videod.media.window import Unreadable
from videod.obtain.reach import reach
from videod.obtain.wish import MOST, Ready, Wish, about, megabytes, of_whole, speed
from videod.transfer.landing import FULL, disk_full
from videod.transfer.spans import Span, joined, length, without

if TYPE_CHECKING:
    from videod.context import Context
    from videod.transfer.ranges import Remote


def is_matroska(remote: Remote) -> bool:
    """By its first bytes."""
    return remote.read(0, len(MARK)) == MARK


def clusters(remote: Remote, wishes: Sequence[Wish], ctx: Context) -> list[Ready]:
    """A file for each wish. Raises Unreadable, OutOfRange, Damaged, and as `remote` does."""
    try:
        return _Clusters(remote, ctx).of(wishes)
    except BadMatroska as why:
        raise Unreadable(str(why)) from None


class _Clusters:
    """The index of a remote file, and those of its clusters that are there."""

    def __init__(self, remote: Remote, ctx: Context) -> None:
        before = remote.fetched
        self._remote, self._ctx = remote, ctx
        self._index = load(remote.read, remote.size)
        self._read = remote.fetched - before
        self._path = ctx.scratch / "source.parts"
        self._there: list[Span] = []

    def of(self, wishes: Sequence[Wish]) -> list[Ready]:
        """One for each wish."""
        spans = [self._around(wish) for wish in wishes]
        begun = time.monotonic()

        def tell(fraction: float) -> None:
            self._ctx.progress.update(fraction, speed(self._remote.fetched / 1e6, begun, " MB/s"))

        try:
            self._bring([self._bytes(span) for span in spans], tell)
            self._ctx.progress.begin("probe", 0)
            found = [self._part(wish, span, n) for n, (wish, span) in enumerate(zip(wishes, spans, strict=True), 1)]
        finally:
            self._path.unlink(missing_ok=True)
        self._ctx.log.info(
            f"source {self._remote.url}: {megabytes(self._remote.size)}, fetched {megabytes(self._remote.fetched)}"
            f" with an index of {megabytes(self._read)}"
        )
        return found

    def _around(self, wish: Wish) -> range:
        """The units of a wish, each from one cluster that Cues name to before the next, and one more on both sides."""
        index, count = self._index, len(self._index.times)
        start = index.zero + Fraction(repr(wish.start or 0.0)) / index.time_base
        low = max(0, bisect_right(index.times, start) - 2)
        if wish.end is None:
            return range(low, count)
        end = index.zero + (Fraction(repr(wish.end)) + BEHIND) / index.time_base
        return range(low, min(count, bisect_right(index.times, end) + 1))

    def _bytes(self, span: range) -> Span:
        index = self._index
        return index.offsets[span.start], index.offsets[span.stop] if span.stop < len(index.offsets) else index.end

    def _bring(self, spans: Iterable[Span], tell: Callable[[float], None] = lambda part: None) -> None:
        there = joined([*self._there, *spans], gap=0)
        if length(there) > MOST * self._remote.size:
            raise Unreadable("nearly all of it is needed")
        if new := without(there, self._there):
            self._remote.fetch(new, self._path, tell)
        self._there = there

    def _part(self, wish: Wish, span: range, number: int) -> Ready:
        index, path = self._index, self._ctx.scratch / f"part-{number}.mkv"
        zero = Zero(index.zero, index.time_base)

        def make(span: range) -> Source:
            at = self._bytes(span)
            self._bring([at])
            with self._path.open("rb") as file:
                file.seek(at[0])
                if file.read(len(CLUSTER)) != CLUSTER:
                    raise Unreadable("its Cues do not say where clusters begin")
            _copy(self._path, at, index.header, path)
            begin = max(0, index.times[span.start] - index.zero) * index.time_base
            return part_of(str(path), zero, begin, self._ctx.tools, self._ctx.settings)

        source, _ = reach(wish, span, len(index.times), make)
        self._ctx.log.info(about(source))
        return of_whole(source, wish)


def _copy(source: Path, at: Span, header: bytes, out: Path) -> None:
    """`header` and these bytes of a file into another."""
    try:
        with source.open("rb") as file, out.open("wb") as made:
            made.write(header)
            made.flush()
            start, stop = at
            while start < stop:
                done = os.sendfile(made.fileno(), file.fileno(), start, min(stop - start, 1 << 24))
                if not done:
                    raise Unreadable("a part of it is not there")
                start += done
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(out) from None
        raise
