"""Takes the bytes of an upload as they come: memory stays flat, however large it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from videod.web import jobs
from videod.web.content import ENOUGH, certainly_no_video
from videod.web.site import Site, site_of
from videod.web.trouble import Trouble
from videod.web.uploads import Part, Upload

# The disk has threads of its own: those that ask Redis may all wait for it.
# written at once; less at first, so that what is no video is known soon
BLOCK, FIRST_BLOCK = 1 << 20, 4096
IDLE_SECONDS = 60.0
# after a refusal so much is read and dropped: a browser that still sends would not hear it
MOST_DROPPED, DROP_SECONDS = 32 << 20, 10.0
# how much of the body was read
RECEIVED = "videod.received"


class Receiver:
    """Writes what comes to the part of one upload."""

    def __init__(self, upload: Upload, part: Part, most: int) -> None:
        self._upload, self._part, self._most = upload, part, most
        self._block = bytearray()
        self._looked = part.offset >= ENOUGH

    async def take(self, data: bytes) -> None:
        """Some more. Trouble (413) above the upload's length or what is allowed, (415) for what is no video, (507)."""
        if self._part.offset + len(self._block) + len(data) > self._most:
            raise Trouble(413, "This file is larger than announced or allowed.")
        self._block += data
        if len(self._block) >= (BLOCK if self._looked else FIRST_BLOCK):
            await self.flush()

    async def flush(self, *, last: bool = False) -> None:
        """Bring to disk what is held; `last`: there is no more."""
        block, self._block = bytes(self._block), bytearray()
        if block:
            await asyncio.to_thread(self._part.write, block)
        if not self._looked and (last or self._part.offset >= ENOUGH):
            self._looked = True
            if what := certainly_no_video(self._part.head(ENOUGH)):
                raise Trouble(415, f"“{self._upload.name}” is no video: it is {what}.", "Choose another file.")


async def body(request: Request) -> AsyncIterator[bytes]:
    """The body of a request; Trouble (408) where nothing comes for a minute, or `stall_timeout`. ClientDisconnect."""
    stream, patience = request.stream(), min(IDLE_SECONDS, site_of(request).settings.stall_timeout or IDLE_SECONDS)
    while True:
        try:
            async with asyncio.timeout(patience):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Trouble(408, "Nothing came for too long.", "It goes on from where it stopped.") from None
        if chunk:
            request.scope[RECEIVED] = request.scope.get(RECEIVED, 0) + len(chunk)
            yield chunk


async def drop(request: Request) -> None:
    """Read and forget the rest of a body that was refused, if it is not too long."""
    # one without a length may be over: who waits for more of it would wait in vain
    left = int(request.headers.get("content-length", 0)) - int(request.scope.get(RECEIVED, 0))
    if left > MOST_DROPPED:
        return
    try:
        async with asyncio.timeout(DROP_SECONDS):
            while left > 0:
                message = await request.receive()
                left -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):
        return


async def complete(site: Site, upload: Upload, part: Part) -> str:
    """What is whole becomes a job; its address. Trouble, RedisAway: may be asked again."""
    await asyncio.to_thread(part.sync)
    return await run_in_threadpool(jobs.queue, site, upload)
