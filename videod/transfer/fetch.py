"""Bring the source of a job to this machine: http and https by wget, object stores by obstore, files in place.

Every address passes the guard here, at each redirect and for the address really connected to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from videod.config import Settings
from videod.errors import TooBig
from videod.process import Tools
from videod.transfer.guard import Guard
from videod.transfer.paths import file_source
from videod.transfer.stores import SCHEMES, place
from videod.transfer.urls import check_url, name_of
from videod.transfer.web import Web


@dataclass(frozen=True)
class Fetched:
    """A whole source: its file, its `bytes`, the bodies received for it (tries included) in `fetched_bytes`,
    its `{name}`, and where it came from in the end, fit to be shown. `ours` is false for a file in place."""

    path: Path
    bytes: int
    fetched_bytes: int
    name: str
    url: str
    ours: bool = True


def fetch(
    url: str,
    folder: Path,
    settings: Settings,
    tools: Tools,
    on_progress: Callable[[float], None] = lambda part: None,
    *,
    on_bytes: Callable[[int], None] = lambda number: None,
    private: bool = True,
) -> Fetched:
    """The source at `url`, whole, as a file in `folder` or, for `file:` and plain paths, where it lies.

    `on_progress` gets 0.0 to 1.0 where the length is known; `on_bytes` the bodies received, when the fetch has
    ended in whatever way. `private` false keeps it out of private networks. Raises ForbiddenSource, NotFound,
    Denied, FetchFailed, TooBig, DiskFull, Stalled, TimedOut, Cancelled.
    """
    scheme = url.partition(":")[0].lower()
    if url.startswith("/") or scheme == "file":
        return _in_place(url, settings)
    path = folder / "source"
    if scheme in SCHEMES:
        from videod.transfer.from_store import fetch_object

        size = fetch_object(url, path, settings, tools, on_progress, on_bytes)
        return Fetched(path, size, size, name_of(url), url)
    checked = check_url(url)
    web = Web(path, settings, tools, Guard.of(settings, private=private), on_progress)
    try:
        last = web.run(checked)
    finally:
        on_bytes(web.received)
    return Fetched(path, path.stat().st_size, web.received, name_of(checked.text), last.shown)


def check(url: str, settings: Settings, *, private: bool = True) -> None:
    """Refuse early, before any work: ForbiddenSource, and NotFound or Denied for a file of this machine.

    Looks the host up, but one that does not resolve now is left to `fetch`, which fails in a way that may pass.
    """
    scheme = url.partition(":")[0].lower()
    if url.startswith("/") or scheme == "file":
        file_source(url, settings.allow_paths)
    elif scheme in SCHEMES:
        place(url, settings)
    else:
        checked = check_url(url)
        Guard.of(settings, private=private).check(checked.host, checked.port, proxied=bool(settings.proxy))


def _in_place(url: str, settings: Settings) -> Fetched:
    path = file_source(url, settings.allow_paths)
    size = path.stat().st_size
    if settings.max_source_bytes and size > settings.max_source_bytes:
        raise TooBig(f"the source has {size} bytes: max_source_bytes: {settings.max_source_bytes} are allowed")
    return Fetched(path, size, 0, name_of(url), f"file://{path}", ours=False)
