"""Uploads without JavaScript: a multipart form, whose files go to disk as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from videod.web.access import FORM_TOKEN, Visitor, require, visitor
from videod.web.receiving import Receiver, body, complete, drop
from videod.web.site import Site, site_of
from videod.web.trouble import LoginNeeded, Trouble, too_much, wants_json
from videod.web.uploads import Upload, shown_name

MOST_FILES, MOST_FIELD, MOST_HEADER = 20, 1000, 4096
# RFC 2046, 5.1.1
LONGEST_BOUNDARY = 70
# a multipart form is a little longer than what is in it
SLACK = 1 << 20

Pieces: TypeAlias = AsyncIterator[tuple[str, bytes]]


def routes(site: Site) -> list[Route]:
    """Those of this room."""
    return [Route("/upload", upload, methods=["POST"])]


async def upload(request: Request) -> Response:
    """The files of a form, one after the other; then the page of the only one, or the list."""
    site = site_of(request)
    form = _Form(request, site)
    try:
        await form.read()
    except Trouble as trouble:
        if trouble.status != 408:  # nothing comes
            await drop(request)
        if not form.taken or wants_json(request):
            raise
        values: dict[str, Any] = {"trouble": trouble, "taken": form.taken, "refused": form.current}
        page = site.looks.page(request, "trouble.html", trouble.status, **values)
        page.headers.update(trouble.headers)
        return page
    except MultipartParseError:
        raise Trouble(400, "This form cannot be read.") from None
    except ClientDisconnect:
        return Response(status_code=400)
    if not form.taken:
        raise Trouble(400, "No file was chosen.", "Go back and choose one.")
    return RedirectResponse(form.taken[0][0] if len(form.taken) == 1 else "/", 303)


class _Parts:
    """What the parser finds in one piece of the body, as a list: its callbacks cannot wait for a disk."""

    def __init__(self, boundary: bytes) -> None:
        self._found: list[tuple[str, bytes]] = []
        self._field, self._value, self._headers = b"", b"", 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": lambda: self._note("begin"),
                "on_part_data": lambda data, start, end: self._note("data", data[start:end]),
                "on_part_end": lambda: self._note("end"),
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
            },
        )

    def _note(self, what: str, data: bytes = b"") -> None:
        self._headers = 0 if what == "begin" else self._headers
        self._found.append((what, data))

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += self._counted(data[start:end])

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += self._counted(data[start:end])

    def _counted(self, data: bytes) -> bytes:
        self._headers += len(data)
        if self._headers > MOST_HEADER:
            raise Trouble(400, "This form cannot be read.")
        return data

    def _on_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._note("named", self._value)
        self._field = self._value = b""

    def parse(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """What is in the next piece: `begin`, `named` with the header, `data`, `end`."""
        self._parser.write(data)
        found, self._found = self._found, []
        yield from found


class _Form:
    """Reads one form: the token first, then files. `taken`: address and name of what was made a job so far; `current`:
    the name of the file that is being read."""

    def __init__(self, request: Request, site: Site) -> None:
        self._request, self._site = request, site
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise Trouble(415, "Files come as multipart/form-data.")
        if len(options[b"boundary"]) > LONGEST_BOUNDARY:
            raise Trouble(400, "This form cannot be read.")
        self._parts = _Parts(options[b"boundary"])
        self._most = site.settings.web.max_upload or 1 << 62
        if int(request.headers.get("content-length", 0) or 0) > self._most * MOST_FILES + SLACK:
            site.store.fits(self._most + 1)
        self._visitor: Visitor | None = None
        self.taken: list[tuple[str, str]] = []
        self.current = ""

    async def read(self) -> None:
        """Make jobs of the files. Trouble ends it: files behind that are not read."""
        if visitor(self._request) is None:
            raise LoginNeeded
        pieces = self._pieces()
        async for what, data in pieces:
            if what != "named":
                continue
            _, options = parse_options_header(data)
            if b"filename" not in options:
                value = await self._field(pieces)
                if options.get(b"name") == b"token":
                    self._request.scope[FORM_TOKEN] = value
            elif options[b"filename"]:
                name = options[b"filename"].decode("utf-8", "replace")
                self.current = shown_name(name)
                if len(self.taken) == MOST_FILES:
                    raise Trouble(413, f"These are more than {MOST_FILES} files.", "The first ones were taken.")
                # the token stands before the first file: nothing of a forged form is taken
                self._visitor = self._visitor or require(self._request, "submit")
                self.taken.append((await self._file(name, pieces), self.current))

    async def _pieces(self) -> Pieces:
        async for chunk in body(self._request):
            for piece in self._parts.parse(chunk):
                yield piece

    async def _field(self, pieces: Pieces) -> str:
        value = b""
        async for what, data in pieces:
            if what == "end":
                break
            value += data
            if len(value) > MOST_FIELD:
                raise Trouble(413, "This form is too large.")
        return value.decode("utf-8", "replace")

    async def _file(self, name: str, pieces: Pieces) -> str:
        site, whole = self._site, False
        assert self._visitor
        made = await asyncio.to_thread(site.store.create, self._visitor.name, name, -1)
        try:
            if seconds := await run_in_threadpool(site.pages.charge, made.owner, files=1):
                raise too_much("These are too many files for a day.", seconds)
            with site.store.part(made) as part:
                await self._received(Receiver(made, part, self._most), pieces)
                made = await run_in_threadpool(self._counted, made, part.offset)
                whole = True
                return await complete(site, made, part)
        except BaseException as why:
            # nobody can go on with it; but what may be a job by now keeps its file
            if not whole or isinstance(why, Trouble):
                await asyncio.to_thread(site.store.remove, made.token)
            raise

    async def _received(self, receiver: Receiver, pieces: Pieces) -> None:
        async for what, data in pieces:
            if what == "data":
                await receiver.take(data)
            elif what == "end":
                await receiver.flush(last=True)
                return
        raise Trouble(400, "The upload broke off.", "Please send it again.")

    def _counted(self, made: Upload, length: int) -> Upload:
        if not length:
            raise Trouble(400, "This file is empty.", "Choose another file.")
        if seconds := self._site.pages.charge(made.owner, size=length):
            raise too_much("This is more than one may upload in a day.", seconds)
        return self._site.store.know_length(made, length)
