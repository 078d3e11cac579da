"""A clip of a video: by its address, or of one that was uploaded; chosen by eye, cut to the frame.

First a job of the kind look, whose page shows length and pictures; from there a job of the kind clip. Addresses come
from strangers: both are `public_only`. The browser plays the source itself where it can; nothing is fetched for that.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from videod.errors import BadMessage
from videod.fields import Fields
from videod.intake import Rejected, read
from videod.jobqueue.pages import Page
from videod.jobqueue.search import Wanted
from videod.web.access import Visitor, require
from videod.web.guarding import POLICY
from videod.web.jobs import outputs_of, page_of, shown_state, submit
from videod.web.looks import clock_text
from videod.web.results import answer, document
from videod.web.site import Form, Site, posted, site_of
from videod.web.trouble import Trouble, missing
from videod.web.uploads import IDENT, Upload, shown_name
from videod.web.words import UNFIT, code_of, error_text

NAV = ("/clip", "Make a clip", "submit")
PICTURES, MOST_OWN = 8, 20
LONGEST_ADDRESS = 4096
# as much more an end may be than that of the video which it was read from
ROUNDED = 0.1


def routes(site: Site) -> list[Route]:
    """Those of this room."""
    return [
        Route("/clip", ask),
        Route("/clip", posted(look), methods=["POST"]),
        Route("/clip/{id}", choose),
        Route("/clip/{id}", posted(cut), methods=["POST"]),
        Route("/clip/{id}/source", source),
    ]


def ask(request: Request) -> Response:
    """Where the video is."""
    visitor = require(request, "submit")
    return _asked(request, visitor, _address_of(request, visitor), "", 200)


def _address_of(request: Request, visitor: Visitor) -> str:
    """That of the look whose id is named, for its visitor alone; no address stands in ours: it may hold a login."""
    site, ident = site_of(request), request.query_params.get("look", "")
    page = site.pages.page(ident) if IDENT.fullmatch(ident) else None
    if page is None or page.upload or page.kind != "look" or not _is_own(site, page, visitor):
        return ""
    return str(json.loads(page.message)["url"])


def _is_own(site: Site, page: Page, visitor: Visitor) -> bool:
    return site.access.open or page.owner == visitor.name


def _asked(request: Request, visitor: Visitor, address: str, wrong: str, status: int) -> Response:
    site = site_of(request)
    pages = site.pages.of(visitor.name, MOST_OWN)
    unfit = _unfit(site, pages)
    found = ((page, _upload(site, page, visitor)) for page in pages if page.upload not in unfit)
    seen = {upload.token: page for page, upload in found if upload}
    return site.looks.page(request, "clip.html", status, address=address, wrong=wrong, own=list(seen.values()))


def _unfit(site: Site, pages: list[Page]) -> set[str]:
    """The uploads of these pages of which some job found that they are no video that can be read."""
    failed = site.search.find(Wanted(state="dead", idents=[page.id for page in pages]), len(pages) + 1).jobs
    bad = {job["id"] for job in failed if code_of(job.get("error")) in UNFIT}
    return {page.upload for page in pages if page.id in bad}


def _upload(site: Site, page: Page, visitor: Visitor) -> Upload | None:
    upload = site.store.find(page.upload)
    return upload if upload and upload.owner == visitor.name else None


def look(request: Request, form: Form) -> Response:
    """Let the video be looked at; its page."""
    site, visitor = site_of(request), require(request, "submit")
    address, upload = form.get("address", "").strip(), None
    if token := form.get("upload", ""):
        upload = site.store.find(token)
        if upload is None or upload.owner != visitor.name:
            raise missing()
    elif not _is_address(address):
        return _asked(
            request, visitor, address, "This is no address of a video: one begins with http:// or https://", 400
        )
    ident = "w" + secrets.token_urlsafe(18)
    url = "file://" + quote(str(site.store.path(upload))) if upload else address
    # who waits for it is better told at once than after tries of minutes
    message = {"id": ident, "kind": "look", "url": url, "pictures": PICTURES, "max_attempts": 1}
    if wrong := _wrong(message, site):
        return _asked(request, visitor, address, wrong, 400)
    name = upload.name if upload else shown_name(unquote(urlsplit(address).path))
    submit(site, visitor.name, name, message, upload.token if upload else "")
    return RedirectResponse(f"/clip/{ident}", 303)


def _is_address(text: str) -> bool:
    try:
        return urlsplit(text).scheme in ("http", "https") and len(text) <= LONGEST_ADDRESS
    except ValueError:  # a bracket that is not closed
        return False


def _wrong(message: dict[str, Any], site: Site) -> str:
    """Why the daemon would refuse this at once, for visitors; empty where it would not."""
    found = read(json.dumps({**message, "public_only": True}).encode(), None, site.settings)
    return error_text({"code": found.error.code}) if isinstance(found, Rejected) else ""


def choose(request: Request) -> Response:
    """Length, pictures and player; until they are there how it stands."""
    page, visitor = page_of(request)
    return _chosen(request, page, visitor, {}, "", 200)


def _chosen(request: Request, page: Page, visitor: Visitor, form: Form, wrong: str, status: int) -> Response:
    site, message = site_of(request), _looked(page)
    job = shown_state(site, page)
    values: dict[str, Any] = {"about": {}, "pictures": [], "start": form.get("start", "0"), "end": form.get("end", "")}
    values |= {"wrong": wrong, "playing": ""}
    # an address may hold a login, and is its visitor's alone: an admin's browser must not go there either
    own = _is_own(site, page, visitor)
    values["back"] = f"/clip?look={page.id}" if own and not page.upload else "/clip"
    if job["state"] == "done":
        outputs = outputs_of(site, page)
        if not outputs:
            raise missing()
        values["about"] = json.loads(document(site, page.id, outputs[0]))
        values["pictures"] = [{"at": one["start"], "src": f"/j/{page.id}/files/{one['n']}"} for one in outputs[1:]]
        values["playing"] = f"/clip/{page.id}/source" if page.upload else message["url"] if own else ""
        values["end"] = values["end"] if form else _seconds(values["about"]["duration"])
    refresh = 3 if job["state"] in ("queued", "running", "retry") else 0
    made = site.looks.page(request, "choose.html", status, refresh=refresh, page=page, job=job, **values)
    if own and not page.upload:
        # also while it waits: the script draws what comes into this very page
        made.headers["content-security-policy"] = _policy(message["url"])
    return made


def _policy(address: str) -> str:
    """That of all pages, and the browser may play what is at the address."""
    place = urlsplit(address)
    host = place.netloc.rpartition("@")[2]
    if not re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", host):
        return POLICY
    return POLICY.replace("media-src 'self'", f"media-src 'self' {place.scheme}://{host}")


def _seconds(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _looked(page: Page) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(page.message)
    if message["kind"] != "look":
        raise missing()
    return message


def cut(request: Request, form: Form) -> Response:
    """Queue the clip; its page."""
    site, (page, visitor) = site_of(request), page_of(request, "submit")
    looked, ident = _looked(page), "w" + secrets.token_urlsafe(18)
    message = {"id": ident, "kind": "clip", "url": looked["url"]}
    wanted = {name: form.get(name, "").strip() for name in ("start", "end")}
    message |= {name: text for name, text in wanted.items() if text}
    if page.upload and site.store.find(page.upload) is None:
        raise Trouble(409, "The file is not there any more.", "Please upload it again.")
    if wrong := _outside(site, page, message):
        return _chosen(request, page, visitor, {**form, **wanted, "end": str(message.get("end", ""))}, wrong, 400)
    if not wanted["start"] and not wanted["end"]:
        return _chosen(request, page, visitor, form, "Set a start or an end.", 400)
    if wrong := _wrong(message, site):
        wrong = _times_wrong(wanted) or wrong
        return _chosen(request, page, visitor, form, wrong, 400)
    submit(site, visitor.name, _named(page, message), message, page.upload)
    return RedirectResponse(f"/j/{ident}", 303)


def _outside(site: Site, page: Page, message: dict[str, Any]) -> str:
    """Why the video has no such part. An end past its own becomes that, for who asks again; its very end goes."""
    outputs = outputs_of(site, page)
    ends = json.loads(document(site, page.id, outputs[0]))["duration"] if outputs else float("inf")
    fields = Fields(message)
    try:
        start, end = fields.seconds("start") or 0.0, fields.seconds("end")
    except BadMessage:
        return ""
    if start < ends and end is not None and end > ends + ROUNDED:
        message["end"] = _seconds(ends)
        return f"The video ends at {clock_text(ends)}: this is the end now. Is that meant?"
    if end is not None and end >= ends:
        message.pop("end")
        message.setdefault("start", 0)
    return f"The video ends at {clock_text(ends)}." if start >= ends else ""


def _named(page: Page, message: dict[str, Any]) -> str:
    """The name of the video, and which part of it this is."""
    stem, _, kind = page.name.rpartition(".")
    part = "–".join(clock_text(Fields(message).seconds(name) or 0) for name in ("start", "end") if name in message)
    return f"{stem or page.name}, {part if 'end' in message else 'from ' + part}{'.' + kind if stem else ''}"


def _times_wrong(wanted: Form) -> str:
    try:
        start, end = (Fields(wanted).seconds(name) if wanted[name] else None for name in ("start", "end"))
    except BadMessage:
        return "Times are seconds, or as 1:30 or 0:01:30.5."
    return "The end must come after the start." if end is not None and end <= (start or 0) else ""


def source(request: Request) -> Response:
    """An uploaded file as it is, for the player; only its own visitor's."""
    site, (page, _) = site_of(request), page_of(request)
    if (upload := site.store.find(page.upload)) is None:
        raise missing()
    headers = {"content-type": "video/mp4", "accept-ranges": "bytes", "cache-control": "private, no-cache"}
    # whatever it holds: nothing but a player may make anything of it
    headers["content-security-policy"] = "default-src 'none'; sandbox"
    try:
        fd = os.open(site.store.path(upload), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:  # it expired at this moment
        raise missing() from None
    return answer(request, fd, headers)
