"""What goes wrong on the web side, in words: one calm page, or JSON (RFC 9457) where a program asks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

PROBLEM = "application/problem+json"
# where programs ask, whatever they accept
PROGRAMS = ("/api", "/files")


class Trouble(Exception):
    """An answer that is no success. `what` happened and what to `do`, each a sentence; `headers` go out with it."""

    def __init__(self, status: int, what: str, do: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(what)
        self.status, self.what, self.do = status, what, do
        self.headers = dict(headers or {})


class LoginNeeded(Trouble):
    """Nobody is logged in."""

    def __init__(self, do: str = "Log in and try again.") -> None:
        super().__init__(401, "This needs a login.", do, {"WWW-Authenticate": "Bearer"})


class Json(JSONResponse):
    """An answer in ASCII: a string of JSON may hold half a surrogate, UTF-8 may not."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def sentence(text: str) -> str:
    """With a full stop, unless it ends like one."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def missing() -> Trouble:
    """What is not there, or not for this visitor: the two are not told apart."""
    return Trouble(404, "There is no such page.", "It may have expired; or the address is not whole.")


def too_much(what: str, seconds: float) -> Trouble:
    """A quota or rate is used up for so many seconds."""
    minutes = math.ceil(seconds / 60)
    when = f"{minutes} minutes" if minutes < 120 else f"{math.ceil(minutes / 60)} hours"
    when = "a minute" if minutes == 1 else when
    return Trouble(429, what, f"Try again in {when}.", {"Retry-After": str(math.ceil(seconds))})


def wants_json(request: Request) -> bool:
    """Whether a program asks."""
    accepted = request.headers.get("accept", "")
    return request.scope["path"].startswith(PROGRAMS) or (
        "application/json" in accepted and "text/html" not in accepted
    )


def as_json(trouble: Trouble) -> Response:
    """The problem as RFC 9457 has it."""
    known = {status.value: status.phrase for status in HTTPStatus}
    title = known.get(trouble.status, "Refused")  # 460 is that of tus alone
    detail = f"{trouble.what} {trouble.do}".strip()
    body = {"type": "about:blank", "title": title, "status": trouble.status, "detail": detail}
    return Json(body, trouble.status, trouble.headers, PROBLEM)
