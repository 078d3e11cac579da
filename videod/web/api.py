"""The farm as JSON, for programs: everything that the pages of the sysadmin show and do, below /api/v1."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from videod.web import farm, handing
from videod.web.access import Visitor, require
from videod.web.declared import JSON, MOST_BODY, Asked, Operation
from videod.web.openapi import described
from videod.web.site import Site, site_of
from videod.web.trouble import Json, LoginNeeded, Trouble

ROOT = "/api/v1"
LOG_IN = "Send `Authorization: Bearer TOKEN`; `videod web --token` makes one."
# a body is at most 1 MiB
BODY_SECONDS = 30.0


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
    return Json(described(operations(), ROOT))


def _endpoint(methods: dict[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        one = methods["GET" if request.method == "HEAD" else request.method]
        # who may not ask gets nothing held here
        visitor, values = _visitor(request, one.role), one.query(request)
        given = await run_in_threadpool(one.given, await _body(request)) if one.body is not None else {}
        asked = Asked(request, site_of(request), visitor, values, given)
        status, answer = await one.done(asked)
        return Json(answer, status, {"location": f"{ROOT}/jobs/{answer['id']}"} if status == 201 else None)

    return endpoint


def nowhere() -> Trouble:
    """No operation is there."""
    return Trouble(404, f"There is nothing at this address: see {ROOT}/openapi.json.")


def _visitor(request: Request, role: str) -> Visitor:
    try:
        return require(request, role)
    except LoginNeeded:
        raise LoginNeeded(LOG_IN) from None


async def _body(request: Request) -> bytes:
    """Trouble (408, 413, 415). Nothing but JSON: that a form of another site cannot send."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise Trouble(415, f"The body must be {JSON}.")
    held = bytearray()
    try:
        async with asyncio.timeout(min(BODY_SECONDS, site_of(request).settings.stall_timeout or BODY_SECONDS)):
            async for piece in request.stream():
                held += piece
                if len(held) > MOST_BODY:
                    raise Trouble(413, f"The body has more than {MOST_BODY} bytes.")
    except TimeoutError:
        raise Trouble(408, "The body took too long.", "Send it again.") from None
    return bytes(held)
