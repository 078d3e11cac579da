"""The batch form through a real daemon: its reply list is said exactly once, whatever happens on the way."""

from __future__ import annotations

import json
import os
from typing import Any

from tests.daemon import Daemon, accounted, events, final, push
from tests.origin import Origin
from tests.transfer_fixtures import origin  # noqa: F401

BATCH = "batch_download_tasks"


def start(daemon: Daemon, **more: Any) -> None:
    daemon.start(**{"allow_hosts": "* 127.0.0.1", "retry_delay": 0.05, "connections_per_host": 6, **more})


def task(ident: Any, *files: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"task_id": ident, "task_info": [{"fn": fn, "url": url} for fn, url in files], **more}


def answers(r, ident: str) -> list[Any]:
    """What was said so far, in order: text as it is, objects parsed."""
    found = reversed(r.lrange(f"batch_download_resp_{ident}", 0, -1))
    return [json.loads(text) if text.startswith("{") else text for text in found]


def files(daemon: Daemon, ident: str) -> dict[str, bytes]:
    """All that is in the task's folder."""
    folder = daemon.state / "downloads" / ident
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_batch(daemon: Daemon, r, origin: Origin) -> None:  # noqa: F811
    start(daemon)
    bodies = {f"f{n}.bin": os.urandom(1000 * n) for n in range(30)}
    push(r, task("t1", *((name, origin.put("/" + name, body)) for name, body in bodies.items())), queue=BATCH)
    end = final(r, "batch:t1")
    assert (end["event"], end["kind"], len(end["outputs"])) == ("done", "download", 30), end
    said = answers(r, "t1")
    assert said[0] == "start" and said[-1] == "end" and sorted(said[1:-1]) == sorted(bodies)
    assert files(daemon, "t1") == bodies
    assert 0 < r.pttl("batch_download_resp_t1") <= 7 * 86400 * 1000
    assert not r.exists("videod:files:batch:t1")
    told = [event["event"] for event in events(r, "batch:t1")]
    assert told == ["started", *["output"] * 30, "done"]
    assert end["fetched_bytes"] == sum(map(len, bodies.values()))
    accounted_but_answers(r, ["batch:t1"])


def accounted_but_answers(r, idents: list[str]) -> None:
    for ident in idents:
        r.delete("batch_download_resp_" + ident.removeprefix("batch:"))
    accounted(r, idents)
