"""The entry of this node in `videod:nodes`: no two living daemons of one name, and who serves since when."""

from __future__ import annotations

import enum
import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from videod import __version__
from videod.config.settings import Settings
from videod.errors import AlreadyRunning
from videod.events import stamp
from videod.jobqueue.connection import Connection, Script
from videod.jobqueue.names import Names
from videod.vault import mark

GONE = "gone"
# of an entry whose daemon gave no sign of life for long: nobody is left who would note that it is gone
SILENT = "silent"


def started_at(pid: int) -> int | None:
    """The start time of a living process in clock ticks since boot, else None. Tells a recycled pid."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # the name in parentheses may hold blanks and parentheses itself
    fields = stat.rpartition(")")[2].split()
    # killed, but not yet reaped by its parent: it does nothing any more
    return None if fields[0] in "ZX" else int(fields[19])


def here() -> dict[str, Any]:
    """Who we are: machine, boot and pid namespace (a container has its own), pid, start time."""
    identity = {"pid": os.getpid(), "start": started_at(os.getpid())}
    for name, file in (("machine", "/etc/machine-id"), ("boot", "/proc/sys/kernel/random/boot_id")):
        try:
            identity[name] = Path(file).read_text().strip()  # type: ignore[assignment]
        except OSError:
            identity[name] = ""  # type: ignore[assignment]
    identity["space"] = os.readlink("/proc/self/ns/pid")  # type: ignore[assignment]
    return identity


def lives(entry: dict[str, Any]) -> bool | None:
    """Whether the daemon of an entry lives; None where we cannot know: it is another machine or container."""
    us = here()
    if entry.get("machine") != us["machine"] or not us["machine"]:
        return None
    if entry.get("boot") != us["boot"]:
        return False
    if entry.get("space") != us["space"]:
        return None
    pid = entry.get("pid")
    return type(pid) is int and entry.get("start") == started_at(pid)


def serves(entry: dict[str, Any], lease: float) -> bool:
    """Whether the daemon of an entry passes for living: its last sign of life is not older than some leases."""
    try:
        silent = time.time() - datetime.fromisoformat(entry["seen"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return False
    return not is_gone_state(entry) and lives(entry) is not False and silent < 3 * lease + 60  # clocks differ


class Lease(enum.Enum):
    """Whose the name of this node is."""

    OURS = "ours"
    LOST = "others took over what this node ran"
    TAKEN = "another daemon took the name of this node"


class Node:
    """Registers this node, renews its entry, takes it out at the end. Sole writer of the entry."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._name = settings.node
        self._lease = settings.lease
        self._key, self._running = Names.of(settings).nodes, Names.of(settings).running()
        self._connection = connection
        self._script = Script("register")
        self._written = b""
        self._facts = {**here(), "env": settings.env, "since": stamp(), "version": __version__}
        self._facts |= {"import_key": mark(settings.import_key)}

    def register(self, wait: Callable[[float], None] = time.sleep) -> None:
        """Take the name; AlreadyRunning while a living daemon has it.

        An entry of this machine is judged at once. For one of another machine we watch for `lease` seconds
        whether it is renewed.
        """
        deadline = time.monotonic() + self._lease
        first = entry = self._read()
        while entry and _judge(entry) is None and time.monotonic() < deadline:
            if entry != first:
                break
            wait(min(0.5, self._lease / 10))
            entry = self._read()
        facts = _loads(entry)
        if entry and (_judge(entry) or (_judge(entry) is None and entry != first)):
            where = f"{facts.get('machine', '?')[:12]} pid {facts.get('pid')}"
            raise AlreadyRunning(f"node {self._name} is served by another daemon: {where}: stop it or set 'node'")
        if not self._write(entry, state="starting"):
            raise AlreadyRunning(f"node {self._name} was just taken by another daemon: {self._key}: set 'node'")

    def renew(self, **facts: Any) -> Lease:
        """Write a new sign of life, and say whose the name is."""
        if self._write(self._written, **facts):
            return Lease.OURS
        entry = self._read()
        known = _loads(entry)
        if known.get("state") == GONE:
            return Lease.LOST
        if not entry:  # an operator emptied the hash, or Redis lost it
            return Lease.OURS if self._write(entry, **facts) else Lease.LOST
        # the answer to our last write may have been lost
        ours = all(known.get(key) == self._facts[key] for key in ("machine", "space", "pid", "start"))
        return Lease.OURS if ours and self._write(entry, **facts) else Lease.TAKEN

    def rejoin(self, **facts: Any) -> bool:
        """Take the name again after we passed for gone; False when somebody else was faster."""
        entry = self._read()
        return (not entry or _loads(entry).get("state") == GONE) and self._write(entry, **facts)

    def leave(self) -> None:
        """Take the entry out, if it is ours. While we still hold messages it stays: others look after these."""
        if not self._connection.call("LLEN", self._running):
            self._connection.run(self._script, (self._key,), (self._name, self._written, ""))

    def declare_gone(self, name: str, entry: bytes) -> bool:
        """Fence a node off that did not renew its `entry`: it learns it at its next sign of life."""
        after = json.dumps({"state": GONE, "by": self._name, "seen": stamp()}).encode()
        return bool(self._connection.run(self._script, (self._key,), (name, entry, after)))

    def forget(self, name: str, entry: bytes) -> None:
        """Take the entry of a node out that is gone and holds nothing."""
        self._connection.run(self._script, (self._key,), (name, entry, ""))

    def _read(self) -> bytes:
        return self._connection.call("HGET", self._key, self._name) or b""

    def _write(self, before: bytes, **facts: Any) -> bool:
        after = json.dumps({**self._facts, **facts, "seen": stamp()}).encode()
        if not self._connection.run(self._script, (self._key,), (self._name, before, after)):
            return False
        self._written = after
        return True


def is_gone(entry: bytes) -> bool:
    """Whether some node has declared the node of this entry gone."""
    return is_gone_state(_loads(entry))


def is_gone_state(facts: dict[str, Any]) -> bool:
    """The same for an entry that was read."""
    return facts.get("state") == GONE


def is_away(facts: dict[str, Any]) -> bool:
    """Whether nobody serves under an entry, as `told` shows it."""
    return facts.get("state") in (GONE, SILENT)


def told(facts: dict[str, Any], lease: float) -> dict[str, Any]:
    """An entry as people are told of it: where it is out of date, its state says so."""
    return facts if is_gone_state(facts) or serves(facts, lease) else {**facts, "state": SILENT}


def is_dead(entry: bytes) -> bool:
    """Whether the daemon of an entry was one of this machine and is known to be dead."""
    return lives(_loads(entry)) is False


def _judge(entry: bytes) -> bool | None:
    return False if is_gone(entry) else lives(_loads(entry))


def _loads(entry: bytes) -> dict[str, Any]:
    try:
        value = json.loads(entry)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
