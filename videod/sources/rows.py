"""Rows of a sheet → recordings to fetch. A row that is wrong says what is, and becomes no message."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from videod.config.values import host_port
from videod.errors import UsageError

SYNONYMS = {
    "server": ("server", "recorder", "host"),
    "user": ("user", "username", "login"),
    "password": ("password",),
    "cameras": ("cameras", "camera", "channels", "channel"),
    "from": ("from", "start"),
    "to": ("to", "end"),
    "upload": ("upload",),
    "id": ("id",),
}
COLUMNS = {name: column for column, names in SYNONYMS.items() for name in names}
# of a file without a header
USUAL = ("user", "password", "server", "cameras")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|[+-]\d{2}:?\d{2}))?")


@dataclass(frozen=True)
class Row:
    """One recording to fetch, of row `number`. `message` holds no password."""

    number: int
    id: str
    recorder: str
    user: str
    password: str = field(repr=False)
    message: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bad:
    """A row that is wrong."""

    number: int
    reason: str


def read(lines: Iterable[tuple[int, list[str]]], today: date) -> tuple[list[Row], list[Bad]]:
    """The rows, and the wrong ones. UsageError where nothing is a row, or a column that nobody knows says something."""
    columns: list[str] | None = None
    unknown, rows, bad = dict[int, str](), list[Row](), list[Bad]()
    for number, cells in lines:
        if columns is None:
            columns, unknown = _header(cells)
            if columns:
                continue
            columns = list(USUAL)
        for n, name in unknown.items():
            if cells[n : n + 1] not in ([], [""]):
                raise UsageError(_stranger(name))
        try:
            rows.append(_row(number, _named(cells, columns), today))
        except ValueError as error:
            bad.append(Bad(number, str(error)))
    if columns is None or not (rows or bad):
        raise UsageError("no row in it: give a row for each recording: see videod(8)")
    twice = list(_twice(rows))
    wrong = {one.number for one in twice}
    return [row for row in rows if row.number not in wrong], sorted([*bad, *twice], key=_number)


def _number(one: Bad) -> int:
    return one.number


def _stranger(name: str) -> str:
    """What to say of a column that nobody knows: its values would be left out in silence."""
    near = difflib.get_close_matches(" ".join(name.lower().split()), COLUMNS, 1, 0.5)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"its header has a column that nobody knows: {name[:100]}: {meant}known are {', '.join(SYNONYMS)}"


def _header(cells: list[str]) -> tuple[list[str], dict[int, str]]:
    """The column of each cell, empty for those that nobody knows, and these; nothing where this is no header."""
    names = [" ".join(cell.lower().split()) for cell in cells]
    found = [COLUMNS.get(name, "") for name in names]
    if sum(map(bool, found)) < 2 and found != ["server"]:
        return [], {}
    if "server" not in found:
        raise UsageError("its header names no server: give a column server, recorder or host")
    known = [column for column in found if column]
    if len(set(known)) < len(known):
        twice = next(column for column in known if known.count(column) > 1)
        raise UsageError(f"its header names two columns for {twice}: leave one out")
    pairs = enumerate(zip(cells, found, strict=True))
    return found, {n: cell or f"the one without a name, number {n + 1}" for n, (cell, column) in pairs if not column}


def _named(cells: list[str], columns: list[str]) -> dict[str, str]:
    if any(cells[len(columns) :]):
        raise ValueError(f"has more than {len(columns)} columns")
    return {column: cell for column, cell in zip(columns, cells, strict=False) if column and cell}


def _row(number: int, cells: dict[str, str], today: date) -> Row:
    if "server" not in cells:
        raise ValueError("server is empty")
    recorder = _recorder(cells["server"])
    if ("user" in cells) != ("password" in cells):
        raise ValueError("user and password belong together: one is empty")
    message: dict[str, Any] = {"kind": "recording", "recorder": recorder, "channels": cells.get("cameras", "all")}
    for name in ("from", "to"):
        if text := cells.get(name):
            message[name] = _time(text, name, ends=name == "to")
    if upload := cells.get("upload"):
        message["upload"] = upload
    # without a time it means today: tomorrow that is another day
    told = json.dumps([message, "" if "from" in message else today.isoformat()], sort_keys=True)
    ident = cells.get("id") or f"import-{hashlib.sha256(told.encode()).hexdigest()[:24]}"
    user, password = cells.get("user", ""), cells.get("password", "")
    return Row(number, ident, recorder, user, password, {"id": ident, **message})


def _recorder(text: str) -> str:
    plain = re.sub(r"^https?://", "", text.lower() if "://" in text else text).rstrip("/")
    try:
        host_port(plain)
    except ValueError:
        raise ValueError("server is neither a host nor host:port, nor the name of a [recorder]") from None
    return plain


def _time(text: str, name: str, *, ends: bool) -> str:
    if _DAY.fullmatch(text):
        # a day is meant with its first and its last second
        return f"{text}T23:59:59" if ends else f"{text}T00:00:00"
    if not _TIME.fullmatch(text):
        raise ValueError(f"{name} is no time: give it as 2026-11-20 or 2026-11-20T08:00:00")
    day, clock = text[:10], text[11:].replace(" ", "")
    return f"{day}T{clock}"


def _twice(rows: Iterable[Row]) -> Iterator[Bad]:
    """Rows that say what another said, or another password for a recorder."""
    seen: dict[str, int] = {}
    secrets: dict[str, tuple[int, str, str]] = {}
    for row in rows:
        if (first := seen.setdefault(row.id, row.number)) != row.number:
            yield Bad(row.number, f"is row {first} once more")
        elif row.user:
            known = secrets.setdefault(row.recorder, (row.number, row.user, row.password))
            if known[1:] != (row.user, row.password):
                yield Bad(row.number, f"has another user or password for {row.recorder} than row {known[0]}")
