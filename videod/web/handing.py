"""What the API does: push, cancel, retry, pause, resume, and dead letters."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from videod.intake import Rejected, read
from videod.jobqueue.producer import push as put
from videod.jobqueue.steer import ALL
from videod.transfer.urls import name_of
from videod.web import jobs, schemas
from videod.web.declared import Asked, Operation, Param
from videod.web.ending import ended
from videod.web.farm import JOB_ID, may_see
from videod.web.site import Site
from videod.web.trouble import Trouble, sentence

# ids that a line of the log names
MOST_NAMED = 20
# what who is no admin may ask for, and may not say
OWN_KINDS = ("clip", "convert")
FOREIGN = ("id", "node", "again", "reply_to", "upload", "overwrite", "task_id", "task_info", "public_only")


def push(asked: Asked) -> tuple[int, Any]:
    """Queue a message, checked in every field."""
    site, visitor = asked.site, asked.visitor
    if not visitor.may("admin"):
        return 201, {"id": _push_own(site, visitor.name, asked.body)}
    values = {"public_only": True, **asked.body}
    if "task_id" not in values and values.get("id") is None:
        values["id"] = secrets.token_hex(16)
    raw = json.dumps(values).encode()
    ident, node = _checked(site, raw)
    put(site.connection, site.settings, raw, node=node, batch=ident.startswith("batch:"))
    site.log.info("web: %s: queued by %s", ident, visitor.name)
    return 201, {"id": ident}


def _push_own(site: Site, owner: str, body: Mapping[str, Any]) -> str:
    """A message with a page of its owner, who finds the results there."""
    for name in FOREIGN:
        if name in body:
            raise Trouble(422, f"{name}: only an admin may say this.", "Leave it out.")
    clips = body.get("clips")
    if isinstance(clips, list) and any(isinstance(clip, dict) and "upload" in clip for clip in clips):
        raise Trouble(422, "clips: upload: only an admin may say this.", "Leave it out.")
    kind, url = body.get("kind") or "clip", body.get("url")
    if kind not in OWN_KINDS:
        raise Trouble(422, f"kind: must be one of {', '.join(OWN_KINDS)}.")
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        raise Trouble(422, "url: must be an http or https address.")
    message = {**body, "id": (ident := "w" + secrets.token_urlsafe(18)), "kind": kind}
    try:
        _checked(site, json.dumps(jobs.addressed(site, message)).encode())
    except Trouble as trouble:
        if "may not be reached" not in trouble.what:
            raise
        # the text has the address that a name leads to
        raise Trouble(422, "This address may not be reached from here.") from None
    jobs.submit(site, owner, name_of(url), message)
    return ident


def _checked(site: Site, raw: bytes) -> tuple[str, str | None]:
    """The id and node of a message that the daemon will take. Trouble (422)."""
    order = read(raw, None, site.settings)
    if isinstance(order, Rejected):
        raise Trouble(422, sentence(f"{order.error.code}: {order.error}"))
    if order.unknown:
        raise Trouble(422, sentence(f"There is no field {order.unknown[0]}"))
    return order.job.id, order.job.node


async def cancel(asked: Asked) -> tuple[int, Any]:
    """End a job that waits or runs; `asked` where its node did not answer yet."""
    ident = asked.values["id"]
    await run_in_threadpool(may_see, asked, ident)
    answer = await ended(asked.site, ident)
    if not answer:
        raise Trouble(404, "There is no such job.", "It never came, or its record expired.")
    if answer not in ("cancelled", "asked"):
        raise Trouble(409, f"The job has ended already: {answer}.")
    asked.site.log.info("web: %s: cancelled by %s: %s", ident, asked.visitor.name, answer)
    return 200, {"id": ident, "state": answer}


def retry(asked: Asked) -> tuple[int, Any]:
    """Queue a job that ended dead or was cancelled once more; let a retry be due now."""
    ident = asked.values["id"]
    may_see(asked, ident)
    answer = asked.site.steer.retry(ident, asked.site.letters.of(ident))
    if not answer:
        raise Trouble(404, "There is no such job.", "It never came, or its record expired.")
    if answer != "queued":
        raise Trouble(409, f"The job is {answer}.", "Only what ended dead or was cancelled runs again.")
    asked.site.pages.stay(ident)
    asked.site.log.info("web: %s: retry by %s", ident, asked.visitor.name)
    return 200, {"id": ident, "state": answer}


def pause(asked: Asked) -> tuple[int, Any]:
    """A node, or all, takes no more messages until it is resumed."""
    node = asked.body.get("node", ALL)
    if node != ALL and node not in asked.site.browse.nodes():
        raise Trouble(404, "There is no such node.")
    asked.site.steer.pause(node, asked.body.get("why") or "the web side", asked.visitor.name)
    asked.site.log.info("web: %s paused by %s", "all nodes" if node == ALL else node, asked.visitor.name)
    return 200, {"node": node}


def resume(asked: Asked) -> tuple[int, Any]:
    """The opposite."""
    node = asked.body.get("node", ALL)
    if not asked.site.steer.resume(node) and node != ALL:
        raise Trouble(409, "This node was not paused by itself.", "Where all pause, resume all.")
    asked.site.log.info("web: %s resumed by %s", "all nodes" if node == ALL else node, asked.visitor.name)
    return 200, {"node": node}


def dead_retry(asked: Asked) -> tuple[int, Any]:
    """Queue dead messages once more; the ids of those that were."""
    return 200, {"ids": again(asked.site, asked.body.get("ids"), asked.visitor.name)}


def again(site: Site, idents: list[str] | None, who: str) -> list[str]:
    """Retry these dead letters (None: all); the ids of those that were queued."""
    letters = site.letters.by_id()
    wanted = letters if idents is None else [ident for ident in dict.fromkeys(idents) if ident in letters]
    done = [ident for ident in wanted if site.steer.retry(ident, letters[ident]) == "queued"]
    for ident in done:
        site.pages.stay(ident)
    site.log.info("web: %d dead messages queued again by %s: %s", len(done), who, _some(done))
    return done


def dead_drop(asked: Asked) -> tuple[int, Any]:
    """Take messages out of the dead list; their records stay until they expire."""
    return 200, {"ids": dropped(asked.site, asked.body.get("ids"), asked.visitor.name)}


def _some(idents: list[str]) -> str:
    return ", ".join(idents[:MOST_NAMED]) + (" …" if len(idents) > MOST_NAMED else "")


def dropped(site: Site, idents: list[str] | None, who: str) -> list[str]:
    """Drop these dead letters (None: all); the ids of those that were there."""
    done = site.letters.drop_of(idents)
    site.log.info("web: %d dead messages dropped by %s: %s", len(done), who, _some(done))
    return done


_ID: tuple[Param, ...] = (JOB_ID,)
OPERATIONS = (
    Operation("POST", "/jobs", "push", "Queue a message", "submit", push, {201: schemas.ID_ONLY},
              body=schemas.MESSAGE, problems=(429,)),
    Operation("POST", "/jobs/{id}/cancel", "cancel", "End a job", "submit", cancel, {200: schemas.STEERED},
              params=_ID, problems=(409,)),
    Operation("POST", "/jobs/{id}/retry", "retry", "Run a job again", "submit", retry, {200: schemas.STEERED},
              params=_ID, problems=(409,)),
    Operation("POST", "/pause", "pause", "Take no more messages", "admin", pause, {200: schemas.NODE_ONLY},
              body=schemas.PAUSED, problems=(404,)),
    Operation("POST", "/resume", "resume", "Take messages again", "admin", resume, {200: schemas.NODE_ONLY},
              body=schemas.RESUMED, problems=(409,)),
    Operation("POST", "/dead/retry", "retry_dead", "Queue dead messages again", "admin", dead_retry,
              {200: schemas.IDS}, body=schemas.WHICH),
    Operation("POST", "/dead/drop", "drop_dead", "Drop dead messages", "admin", dead_drop, {200: schemas.IDS},
              body=schemas.WHICH),
)  # fmt: skip
