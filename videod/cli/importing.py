"""import: queue the recordings that a spreadsheet names; report: how its rows stand."""

from __future__ import annotations

import argparse
import contextlib
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
from videod.errors import NotRunning, RedisAway, UsageError, VideodError
from videod.jobqueue.imports import Imports
from videod.logs import visible
from videod.sources import logins, sheet
from videod.sources.rows import Bad, Row, read
from videod.vault import Vault, mark

# what has no ending is read as CSV
ENDINGS = ("", ".csv", ".xlsx", ".xlsm")


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
    if arguments.dry_run:
        _rehearse(rows, here)
    else:
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
    # what was not queued has no report
    print(f"{told}, {len(bad)} wrong" + ("" if arguments.dry_run else f"; videod report --batch {result.batch}"))
    return 1 if bad else 0


def batch_of(rows: Iterable[Row]) -> str:
    """The id of an import: the same for the same rows."""
    return hashlib.sha256("\n".join(sorted(row.id for row in rows)).encode()).hexdigest()[:12]


def sound_rows(file: str, settings: Settings) -> tuple[list[Row], list[Bad]]:
    """The rows of a file, those apart that the daemon would refuse."""
    path = Path(file)
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"neither .xlsx nor .csv: {file}: save it as one of them")
    rows, bad = read(sheet.rows(path), datetime.now().astimezone().date())
    sound = []
    for row in rows:
        try:
            prepared(json.dumps(row.message).encode(), settings)
        except UsageError as error:
            bad.append(Bad(row.number, str(error).partition(": message: ")[0].partition(": see videod.ini")[0]))
        else:
            sound.append(row)
    return sound, sorted(bad, key=lambda one: one.number)


def _rehearse(rows: list[Row], here: Place) -> None:
    """Raise what `_queue` would, but for want of a place for passwords: none is kept."""
    with contextlib.suppress(NotRunning, RedisAway):  # then no node lives that would lack the key
        _vault(rows, here.settings, Imports(here.settings, connect(here.settings)))
    if here.settings.import_key or not (found := _logins(rows)):
        return
    if here.settings.secrets_file:
        logins.planned(here.settings, found)
    else:
        text = "set it, or [keys] import in it, before these rows are queued: their passwords have to be kept somewhere"
        print(f"videod: [{here.settings.env}] secrets_file: {here.settings.file}: {text}", file=sys.stderr)


def _logins(rows: list[Row]) -> dict[str, tuple[str, str]]:
    return {row.recorder: (row.user, row.password) for row in rows if row.user}


def _vault(rows: list[Row], settings: Settings, imports: Imports) -> Vault | None:
    """What seals the logins; None where no key is set. VideodError where nobody who lives could open them."""
    vault = Vault(settings.import_key) if settings.import_key else None
    living = imports.keys() if vault and _logins(rows) else None
    if living is not None and mark(settings.import_key) not in living:
        text = "no node that serves has this key: [keys] import of secrets_file"
        raise VideodError(f"{text}: set it on each, and there: videod restart {settings.env}")
    return vault


def _queue(rows: list[Row], here: Place, result: Result, arguments: argparse.Namespace) -> None:
    settings = here.settings
    imports = Imports(settings, connect(settings))
    vault, found, node = _vault(rows, settings, imports), _logins(rows), None
    if vault:
        _seal(found, settings, imports, vault)
    elif found:
        node = settings.node
        _keep_here(found, here, arguments)
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


def _seal(found: dict[str, tuple[str, str]], settings: Settings, imports: Imports, vault: Vault) -> None:
    others = []
    for recorder, login in found.items():
        place = place_of(recorder, settings).netloc
        before = vault.open(imports.sealed(place))
        others += [recorder] if before not in (None, login) else []
        imports.seal(place, vault.seal(*login))
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        text = f"another login than before: {', '.join(others[:5])}{more}: all rows of it use this one from now on"
        print(visible(f"videod: {text}"), file=sys.stderr)


def _keep_here(found: dict[str, tuple[str, str]], here: Place, arguments: argparse.Namespace) -> None:
    others = [name for name, login in found.items() if _had(name, here.settings) not in (("", ""), login)]
    changed = logins.keep(here.settings, found)
    file, node = here.settings.secrets_file, here.settings.node
    text = f"videod: no [keys] import: {file}: the passwords stand there now, and node {node} alone does these rows"
    text += f"; another login than before: {', '.join(others[:5])}" if others else ""
    print(text, file=sys.stderr)
    if changed and here.running:
        arguments.env, quiet = here.settings.env, arguments.json
        arguments.json = False
        reload(arguments)
        arguments.json = quiet


def _had(recorder: str, settings: Settings) -> tuple[str, str]:
    place = place_of(recorder, settings)
    return place.user, place.password


def _shown(rows: list[Row], *, quiet: bool) -> Iterator[Row]:
    """The rows, with a bar in a terminal."""
    if quiet or not sys.stderr.isatty():
        yield from rows
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(rows, "import", console=Console(stderr=True), transient=True)
