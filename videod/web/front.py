"""The first page, and the files that pages need."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from videod.web.access import require
from videod.web.site import Site, site_of
from videod.web.trouble import missing
from videod.web.words import STATES

MOST_PAGES = 50
LONG = "public, max-age=31536000, immutable"


def routes(site: Site) -> list[Route]:
    """Those of this room."""
    return [
        Route("/", home),
        Route("/static/{name}", static),
    ]


def home(request: Request) -> Response:
    """Upload, and the visitor's videos."""
    site = site_of(request)
    visitor = require(request, "watch")
    # what was only looked at is a way to a clip, and no video
    pages = site.pages.of(visitor.name, MOST_PAGES, besides="look")
    states = site.pages.states([page.id for page in pages])
    rows = [
        {"page": page, "state": state, "words": STATES.get(state, "")}
        for page in pages
        for state in [states.get(page.id, "")]
    ]
    return site.looks.page(request, "home.html", rows=rows, most=site.settings.web.max_upload)


async def static(request: Request) -> Response:
    """A style sheet or script of ours."""
    asset = site_of(request).looks.assets.get(request.path_params["name"])
    if asset is None:
        raise missing()
    etag = f'"{asset.version}"'
    fresh = LONG if request.query_params.get("v") == asset.version else "no-cache"
    headers = {"etag": etag, "cache-control": fresh, "content-type": asset.type}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(asset.body, headers=headers)
