"""Upload to an object store: parts on the way are checked by the server, the whole by a look at it afterwards.

The object carries its SHA-256 as metadata, so that the same content can be told from other content later
without reading it. With `overwrite` false a small object is put under the condition that there is none; what
is larger than 64 MiB is looked for first, as multipart uploads know no such condition here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from videod.config import Settings
from videod.errors import Failure, UploadDenied, UploadFailed
from videod.process import Tools
from videod.transfer import stores
from videod.transfer.digests import digests
from videod.transfer.stores import PIECE, Place, open_store
from videod.transfer.target import Sent, Target
from videod.transfer.to_http import TYPES

CREATE_MAX = 64 << 20
PARALLEL = 4
META = "videodsha256"  # Azure takes no hyphen here


def check(place: Target, settings: Settings, *, private: bool) -> None:
    """See upload.check."""
    where = stores.place(place.address, settings, UploadDenied)
    try:
        import obstore  # noqa: F401
    except ImportError:
        raise UploadDenied(f"obstore is not installed: {where.scheme}: pip install 'videod[s3]'") from None


def send(
    path: Path,
    place: Target,
    settings: Settings,
    tools: Tools,
    overwrite: bool,
    private: bool,
    on_progress: Callable[[float], None],
) -> Sent:
    """See upload.send."""
    from obstore.exceptions import AlreadyExistsError, BaseError

    where = stores.place(place.address, settings, UploadDenied)
    store = open_store(where, tools.stall_timeout, UploadDenied)
    size, digest = path.stat().st_size, digests(path, tools, "sha256")["sha256"]
    try:
        tag = None if overwrite else _taken(store, where, size, digest)
        if tag is None:
            tag = _put(store, where, size, digest, overwrite, _pieces(path, size, tools, on_progress))
        _confirm(store, where, size, digest, tag)
    except AlreadyExistsError:  # it came in between
        if _taken(store, where, size, digest) is None:
            raise UploadFailed(f"the object came and went: {where.text}: it will be tried again") from None
    except (BaseError, FileNotFoundError) as error:
        raise _failure(error, where) from None
    return Sent(place.url, size, digest)


def holds(place: Target, settings: Settings, tools: Tools, private: bool, content: tuple[str, int]) -> bool:
    """See upload.holds."""
    from obstore.exceptions import BaseError

    where = stores.place(place.address, settings, UploadDenied)
    store, (digest, size) = open_store(where, tools.stall_timeout, UploadDenied), content
    try:
        found_size, _, found = _look(store, where)
        return found_size == size and (found or _read(store, where, size)) == digest
    except FileNotFoundError:
        return False
    except BaseError as error:
        raise _failure(error, where) from None


def _put(store: Any, where: Place, size: int, digest: str, overwrite: bool, pieces: Iterator[bytes]) -> str:
    """Put it; its ETag. A part that the server received otherwise than it was sent is an error."""
    import obstore

    options: dict[str, Any] = {"attributes": {META: digest}}
    if kind := TYPES.get(where.key.rpartition(".")[2].lower()):
        options["attributes"]["Content-Type"] = kind
    if size <= (PIECE if overwrite else CREATE_MAX):
        options |= {"mode": "overwrite" if overwrite else "create", "use_multipart": False}
        made = obstore.put(store, where.key, b"".join(pieces), **options)
    else:
        options |= {"chunk_size": _part_size(size), "max_concurrency": PARALLEL}
        made = obstore.put(store, where.key, pieces, **options)
    return made["e_tag"] or ""


def _part_size(size: int) -> int:
    # S3 takes 10,000 parts at most
    return max(PIECE, -(-size // 9000))


def _pieces(path: Path, size: int, tools: Tools, on_progress: Callable[[float], None]) -> Iterator[bytes]:
    sent = 0
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            tools.check()
            yield piece
            sent += len(piece)
            on_progress(sent / size)


def _look(store: Any, where: Place) -> tuple[int, str, str]:
    """(size, ETag, SHA-256 from its metadata or empty) of what is there."""
    import obstore

    found = obstore.get(store, where.key, options={"head": True})
    return found.meta["size"], found.meta["e_tag"] or "", str(found.attributes.get(META, ""))


def _confirm(store: Any, where: Place, size: int, digest: str, tag: str) -> None:
    found_size, found_tag, found_digest = _look(store, where)
    same = found_digest == digest if found_digest else found_tag == tag
    if found_size != size or not same:
        raise UploadFailed(f"the store holds something else than was sent: {where.text}: it will be tried again")


def _taken(store: Any, where: Place, size: int, digest: str) -> str | None:
    """The ETag of the same content under the name, None when nothing is there; UploadDenied for other content."""
    try:
        found_size, tag, found_digest = _look(store, where)
    except FileNotFoundError:
        return None
    if found_size == size and not found_digest:  # not put there by us
        found_digest = _read(store, where, size)
    if found_size != size or found_digest != digest:
        raise UploadDenied(f"other content is there already: {where.text}: overwrite is false")
    return tag


def _read(store: Any, where: Place, size: int) -> str:
    import obstore

    digest = hashlib.sha256()
    for start in range(0, size, PIECE):
        digest.update(obstore.get_range(store, where.key, start=start, end=min(start + PIECE, size)))
    return digest.hexdigest()


def _failure(error: Exception, where: Place) -> Failure:
    return stores.failure(error, where, UploadFailed, UploadDenied, UploadDenied)
