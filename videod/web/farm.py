"""What the API tells: status, nodes, queues, jobs, figures, dead letters. Who is no admin sees their own jobs only."""

from __future__ import annotations

from typing import Any

from videod import __version__
from videod.jobqueue.connection import address
from videod.jobqueue.figures import Bar
from videod.jobqueue.nodes import is_away
from videod.jobqueue.search import STATES, Wanted
from videod.jobqueue.steer import ALL
from videod.redact import hide, hide_message
from videod.web import schemas
from videod.web.declared import IDENT, Asked, Operation, Param
from videod.web.jobs import public_state
from videod.web.site import Site
from videod.web.trouble import Trouble

# pages that one owner may look through
MOST_OWN = 1000
HOURS = 24
PRIVATE = ("jobs", "pid", "machine", "boot", "space", "start", "lacks")
_NAME = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9_.:-]*$"}
_TIME = {"type": "string", "format": "date-time"}
# as search.place makes it: the time, or ~, and the id
_PLACE = {"type": "string", "minLength": 2, "maxLength": 300, "pattern": "^[^ ]* .*$"}
_LIMIT = {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}
JOB_ID = Param("id", IDENT, "the job", "path")
NODE = Param("node", _NAME, "a node")


def status(asked: Asked) -> tuple[int, Any]:
    """Numbers of all."""
    site = asked.site
    found = site.browse.nodes()
    living = [facts for facts in found.values() if not is_away(facts)]
    lengths = site.browse.lengths()
    names = (site.settings.queue, site.settings.batch_queue, site.settings.abnormal_queue)
    waiting = sum(n for name, n in lengths.items() if name in names or name.startswith(f"{site.settings.queue}@"))
    prefix = site.settings.prefix
    return 200, {
        "version": __version__,
        "env": site.settings.env,
        "redis": hide(address(site.settings)) if asked.visitor.may("admin") else "answers",
        "paused": site.steer.paused().get(ALL, {}).get("why"),
        "nodes": len(living),
        "slots": sum(_count(facts, "slots") for facts in living),
        "busy": sum(_count(facts, "busy") for facts in living),
        "waiting": waiting,
        "delayed": lengths[f"{prefix}delayed"],
        "dead": lengths[f"{prefix}dead"],
    }


def _count(facts: dict[str, Any], name: str) -> int:
    found = facts.get(name)
    return found if isinstance(found, int) and found > 0 else 0


def nodes(asked: Asked) -> tuple[int, Any]:
    """As `videod nodes --json`; what they work on is told to admins only."""
    found = asked.site.browse.nodes()
    if not asked.visitor.may("admin"):
        found = {n: {k: v for k, v in facts.items() if k not in PRIVATE} for n, facts in found.items()}
    return 200, {"paused": asked.site.steer.paused().get(ALL, {}).get("why"), "nodes": found}


def queues(asked: Asked) -> tuple[int, Any]:
    """Their lengths, and since when what is next waits."""
    return 200, asked.site.search.queues()


def jobs(asked: Asked) -> tuple[int, Any]:
    """A page of jobs, newest first."""
    values = dict(asked.values)
    most = values.pop("limit", _LIMIT["default"])
    own = None if asked.visitor.may("admin") else own_jobs(asked.site, asked.visitor.name)
    found = asked.site.search.find(Wanted(**values, idents=own), most)
    shown = found.jobs if own is None else [_public(one) for one in found.jobs]
    return 200, {"jobs": shown, "before": found.before or None, "complete": found.complete}


def _public(job: dict[str, Any]) -> dict[str, Any]:
    """What may be told to who is no admin: no node, no list, of an error its code."""
    shown = {name: value for name, value in job.items() if name not in ("node", "list", "error")}
    return {**shown, "error": {"code": job["error"].get("code", "")}} if job.get("error") else shown


def own_jobs(site: Site, owner: str) -> list[str]:
    """The ids of the jobs whose page somebody has."""
    return site.pages.idents(owner, MOST_OWN)


def may_see(asked: Asked, ident: str) -> None:
    """Trouble (404) for a job of somebody else, as if it were not there."""
    if asked.visitor.may("admin"):
        return
    page = asked.site.pages.page(ident)
    if page is None or page.owner != asked.visitor.name:
        raise Trouble(404, "There is no such job.", "It never came, or its record expired.")


def job(asked: Asked) -> tuple[int, Any]:
    """All that is known of one; to who is no admin, what its page tells."""
    ident = asked.values["id"]
    may_see(asked, ident)
    if not asked.visitor.may("admin"):
        return 200, {"id": ident, **public_state(asked.site, ident), "page": f"/j/{ident}"}
    found = asked.site.search.whole(ident)
    if found is None:
        raise Trouble(404, "There is no such job.", "It never came, or its record expired.")
    return 200, {name: value for name, value in found.items() if name != "error" or value}


def figures(asked: Asked) -> tuple[int, Any]:
    """What was done since the beginning, and by the hour and by five minutes."""
    total = asked.site.figures.total()
    hours, minutes = asked.site.figures.bars(HOURS)
    return 200, {
        "ended": [{"kind": k, "outcome": o, "number": n} for (k, o), n in sorted(total.ended.items())],
        "errors": total.errors,
        "stages": {s: {"number": sum(h.counts), "seconds": h.seconds} for s, h in total.stages.items()},
        "seconds": total.seconds,
        "cpu_seconds": total.cpu_seconds,
        "fetched_bytes": total.fetched_bytes,
        "uploaded_bytes": total.uploaded_bytes,
        "hours": [_bar(bar) for bar in hours],
        "minutes": [_bar(bar) for bar in minutes],
    }


def _bar(bar: Bar) -> dict[str, Any]:
    return {"start": bar.start, "seconds": bar.seconds, "ended": dict(bar.ended)}


def dead(asked: Asked) -> tuple[int, Any]:
    """The newest messages that ended dead."""
    entries, length = asked.site.letters.newest(asked.values.get("limit", _LIMIT["default"]))
    return 200, {"dead": [letter(entry) for entry in entries], "length": length}


def letter(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of the dead list with the secrets of its message hidden."""
    return {**entry, "raw": hide_message(entry["raw"])} if isinstance(entry.get("raw"), str) else entry


_FILTERS = (
    Param("state", {"type": "string", "enum": list(STATES)}, "its state"),
    Param("kind", _NAME, "its kind"),
    Param("node", _NAME, "the node that took it"),
    Param("since", _TIME, "taken at this time or later"),
    Param("until", _TIME, "taken before this time"),
    Param(
        "text",
        {"type": "string", "minLength": 1, "maxLength": 200},
        "stands in its id, message or error, or in the name of its file",
    ),
    Param("limit", _LIMIT, "jobs on a page"),
    Param("before", _PLACE, "`before` of the page before this one", status=422),
)

OPERATIONS = (
    Operation("GET", "/status", "status", "Numbers of all", "watch", status, {200: schemas.STATUS}),
    Operation("GET", "/nodes", "nodes", "Who serves", "watch", nodes, {200: schemas.NODES}),
    Operation("GET", "/queues", "queues", "What waits", "watch", queues, {200: schemas.QUEUES}),
    Operation("GET", "/figures", "figures", "What was done", "watch", figures, {200: schemas.FIGURES}),
    Operation("GET", "/jobs", "jobs", "Find jobs", "watch", jobs, {200: schemas.JOBS}, params=_FILTERS,
              problems=(422,)),
    Operation("GET", "/jobs/{id}", "job", "One job whole", "watch", job, {200: schemas.JOB}, params=(JOB_ID,)),
    Operation(
        "GET", "/dead", "dead", "Messages that ended dead", "admin", dead, {200: schemas.DEAD},
        params=(Param("limit", _LIMIT, "letters on the page"),),
    ),
)  # fmt: skip
