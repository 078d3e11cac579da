"""Results: whole, or the range that a player asks for; as a download under the name that the user knows."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from videod.web.access import visitor
from videod.web.jobs import file_of, outputs_of, page_of, shown_state
from videod.web.site import Site, site_of
from videod.web.trouble import Trouble, missing

# more of a result is never held for who reads it slowly
BLOCK = 64 << 10
# of which nothing could be sent for so long, as a player that pauses leaves it, is ended: it asks for the rest
IDLE_SECONDS = 60.0
MOST_DOCUMENT = 1 << 20
TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime", ".mkv": "video/x-matroska", ".ts": "video/mp2t"}
TYPES |= {".jpg": "image/jpeg", ".vtt": "text/vtt; charset=utf-8"}


def routes(site: Site) -> list[Route]:
    """Those of this room."""
    return [Route("/j/{id}/files/{n:int}", file)]


def file(request: Request) -> Response:
    """One output of a job; `?download`: to be kept."""
    site = site_of(request)
    page, _ = page_of(request)
    wanted = request.path_params["n"]
    path = next((file_of(one) for one in outputs_of(site, page) if one["n"] == wanted), None)
    if path is None:
        raise missing()
    videos = shown_state(site, page)["outputs"]
    name = next((one["name"] for one in videos if one["n"] == wanted), path.name)
    headers = {"content-type": TYPES.get(path.suffix, "application/octet-stream"), "accept-ranges": "bytes"}
    headers["content-disposition"] = _disposition(name, "download" in request.query_params)
    headers["cache-control"] = "private, no-cache"
    return answer(request, _open(site, page.id, path.name), headers)


def document(site: Site, ident: str, output: dict[str, Any]) -> bytes:
    """All of a small output. Trouble (404) where it is not there any more."""
    with open(_open(site, ident, file_of(output).name), "rb") as file:
        return file.read(MOST_DOCUMENT)


def _open(site: Site, ident: str, name: str) -> int:
    """The file, below the folder of the job's results; no link is followed."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        folder = os.open(site.store.results / ident, flags | os.O_DIRECTORY)
        try:
            return os.open(name, flags, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError:
        raise Trouble(404, "The video is not here any more.", "It has expired; upload the file again.") from None


def _disposition(name: str, keep: bool) -> str:
    """RFC 6266: plain for old browsers, whole in UTF-8; nothing of the name can end the header."""
    plain = re.sub(r"[^A-Za-z0-9 ._()-]", "_", name)
    return f"{'attachment' if keep else 'inline'}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def answer(request: Request, fd: int, headers: dict[str, str]) -> Response:
    """An open file, which it closes: whole or a range, as the request asks."""
    made = _answer(request, fd, headers)
    if not isinstance(made, _File):  # which closes it when the browser has it, or left in the middle, as players do
        os.close(fd)
    return made


def _answer(request: Request, fd: int, headers: dict[str, str]) -> Response:
    status = os.fstat(fd)
    etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
    headers |= {"etag": etag, "last-modified": formatdate(status.st_mtime, usegmt=True)}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    first, last, code = 0, status.st_size - 1, 200
    asked = request.headers.get("range", "")
    if asked and request.headers.get("if-range", etag) in (etag, headers["last-modified"]):
        found = _range(asked, status.st_size)
        if found == ():
            return Response(status_code=416, headers={**headers, "content-range": f"bytes */{status.st_size}"})
        if found:
            (first, last), code = found, 206
            headers["content-range"] = f"bytes {first}-{last}/{status.st_size}"
    headers["content-length"] = str(last - first + 1)
    if request.method == "HEAD":
        return Response(status_code=code, headers=headers)
    return _File(fd, first, last + 1, code, headers)


class _File(StreamingResponse):
    """Some bytes of an open file, which it closes; Trouble (429) where the visitor has too many already."""

    def __init__(self, fd: int, first: int, end: int, status: int, headers: dict[str, str]) -> None:
        super().__init__(_bytes(fd, first, end), status, headers)
        self._fd, self._patience = fd, IDLE_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        request = Request(scope)
        site, who = site_of(request), visitor(request)
        self._patience = min(IDLE_SECONDS, site.settings.stall_timeout or IDLE_SECONDS)
        # without a login a browser is whoever it says
        name = f"user {who.name}" if who and who.how != "browser" else f"address {site.access.address(request)}"
        try:
            with site.sending.one(name):
                await super().__call__(scope, receive, send)
        finally:
            os.close(self._fd)

    async def stream_response(self, send: Send) -> None:
        """ClientDisconnect where nothing can be sent for too long."""

        async def within(message: Message) -> None:
            try:
                async with asyncio.timeout(self._patience):
                    await send(message)
            except TimeoutError:
                raise ClientDisconnect from None

        await super().stream_response(within)


async def _bytes(fd: int, first: int, end: int) -> AsyncIterator[bytes]:
    while first < end:
        block = await asyncio.to_thread(os.pread, fd, min(BLOCK, end - first), first)
        if not block:  # it became shorter: the connection breaks, which says so
            raise OSError("a result became shorter")
        first += len(block)
        yield block


def _range(asked: str, size: int) -> tuple[int, int] | tuple[()] | None:
    """First and last byte; () where the range lies outside, None where it is none that we serve: then all is sent."""
    found = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", asked.replace(" ", ""))
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:
        count = min(int(found[2]), size)
        return (size - count, size - 1) if count else ()
    first, last = int(found[1]), min(int(found[2] or size), size - 1)
    if found[2] and int(found[2]) < first:
        return None
    return (first, last) if first <= last else ()
