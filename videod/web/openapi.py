"""The description of the API, OpenAPI 3.1, made of the same declarations as its routes."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from videod import __version__
from videod.web.declared import JSON, Operation
from videod.web.schemas import PROBLEM
from videod.web.trouble import PROBLEM as PROBLEM_TYPE

# every operation may answer so
ANYWHERE = (400, 401, 403, 421, 503)


def described(operations: Sequence[Operation], root: str) -> dict[str, Any]:
    """The document; `root` is what all paths begin with."""
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(root + one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "videod",
            "version": __version__,
            "description": "Jobs of the videod that this site belongs to. Roles: watch, submit, admin.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": PROBLEM},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "See `videod web --token`."}
            },
        },
        "security": [{"token": []}, {}],
    }


def _operation(one: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.doc,
        "description": f"Needs the role {one.role}.",
        "parameters": [
            {"name": p.name, "in": p.place, "required": p.place == "path", "description": p.doc, "schema": p.schema}
            for p in one.params
        ],
    }
    if one.body is not None:
        made["requestBody"] = {"required": True, "content": {JSON: {"schema": one.body}}}
    answers: dict[str, Any] = {
        str(status): {"description": HTTPStatus(status).phrase, "content": {JSON: {"schema": schema}}}
        for status, schema in one.answers.items()
    }
    body = (408, 413, 415, 422) if one.body is not None else ()
    path = (404,) if any(param.place == "path" for param in one.params) else ()
    for status in sorted({*ANYWHERE, *body, *path, *one.problems}):
        problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
        answers[str(status)] = {"description": HTTPStatus(status).phrase, "content": {PROBLEM_TYPE: problem}}
    return {**made, "responses": answers}
