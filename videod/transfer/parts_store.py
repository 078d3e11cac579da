"""Read parts of an object in a store. obstore is asked through an event loop of the call's own: what waits there can
be ended at once, which its blocking calls cannot."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from videod.config import Settings
from videod.errors import Denied, FetchFailed, NotFound, Stalled, TooBig
from videod.transfer.body import Broken, Silent
from videod.transfer.parts import PROBE, SMALL, Changed, Head, Refused, Watch, key_of
from videod.transfer.polled import TICK
from videod.transfer.stores import PIECE, failure, first_line, open_store, place

LEAST = 256 << 10
T = TypeVar("T")


class StoreParts:
    """One object; see `Parts`."""

    most = PIECE

    def __init__(self, url: str, settings: Settings, watch: Watch) -> None:
        self._where = place(url, settings)
        # the silence is watched here; a slow request may well take longer
        self._store: Any = open_store(self._where, 0)
        self._settings, self._watch = settings, watch
        self._meta: Any = None

    def close(self) -> None:
        """Nothing is kept."""

    def head(self) -> Head:
        """See Parts."""
        first = bytearray()
        try:
            for piece in self._get(0, PROBE):
                first += piece
        except Silent:
            raise Stalled(f"the storage sent nothing for {self._watch.silence:g} s: {self._where.text}") from None
        except Broken as error:
            # an empty object has no range, and a store that is away says it to the whole fetch, too
            if self._meta is None:
                raise Refused(f"the storage gives no range: {error}") from None
        size, tag, where = self._meta["size"], self._meta["e_tag"] or "", self._where
        most = self._settings.max_source_bytes
        if most and size > most:
            raise TooBig(f"the source has {size} bytes: max_source_bytes: {most} are allowed")
        key = key_of(where.text, where.storage, size, tag) if tag else ""
        return Head(size, tag, where.text, key, bytes(first))

    def pieces(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """See Parts."""
        yield from self._get(start, stop)

    def _get(self, start: int, stop: int) -> Generator[bytes, None, None]:
        from obstore.exceptions import BaseError, PreconditionError

        left = stop - start
        try:
            with asyncio.Runner(loop_factory=_Loop) as runner:
                result = runner.run(self._polled(lambda: self._ask(start, stop)))
                left = self._judge(result, start, stop)
                stream = result.stream(min_chunk_size=LEAST)
                while piece := runner.run(self._polled(lambda: _next(stream))):
                    self._watch.count(len(piece))
                    left -= len(piece)
                    if left < 0:
                        raise Refused("the storage sends more than it says")
                    yield piece
        except PreconditionError:
            raise Changed("another ETag") from None
        except (BaseError, OSError) as error:
            found = failure(error, self._where, FetchFailed, NotFound, Denied)
            raise Broken(first_line(error)) if isinstance(found, FetchFailed) else found from None
        if left:
            raise Broken(f"{left} bytes are missing")

    async def _ask(self, start: int, stop: int) -> Any:
        import obstore

        options: Any = {"range": (start, stop)}
        if self._meta is not None and self._meta["e_tag"]:
            options["if_match"] = self._meta["e_tag"]
        return await obstore.get_async(self._store, self._where.key, options=options)

    def _judge(self, result: Any, start: int, stop: int) -> int:
        """How many bytes come."""
        meta = result.meta
        known = self._meta or meta
        if any(meta[name] != known[name] for name in ("size", "e_tag", "last_modified")):
            raise Changed("other size, ETag or date")
        if self._meta is None and meta["size"] <= SMALL:  # before its bytes come: the whole fetch brings them, too
            raise Refused(f"it has only {meta['size']} bytes")
        self._meta = meta
        if tuple(result.range) != (start, min(stop, meta["size"])):
            raise Refused("the storage sends another range than asked for")
        return int(result.range[1]) - start

    async def _polled(self, ask: Callable[[], Awaitable[T]]) -> T:
        task = asyncio.ensure_future(ask())
        began = time.monotonic()
        try:
            while not (await asyncio.wait({task}, timeout=TICK))[0]:
                self._watch.check()
                if time.monotonic() - began > self._watch.silence:
                    raise Silent("it sent nothing for too long")
        finally:
            task.cancel()
        result = task.result()
        self._watch.check()
        return result


class _Loop(asyncio.SelectorEventLoop):
    """What obstore still answers when nobody waits any more is dropped; it would print a traceback."""

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        with contextlib.suppress(RuntimeError):  # the loop is closed
            return super().call_soon_threadsafe(callback, *args, context=context)


async def _next(stream: Any) -> bytes:
    try:
        return bytes(await anext(stream))
    except StopAsyncIteration:
        return b""
