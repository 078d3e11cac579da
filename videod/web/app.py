"""Puts the rooms of the web side together.

A room is a module with `routes(site) -> list[Route]`, named in `ROOMS` here. Its endpoints ask
`require(request, role)` first, which returns the `Visitor` or raises; a `Trouble` raised anywhere becomes a page, or
JSON for programs. What asks Redis is a plain `def` endpoint, which Starlette runs in a thread; forms come by
`posted(work)`, whose `work(request, form)` asks `require` too. Forms carry `token` with `{{ token }}`, scripts send the
same as `X-CSRF-Token`. Pages extend base.html and are made by `site.looks.page(request, "x.html", ...)`.
What a room runs beside its endpoints it gives as `running(site)`, an async context manager that is entered with the
application. A room whose page belongs into the navigation says so in `NAV`: (address, title, role).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from videod.errors import RedisAway
from videod.web import admin, api, clipping, forms, front, health, jobs, live, login, metrics, results, sweeping, tus
from videod.web.guarding import Guarding
from videod.web.site import Site
from videod.web.trouble import LoginNeeded, Trouble, as_json, missing, wants_json

ROOMS = (front, health, admin, api, metrics, login, tus, forms, jobs, live, clipping, results, sweeping)
# a page that could not be shown loads itself anew
REFRESH_SECONDS = 5
# one line in the log for all who meet the same trouble
SAID_SECONDS = 10.0


class _Site(Starlette):
    """Without a page of Starlette's own for faults, which raises them again behind it: Guarding shows them."""

    def build_middleware_stack(self) -> ASGIApp:
        """Handlers, then routes."""
        return ExceptionMiddleware(self.router, handlers=self.exception_handlers)


def application(site: Site) -> ASGIApp:
    """The whole site, as an ASGI application."""

    @contextlib.asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for room in ROOMS:
                if hasattr(room, "running"):
                    await stack.enter_async_context(room.running(site))
            yield

    app = _Site(
        routes=[route for room in ROOMS for route in room.routes(site)],
        exception_handlers={Trouble: _trouble, RedisAway: _away, HTTPException: _plain},
        lifespan=running,
    )
    app.state.site, app.state.away = site, ("", 0.0)
    site.looks.nav = tuple(room.NAV for room in ROOMS if hasattr(room, "NAV"))
    app.router.redirect_slashes = False

    async def shown(request: Request, trouble: Trouble) -> Response:
        request.scope.setdefault("app", app)
        return answer(request, trouble)

    return Guarding(app, site.settings, site.access, shown, site.log)


def answer(request: Request, trouble: Trouble) -> Response:
    """A trouble as a page or, for programs, JSON; who may log in is sent there."""
    site: Site = request.app.state.site
    if wants_json(request):
        return as_json(trouble)
    # a program that shows a token, as Prometheus does, would follow and take the form for an answer
    asks = request.method in ("GET", "HEAD") and "authorization" not in request.headers
    if isinstance(trouble, LoginNeeded) and site.access.by_password and asks and request.scope["path"] != "/metrics":
        query = request.scope["query_string"].decode("latin-1")
        target = request.scope["path"] + ("?" + query if query else "")
        return RedirectResponse(f"/login?next={quote(target)}", 303)
    page = site.looks.page(request, "trouble.html", trouble.status, trouble=trouble)
    if trouble.status == 503 and request.method == "GET":
        page.headers["Refresh"] = str(REFRESH_SECONDS)
    page.headers.update(trouble.headers)
    return page


# coroutines: who is refused must not wait for a thread while all of them wait for Redis
async def _trouble(request: Request, error: Exception) -> Response:
    return answer(request, error if isinstance(error, Trouble) else missing())


async def _away(request: Request, error: Exception) -> Response:
    state, text, now = request.app.state, str(error), time.monotonic()
    if text != state.away[0] or now >= state.away[1]:  # as many as ask would say the same
        state.away = (text, now + SAID_SECONDS)
        state.site.log.warning("%s", text)
    what = "The queue does not answer at the moment."
    return answer(request, Trouble(503, what, "Nothing is lost. Try again in a few seconds.", {"Retry-After": "5"}))


async def _plain(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    if status == 404:
        program = request.scope["path"].startswith(f"{api.ROOT}/")
        return answer(request, api.nowhere() if program else missing())
    return answer(request, Trouble(status, "That cannot be asked here.", "", headers))
