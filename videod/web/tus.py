"""Uploads that survive a broken connection: tus 1.0.0 at /files, with creation, creation-with-upload, termination,
expiration and checksum. When the last byte is there the upload becomes a job, whose page `Videod-Page` names; if that
answer is lost, or Redis away, a PATCH without bytes asks once more.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from videod.errors import RedisAway
from videod.web.access import require
from videod.web.giving_up import give_up, given_up
from videod.web.receiving import Receiver, body, complete, drop
from videod.web.site import Site, site_of
from videod.web.trouble import Trouble, too_much
from videod.web.uploads import Part, Upload

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
BYTES = "application/offset+octet-stream"
LONGEST_METADATA = 4096
PAGE = "Videod-Page"
BROKEN_CHECKSUM = 460

Endpoint = Callable[[Request], Awaitable[Response]]


def routes(site: Site) -> list[Route]:
    """Those of this room."""
    return [
        Route("/files", options, methods=["OPTIONS"]),
        Route("/files", _tus(create), methods=["POST"]),
        Route("/files/{token}", options, methods=["OPTIONS"]),
        Route("/files/{token}", _tus(look), methods=["HEAD"]),
        Route("/files/{token}", _tus(append), methods=["PATCH"]),
        Route("/files/{token}", _tus(remove), methods=["DELETE"]),
    ]


def _tus(endpoint: Endpoint) -> Endpoint:
    async def wrapped(request: Request) -> Response:
        try:
            if request.headers.get("tus-resumable") != VERSION:
                raise Trouble(412, "This is tus 1.0.0.", headers={"Tus-Version": VERSION})
            response = await endpoint(request)
        except Trouble as trouble:
            trouble.headers["Tus-Resumable"] = VERSION
            if trouble.status != 408:  # nothing comes
                await drop(request)
            raise
        response.headers["Tus-Resumable"] = VERSION
        return response

    return wrapped


async def options(request: Request) -> Response:
    """What is served here."""
    most = site_of(request).settings.web.max_upload
    headers = {"Tus-Resumable": VERSION, "Tus-Version": VERSION, "Tus-Extension": EXTENSIONS}
    headers |= {"Tus-Checksum-Algorithm": "sha256"} | ({"Tus-Max-Size": str(most)} if most else {})
    return Response(status_code=204, headers=headers)


async def create(request: Request) -> Response:
    """A new upload, with its first bytes if the body has any."""
    site, visitor = site_of(request), require(request, "submit")
    length = _number(request, "upload-length")
    if "upload-defer-length" in request.headers:
        raise Trouble(400, "Upload-Length and Upload-Defer-Length exclude each other.")
    if not length:
        raise Trouble(400, "This file is empty.", "Choose another file.")
    name = _metadata(request.headers.get("upload-metadata", "")).get("filename", "")
    # what is refused here costs nothing of the day
    upload = await asyncio.to_thread(site.store.create, visitor.name, name, length)
    try:
        if seconds := await run_in_threadpool(site.pages.charge, visitor.name, size=length, files=1):
            raise too_much("This is more than one may upload in a day.", seconds)
    except BaseException:  # nobody knows where it is
        site.store.remove(upload.token)
        raise
    headers = {"Location": f"/files/{upload.token}"}
    if request.headers.get("content-type") == BYTES:
        headers |= await _append(request, site, upload, 0)
    return Response(status_code=201, headers={**headers, **_expiry(site, upload)})


async def look(request: Request) -> Response:
    """How much is there, and the page once it is whole."""
    site = site_of(request)
    upload = _upload(request, "submit")
    offset = site.store.offset(upload)
    headers = {"Upload-Offset": str(offset), "Upload-Length": str(upload.length), "Cache-Control": "no-store"}
    if offset == upload.length:
        headers |= await run_in_threadpool(_page, site, upload)
    return Response(headers={**headers, **_expiry(site, upload)})


async def append(request: Request) -> Response:
    """More bytes, at the offset where the upload ends."""
    site = site_of(request)
    upload = _upload(request, "submit")
    if request.headers.get("content-type") != BYTES:
        raise Trouble(415, f"Bytes come as {BYTES}.")
    headers = await _append(request, site, upload, _number(request, "upload-offset"))
    return Response(status_code=204, headers={**headers, **_expiry(site, upload)})


async def remove(request: Request) -> Response:
    """Give it up; not once it is a job."""
    site = site_of(request)
    upload = _upload(request, "submit")
    if await run_in_threadpool(site.pages.page, upload.job):
        raise Trouble(409, "This upload is a job already.", "Cancel it on its page.")
    await run_in_threadpool(give_up, site, upload)
    return Response(status_code=204)


def _upload(request: Request, role: str) -> Upload:
    """The upload that the address names; of another user's nobody learns that it is there."""
    site, visitor = site_of(request), require(request, role)
    found = site.store.find(request.path_params["token"])
    if found is None or not (site.access.open or found.owner == visitor.name):
        raise Trouble(404, "There is no such upload.", "It may have expired: begin again.")
    return found


async def _append(request: Request, site: Site, upload: Upload, offset: int) -> dict[str, str]:
    """Take the body; the headers that say how far it is now."""
    wanted = _checksum(request.headers.get("upload-checksum", ""))
    with site.store.part(upload) as part:
        if part.offset != offset:
            raise Trouble(409, "The upload stands elsewhere.", headers={"Upload-Offset": str(part.offset)})
        try:
            await _receive(request, upload, part, wanted)
        except Trouble as trouble:
            if trouble.status == 415:
                await run_in_threadpool(given_up, site, upload)
            raise
        headers = {"Upload-Offset": str(part.offset)}
        if part.offset == upload.length:
            headers[PAGE] = await complete(site, upload, part)
        return headers


async def _receive(request: Request, upload: Upload, part: Part, wanted: bytes) -> None:
    begin, receiver, digest = part.offset, Receiver(upload, part, upload.length), hashlib.sha256()
    whole = False
    try:
        async for chunk in body(request):
            if wanted:
                digest.update(chunk)
            await receiver.take(chunk)
        whole = True
    except ClientDisconnect:
        pass
    finally:
        if not whole and wanted:  # what cannot be checked does not count
            part.cut(begin)
        elif not whole:
            await receiver.flush()
    await receiver.flush()
    await receiver.flush(last=part.offset == upload.length)
    if wanted and whole and not hmac.compare_digest(digest.digest(), wanted):
        part.cut(begin)
        raise Trouble(BROKEN_CHECKSUM, "The bytes do not have this checksum.", "Send them again.")


def _number(request: Request, name: str) -> int:
    text = request.headers.get(name, "")
    if not re.fullmatch(r"0|[1-9][0-9]{0,17}", text):
        raise Trouble(400, f"{name} must be a number.")
    return int(text)


def _metadata(text: str) -> dict[str, str]:
    if len(text) > LONGEST_METADATA:
        raise Trouble(400, "Upload-Metadata is too long.")
    found = {}
    for pair in filter(None, text.split(",")):
        key, _, value = pair.strip().partition(" ")
        try:
            found[key] = base64.b64decode(value, validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            raise Trouble(400, "Upload-Metadata must be in Base64.") from None
    return found


def _checksum(text: str) -> bytes:
    algorithm, _, value = text.partition(" ")
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if text and (algorithm != "sha256" or len(digest) != hashlib.sha256().digest_size):
        raise Trouble(400, "Upload-Checksum must be sha256 and 32 bytes in Base64.")
    return digest


def _expiry(site: Site, upload: Upload) -> dict[str, str]:
    return {"Upload-Expires": formatdate(site.store.expires(upload), usegmt=True)}


def _page(site: Site, upload: Upload) -> dict[str, str]:
    try:
        return {PAGE: f"/j/{upload.job}"} if site.pages.page(upload.job) else {}
    except RedisAway:
        return {}
