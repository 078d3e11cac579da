"""cancel and retry."""

from __future__ import annotations

import argparse
import json
import time

from videod.cli.where import connect, place
from videod.errors import UsageError, VideodError
from videod.jobqueue.letters import Letters
from videod.jobqueue.steer import Steer

CANCELLED = "cancelled"
ANSWER_SECONDS, TAKEN_SECONDS = 10.0, 1.0
LOOK_SECONDS = 0.1


def cancel(arguments: argparse.Namespace) -> int:
    """Returns when the job has ended; 1 when it had ended before, or when its node does not answer."""
    here = place(arguments.config, arguments.env)
    ident, answer = arguments.id, _cancel(Steer(here.settings, connect(here.settings)), arguments.id)
    if arguments.json:
        print(json.dumps({"id": ident, "cancelled": answer == CANCELLED, "state": answer}))
        return 0 if answer == CANCELLED else 1
    if answer == CANCELLED:
        print(f"{ident}: cancelled")
        return 0
    if not answer:
        raise VideodError(f"no job of this id: {ident}: it never came, or its record expired")
    if answer == "asked":
        raise VideodError(f"it still runs: {ident}: it ends when its node answers; see videod nodes")
    raise VideodError(f"the job has ended already: {ident}: {answer}; see videod show {ident}")


def _cancel(steer: Steer, ident: str) -> str:
    """CANCELLED, or the state that the job is in: `asked` while it runs, '' when there is none of this id."""
    begun, asked = time.monotonic(), False
    while True:
        answer = steer.cancel(ident)
        asked = asked or answer == "asked"
        if answer == "removed" or (asked and answer == CANCELLED):
            return CANCELLED
        # one that was just taken has no record yet
        patience = ANSWER_SECONDS if answer == "asked" else TAKEN_SECONDS if not answer else 0.0
        if time.monotonic() - begun >= patience:
            return f"{answer} before" if answer == CANCELLED else answer
        time.sleep(LOOK_SECONDS)


def retry(arguments: argparse.Namespace) -> int:
    """Queue again under the same id."""
    if bool(arguments.id) == arguments.all:
        raise UsageError("one job or all?: command line: videod retry ID, or videod retry --all")
    settings = place(arguments.config, arguments.env).settings
    connection = connect(settings)
    steer, dead = Steer(settings, connection), Letters(settings, connection).by_id()
    if not arguments.all:
        answer = steer.retry(arguments.id, dead.get(arguments.id, b""))
        if answer != "queued":
            raise VideodError(_why_not(arguments.id, answer))
        print(json.dumps({"queued": [arguments.id]}) if arguments.json else f"{arguments.id}: queued")
        return 0
    queued = [ident for ident, entry in dead.items() if steer.retry(ident, entry) == "queued"]
    print(json.dumps({"queued": queued}) if arguments.json else f"queued {len(queued)}")
    return 0


def _why_not(ident: str, state: str) -> str:
    if not state:
        return f"no job of this id: {ident}: it never came, or its record expired"
    if state == "done":
        return f'the job is done: {ident}: push it again with "again": true'
    return f"the job has not ended: {ident}: {state}; see videod show {ident}"
