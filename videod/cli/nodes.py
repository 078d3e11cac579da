"""nodes, pause and resume."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from videod.cli.where import connect, place
from videod.config.settings import Settings
from videod.errors import VideodError
from videod.jobqueue import Connection
from videod.jobqueue.browse import Browse
from videod.jobqueue.nodes import SILENT, is_gone_state
from videod.jobqueue.steer import ALL, Steer, pause_of

# a daemon looks twice a second and says at once that it pauses
WAIT_SECONDS = 3.0
LOOK_SECONDS = 0.1


def nodes(arguments: argparse.Namespace) -> int:
    """Who serves this queue."""
    here = place(arguments.config, arguments.env)
    connection = connect(here.settings)
    found = Browse(here.settings, connection).nodes()
    paused = Steer(here.settings, connection).paused()
    everyone = paused.get(ALL, {})
    if arguments.json:
        print(json.dumps({"paused": everyone.get("why"), "nodes": found}))
        return 0
    if everyone:
        print(f"all nodes pause: {everyone.get('why')} (videod resume)")
    for name, facts in sorted(found.items()):
        print(_line(name, facts, pause_of(name, facts, paused), alone=not everyone))
    return 0


def _line(name: str, facts: dict[str, Any], pause: str, *, alone: bool) -> str:
    if is_gone_state(facts):
        return f"{name}: gone, noticed by {facts.get('by', '?')} at {facts.get('seen', '?')}"
    if facts.get("state") == SILENT:
        where = f"pid {facts.get('pid', '?')} of its machine"
        return f"{name}: silent since {facts.get('seen', '?')}: its daemon, {where}, is dead or cut off from Redis"
    jobs = f": {', '.join(facts['jobs'])}" if facts.get("jobs") else ""
    busy = f"{facts.get('busy', 0)} of {facts.get('slots', '?')} slots busy{jobs}"
    about = f"videod {facts.get('version', '?')}, pid {facts.get('pid', '?')}, since {facts.get('since', '?')}"
    state = facts.get("state", "?")
    if pause:
        go_on = f" --node {name}" if alone else ""
        state = f"{pause}; go on: videod resume{go_on}; {state}"
    return f"{name}: {state}, {busy}; {about}, seen {facts.get('seen', '?')}"


def pause(arguments: argparse.Namespace) -> int:
    """Returns when no living node takes messages any more."""
    here = place(arguments.config, arguments.env)
    connection = connect(here.settings)
    node = arguments.node or ALL
    if node != ALL and node not in Browse(here.settings, connection).nodes():
        print(f"videod: no node of this name serves now: {node}: it pauses when it comes", file=sys.stderr)
    Steer(here.settings, connection).pause(node, "videod pause", "somebody")
    late = _wait(here.settings, connection, node, paused=True)
    return _report(arguments, node, "paused", late)


def resume(arguments: argparse.Namespace) -> int:
    """Of one node, or of all: then of those, too, that were paused one by one or by themselves."""
    here = place(arguments.config, arguments.env)
    connection = connect(here.settings)
    node, steer = arguments.node or ALL, Steer(here.settings, connection)
    paused = steer.paused()
    if node != ALL and node not in paused:
        why = "all nodes pause: resume all of them: videod resume" if ALL in paused else "see videod nodes"
        raise VideodError(f"this node was not paused by itself: {node}: {why}")
    steer.resume(node)
    late = _wait(here.settings, connection, node, paused=False)
    return _report(arguments, node, "resumed", late)


def _wait(settings: Settings, connection: Connection, node: str, *, paused: bool) -> list[str]:
    """Wait until the nodes say so themselves; the names of those that do not."""
    jobs, deadline = Browse(settings, connection), time.monotonic() + WAIT_SECONDS
    while True:
        late = [
            name
            for name, facts in jobs.nodes().items()
            if node in (ALL, name) and not is_gone_state(facts) and bool(facts.get("paused")) != paused
        ]
        if not late or time.monotonic() > deadline:
            return late
        time.sleep(LOOK_SECONDS)


def _report(arguments: argparse.Namespace, node: str, word: str, late: list[str]) -> int:
    if arguments.json:
        print(json.dumps({word: node, "silent": late}))
        return 0
    print(f"{'all nodes' if node == ALL else node}: {word}")
    if late:
        print(f"  these do not answer, and do so when they come back: {', '.join(late)}")
    return 0
