"""dead: messages that ended dead."""

from __future__ import annotations

import argparse
import base64
import json
from typing import Any

from videod.cli.where import browse
from videod.errors import UsageError, VideodError
from videod.jobqueue.browse import read_json
from videod.logs import visible
from videod.redact import hide_message


def dead(arguments: argparse.Namespace) -> int:
    """List them, or drop one or all from the list (their records stay until they expire)."""
    if arguments.all and arguments.drop is None:
        raise UsageError("--all goes with --drop: command line: videod dead --drop --all")
    if arguments.drop is not None and bool(arguments.drop) == arguments.all:
        raise UsageError("one message or all?: command line: videod dead --drop ID, or videod dead --drop --all")
    _, jobs = browse(arguments.config, arguments.env)
    entries = jobs.dead()
    if arguments.drop is None:
        return _list(arguments, entries)
    wanted = [entry for entry in entries if arguments.all or _read(entry).get("id") == arguments.drop]
    if not wanted and not arguments.all:
        raise VideodError(f"no dead message of this id: {arguments.drop}: see videod dead")
    dropped = sum(jobs.drop_dead(entry) for entry in wanted)
    print(json.dumps({"dropped": dropped}) if arguments.json else f"dropped {dropped}")
    return 0


def entries_by_id(entries: list[bytes]) -> dict[str, bytes]:
    """The newest entry of each id; what has none cannot be queued again."""
    found = ((str(_read(entry).get("id") or ""), entry) for entry in reversed(entries))
    return {ident: entry for ident, entry in found if ident}


def _list(arguments: argparse.Namespace, entries: list[bytes]) -> int:
    documents = [_shown(_read(entry)) for entry in entries]
    if arguments.json:
        print(json.dumps(documents))
        return 0
    for document in documents:
        error = document.get("error")
        error = error if isinstance(error, dict) else {}
        what = f"{error.get('code', '?')}: {error.get('message', '')}"
        print(visible(f"{document.get('at', '?')}  {document.get('id', '?')}  {what}"))
    return 0


def _read(entry: bytes) -> dict[str, Any]:
    value = read_json(entry)
    if value is None:
        return {"raw_base64": base64.b64encode(entry).decode()}
    return value if isinstance(value, dict) else {"raw": str(value)}


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "raw": hide_message(entry["raw"])} if isinstance(entry.get("raw"), str) else entry
