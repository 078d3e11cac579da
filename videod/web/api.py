"""The farm as JSON, for programs: everything that the pages of the sysadmin show and do, below /api/v1."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from videod.web import farm, handing
from videod.web.access import require
from videod.web.declared import JSON, MOST_BODY, Asked, Operation
from videod.web.openapi import described
from videod.web.site import Site, site_of
from videod.web.trouble import Trouble

ROOT = "/api/v1"


def operations() -> tuple[Operation, ...]:
    """All of the API but the description itself."""
    return (*farm.OPERATIONS, *handing.OPERATIONS)


def routes(site: Site) -> list[Route]:
    """Those of this room: one for each path, so that a wrong method is told all right ones."""
    by_path: dict[str, dict[str, Operation]] = {}
    for one in operations():
        by_path.setdefault(one.path, {})[one.method] = one
    made = [Route(ROOT + path, _endpoint(methods), methods=list(methods)) for path, methods in by_path.items()]
    return [*made, Route(ROOT + "/openapi.json", openapi)]


def openapi(request: Request) -> Response:
    """The description. It tells nothing of this site, and asks for no login."""
    return JSONResponse(described(operations(), ROOT))


def _endpoint(methods: dict[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        one = methods["GET" if request.method == "HEAD" else request.method]
        raw = await _body(request) if one.body is not None else b""
        return await run_in_threadpool(_work, one, request, raw)

    return endpoint


async def _body(request: Request) -> bytes:
    """Trouble (413, 415). Nothing but JSON: that a form of another site cannot send."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise Trouble(415, f"The body must be {JSON}.")
    held = bytearray()
    async for piece in request.stream():
        held += piece
        if len(held) > MOST_BODY:
            raise Trouble(413, f"The body has more than {MOST_BODY} bytes.")
    return bytes(held)


def _work(one: Operation, request: Request, raw: bytes) -> Response:
    visitor = require(request, one.role)
    values = one.query(request)
    body: dict[str, Any] = one.given(raw) if one.body is not None else {}
    status, answer = one.work(Asked(request, site_of(request), visitor, values, body))
    headers = {"location": f"{ROOT}/jobs/{answer['id']}"} if status == 201 else None
    return JSONResponse(answer, status, headers)
