"""Fetch a source from an object store, in pieces, so that the job's token and deadline are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from videod.config import Settings
from videod.errors import Denied, FetchFailed, NotFound, TooBig
from videod.process import Tools
from videod.transfer.landing import land
from videod.transfer.stores import PIECE, Place, failure, open_store, place


def fetch_object(
    address: str,
    path: Path,
    settings: Settings,
    tools: Tools,
    on_progress: Callable[[float], None],
    on_bytes: Callable[[int], None],
) -> int:
    """The object at `address` into `path`; its bytes. Raises as `fetch` does."""
    where = place(address, settings)
    most, received = settings.max_source_bytes, 0

    def on_size(size: int) -> None:
        nonlocal received
        received = size
        on_progress(size / total)

    try:
        store = open_store(where, tools.stall_timeout)
        total, tag = _head(store, where)
        if most and total > most:
            raise TooBig(f"the source has {total} bytes: max_source_bytes: {most} are allowed")
        if tools.room:
            tools.room.wait(total)
        size = land(_pieces(store, where, total, tag), path, tools, on_size=on_size)
    finally:
        on_bytes(received)
    if size != total:
        raise FetchFailed(f"shorter than promised: {where.text}: {size} of {total} bytes came")
    on_progress(1.0)
    return size


def opened(address: str, settings: Settings, silence: float) -> tuple[int, Iterator[bytes]]:
    """The size of the object at `address`, and its bytes. Raises as `fetch` does, also while they are read."""
    where = place(address, settings)
    store = open_store(where, silence)
    total, tag = _head(store, where)
    return total, _pieces(store, where, total, tag)


def _head(store: object, where: Place) -> tuple[int, str | None]:
    import obstore
    from obstore.exceptions import BaseError

    try:
        meta = obstore.head(store, where.key)  # type: ignore[arg-type]
    except (BaseError, OSError) as error:
        raise failure(error, where, FetchFailed, NotFound, Denied) from None
    return meta["size"], meta["e_tag"]


def _pieces(store: object, where: Place, total: int, tag: str | None) -> Iterator[bytes]:
    """The object's bytes; FetchFailed when it changes in between."""
    import obstore
    from obstore.exceptions import BaseError, PreconditionError

    for start in range(0, total, PIECE):
        part = (start, min(start + PIECE, total))
        try:
            yield obstore.get(store, where.key, options={"range": part, "if_match": tag}).bytes()  # type: ignore
        except PreconditionError:
            raise FetchFailed(
                f"the source changed while it was fetched: {where.text}: it will be tried again"
            ) from None
        except (BaseError, FileNotFoundError) as error:
            raise failure(error, where, FetchFailed, NotFound, Denied) from None
