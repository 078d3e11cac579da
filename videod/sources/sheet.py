"""Rows of a spreadsheet (.xlsx) or a CSV file, each cell as the text that people see. Bounded: files come by mail."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from videod.errors import ToolMissing, UsageError

MOST_ROWS, MOST_COLUMNS, MOST_TEXT = 100_000, 64, 2000
# of a file as it lies there, and of what is packed in an .xlsx
MOST_BYTES, MOST_UNPACKED = 32 << 20, 256 << 20
_SEPARATORS = ",;\t|"


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number of each row as the sheet shows it, and its cells; rows without any text are left out.

    Raises UsageError, and ToolMissing where openpyxl is not installed.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"larger than {MOST_BYTES >> 20} MiB: {path}: divide it")
        found = _xlsx(path) if path.suffix.lower() in {".xlsx", ".xlsm"} else _csv(path)
        for n, cells in found:
            if n > MOST_ROWS:
                raise UsageError(f"more than {MOST_ROWS} rows: {path}: divide it")
            texts = [text.strip()[:MOST_TEXT] for text in cells[:MOST_COLUMNS]]
            while texts and not texts[-1]:
                texts.pop()
            if texts:
                yield n, texts
    except OSError as error:
        raise UsageError(f"cannot be read: {path}: {error.strerror or error}") from None


def _csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    text = _decoded(path.read_bytes(), path)
    head = text[: text.find("\n")] if "\n" in text else text
    separator = max(_SEPARATORS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    begins = 1
    try:
        for cells in reader:
            yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"line {reader.line_num} is no CSV: {path}: {error}") from None


def _decoded(data: bytes, path: Path) -> str:
    if b"\0" in data[:4000] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(f"neither .xlsx nor CSV: {path}: save it as one of them")
    encodings = ("utf-16",) if data.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UsageError(f"its letters cannot be read: {path}: save it as UTF-8")


def _xlsx(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        import openpyxl
    except ImportError:
        raise ToolMissing("openpyxl is not installed: import: pip install 'videod[sheet]'") from None
    try:
        with zipfile.ZipFile(path) as packed:
            if sum(member.file_size for member in packed.infolist()) > MOST_UNPACKED:
                raise UsageError(f"more than {MOST_UNPACKED >> 20} MiB unpacked: {path}: divide it")
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            sheet = book.worksheets[0]
            for n, cells in enumerate(sheet.iter_rows(max_col=MOST_COLUMNS, max_row=MOST_ROWS + 1), 1):
                yield n, [shown(cell.value, str(getattr(cell, "number_format", "") or "")) for cell in cells]
        finally:
            book.close()
    except (UsageError, OSError, GeneratorExit):
        raise
    except Exception as error:  # whatever openpyxl stumbles over: it is the file's fault
        raise UsageError(f"no .xlsx that can be read: {path}: {type(error).__name__}: save it anew") from None


def shown(value: Any, number_format: str = "") -> str:
    """A cell as a person sees it: `101`, not `101.0`; `0123` where its format says four digits; times in ISO 8601."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    if isinstance(value, int):
        padded = re.fullmatch(r"0{2,30}", number_format)
        grouped = re.fullmatch(r"#,##0", number_format)
        return f"{value:0{len(number_format)}d}" if padded else f"{value:,}" if grouped else str(value)
    return str(value)
