"""Wait for the end of a job and show how far it is: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Self

from videod.cli.where import look
from videod.config import Settings
from videod.errors import NotRunning
from videod.events import FINAL
from videod.intake import Order, read
from videod.jobqueue import Connection
from videod.jobqueue.browse import Browse
from videod.logs import visible

LOOK_SECONDS = 0.1


class Lines:
    """A line whenever stage or state changes."""

    def __init__(self) -> None:
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self, record: dict[str, Any]) -> None:
        """Show where it stands."""
        line = f"{record['state']} {record.get('stage', '')}".strip()
        if record["state"] == "retry":
            error = record.get("error") or {}
            line = f"retry at {record.get('retry_at')}: {error.get('code')}: {error.get('message')}"
        if line != self._last:
            self._last = line
            print(visible(line), file=sys.stderr, flush=True)


class Bar:
    """A bar with stage and percent."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description:>10}"),
            BarColumn(),
            TextColumn("{task.percentage:>5.1f} %"),
            TimeElapsedColumn(),
        )
        from rich.console import Console

        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task("waiting", total=100)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, record: dict[str, Any]) -> None:
        """Show where it stands."""
        stage = record["state"] if record["state"] != "running" else record.get("stage") or "running"
        self._progress.update(self._task, description=stage, completed=record.get("percent", 0))


class Watch:
    """Follows the job of one message. Made before it is queued: an id may have ended once before."""

    def __init__(self, connection: Connection, settings: Settings, raw: bytes) -> None:
        order = read(raw, None, settings)
        assert isinstance(order, Order)
        self._jobs, self._settings, self._id = Browse(settings, connection), settings, order.job.id
        before = self._jobs.job(self._id) or {}
        self._repeats = before.get("state") == "done" and not order.job.again
        runs_anew = not self._repeats
        self._before = before.get("taken_at") if before.get("state") in FINAL and runs_anew else None

    def to_the_end(self, *, quiet: bool) -> dict[str, Any]:
        """The record when the job has ended; of a message that is dropped one with the state `duplicate`."""
        if self._repeats:
            said = 'this id is done already, and the message is dropped: "again": true runs it once more'
            return {"id": self._id, "state": "duplicate", "error": {"code": "duplicate", "message": said}}
        show: AbstractContextManager[Any] = nullcontext() if quiet else Bar() if sys.stderr.isatty() else Lines()
        with show as shown:
            while True:
                record = self._jobs.job(self._id)
                if record is None or record.get("taken_at") == self._before:
                    record = {"id": self._id, "state": "waiting"}
                if shown:
                    shown.update(record)
                if record["state"] in FINAL:
                    return record
                if self._settings.redis == "embedded" and not look(self._settings).running:
                    raise NotRunning(f"the daemon stopped before the job ended: videod start {self._settings.env}")
                time.sleep(LOOK_SECONDS)


def report(record: dict[str, Any], *, as_json: bool) -> int:
    """Print the outcome; exit 0 for done, 1 otherwise."""
    if as_json:
        print(json.dumps(record))
    elif record["state"] == "done":
        for output in record.get("outputs") or []:
            frames = f", {output['frames']} frames" if "frames" in output else ""
            warning = f"  ({output['warning']})" if output.get("warning") else ""
            print(f"{output['url']}  {output['bytes']} bytes{frames}{warning}")
    else:
        error = record.get("error") or {}
        text = f"{error.get('code')}: {error.get('message')}" if error else record["state"]
        print(visible(f"videod: {record['state']}: {record['id']}: {text}"), file=sys.stderr)
        for file in error.get("files") or []:
            print(visible(f"{file['fn']}: {file['error']}"), file=sys.stderr)
    return 0 if record["state"] == "done" else 1
