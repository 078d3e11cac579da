"""Pages: templates, and the files of ours that they need. Every text is escaped unless a template says otherwise."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from videod.web.access import access_of, visitor

TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FOLDER = Path(str(files("videod.web")))


@dataclass(frozen=True)
class Asset:
    """A file that pages name; `version` is another when its bytes are."""

    body: bytes
    type: str
    version: str


class Looks:
    """Owns the templates and assets, read once."""

    def __init__(self) -> None:
        # (address, title, role) of pages that the navigation shows
        self.nav: tuple[tuple[str, str, str], ...] = ()
        self.assets = {path.name: _asset(path) for path in sorted((FOLDER / "static").iterdir())}
        loader = FileSystemLoader(FOLDER / "templates")
        self._pages = Environment(
            loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._pages.filters |= {"size": size_text, "when": when_text, "clock": clock_text, "limit": limit_text}
        self._pages.globals["asset"] = lambda name: f"/static/{name}?v={self.assets[name].version}"

    def page(self, request: Request, name: str, status: int = 200, **values: Any) -> Response:
        """A page from its template; those of base.html are filled in."""
        access = access_of(request)
        who = visitor(request)
        session = access.session(request)
        session.keep()  # it will send a form
        shared: dict[str, Any] = {
            "visitor": who,
            "token": access.sessions.token(session),
            "here": request.scope["path"],
        }
        shared["nav"] = [(address, title) for address, title, role in self.nav if who and who.may(role)]
        text = self._pages.get_template(name).render(
            **shared, login=access.by_password, refresh=values.pop("refresh", 0), **values
        )
        return HTMLResponse(text, status)


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:12])


def limit_text(count: int) -> str:
    """A limit as the ini has it: `10 GiB`, `500 KiB`."""
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while count >= 1024 and count % 1024 == 0 and len(units) > 1:
        count, units = count // 1024, units[1:]
    return f"{count} {units[0]}"


def size_text(count: float) -> str:
    """Bytes for people, in the units of limits: `34.2 MiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def clock_text(seconds: float) -> str:
    """A time in a video for people: `1:02:03.5`."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:04.1f}".removesuffix(".0")
    return f"{hours}:{minutes:02d}:{text}" if hours else f"{minutes}:{text}"


def when_text(stamp: Any, *, seconds: bool = False) -> str:
    """A time of ours for people: `2026-11-21 18:02 UTC`."""
    try:
        return datetime.fromisoformat(stamp).strftime(f"%Y-%m-%d %H:%M{':%S' if seconds else ''} UTC")
    except (TypeError, ValueError):  # anybody may write records and nodes
        return ""
