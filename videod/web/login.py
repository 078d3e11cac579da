"""Log in and out by name and password."""

from __future__ import annotations

import hashlib

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from videod.logs import one_line
from videod.web.access import unforged, visitor
from videod.web.site import Form, Site, posted, site_of
from videod.web.trouble import missing, too_much

# tries within a quarter of an hour: of one name from one address, from one address, of one name
SPAN_SECONDS = 900.0
OF_BOTH, OF_ADDRESS, OF_NAME = 5, 30, 100
LONGEST = 1000


def routes(site: Site) -> list[Route]:
    """Those of this room."""
    return [
        Route("/login", ask, methods=["GET"]),
        Route("/login", posted(log_in), methods=["POST"]),
        Route("/logout", posted(log_out), methods=["POST"]),
    ]


def ask(request: Request) -> Response:
    """The form; who is logged in goes on."""
    site, target = site_of(request), _target(request.query_params.get("next", ""))
    if not site.access.by_password:
        raise missing()
    if visitor(request):
        return RedirectResponse(target, 303)
    return site.looks.page(request, "login.html", next=target, wrong=False, who="")


def log_in(request: Request, form: Form) -> Response:
    """Name and password; each try is counted in Redis before it is judged, so by all processes together."""
    site, target = site_of(request), _target(form.get("next", ""))
    if not site.access.by_password:
        raise missing()
    unforged(request)
    name, password = form.get("name", "")[:LONGEST], form.get("password", "")[:LONGEST]
    address = site.access.address(request)
    for key, most in (counted := _counted(address, name)):
        if seconds := site.pages.tried(key, most, SPAN_SECONDS):
            site.log.warning("web: too many tries to log in from %s", one_line(address))
            raise too_much("There were too many tries to log in.", seconds)
    session = site.access.session(request)
    if not site.access.log_in(session, name, password):
        site.log.warning("web: a login from %s was refused", one_line(address))
        return site.looks.page(request, "login.html", 401, next=target, wrong=True, who=name)
    for key, most in counted:
        site.pages.tried(key, most, SPAN_SECONDS, by=-1)
    site.log.info("web: %s logged in from %s", name, one_line(address))
    return RedirectResponse(target, 303)


def log_out(request: Request, form: Form) -> Response:
    """Forget who this browser is."""
    site = site_of(request)
    unforged(request)
    site.access.session(request).begin("", "")
    # names of unfinished uploads are kept by the browser, and are not for its next user
    headers = {"clear-site-data": '"storage"'}
    return RedirectResponse("/login" if site.access.by_password else "/", 303, headers)


def _counted(address: str, name: str) -> list[tuple[str, int]]:
    """Under which keys a try counts, and how many are good."""
    found = ((f"{address} {name}", OF_BOTH), (address, OF_ADDRESS), (f" {name}", OF_NAME))
    # digests: what people type as their name may be their password
    return [(hashlib.sha256(who.encode("utf-8", "surrogateescape")).hexdigest()[:32], most) for who, most in found]


def _target(given: str) -> str:
    """Where to go after the login: a path of ours, never another site."""
    good = given.startswith("/") and not given.startswith(("//", "/\\")) and given.isprintable() and "\\" not in given
    return given if good else "/"
