"""The sums: what was pushed and how it ended, what is left, and every promise that was not kept."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import redis

from tests.chaos.load import Load, Pushed
from tests.chaos.results import Results
from tests.chaos.world import World

FINAL = ("done", "dead", "cancelled")
MOST_SHOWN = 10
FAULT = re.compile(r"^.*(?:Traceback|a worker failed|\binternal: ).*$", re.MULTILINE)


class Account:
    """Rows of the table. `zero` are those that must be 0; `broken` says which are not, and why."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []
        self.broken: list[str] = []

    def section(self, title: str) -> None:
        self.rows.append((f"**{title}**", ""))

    def tell(self, what: str, value: object) -> None:
        self.rows.append((what, str(value)))

    def zero(self, what: str, found: Iterable[object] | int) -> None:
        """A number that is promised to be 0, or the things that should not be."""
        listed = [] if isinstance(found, int) else [str(one) for one in found]
        number = found if isinstance(found, int) else len(listed)
        self.rows.append((what, f"{number}" + (" **(must be 0)**" if number else "")))
        if number:
            self.broken.append(f"{what}: {number}")
            self.broken += [f"    {line}" for line in listed[:MOST_SHOWN]]

    def __str__(self) -> str:
        return "\n".join(["| what | how much |", "|---|---|", *(f"| {what} | {value} |" for what, value in self.rows)])


class Events:
    """The stream of events, sorted out by job."""

    def __init__(self, r: redis.Redis) -> None:
        self.all = [json.loads(fields["json"]) for _, fields in r.xrange("videod:events")]
        self.by_id: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for event in self.all:
            self.by_id[event["id"]].append(event)

    def finals(self, ident: str) -> list[dict[str, Any]]:
        return [event for event in self.by_id.get(ident, []) if event["event"] in FINAL]

    def count(self, name: str, key: str) -> Counter[str]:
        """How often an event came, by a field of it; `error` counts by its code."""
        found = (event for event in self.all if event["event"] == name)
        return Counter(event[key]["code"] if key == "error" else event[key] for event in found)


def ending(event: dict[str, Any]) -> str:
    """`done`, `cancelled`, or `dead:CODE`."""
    return f"dead:{event['error']['code']}" if event["event"] == "dead" else str(event["event"])


def jobs(account: Account, world: World, load: Load, events: Events) -> None:
    """Every message against its end."""
    nameless = [ident for ident in events.by_id if ident not in load.pushed]
    account.section("pushed")
    for sort, number in sorted(load.counts.items()):
        account.tell(sort, number)
    account.tell("messages in all", len(load.pushed) + load.nameless.total() + load.counts["copy"])
    account.section("ended")
    ended = Counter(ending(event) for event in events.all if event["event"] in FINAL)
    for name, number in sorted(ended.items()):
        account.tell(name, number)
    account.tell("duplicate", sum(event["event"] == "duplicate" for event in events.all))
    account.section("promised")
    account.zero("lost: no end", [ident for ident in load.pushed if not events.finals(ident)])
    account.zero("doubles: a second end", [ident for ident in events.by_id if len(events.finals(ident)) > 1])
    account.zero("another end than expected", _surprises(load, events))
    account.zero("events after the end", [ident for ident in events.by_id if _late(events.by_id[ident])])
    account.zero("messages without id: ends missing or too many", _nameless(load, events, nameless))
    account.zero("copies not dropped with `duplicate`", _copies(load, events))
    r = world.redis.client()
    states = {ident: r.hget(f"videod:job:{ident}", "state") for ident in events.by_id}
    wrong = [i for i, state in states.items() if state not in {event["event"] for event in events.finals(i)}]
    account.zero("records that do not say the end", wrong)
    account.zero("reply lists without one end", _replies(r, load))
    account.zero("dead list: more or less than ended dead", abs(r.llen("videod:dead") - events_dead(events)))


def events_dead(events: Events) -> int:
    return sum(event["event"] == "dead" for event in events.all)


def _surprises(load: Load, events: Events) -> list[str]:
    found = []
    for pushed in load.pushed.values():
        for event in events.finals(pushed.ident):
            if not _expected(pushed, event, events):
                told = [f"{e['event']} {e.get('why', '')}{e.get('error', {}).get('code', '')}".strip()
                        for e in events.by_id[pushed.ident]]  # fmt: skip
                found.append(f"{pushed.ident} (cancel: {pushed.cancel or 'none'}): {ending(event)}: {told}")
    return found


def _expected(pushed: Pushed, event: dict[str, Any], events: Events) -> bool:
    end = ending(event)
    if pushed.cancel == "removed":
        return end == "cancelled"
    if end == "dead:tool_crashed":  # we kill tools; the third time ends the job
        return _crashes(pushed.ident, events) >= 3
    return end in pushed.wanted or (end == "cancelled" and pushed.cancel == "asked")


def _crashes(ident: str, events: Events) -> int:
    return sum(event.get("error", {}).get("code") == "tool_crashed" for event in events.by_id[ident])


def _late(told: list[dict[str, Any]]) -> bool:
    names = [event["event"] for event in told if event["event"] != "duplicate"]
    return any(name in FINAL for name in names[:-1])


def _nameless(load: Load, events: Events, idents: list[str]) -> list[str]:
    seen = Counter("garbage" if ending(event) == "dead:bad_message" else "address"
                   for ident in idents for event in events.finals(ident))  # fmt: skip
    wrong = [f"{ident}: {ending(event)}" for ident in idents for event in events.finals(ident)
             if ending(event) not in ("done", "dead:bad_message", "dead:tool_crashed")]  # fmt: skip
    pushed = load.nameless
    return wrong + [f"{sort}: {seen[sort]} of {pushed[sort]}" for sort in pushed | seen if seen[sort] != pushed[sort]]


def _copies(load: Load, events: Events) -> list[str]:
    found = []
    for pushed in load.pushed.values():
        told = sum(event["event"] == "duplicate" for event in events.by_id.get(pushed.ident, []))
        if told != pushed.copies - 1:
            found.append(f"{pushed.ident}: {told} of {pushed.copies - 1}")
    return found


def _replies(r: redis.Redis, load: Load) -> list[str]:
    found = []
    for pushed in load.pushed.values():
        if name := pushed.message.get("reply_to"):
            names = [json.loads(text)["event"] for text in r.lrange(name, 0, -1)]
            if sum(event in FINAL for event in names) != 1:
                found.append(f"{name}: {names}")
    return found


def results(account: Account, load: Load, events: Events, checked: Results) -> None:
    checked.check([(load.pushed.get(ident), event) for ident in events.by_id for event in events.finals(ident)])
    account.tell("results compared by checksum", checked.files)
    account.tell("results decoded, frame by frame", checked.decoded)
    for kind, what in (("missing", "missing"), ("checksum", "unlike the event's checksum"), ("frames", "wrong frames")):
        account.zero(f"results: {what}", checked.counts[kind])
    account.broken += [f"    {line}" for line in checked.wrong[:MOST_SHOWN]]
    account.tell("results of jobs that did not end `done`", checked.counts["unasked"])
    account.tell("hidden files of kills amid an upload", checked.counts["hidden"])


def callbacks(account: Account, world: World, load: Load) -> None:
    receiver = world.receiver
    asked = {ident for ident, pushed in load.pushed.items() if "callback" in pushed.message}
    account.zero("callbacks not delivered", [ident for ident in asked if not receiver.delivered[ident]])
    account.zero("callbacks under two delivery ids", [i for i, ids in receiver.ids.items() if len(ids) > 1])
    account.zero("callbacks that nobody asked for", receiver.ids.keys() - asked)
    twice = sum(receiver.delivered[ident].total() > 1 for ident in asked)
    account.tell("callbacks asked for, tries", f"{len(asked)}, {receiver.offered}")
    account.tell("callbacks delivered twice, under one id", twice)


def leftovers(account: Account, world: World) -> None:
    """After all nodes have stopped."""
    r = world.redis.client()
    keep = ("videod:job:", "videod:events", "videod:progress", "videod:dead", "videod:counts", "reply:", "chaos:")
    account.zero(
        "keys left in Redis", [f"{key} ({r.type(key)})" for key in r.scan_iter("*") if not key.startswith(keep)]
    )
    account.zero("orphans", [f"{node.node}: pid {pid}" for node in world.nodes for pid in node.marked()])
    account.zero("scratch folders left", [path for node in world.nodes for path in node.left_in_scratch()])
    pidfiles = [node.folder / "videod.pid" for node in world.nodes]
    account.zero("pidfiles left", [path for path in pidfiles if path.exists()])
    account.zero("nodes that the last stop did not end cleanly", [n.node for n in world.nodes if n.codes[-1]])
    faults = [f"{n.node}: {line[:300]}" for n in world.nodes for line in FAULT.findall(n.log)]
    account.zero("tracebacks and internal faults in the logs", faults)


def what_happened(account: Account, world: World, events: Events, harms: Counter[str]) -> None:
    account.section("harm done")
    for name, number in sorted(harms.items()):
        account.tell(name.replace("_", " "), number)
    account.section("what it took")
    logs = {node.node: node.log for node in world.nodes}
    account.tell("starts of nodes", ", ".join(f"{node.node} {node.starts}" for node in world.nodes))
    account.tell("started", sum(event["event"] == "started" for event in events.all))
    for name, key in (("requeued", "why"), ("retry", "error")):
        for why, number in sorted(events.count(name, key).items()):
            account.tell(f"{name}: {why}", number)
    for what, words in (
        ("nodes taken over", "is gone: gave"),
        ("leases lost", "lost the lease"),
        ("commits refused: no longer ours", "nothing was committed"),
        ("messages that no thread worked on", "that no thread works on"),
        ("nodes that paused themselves", "pauses itself"),
    ):
        account.tell(what, ", ".join(f"{name} {log.count(words)}" for name, log in logs.items()))
