"""list and show."""

from __future__ import annotations

import argparse
import json
import shutil
from typing import Any

from videod.cli.where import browse
from videod.errors import UsageError, VideodError
from videod.jobqueue.search import STATES, WAITING, waiting
from videod.logs import visible
from videod.redact import hide_message


def list_(arguments: argparse.Namespace) -> int:
    """Running and ended jobs from their records, waiting messages from their lists (the next 100)."""
    if arguments.state and arguments.state not in STATES:
        raise UsageError(f"'{arguments.state}' is no state: --state: one of {', '.join(STATES)}")
    here, jobs = browse(arguments.config, arguments.env)
    found = [_brief(record) for record in jobs.jobs()]
    found.sort(key=lambda job: str(job.get("taken_at", "")), reverse=True)
    known = {job["id"] for job in found}
    coming = [job for job in waiting(jobs, here.settings, WAITING) if job["id"] not in known or not job["id"]]
    shown = [job for job in coming + found if arguments.state in (None, job["state"])]
    if arguments.json:
        print(json.dumps(shown))
        return 0
    for job in shown:
        print(_line(job))
    return 0


def show(arguments: argparse.Namespace) -> int:
    """One job whole; secrets of its message hidden."""
    here, jobs = browse(arguments.config, arguments.env)
    record = jobs.job(arguments.id)
    if record is None:
        record = next((job for job in waiting(jobs, here.settings, WAITING) if job["id"] == arguments.id), None)
    if record is None:
        raise VideodError(f"no job of this id: {arguments.id}: it never came, or its record expired")
    if isinstance(record.get("message"), str):
        record["message"] = hide_message(record["message"])
    if arguments.json:
        print(json.dumps(record))
        return 0
    first = [name for name in ("id", "state", "error", "kind", "stage", "percent") if name in record]
    for name in [*first, *sorted(set(record) - {*first, "log"}), *(["log"] if "log" in record else [])]:
        value = record[name]
        text = value if isinstance(value, str) else json.dumps(value, indent=2)
        lines = text.split("\n")
        print(f"{name + ':':12} {visible(lines[0])}")
        for line in lines[1:]:
            print(f"{'':12} {visible(line)}")
    return 0


def _brief(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value not in ("", {})}


def _line(job: dict[str, Any]) -> str:
    width = shutil.get_terminal_size((200, 24)).columns
    when = job.get("ended_at") or job.get("taken_at") or job.get("list", "")
    error = job.get("error") or {}
    what = f"{error.get('code')}: {error.get('message')}" if error else ""
    if job["state"] == "running":
        what = f"{job.get('stage', '')} {job.get('percent', 0)} %"
    elif job["state"] == "waiting":
        what = job["message"]
    line = f"{job['state']:9} {job['kind']:9} {job['id'] or '-':36} {when}  {' '.join(what.split())}"
    return visible(line[: max(width, 80)])[: max(width, 80)].rstrip()
