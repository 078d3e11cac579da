"""One message → one `Job`: the fields that every kind has. What a kind adds, its own `Params` read.

`head` never fails: a bad message still has to be answered where it says so, if that can be read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from videod.config.settings import Settings
from videod.errors import BadMessage
from videod.fields import ID, Fields

META_MAX = 16 << 10
_KIND = re.compile(r"[A-Za-z0-9_.-]{1,64}")
BATCH = "batch:"
_OTHERS = ("kind", "url", "files", "recorder")


@dataclass(frozen=True)
class Head:
    """What can be known of any message. `error` is the first thing that is wrong with these fields.

    `public_only`: its callback is kept out of private networks, too.
    """

    id: str | None = None
    kind: str = "clip"
    reply_to: str | None = None
    meta: Any = None
    callback: str | None = None
    public_only: bool = False
    error: BadMessage | None = None


@dataclass(frozen=True)
class Job:
    """One job as its message asks for it; times in seconds. `fields` holds what its kind reads.

    `public_only` keeps all that it reaches out of private networks, unless `allow_hosts` names them.
    """

    id: str
    kind: str
    fields: Fields
    again: bool = False
    node: str | None = None
    reply_to: str | None = None
    callback: str | None = None
    meta: Any = None
    timeout: float = 0.0
    max_attempts: int = 1
    overwrite: bool = True
    public_only: bool = False
    warnings: tuple[str, ...] = field(default=())


def head(values: dict[str, Any], settings: Settings) -> Head:
    """Read id, kind, reply_to, meta and callback, each by itself."""
    fields = Fields(values)
    found: dict[str, Any] = {}
    error: BadMessage | None = None
    readers = {"id": _id, "kind": _kind, "reply_to": _reply_to, "meta": _meta, "callback": _callback}
    for name, read in readers.items():
        try:
            found[name] = read(fields, settings)
        except BadMessage as wrong:
            error = error or wrong
    # what is neither true nor false closes, too: the end of a bad message is told all the same
    said = fields.raw("public_only")
    closed = said is not None and said is not False
    return Head(**{n: value for n, value in found.items() if value is not None}, public_only=closed, error=error)


def read_job(values: dict[str, Any], ident: str, settings: Settings) -> Job:
    """The job in a message whose head is sound; `ident` is the id it has or was given. BadMessage otherwise."""
    fields = Fields(values)
    _id(fields, settings)
    limit = settings.max_timeout
    timeout, warnings = fields.seconds("timeout"), ()
    if timeout == 0:
        raise fields.bad("timeout", "is 0")
    if limit and timeout is not None and timeout > limit:
        timeout, warnings = limit, (f"timeout: lowered to {limit:g} s, the most that is allowed here",)  # type: ignore[assignment]
    return Job(
        id=ident,
        kind=_kind(fields, settings),
        fields=fields,
        again=fields.flag("again") or is_batch(fields),
        node=_node(fields),
        reply_to=_reply_to(fields, settings),
        callback=_callback(fields, settings),
        meta=_meta(fields, settings),
        timeout=timeout or settings.timeout,
        max_attempts=fields.whole("max_attempts", 1, 100) or settings.max_attempts,
        overwrite=fields.flag("overwrite", default=True),
        public_only=fields.flag("public_only"),
        warnings=warnings,
    )


def is_batch(fields: Fields) -> bool:
    """Whether this is the form with `task_id` and `task_info`; without the latter if nothing else is asked for."""
    return "task_id" in fields and ("task_info" in fields or not any(name in fields for name in _OTHERS))


def _id(fields: Fields, _: Settings) -> str | None:
    if is_batch(fields):
        task = fields.raw("task_id")
        text = str(task) if type(task) is int else task
        if not isinstance(text, str) or not ID.fullmatch(text) or len(text) > 122:
            raise fields.bad("task_id", "is no id: 1 to 122 of A-Z a-z 0-9 . _ : - and the first a letter, digit or _")
        return BATCH + text
    ident = fields.ident("id")
    if ident and ident.startswith(BATCH):
        raise fields.bad("id", f"begins with {BATCH}, which is kept for the batch form")
    return ident


def _kind(fields: Fields, _: Settings) -> str:
    kind = fields.text("kind", 64)
    # it stands in log lines and events; what lies behind a blank there could pass for our own words
    if kind and not _KIND.fullmatch(kind):
        raise fields.bad("kind", "is no name of a kind")
    if not is_batch(fields):
        return kind or "clip"
    if kind not in (None, "download"):
        raise fields.bad("kind", "stands in a batch, which is a download")
    return "download"


def _reply_to(fields: Fields, settings: Settings) -> str | None:
    name = fields.text("reply_to", 512)
    if name is None:
        return None
    lists = (settings.queue, settings.batch_queue, settings.abnormal_queue)
    if name in lists or name.startswith(settings.queue + "@"):
        raise fields.bad("reply_to", "is one of the queues")
    if name.startswith(settings.prefix):
        raise fields.bad("reply_to", f"lies below {settings.prefix}, where videod keeps its own keys")
    return name


def _meta(fields: Fields, _: Settings) -> Any:
    value = fields.raw("meta")
    if value is not None:
        compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        if len(compact.encode("utf-8", "surrogatepass")) > META_MAX:
            raise fields.bad("meta", f"has more than {META_MAX} bytes as compact JSON")
    return value


def _node(fields: Fields) -> str | None:
    name = fields.text("node", 128)
    if name is not None and not ID.fullmatch(name):
        raise fields.bad("node", "is no name of a node")
    return name


def _callback(fields: Fields, _: Settings) -> str | None:
    address = fields.text("callback")
    if address is None:
        return None
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise fields.bad("callback", "is no http or https address")
    return address
