"""Pages of the sysadmin: the farm, jobs, one job whole, dead letters; what they do is what the API does.

They work without a script; with it, the part that changes is fetched anew every few seconds.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from videod.jobqueue.nodes import is_away
from videod.jobqueue.search import STATES
from videod.jobqueue.steer import ALL, pause_of
from videod.web import farm, handing
from videod.web.access import Visitor, require
from videod.web.chart import chart
from videod.web.declared import Asked, Operation
from videod.web.looks import size_text, when_text
from videod.web.site import Form, Site, posted, site_of
from videod.web.trouble import Trouble

NAV = ("/admin", "Operation", "admin")
REFRESH_SECONDS = 10
MOST_LETTERS = 100
LIVE = ("running", "retry", "requeued", "waiting")
PATH = "/admin/jobs/{id}"
# fields of a record, as people call them
FACTS = {
    "kind": "Kind", "state": "State", "stage": "Stage", "percent": "Per cent", "node": "Node", "attempt": "Attempt",
    "crashes": "Crashes", "origin": "Taken from", "list": "Waits in", "taken_at": "Taken", "started_at": "Started",
    "ended_at": "Ended", "retry_at": "Tried again", "seconds": "Seconds", "cpu_seconds": "CPU seconds",
    "fetched_bytes": "Fetched",
}  # fmt: skip


def routes(site: Site) -> list[Route]:
    """Those of this room."""
    return [
        Route("/admin", overview),
        Route("/admin/jobs", jobs),
        Route(PATH, job),
        Route("/admin/dead", dead),
        Route("/admin/pause", posted(pause), methods=["POST"]),
        Route("/admin/resume", posted(resume), methods=["POST"]),
        Route("/admin/dead", posted(letters), methods=["POST"]),
        Route(PATH + "/cancel", posted(cancel), methods=["POST"]),
        Route(PATH + "/retry", posted(retry), methods=["POST"]),
    ]


def _asked(request: Request, role: str = "admin", **values: Any) -> Asked:
    return Asked(request, site_of(request), require(request, role), values, {})


def overview(request: Request) -> Response:
    """Nodes, queues, what was done; who is no admin sees what the API tells them, and no buttons."""
    asked = _asked(request, "watch")
    site = asked.site
    hours, minutes = site.figures.bars(farm.HOURS)
    total = site.figures.total()
    paused = site.steer.paused()
    values: dict[str, Any] = {
        "farm": farm.status(asked)[1],
        "everyone": paused.get(ALL),
        "nodes": [_node(name, facts, paused) for name, facts in sorted(farm.nodes(asked)[1]["nodes"].items())],
        "queues": site.search.queues(),
        "day": chart(hours),
        "hour": chart(minutes),
        "stages": [
            (name, sum(h.counts), h.seconds / max(1, sum(h.counts))) for name, h in sorted(total.stages.items())
        ],
        "total": total,
        "errors": sorted(total.errors.items(), key=lambda pair: -pair[1]),
    }
    return site.looks.page(request, "admin.html", refresh=REFRESH_SECONDS, **values)


def _node(name: str, facts: dict[str, Any], paused: dict[str, dict[str, str]]) -> dict[str, Any]:
    shown = {key: facts.get(key, "") for key in ("state", "slots", "busy", "since", "version", "seen", "lacks")}
    shown |= {"pause": pause_of(name, facts, paused), "own_pause": name in paused}
    running = facts.get("jobs")
    # what was just taken has no id yet
    running = [str(one) for one in running if one] if isinstance(running, list) else []
    return {**shown, "name": name, "away": is_away(facts), "jobs": running}


def jobs(request: Request) -> Response:
    """Find jobs: the filters are those of the API."""
    asked = _asked(request)
    given = {name: text for name, text in request.query_params.items() if text}
    operation = next(one for one in farm.OPERATIONS if one.name == "jobs")
    # none: with a filter that does not fit, all would pass for those that do
    found: dict[str, Any] = {"jobs": [], "before": None, "complete": True}
    wrong = ""
    try:
        values = _filters(operation, given)
        found = farm.jobs(Asked(request, asked.site, asked.visitor, values, {}))[1]
    except Trouble as trouble:
        wrong = f"{trouble.what} {trouble.do}".strip()
    more = "?" + urlencode({**given, "before": found["before"]}) if found["before"] else ""
    fields = {param.name: given.get(param.name, "") for param in operation.params}
    named = asked.site.pages.titles([one["id"] for one in found["jobs"]])
    kinds = sorted({kind for kind, _ in asked.site.figures.total().ended})
    nodes = sorted(asked.site.browse.nodes())
    return asked.site.looks.page(
        request, "admin_jobs.html", 400 if wrong else 200, refresh=0 if any(given.values()) else REFRESH_SECONDS,
        found=found, more=more, named=named, given=fields, wrong=wrong, states=STATES, kinds=kinds, nodes=nodes,
    )  # fmt: skip


def _filters(operation: Operation, given: dict[str, str]) -> dict[str, Any]:
    """Trouble where one is not known or does not fit."""
    known = {param.name: param for param in operation.params}
    for name in given:
        operation.must_know(name)
    # a browser's field for a time leaves seconds and offset out
    texts = {name: f"{text}:00Z" if len(text) == len("2026-11-21T18:00") and known[name].schema.get("format") else text
             for name, text in given.items()}  # fmt: skip
    return {name: known[name].read(text) for name, text in texts.items()}


def job(request: Request) -> Response:
    """One job whole."""
    ident = request.path_params["id"]
    asked = _asked(request, id=farm.JOB_ID.read(ident))
    found = farm.job(asked)[1]
    events = [
        {"at": str(e.get("at", "")), "event": e.get("event", "?"), "more": _rest(e)} for e in found.get("events", [])
    ]
    seconds = max(1e-9, sum(found.get("stages", {}).values()))
    stages = [(name, took, round(100 * took / seconds)) for name, took in found.get("stages", {}).items()]
    facts = [(word, _fact(name, found[name])) for name, word in FACTS.items() if found.get(name) not in (None, "")]
    return asked.site.looks.page(
        request, "admin_job.html", refresh=REFRESH_SECONDS if found["state"] in LIVE else 0, job=found, facts=facts,
        page=asked.site.pages.page(ident),
        events=events, stages=stages, path="/admin/jobs/" + quote(ident, safe=""),
        may_cancel=found["state"] in LIVE, may_retry=found["state"] in ("dead", "cancelled", "retry"),
    )  # fmt: skip


def _fact(name: str, value: Any) -> Any:
    if name == "fetched_bytes" and isinstance(value, (int, float)):
        return size_text(value)
    return (when_text(value, seconds=True) or value) if name.endswith("_at") else value


def _rest(event: dict[str, Any]) -> str:
    known = ("event", "id", "kind", "at", "node", "meta", "outputs")
    return ", ".join(f"{name} {_short(value)}" for name, value in event.items() if name not in known)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 500 else text[:500] + " …"


def dead(request: Request) -> Response:
    """Dead letters."""
    asked = _asked(request, limit=MOST_LETTERS)
    found = farm.dead(asked)[1]
    return asked.site.looks.page(request, "admin_dead.html", refresh=0, **found)


# ------------------------------------------------------------- what they do
def _done(asked: Asked, operation: Any, **body: Any) -> None:
    operation(Asked(asked.request, asked.site, asked.visitor, asked.values, body))


def pause(request: Request, form: Form) -> Response:
    """A node, or all."""
    _done(_asked(request), handing.pause, **_of_node(form), why=form.get("why", "").strip()[:200])
    return RedirectResponse("/admin", 303)


def resume(request: Request, form: Form) -> Response:
    """The opposite."""
    _done(_asked(request), handing.resume, **_of_node(form))
    return RedirectResponse("/admin", 303)


def _of_node(form: Form) -> dict[str, str]:
    node = form.get("node", "")
    return {"node": farm.NODE.read(node)} if node else {}


async def cancel(request: Request, form: Form) -> Response:
    """End a job."""
    ident = request.path_params["id"]
    await handing.cancel(_asked(request, id=farm.JOB_ID.read(ident)))
    return _back(ident)


def retry(request: Request, form: Form) -> Response:
    """Run a job again."""
    ident = request.path_params["id"]
    handing.retry(_asked(request, id=farm.JOB_ID.read(ident)))
    return _back(ident)


def _back(ident: str) -> Response:
    return RedirectResponse("/admin/jobs/" + quote(ident, safe=""), 303)


def letters(request: Request, form: Form) -> Response:
    """Queue dead letters again, or drop them: one, or all."""
    asked = _asked(request)
    visitor: Visitor = asked.visitor
    work = {"retry": handing.again, "drop": handing.dropped}.get(form.get("do", ""))
    idents = None if form.get("all") == "yes" else [form["id"]] if form.get("id") else []
    if work is None or idents == []:
        raise Trouble(400, "This form cannot be read.")
    work(asked.site, idents, visitor.name)
    return RedirectResponse("/admin/dead", 303)
