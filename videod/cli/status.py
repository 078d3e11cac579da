"""status: daemon, slots, running jobs, queues."""

from __future__ import annotations

import argparse
import json
from typing import Any

from videod.cli.where import Place, connect, salvaged
from videod.errors import VideodError
from videod.jobqueue.browse import Browse
from videod.jobqueue.connection import address
from videod.redact import hide

RUNNING, DEAD, STOPPED, UNKNOWN = 0, 1, 3, 4


def status(arguments: argparse.Namespace) -> int:
    """Exit 0 running, 1 dead with pidfile, 3 not running, 4 unknown."""
    here = salvaged(arguments.config, arguments.env)
    word, code = _state(here)
    document: dict[str, Any] = {"env": here.settings.env, "state": word, "node": here.settings.node, "pid": None}
    if here.holder and here.holder.held:
        document["pid"] = here.holder.pid
    if here.faults:
        document["problem"] = f"what Redis holds is not shown: {hide(here.faults[0])}"
    else:
        document["redis"] = hide(address(here.settings))
        document |= _from_redis(here)
    if arguments.json:
        print(json.dumps(document))
    else:
        _show(document, here)
    return code


def _state(here: Place) -> tuple[str, int]:
    if here.holder is None:
        return "unknown", UNKNOWN
    if here.holder.held:
        return "running", RUNNING
    return ("dead", DEAD) if here.holder.exists else ("stopped", STOPPED)


def _from_redis(here: Place) -> dict[str, Any]:
    settings = here.settings
    if not here.running and settings.redis == "embedded":
        return {}
    try:
        jobs = Browse(settings, connect(settings))
        node = jobs.nodes().get(settings.node, {})
        facts = {"slots": node.get("slots", settings.max_worker), "since": node.get("since")}
        facts |= {name: node[name] for name in ("paused", "lacks") if node.get(name) and here.running}
        return {**facts, "jobs": [_brief(job) for job in jobs.running()], "queues": jobs.lengths()}
    except VideodError as error:
        return {"problem": hide(str(error))}


def _brief(job: dict[str, Any]) -> dict[str, Any]:
    return {
        name: job[name] for name in ("id", "kind", "state", "stage", "percent", "attempt", "taken_at") if name in job
    }


def _show(document: dict[str, Any], here: Place) -> None:
    pid = f", pid {document['pid']}" if document["pid"] else ""
    since = f", since {document['since']}" if document.get("since") and here.running else ""
    print(f"{document['env']}: {document['state']}{pid}, node {document['node']}{since}")
    if document["state"] == "dead":
        print(f"  its pidfile is left: {here.settings.pid_file}; the next start takes up what it ran")
    if "problem" in document:
        print(f"  {document['problem']}")
        return
    print(f"  redis: {document['redis']}")
    if "lacks" in document:
        print(f"  takes no messages: {document['lacks']}")
    if "paused" in document:
        print(f"  takes no messages: paused: {document['paused']}; go on: videod resume")
    if "slots" in document:
        print(f"  slots: {len(document['jobs'])} of {document['slots']} busy")
    for job in document.get("jobs", []):
        print(
            f"    {job.get('id') or '(just taken)'}: {job.get('stage') or job.get('state')} {job.get('percent', 0)} %"
        )
    for name, length in document.get("queues", {}).items():
        print(f"  {name}: {length}")
