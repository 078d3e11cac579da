"""How an operation of the API is declared: once, for its route, for the check of what comes in, for its description."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from videod.errors import BadMessage
from videod.events import stamp
from videod.fields import ID
from videod.message import MAX_BYTES, read_message
from videod.web.access import Visitor
from videod.web.site import Site
from videod.web.trouble import Trouble, sentence

Schema = Mapping[str, Any]
JSON = "application/json"
_WHOLE = re.compile(r"-?[0-9]{1,9}", re.ASCII)
# of a time: RFC 3339, which is narrower than what Python reads
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
IDENT: Schema = {"type": "string", "pattern": f"^{ID.pattern}$", "maxLength": 128}


@dataclass(frozen=True)
class Param:
    """A parameter in the path or the query, with its JSON Schema; `status`, or 404 in the path, where it does not
    fit."""

    name: str
    schema: Schema
    doc: str
    place: str = "query"
    status: int = 400

    def read(self, text: str) -> Any:
        """Its value. Trouble."""
        try:
            return _value(text, self.schema)
        except ValueError as why:
            status = 404 if self.place == "path" else self.status
            raise Trouble(status, f"{self.name}: {why}.") from None


@dataclass(frozen=True)
class Asked:
    """What came in: parameters by name, the body if one is declared."""

    request: Request
    site: Site
    visitor: Visitor
    values: Mapping[str, Any]
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Operation:
    """One method at one path. `work` returns the status and what is answered; `answers` has the schema of each status
    but those of problems, which stand in `problems`. What waits is a coroutine, all else runs in a thread."""

    method: str
    path: str
    name: str
    doc: str
    role: str
    work: Callable[[Asked], tuple[int, Any] | Awaitable[tuple[int, Any]]]
    answers: Mapping[int, Schema]
    params: Sequence[Param] = ()
    body: Schema | None = None
    problems: Sequence[int] = field(default=())

    def query(self, request: Request) -> dict[str, Any]:
        """The parameters. Trouble (400) for one that is not known, that comes twice or that does not fit."""
        known = {param.name: param for param in self.params if param.place == "query"}
        found: dict[str, Any] = {}
        for name, text in request.query_params.multi_items():
            self.must_know(name)
            if name in found:
                raise Trouble(400, f"{name} stands there twice.")
            found[name] = known[name].read(text)
        for param in self.params:
            if param.place == "path":
                found[param.name] = param.read(str(request.path_params[param.name]))
        return found

    def must_know(self, name: str) -> None:
        """Trouble (400) where there is no parameter of this name in the query."""
        known = [param.name for param in self.params if param.place == "query"]
        if name not in known:
            raise Trouble(400, f"There is no parameter {name[:60]!a} here.", f"Known are: {', '.join(known)}.")

    async def done(self, asked: Asked) -> tuple[int, Any]:
        """Do it."""
        made: Any = self.work(asked) if inspect.iscoroutinefunction(self.work) else run_in_threadpool(self.work, asked)
        found: tuple[int, Any] = await made
        return found

    def given(self, raw: bytes) -> dict[str, Any]:
        """The body, an object whose members fit. Trouble (400, 422)."""
        if not raw.lstrip().startswith(b"{"):
            raise Trouble(400, "The body is no JSON object.")
        try:
            values = read_message(raw)
        except BadMessage as error:
            raise Trouble(400, sentence(str(error))) from None
        schema = self.body or {}
        if schema.get("additionalProperties") is not False:
            return values
        known = schema["properties"]
        for name, value in values.items():
            if name not in known or not _is(value, known[name]):
                raise Trouble(422, f"{name[:60]!a} may not be there, or not so.", f"Known are: {', '.join(known)}.")
        fitting = sum(set(wanted) <= set(values) for wanted in _needed(schema))
        if fitting != 1:
            what = "Something is missing in the body." if not fitting else "This is too much: one of them."
            raise Trouble(422, what, f"Known are: {', '.join(known)}.")
        return values


MOST_BODY = MAX_BYTES


def _needed(schema: Schema) -> list[Sequence[str]]:
    found = [one["required"] for one in schema.get("oneOf", ())]
    return found or [schema.get("required", ())]


def _is(value: Any, schema: Schema) -> bool:
    """As much of JSON Schema as our bodies use."""
    if "const" in schema:
        return value is schema["const"]
    if schema["type"] == "array":
        fits = isinstance(value, list) and schema["minItems"] <= len(value) <= schema["maxItems"]
        return fits and all(_is(one, schema["items"]) for one in value)
    if not isinstance(value, str) or len(value) > schema.get("maxLength", 1 << 20):
        return False
    return "pattern" not in schema or bool(re.search(schema["pattern"].removesuffix("$") + r"\Z", value))


def _value(text: str, schema: Schema) -> Any:
    if schema["type"] == "integer":
        if not _WHOLE.fullmatch(text) or not schema["minimum"] <= int(text) <= schema["maximum"]:
            raise ValueError(f"is no whole number from {schema['minimum']} to {schema['maximum']}")
        return int(text)
    if "enum" in schema and text not in schema["enum"]:
        raise ValueError(f"is none of {', '.join(schema['enum'])}")
    if schema.get("format") == "date-time":
        return _time(text)
    if not schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", 1 << 20):
        raise ValueError("is too long or too short")
    if "pattern" in schema and not re.search(schema["pattern"].removesuffix("$") + r"\Z", text):
        raise ValueError("has not the form that it should have")
    return text


def _time(text: str) -> str:
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        return stamp(datetime.fromisoformat(text.upper()).astimezone(UTC).timestamp())
    except (ValueError, OverflowError):
        raise ValueError("is no time like 2026-11-21T18:00:00Z") from None
