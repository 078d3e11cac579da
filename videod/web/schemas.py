"""JSON Schemas of what the API takes and gives. Answers may have more members than are named here."""

from __future__ import annotations

from typing import Any

from videod.jobqueue.figures import OUTCOMES
from videod.jobqueue.search import STATES
from videod.web.declared import IDENT, Schema

TEXT: Schema = {"type": "string"}
MAYBE: Schema = {"type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number", "minimum": 0}
NODE: Schema = {**IDENT, "examples": ["video1"]}
STATE: Schema = {"type": "string", "enum": list(STATES)}


def thing(**members: Schema) -> dict[str, Any]:
    """An object that has all of these."""
    return {"type": "object", "properties": members, "required": list(members)}


def many(of: Schema) -> dict[str, Any]:
    """A list."""
    return {"type": "array", "items": of}


QUEUES = many(thing(name=TEXT, length=COUNT, oldest_at=MAYBE))
STATUS = thing(
    version=TEXT, env=TEXT, redis=TEXT, paused=MAYBE, nodes=COUNT, slots=COUNT, busy=COUNT,
    waiting=COUNT, delayed=COUNT, dead=COUNT,
)  # fmt: skip
NODES = thing(paused=MAYBE, nodes={"type": "object", "additionalProperties": {"type": "object"}})
ERROR = {"type": ["object", "null"]}
BRIEF = thing(id=TEXT, state=TEXT)
BRIEF["properties"] |= {"kind": TEXT, "node": TEXT, "stage": TEXT, "percent": NUMBER, "attempt": COUNT,
                        "taken_at": TEXT, "ended_at": TEXT, "error": ERROR, "list": TEXT}  # fmt: skip
JOBS = thing(jobs=many(BRIEF), before=MAYBE, complete={"type": "boolean"})
JOB = {**BRIEF, "properties": {**BRIEF["properties"], "message": TEXT, "events": many({"type": "object"}),
                               "outputs": many({"type": "object"}), "warnings": many(TEXT), "log": TEXT,
                               "stages": {"type": "object", "additionalProperties": NUMBER}}}  # fmt: skip
BAR = thing(start=COUNT, seconds=COUNT, ended={"type": "object", "additionalProperties": COUNT})
FIGURES = thing(
    ended=many(thing(kind=TEXT, outcome={"type": "string", "enum": list(OUTCOMES)}, number=COUNT)),
    errors={"type": "object", "additionalProperties": COUNT},
    stages={"type": "object", "additionalProperties": thing(number=COUNT, seconds=NUMBER)},
    seconds=NUMBER, cpu_seconds=NUMBER, fetched_bytes=COUNT, uploaded_bytes=COUNT,
    hours=many(BAR), minutes=many(BAR),
)  # fmt: skip
DEAD = thing(dead=many({"type": "object"}), length=COUNT)
ID_ONLY = thing(id=TEXT)
STEERED = thing(id=TEXT, state=TEXT)
IDS = thing(ids=many(TEXT))
NODE_ONLY = thing(node=TEXT)
PROBLEM = thing(type=TEXT, title=TEXT, status=COUNT, detail=TEXT)

# bodies
SECONDS: Schema = {"type": ["number", "string"], "examples": [90, "1:30"]}
MESSAGE: Schema = {
    "type": "object",
    "properties": {
        "id": IDENT,
        "kind": {"type": "string", "default": "clip"},
        "url": {"type": "string", "examples": ["https://example.org/talk.mp4"]},
        "start": SECONDS,
        "end": SECONDS,
        "duration": SECONDS,
        "clips": {"type": "array", "minItems": 1, "items": {"type": "object"}},
        "upload": {"type": "string"},
        "preset": {"type": "string"},
        "callback": {"type": "string"},
        "meta": {},
    },
    "description": "A message as docs/protocol.md has it. Who is no admin may ask for clips and conversions of http "
    "and https addresses; the results go to a page of theirs, and the job's id is made here.",
}
WHICH: Schema = {
    "type": "object",
    "properties": {
        "ids": {"type": "array", "items": IDENT, "minItems": 1, "maxItems": 1000},
        "all": {"const": True},
    },
    "oneOf": [{"required": ["ids"]}, {"required": ["all"]}],
    "additionalProperties": False,
}
PAUSED: Schema = {
    "type": "object",
    "properties": {"node": NODE, "why": {"type": "string", "maxLength": 200}},
    "additionalProperties": False,
}
RESUMED: Schema = {"type": "object", "properties": {"node": NODE}, "additionalProperties": False}
