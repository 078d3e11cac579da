"""log: print the debug log, of one job if named."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import deque
from collections.abc import Iterator
from typing import TextIO

from videod.cli.where import place
from videod.errors import VideodError
from videod.logs import visible


def log(arguments: argparse.Namespace) -> int:
    """The last lines; with -f also those to come, over rotations. Works without a daemon when -e names one."""
    settings = place(arguments.config, arguments.env).settings
    path = settings.debug_log
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = Counted(line for line in file if _wanted(line, arguments.id))
            lines = deque(found, maxlen=arguments.lines)
            if arguments.id and not found.count and not arguments.follow:
                raise VideodError(f"no line of this id: {arguments.id}: {path}: older ones may lie beside it")
            if arguments.json:
                print(json.dumps([line.rstrip("\n") for line in lines]))
                return 0
            for line in lines:
                print(visible(line.rstrip("\n")))
            if arguments.follow:
                for line in _follow(file, path):
                    if _wanted(line, arguments.id):
                        print(visible(line.rstrip("\n")), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise VideodError(f"cannot read the log: {path}: {error.strerror}") from None
    return 0


class Counted:
    """Hands on what there is and counts it: of the last lines none may be asked for."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self.count = lines, 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.count += 1
            yield line


def _wanted(line: str, ident: str | None) -> bool:
    return not ident or f" job={ident} " in line or f'"job": "{ident}"' in line


def _follow(file: TextIO, path: str) -> Iterator[str]:
    """Lines as they come; a file that was rotated away is read to its end and then left for the new one."""
    rest = ""
    while True:
        if line := file.readline():
            rest += line
            if rest.endswith("\n"):
                yield rest
                rest = ""
            continue
        try:
            if os.stat(path).st_ino != os.fstat(file.fileno()).st_ino:
                file = open(path, encoding="utf-8", errors="replace")  # noqa: SIM115 - lives as long as we do
                continue
        except FileNotFoundError:
            pass
        time.sleep(0.2)
