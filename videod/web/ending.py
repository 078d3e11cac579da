"""Cancel a job and wait until it has ended: in the loop, since the threads are those of everybody who asks Redis."""

from __future__ import annotations

import asyncio
import time

from starlette.concurrency import run_in_threadpool

from videod.web.site import Site

# a job that was just taken has no record yet; one that runs ends soon after it was told to
ASKED_SECONDS, TAKEN_SECONDS = 5.0, 0.5
# between two looks, longer each time
LOOK_SECONDS, LONGEST_SECONDS = 0.1, 1.0


async def ended(site: Site, ident: str, patience: float = ASKED_SECONDS) -> str:
    """Cancel it: `cancelled`, `asked` while it still runs, '' where there is none, else the state in which it ended."""
    begun, was_asked, pause = time.monotonic(), False, LOOK_SECONDS
    while True:
        answer = await run_in_threadpool(site.steer.cancel, ident)
        was_asked = was_asked or answer == "asked"
        if answer == "removed" or (was_asked and answer == "cancelled"):
            return "cancelled"
        end = begun + (patience if answer == "asked" else TAKEN_SECONDS if not answer else 0.0)
        running = True
        while running and time.monotonic() < end:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_SECONDS)
            # to cancel once more would look through all that waits
            running = answer == "asked" and await run_in_threadpool(_runs, site, ident)
        if running:
            return f"{answer} before" if answer == "cancelled" else answer


def _runs(site: Site, ident: str) -> bool:
    return site.pages.states([ident]).get(ident) == "running"
