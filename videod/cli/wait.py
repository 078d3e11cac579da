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
from videod.jobqueue.nodes import serves
from videod.jobqueue.steer import ALL, Steer
from videod.logs import visible

LOOK_SECONDS = 0.1
# between two looks at who could take the message
ASK_SECONDS = 1.0
WAITING = ("waiting", "retry", "requeued")


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
            self.say(line)

    def say(self, line: str) -> None:
        """Print something else."""
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

    def say(self, line: str) -> None:
        """Print something above the bar."""
        self._progress.console.print(visible(line), markup=False, highlight=False, soft_wrap=True)


class Watch:
    """Follows the job of one message. Made before it is queued: an id may have ended once before."""

    def __init__(self, connection: Connection, settings: Settings, raw: bytes) -> None:
        order = read(raw, None, settings)
        assert isinstance(order, Order)
        self._jobs, self._settings, self._id = Browse(settings, connection), settings, order.job.id
        self._steer, self._node = Steer(settings, connection), order.job.node
        self._said, self._asked = False, 0.0
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
                if record["state"] in WAITING and (why := self._stands()):
                    (shown or Lines()).say(f"videod: nothing moves: {why}")
                if record["state"] in FINAL:
                    return record
                if self._settings.redis == "embedded" and not look(self._settings).running:
                    raise NotRunning(f"the daemon stopped before the job ended: videod start {self._settings.env}")
                time.sleep(LOOK_SECONDS)

    def _stands(self) -> str:
        """Why no node takes the message; said once, and asked for now and then."""
        if self._said or time.monotonic() < self._asked + ASK_SECONDS:
            return ""
        self._asked = time.monotonic()
        every, settings = self._jobs.nodes(), self._settings
        living = {name: facts for name, facts in every.items() if serves(facts, settings.lease)}
        if self._node:
            living = {name: facts for name, facts in living.items() if name == self._node}
        paused, known = self._steer.paused(), f"node {self._node}" if self._node else "all nodes"
        if ALL in paused:
            why = f"all nodes pause: {paused[ALL].get('why')}; go on: videod resume"
        elif not living:
            text = f"node {self._node} does not live" if self._node else "no node lives that serves this queue"
            why = f"{text}: videod start {settings.env}"
        elif all(name in paused for name in living):
            name = min(living)
            what = f"videod resume --node {name}" if len(living) == 1 else "videod resume"
            why = f"{known if len(living) > 1 else name} paused: {paused[name].get('why')}; go on: {what}"
        elif all(facts.get("lacks") for facts in living.values()):
            why = f"takes no messages: {living[min(living)]['lacks']}"
        else:
            return ""
        self._said = True
        return why


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
        text = f": {error.get('code')}: {error.get('message')}" if error else ""
        if error.get("code") == record["state"]:
            text = f": {error.get('message')}"
        print(visible(f"videod: {record['state']}: {record['id']}{text}"), file=sys.stderr)
        for file in error.get("files") or []:
            print(visible(f"{file['fn']}: {file['error']}"), file=sys.stderr)
    return 0 if record["state"] == "done" else 1
