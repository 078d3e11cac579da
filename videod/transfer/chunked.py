"""Fetch a body that comes in chunks: wget takes one that was cut within a chunk for whole, we do not."""

from __future__ import annotations

from videod.config import Settings
from videod.errors import FetchFailed, Stalled
from videod.process import Tools
from videod.transfer.body import Broken, Silent, pieces
from videod.transfer.guard import Guard
from videod.transfer.http import Http
from videod.transfer.landing import land
from videod.transfer.sources import headers_of
from videod.transfer.wget import Request


def fetch_chunked(request: Request, settings: Settings, tools: Tools, guard: Guard) -> int:
    """The body of `request` into its file; its bytes. Raises as `fetch` does."""
    source, url = request.source, request.url.without_user()
    headers = headers_of(request.headers, source)
    silence = tools.stall_timeout or 3600.0
    try:
        with (
            Http(guard, proxy=settings.proxy, ca_file=source.ca_file, read=silence, check=tools.check) as client,
            client.request("GET", url, headers) as response,
        ):
            if response.status != 200 or response.headers.get("Content-Encoding", "identity") != "identity":
                raise FetchFailed(f"the server answered {response.status}: {url.shown}: it was another answer before")
            most = settings.max_source_bytes
            return land(pieces(response), request.path, tools, most=most, rate=source.limit_rate)
    except Silent:
        raise Stalled(f"the server sent nothing for {silence:g} s: {url.shown}") from None
    except Broken as error:
        raise FetchFailed(f"the transfer broke off: {url.shown}: {error}") from None
