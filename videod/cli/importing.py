"""import: queue the recordings that a spreadsheet names; report: how its rows stand."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from videod.cli.daemon import reload
from videod.cli.push import prepared
from videod.cli.where import Place, connect, place
from videod.config import Settings
from videod.config.recorders import place_of
from videod.errors import UsageError
from videod.jobqueue.imports import Imports
from videod.logs import visible
from videod.sources import logins, sheet
from videod.sources.rows import Bad, Row, read
from videod.vault import Vault


@dataclass
class Result:
    """What became of a file: the id of the import, how many rows were queued or known before, and the bad ones."""

    batch: str
    queued: int
    known: int
    bad: list[Bad]


def import_(arguments: argparse.Namespace) -> int:
    """Queue the rows that are sound; exit 1 where others are not."""
    here = place(arguments.config, arguments.env)
    rows, bad = sound_rows(arguments.file, here.settings)
    result = Result(batch_of(rows), 0, 0, bad)
    if not arguments.dry_run:
        _queue(rows, here, result, arguments)
    if arguments.json:
        print(json.dumps({**asdict(result), "rows": [row.message for row in rows], "dry_run": arguments.dry_run}))
        return 1 if bad else 0
    if arguments.dry_run:
        for row in rows:
            print(visible(f"row {row.number}: {json.dumps(row.message, ensure_ascii=False)}"))
    for one in bad:
        print(visible(f"row {one.number}: {one.reason}: not queued"))
    told = f"{result.queued} queued, {result.known} known before"
    told = f"{len(rows)} would be queued" if arguments.dry_run else told
    print(f"{told}, {len(bad)} wrong; videod report --batch {result.batch}")
    return 1 if bad else 0


def batch_of(rows: Iterable[Row]) -> str:
    """The id of an import: the same for the same rows."""
    return hashlib.sha256("\n".join(sorted(row.id for row in rows)).encode()).hexdigest()[:12]


def sound_rows(file: str, settings: Settings) -> tuple[list[Row], list[Bad]]:
    """The rows of a file, those apart that the daemon would refuse."""
    rows, bad, unknown = read(sheet.rows(Path(file)), datetime.now().astimezone().date())
    if unknown:
        names = ", ".join(unknown)
        print(visible(f"videod: columns that nobody knows: {file}: {names}: left alone"), file=sys.stderr)
    sound = []
    for row in rows:
        try:
            prepared(json.dumps(row.message).encode(), settings)
        except UsageError as error:
            bad.append(Bad(row.number, str(error).partition(": message: ")[0].partition(": see videod.ini")[0]))
        else:
            sound.append(row)
    return sound, sorted(bad, key=lambda one: one.number)


def _queue(rows: list[Row], here: Place, result: Result, arguments: argparse.Namespace) -> None:
    settings = here.settings
    imports = Imports(settings, connect(settings))
    vault = Vault(settings.import_key) if settings.import_key else None
    node = None
    if any(row.user for row in rows):
        if vault:
            for row in {row.recorder: row for row in rows if row.user}.values():
                imports.seal(place_of(row.recorder, settings).netloc, vault.seal(row.user, row.password))
        else:
            node = settings.node
            _keep_here(rows, here, arguments)
    imports.note(result.batch, [(row.number, row.id, row.recorder, str(row.message["channels"])) for row in rows])
    for row in _shown(rows, quiet=arguments.json):
        # without a key only this node knows the password
        mine = node if row.user else None
        raw = json.dumps({**row.message, **({"node": mine} if mine else {})}).encode()
        digest = vault.digest(row.user, row.password) if vault and row.user else ""
        if imports.put(row.id, raw, mine, digest):
            result.queued += 1
        else:
            result.known += 1


def _keep_here(rows: list[Row], here: Place, arguments: argparse.Namespace) -> None:
    changed = logins.keep(here.settings, {row.recorder: (row.user, row.password) for row in rows if row.user})
    file, node = here.settings.secrets_file, here.settings.node
    text = f"videod: no [keys] import: {file}: the passwords stand there now, and node {node} alone does these rows"
    print(text, file=sys.stderr)
    if changed and here.running:
        arguments.env, quiet = here.settings.env, arguments.json
        arguments.json = False
        reload(arguments)
        arguments.json = quiet


def _shown(rows: list[Row], *, quiet: bool) -> Iterator[Row]:
    """The rows, with a bar in a terminal."""
    if quiet or not sys.stderr.isatty():
        yield from rows
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(rows, "import", console=Console(stderr=True), transient=True)
