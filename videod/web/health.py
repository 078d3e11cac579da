"""/healthz: whether this process and Redis answer; itself it always answers soon."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from videod.errors import RedisAway
from videod.web.site import Site

PATIENCE_SECONDS = 2.5


def routes(site: Site) -> list[Route]:
    """Those of this room."""
    look = _Look(site.pages.answers)

    async def healthz(request: Request) -> Response:
        """200 where this process and Redis answer, else 503; tells nothing else, and asks for no login."""
        well = await look.good()
        return JSONResponse({"ok": well, "redis": well}, 200 if well else 503)

    return [Route("/healthz", healthz)]


class _Look:
    """One look at a time, for all who ask meanwhile, in a thread of its own: while Redis hangs the shared ones wait."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._asked = queue.SimpleQueue[asyncio.Future[bool]]()
        self._running: asyncio.Future[bool] | None = None
        self._thread: threading.Thread | None = None

    async def good(self) -> bool:
        """Whether it ended well, and soon."""
        if self._thread is None:
            # the end of the process does not wait for it
            self._thread = threading.Thread(target=self._look, name="health", daemon=True)
            self._thread.start()
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_future()
            self._asked.put(self._running)
        done, _ = await asyncio.wait({self._running}, timeout=PATIENCE_SECONDS)
        return any(one.result() for one in done)

    def _look(self) -> None:
        while True:
            asked = self._asked.get()
            try:
                self._work()
                well = True
            except RedisAway:
                well = False
            with contextlib.suppress(RuntimeError):  # the loop has ended
                asked.get_loop().call_soon_threadsafe(asked.set_result, well)
