"""Events for browsers (Server-Sent Events): the state of one job, and again whenever it changed.

One thread reads both streams for all browsers of the process and hands what it read to the loop, where `Hub` knows who
watches what.

    GET /j/ID/events → retry: 2000, then `event: state`, `id: …`, `data: {…}` of jobs.public_state; comments between
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from videod.jobqueue.stream import Batch, Stream, forever
from videod.web.hub import Hub, Watcher
from videod.web.jobs import page_of, public_state
from videod.web.site import Site

# a stream ends by itself then, so that who may no longer see it does not see it for ever; the browser comes again
LONGEST_SECONDS = 1800
HEAD = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
BEAT = b":\n\n"
# the id of the job, and whether it waits in line
Allowed = Callable[[Request], tuple[str, bool]]


class Events:
    """The endpoint, as plain ASGI: what is kept for each browser is small."""

    def __init__(self, hub: Hub, allowed: Allowed) -> None:
        self._hub, self._allowed = hub, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One browser, until it goes. `allowed` may raise a Trouble."""
        request = Request(scope)
        job, queued = await run_in_threadpool(self._allowed, request)
        seen = request.headers.get("last-event-id", "")
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": list(HEAD)})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        del request
        watcher = self._hub.add(job, seen, queued=queued)
        gone = asyncio.ensure_future(_gone(watcher, receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(HEAD)})
            await send(_body(b"retry: 2000\n\n"))
            await self._serve(watcher, send)
        finally:
            gone.cancel()
            self._hub.remove(watcher)

    async def _serve(self, watcher: Watcher, send: Send) -> None:
        until = time.monotonic() + LONGEST_SECONDS
        while not watcher.gone and time.monotonic() < until:
            await watcher.wake.wait()
            watcher.wake.clear()
            state, beat = watcher.state, watcher.beat
            watcher.state, watcher.beat = None, False
            if watcher.gone:
                return
            if state is not None:
                await send(_body(state))
            elif beat:
                await send(_body(BEAT))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(watcher: Watcher, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    watcher.gone = True
    watcher.wake.set()


def _body(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": True}


# ------------------------------------------------------------- of the site
def routes(site: Site) -> list[Route]:
    """Those of this room."""

    def allowed(request: Request) -> tuple[str, bool]:
        page, _ = page_of(request)
        return page.id, site.pages.place(page.id) is not None

    return [Route("/j/{id}/events", Events(site.hub, allowed), methods=["GET"])]


@contextlib.asynccontextmanager
async def running(site: Site) -> AsyncIterator[None]:
    """Read the streams while the site serves."""
    site.hub.begin(lambda ident: public_state(site, ident))
    async with listening(site.hub, Stream(site.settings, site.connection), site.log.warning):
        yield


@contextlib.asynccontextmanager
async def listening(hub: Hub, stream: Stream, away: Callable[[str], None]) -> AsyncIterator[None]:
    """A thread that reads for the hub, and the hub's clock."""
    loop, over = asyncio.get_running_loop(), threading.Event()

    def tell(batch: Batch) -> None:
        position = stream.position
        with contextlib.suppress(RuntimeError):  # the loop has ended
            if batch.entries or batch.gap:
                loop.call_soon_threadsafe(hub.heard, batch)
            if batch.gap and not batch.entries:
                loop.call_soon_threadsafe(hub.begun, position)

    thread = threading.Thread(target=forever, args=(stream, tell, over, away), name="events", daemon=True)
    thread.start()
    clock = asyncio.ensure_future(hub.tick())
    try:
        yield
    finally:
        over.set()
        clock.cancel()
        hub.close()
