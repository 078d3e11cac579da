"""Read of a remote source only what is needed: small pieces of its index, then the spans that a clip lies in.

    with ranges.open(url, settings, tools) as remote:
        head = remote.read(0, 4096)
        remote.fetch([(start, stop), …], path, on_progress)

All that one Remote gives is of one version of the source, or it raises Changed: `consistently` begins anew then.
What cannot be read in parts raises Refused, at the beginning or in the middle; whoever meets it fetches the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from videod.config import Settings
from videod.process import Tools
from videod.transfer.cache import Cache
from videod.transfer.guard import Guard
from videod.transfer.parts import SMALL, Changed, Parts, Refused, Watch
from videod.transfer.remote import Remote
from videod.transfer.stores import SCHEMES
from videod.transfer.urls import check_url

__all__ = ["SMALL", "Changed", "Refused", "Remote", "consistently", "open"]

MAX_ANEW = 2
T = TypeVar("T")


def open(
    url: str,
    settings: Settings,
    tools: Tools,
    *,
    private: bool = True,
    on_bytes: Callable[[int], None] = lambda number: None,
    cache: Cache | None = None,
) -> Remote:
    """The source at `url`, by one request that also tells whether it can be read in parts; close it after use.

    `on_bytes` gets the bytes of bodies as they come, one call at a time; what `cache` has is not asked for. Raises
    Refused where parts cannot be had or are not worth it: a file of this machine, a source of up to SMALL bytes, a
    server that does not answer ranges as it should. Raises as `fetch.fetch` does where that would, too:
    ForbiddenSource, NotFound, Denied, FetchFailed, TooBig, Stalled, TimedOut, Cancelled.
    """
    scheme = url.partition(":")[0].lower()
    if url.startswith("/") or scheme == "file":
        raise Refused("a file of this machine is read where it lies")
    remote = Remote(lambda watch: _parts(url, scheme, settings, private, watch), settings, tools, on_bytes, cache)
    try:
        remote.begin()
    except BaseException:
        remote.close()
        raise
    return remote


def consistently(
    url: str,
    settings: Settings,
    tools: Tools,
    work: Callable[[Remote], T],
    *,
    private: bool = True,
    on_bytes: Callable[[int], None] = lambda number: None,
    cache: Cache | None = None,
) -> T:
    """What `work` makes of one version of the source: it is called again, with a new Remote, after a change.

    Raises as `open` and `work` do, but Refused for a source that changes again and again.
    """
    for _ in range(MAX_ANEW + 1):
        with open(url, settings, tools, private=private, on_bytes=on_bytes, cache=cache) as remote:
            try:
                return work(remote)
            except Changed:
                shown = remote.url
    # machines of a farm may differ in their ETags alone: one request for all is of one version
    raise Refused(f"the source changes while it is fetched: {shown}")


def _parts(url: str, scheme: str, settings: Settings, private: bool, watch: Watch) -> Parts:
    if scheme in SCHEMES:
        from videod.transfer.parts_store import StoreParts

        return StoreParts(url, settings, watch)
    from videod.transfer.parts_http import WebParts

    return WebParts(check_url(url), settings, Guard.of(settings, private=private), watch)
