"""report: how the rows of an import stand, as a table, CSV or .xlsx."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from videod.cli.importing import sound_rows
from videod.cli.where import connect, place
from videod.config import Settings
from videod.errors import ToolMissing, UsageError, VideodError
from videod.jobqueue.imports import Imports
from videod.logs import visible

HEAD = ("row", "id", "recorder", "channels", "state", "files", "reason")
# what a spreadsheet would take for a formula
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def report(arguments: argparse.Namespace) -> int:
    """The rows with their state; exit 0 when all are done, else 1."""
    here = place(arguments.config, arguments.env)
    if bool(arguments.file) == bool(arguments.batch):
        raise UsageError("name a file, or --batch ID: command line: see videod report --help")
    imports = Imports(here.settings, connect(here.settings))
    rows = _rows(arguments, here.settings, imports)
    records = imports.records([ident for _, ident, _, _ in rows])
    lines = [_line(row, record) for row, record in zip(rows, records, strict=True)]
    if arguments.output:
        _write(Path(arguments.output), lines)
    if arguments.json:
        print(json.dumps([dict(zip(HEAD, line, strict=True)) for line in lines]))
    elif not arguments.output:
        _table(lines)
    counts = Counter(line[4] for line in lines)
    if not arguments.json:
        print(", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
    return 0 if set(counts) == {"done"} else 1


def _rows(arguments: argparse.Namespace, settings: Settings, imports: Imports) -> list[tuple[int, str, str, str]]:
    if arguments.file:
        rows, _ = sound_rows(arguments.file, settings)
        return [(row.number, row.id, row.recorder, str(row.message["channels"])) for row in rows]
    found = imports.rows(arguments.batch)
    if found is None:
        raise VideodError(f"no import of this id: {arguments.batch}: it never was, or it expired")
    return found


def _line(row: tuple[int, str, str, str], record: dict[str, Any]) -> list[Any]:
    error = record.get("error") or {}
    outputs = record.get("outputs") or []
    files = " ".join(unquote(output.get("url", "").removeprefix("file://")) for output in outputs)
    reason = f"{error.get('code')}: {error.get('message')}" if error else ""
    if record["state"] == "done" and not outputs:
        reason = "no recordings in this time"
    return [*row, record["state"], files, reason]


def _write(path: Path, lines: list[list[Any]]) -> None:
    try:
        if path.suffix.lower() == ".xlsx":
            _xlsx(path, lines)
        elif path.suffix.lower() == ".csv":
            with path.open("w", encoding="utf-8-sig", newline="") as file:
                csv.writer(file).writerows([HEAD, *([_inert(cell) for cell in line] for line in lines)])
        else:
            raise UsageError(f"neither .csv nor .xlsx: --output: {path}")
    except OSError as error:
        raise UsageError(f"cannot be written: --output: {path}: {error.strerror}") from None


def _inert(cell: Any) -> Any:
    """Text that no spreadsheet runs: names of files and reasons are what strangers chose."""
    text = visible(cell) if isinstance(cell, str) else cell
    return f"'{text}" if isinstance(text, str) and text.startswith(_FORMULA) else text


def _xlsx(path: Path, lines: list[list[Any]]) -> None:
    try:
        from openpyxl import Workbook
    except ImportError:
        raise ToolMissing("openpyxl is not installed: report: pip install 'videod[sheet]'") from None
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for n, line in enumerate([HEAD, *lines], 1):
        for column, cell in enumerate(line, 1):
            place = sheet.cell(n, column)
            place.value = visible(cell) if isinstance(cell, str) else cell
            if isinstance(cell, str):
                place.data_type = "s"
    book.save(path)


def _table(lines: list[list[Any]]) -> None:
    if not sys.stdout.isatty():
        for line in [HEAD, *lines]:
            print("\t".join(visible(str(cell)) for cell in line))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*HEAD, box=None)
    for line in lines:
        table.add_row(*(Text(visible(str(cell))) for cell in line))
    Console().print(table)
