"""/healthz: whether this process and Redis answer; itself it always answers soon."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
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
    """A look, for all who ask meanwhile, in a thread of its own: while Redis hangs the shared ones wait.

    One that takes too long is left behind: in a partition it waits for an answer long after Redis is back.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._running: asyncio.Future[bool] | None = None
        self._begun = 0.0

    async def good(self) -> bool:
        """Whether it ended well, and soon."""
        now = time.monotonic()
        if self._running is None or self._running.done() or now >= self._begun + PATIENCE_SECONDS:
            self._running, self._begun = asyncio.get_running_loop().create_future(), now
            # the end of the process does not wait for it
            threading.Thread(target=self._look, args=(self._running,), name="health", daemon=True).start()
        done, _ = await asyncio.wait({self._running}, timeout=PATIENCE_SECONDS)
        return any(one.result() for one in done)

    def _look(self, asked: asyncio.Future[bool]) -> None:
        try:
            self._work()
            well = True
        except RedisAway:
            well = False
        with contextlib.suppress(RuntimeError):  # the loop has ended
            asked.get_loop().call_soon_threadsafe(asked.set_result, well)
