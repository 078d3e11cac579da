"""The page of one job, for who waits for it: how it stands, the result, cancel, retry."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from videod.events import FINAL
from videod.jobqueue.pages import Page
from videod.web.access import Visitor, require
from videod.web.ending import ended
from videod.web.site import Form, Site, posted, site_of
from videod.web.trouble import Trouble, missing, too_much
from videod.web.uploads import IDENT, Upload
from videod.web.words import HOPELESS, code_of, told

VIDEOS, POSTER = (".mp4", ".mov", ".mkv", ".ts"), ".jpg"
REFRESH_SECONDS = 3
# how long somebody looks at a page that does not change
ASKED_SECONDS = 3.0


def routes(site: Site) -> list[Route]:
    """Those of this room."""
    return [
        Route("/j/{id}", show),
        Route("/j/{id}/state", state),
        Route("/j/{id}/cancel", posted(cancel), methods=["POST"]),
        Route("/j/{id}/retry", posted(retry), methods=["POST"]),
    ]


def page_of(request: Request, role: str = "watch") -> tuple[Page, Visitor]:
    """The page that the address names, and who asks. Trouble (404) where it is not theirs, as if it were not there.

    Without a login the address is the key.
    """
    site, visitor = site_of(request), require(request, role)
    ident = request.path_params["id"]
    page = site.pages.page(ident) if IDENT.fullmatch(ident) else None
    if page is None or not (site.access.open or page.owner == visitor.name or visitor.may("admin")):
        raise missing()
    return page, visitor


def public_state(site: Site, ident: str) -> dict[str, Any]:
    """How a job stands, for visitors: no node, command or address.

    `state`: `queued`, `running`, `retry`, `done`, `dead`, `cancelled`, or `gone` when page or record expired; `place`
    in line or None; `stage`, `percent`; `words`, one sentence; `outputs`: `[{n, href, name, bytes, width, height,
    duration}]`; `poster`: its address or None. RedisAway.
    """
    page = site.pages.page(ident)
    return shown_state(site, page) if page else _told("gone")


def shown_state(site: Site, page: Page) -> dict[str, Any]:
    """The same of a page."""
    record = site.browse.job(page.id)
    if record is None:
        keep, age = site.settings.keep_jobs, time.time() - datetime.fromisoformat(page.at).timestamp()
        place = site.pages.place(page.id)
        return _told("gone") if place is None and 0 < keep < age else _told("queued", place=place)
    state = str(record.get("state", ""))
    if state == "requeued":
        return _told("queued", place=site.pages.place(page.id))
    stage = str(record.get("stage", ""))
    stage = "pictures" if (page.kind, stage) == ("look", "encode") else stage
    more = {"stage": stage, "percent": record.get("percent", 0), "error": record.get("error")}
    made = _told(state, **more, uploaded=bool(page.upload))
    if outputs := _outputs(record):
        videos = [one for one in outputs if file_of(one).suffix in VIDEOS]
        made["outputs"] = [_shown(page, one, len(videos)) for one in videos]
        posters = (f"/j/{page.id}/files/{one['n']}" for one in outputs if file_of(one).suffix == POSTER)
        made["poster"] = next(posters, None)
    return made


def outputs_of(site: Site, page: Page) -> list[dict[str, Any]]:
    """The outputs of a job that is done."""
    return _outputs(site.browse.job(page.id) or {})


def _outputs(record: dict[str, Any]) -> list[dict[str, Any]]:
    found = record.get("outputs") if record.get("state") == "done" else None
    return found if isinstance(found, list) else []


def _told(
    state: str,
    *,
    place: int | None = None,
    stage: str = "",
    percent: float = 0,
    error: Any = None,
    uploaded: bool = False,
) -> dict[str, Any]:
    words = told(state, place, stage, percent, error, uploaded=uploaded)
    shown = {"state": state, "place": place, "stage": stage, "percent": percent, "words": words}
    return {**shown, "outputs": [], "poster": None}


def file_of(output: dict[str, Any]) -> PurePosixPath:
    """The name of the file of an output."""
    return PurePosixPath(PurePosixPath(unquote(str(output["url"]))).name)


def _shown(page: Page, output: dict[str, Any], count: int) -> dict[str, Any]:
    stem = page.name.rpartition(".")[0] or page.name
    name = f"{stem}{'-' + str(output['n']) if count > 1 else ''}{file_of(output).suffix}"
    facts = {key: output.get(key) for key in ("bytes", "width", "height", "duration")}
    return {"n": output["n"], "href": f"/j/{page.id}/files/{output['n']}", "name": name, **facts}


# ------------------------------------------------------------- endpoints
def show(request: Request) -> Response:
    """The page; without JavaScript it loads itself anew until the job has ended."""
    site = site_of(request)
    page, visitor = page_of(request)
    if page.kind == "look":
        return RedirectResponse(f"/clip/{page.id}", 303)
    shown = shown_state(site, page)
    may = visitor.may("submit")
    values: dict[str, Any] = {
        "page": page,
        "job": shown,
        "may_cancel": may and shown["state"] in ("queued", "running", "retry"),
    }
    values["may_retry"] = may and _may_help(site, page, shown["state"]) and _has_source(site, page)
    refresh = 0 if shown["state"] in (*FINAL, "gone") else REFRESH_SECONDS
    return site.looks.page(request, "job.html", refresh=refresh, **values)


def state(request: Request) -> Response:
    """The same as JSON, for the page's script."""
    page, _ = page_of(request)
    return JSONResponse(shown_state(site_of(request), page))


async def cancel(request: Request, form: Form) -> Response:
    """End the job; back to its page when it has ended, or after a moment."""
    site = site_of(request)
    page, visitor = await run_in_threadpool(page_of, request, "submit")
    answer = await ended(site, page.id, ASKED_SECONDS)
    site.log.info("web: %s: cancelled by %s: %s", page.id, visitor.name, answer or "not found")
    return RedirectResponse(f"/j/{page.id}", 303)


def retry(request: Request, form: Form) -> Response:
    """Queue the job once more."""
    site = site_of(request)
    page, visitor = page_of(request, "submit")
    if not _has_source(site, page):
        raise Trouble(409, "The file is not there any more.", "Please upload it again.")
    _charge(site, visitor.name)
    answer = site.steer.retry(page.id, site.letters.of(page.id))
    site.pages.stay(page.id)
    site.log.info("web: %s: retry by %s: %s", page.id, visitor.name, answer)
    return RedirectResponse(f"/j/{page.id}", 303)


def _may_help(site: Site, page: Page, state: str) -> bool:
    """Whether another try may end otherwise."""
    if state == "dead":
        return code_of((site.browse.job(page.id) or {}).get("error")) not in HOPELESS
    return state == "cancelled"


def _has_source(site: Site, page: Page) -> bool:
    """Whether what the job is made of is there; what was not uploaded here is looked for by the daemon."""
    return not page.upload or site.store.find(page.upload) is not None


def _charge(site: Site, name: str) -> None:
    if seconds := site.pages.charge(name, jobs=1):
        raise too_much("These are enough videos for today.", seconds)


# ------------------------------------------------------------- making one
def queue(site: Site, upload: Upload) -> str:
    """Make an upload that is whole a job, once; its address. Trouble (429) over the quota, RedisAway."""
    preset = site.settings.presets[site.settings.web.preset]
    message = {
        "id": upload.job,
        "kind": "convert",
        "url": "file://" + quote(str(site.store.path(upload))),
        "preset": site.settings.web.preset,
        "poster": (preset.container, preset.video) == ("mp4", "h264"),
    }
    return submit(site, upload.owner, upload.name, message, upload.token)


def submit(site: Site, owner: str, name: str, message: dict[str, Any], upload: str = "") -> str:
    """Queue a message, which has an id, `addressed`; the address of its page. Trouble (429) over a quota, RedisAway."""
    ident, whole = message["id"], addressed(site, message)
    if site.pages.page(ident) is None:
        _charge(site, owner)
    if site.pages.submit(Page(ident, owner, name, upload, json.dumps(whole), ""), whole.get("node")):
        site.log.info("web: %s: %s queued for %s", ident, message["kind"], owner)
    return f"/j/{ident}"


def addressed(site: Site, message: dict[str, Any]) -> dict[str, Any]:
    """A message whose results come to where this site finds them, by a node that has the folder."""
    target = "file://" + quote(str(site.store.results / message["id"])) + "/{id}-{n}.{ext}"
    shared = any(str(site.store.folder).startswith(path.rstrip("/") + "/") for path in site.settings.shared_paths)
    return {**message, "upload": target, "public_only": True} | ({} if shared else {"node": site.settings.node})
