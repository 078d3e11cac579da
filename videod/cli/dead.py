"""dead: messages that ended dead."""

from __future__ import annotations

import argparse
import json
from typing import Any

from videod.cli.where import connect, place
from videod.errors import UsageError, VideodError
from videod.jobqueue.letters import Letters, read_letter
from videod.logs import visible
from videod.redact import hide_message


def dead(arguments: argparse.Namespace) -> int:
    """List them, or drop one or all from the list (their records stay until they expire)."""
    if arguments.all and arguments.drop is None:
        raise UsageError("--all goes with --drop: command line: videod dead --drop --all")
    if arguments.drop is not None and bool(arguments.drop) == arguments.all:
        raise UsageError("one message or all?: command line: videod dead --drop ID, or videod dead --drop --all")
    settings = place(arguments.config, arguments.env).settings
    letters = Letters(settings, connect(settings))
    entries = letters.all()
    if arguments.drop is None:
        return _list(arguments, entries)
    wanted = [entry for entry in entries if arguments.all or read_letter(entry).get("id") == arguments.drop]
    if not wanted and not arguments.all:
        raise VideodError(f"no dead message of this id: {arguments.drop}: see videod dead")
    dropped = sum(letters.drop(entry) for entry in wanted)
    print(json.dumps({"dropped": dropped}) if arguments.json else f"dropped {dropped}")
    return 0


def _list(arguments: argparse.Namespace, entries: list[bytes]) -> int:
    documents = [_shown(read_letter(entry)) for entry in entries]
    if arguments.json:
        print(json.dumps(documents))
        return 0
    for document in documents:
        error = document.get("error")
        error = error if isinstance(error, dict) else {}
        what = f"{error.get('code', '?')}: {error.get('message', '')}"
        print(visible(f"{document.get('at', '?')}  {document.get('id', '?')}  {what}"))
    return 0


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "raw": hide_message(entry["raw"])} if isinstance(entry.get("raw"), str) else entry
