"""What the rooms of the web side share: one for each process, at `request.app.state.site`."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from videod.config.settings import Settings
from videod.errors import RedisAway
from videod.jobqueue import Connection
from videod.jobqueue.browse import Browse
from videod.jobqueue.figures import Figures
from videod.jobqueue.letters import Letters
from videod.jobqueue.pages import Pages
from videod.jobqueue.search import Search
from videod.jobqueue.steer import Steer
from videod.web.access import FORM_TOKEN, Access
from videod.web.hub import Hub
from videod.web.looks import Looks
from videod.web.sending import Sending
from videod.web.trouble import Trouble
from videod.web.uploads import Store

# no form of ours is larger
FORM_TYPE = "application/x-www-form-urlencoded"
MOST_FORM, MOST_FIELDS, FORM_SECONDS = 64 << 10, 100, 30.0

Form: TypeAlias = dict[str, str]


@dataclass(frozen=True)
class Site:
    """All that an endpoint may need. Redis is asked by plain functions, which run in threads."""

    settings: Settings
    connection: Connection
    browse: Browse
    steer: Steer
    pages: Pages
    store: Store
    access: Access
    looks: Looks
    hub: Hub
    search: Search
    letters: Letters
    figures: Figures
    sending: Sending
    log: logging.Logger

    @classmethod
    def of(cls, settings: Settings, connection: Connection, log: logging.Logger) -> Site:
        """The site of these settings. OSError where its folder cannot be written."""
        browse, steer, pages = Browse(settings, connection), Steer(settings, connection), Pages(settings, connection)
        store, access = Store(settings), Access(settings)
        search, letters = Search(settings, connection, browse), Letters(settings, connection)
        looks, hub, figures = Looks(), Hub(pages.place), Figures(settings, connection)
        rooms = (browse, steer, pages, store, access, looks, hub, search, letters, figures, Sending())
        return cls(settings, connection, *rooms, log)


def site_of(request: HTTPConnection) -> Site:
    """The site that is asked."""
    found: Site = request.app.state.site
    return found


@contextlib.asynccontextmanager
async def regularly(site: Site, seconds: float, work: Callable[[], object], failing: str = "") -> AsyncIterator[None]:
    """Do `work` in a thread every so many seconds, beside what else is served. That Redis is away, or the disk full, is
    said with what is `failing` then, if anything."""
    task = asyncio.create_task(_again_and_again(site, seconds, work, failing))
    try:
        yield
    finally:
        task.cancel()


async def _again_and_again(site: Site, seconds: float, work: Callable[[], object], failing: str) -> None:
    while True:
        try:
            await run_in_threadpool(work)
        except (RedisAway, OSError) as error:
            if failing:
                site.log.warning("web: %s: %s", failing, error)
        except Exception:
            site.log.exception("fault: what is done now and then")
        await asyncio.sleep(seconds)


def posted(work: Callable[[Request, Form], Response | Awaitable[Response]]) -> Callable[[Request], Any]:
    """An endpoint for a small form: reads it, so that `require` finds its token, and runs `work` in a thread, or in the
    loop where it waits."""

    async def endpoint(request: Request) -> Response:
        form = await small_form(request)
        if inspect.iscoroutinefunction(work):
            waited: Response = await work(request, form)
            return waited
        done = await run_in_threadpool(work, request, form)
        assert isinstance(done, Response)
        return done

    return endpoint


async def small_form(request: Request) -> Form:
    """The fields of a form that is not multipart. Trouble (400, 408, 413 above 64 KiB, 415 for any other body)."""
    held = bytearray()
    patience = min(FORM_SECONDS, site_of(request).settings.stall_timeout or FORM_SECONDS)
    try:
        async with asyncio.timeout(patience):
            async for chunk in request.stream():
                held += chunk
                if len(held) > MOST_FORM:
                    raise Trouble(413, "This form is too large.")
    except TimeoutError:
        raise Trouble(408, "This form took too long.", "Please send it again.") from None
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if held and kind != FORM_TYPE:
        raise Trouble(415, f"A form comes as {FORM_TYPE}.")
    try:
        form = dict(parse_qsl(held.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise Trouble(400, "This form cannot be read.") from None
    request.scope[FORM_TOKEN] = form.get("token", "")
    return form
