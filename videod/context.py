"""What a kind gets to work with: one job's settings, scratch folder, tools, log and progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from videod.config.settings import Settings
from videod.connections import Connections
from videod.events import Output, Said
from videod.job import Job
from videod.logs import JobLog
from videod.process import Tools
from videod.progress import Progress
from videod.space import Space
from videod.transfer.cache import Cache


@dataclass(frozen=True)
class Book:
    """What is kept of a job's files over all its attempts, crashes included.

    `announce` marks files and tells of each, once; `marks` gives {field: mark} of what was. Both wait for Redis.
    `last`: no other attempt follows one that fails.
    """

    announce: Callable[[Sequence[Said]], None] = lambda said: None
    marks: Callable[[], Mapping[str, Any]] = dict
    last: bool = True


class Turn(Protocol):
    """The right to talk to a recorder, counted over all nodes; and what is known of its passwords."""

    def check(self) -> None:
        """Raise FetchFailed when it is ours no more."""

    def leave(self) -> None:
        """Let others talk to it; at the end of the attempt at the latest."""

    def login(self) -> tuple[str, str] | None:
        """User and password that were imported for it. Raises KeyMissing where this node cannot open them."""

    def refused(self, user: str, password: str) -> bool:
        """Whether the recorder refused this login before."""

    def refuse(self, user: str, password: str) -> None:
        """Remember that it did."""


class NoTurn:
    """That of a job without a recorder."""

    def check(self) -> None:
        """Never raises."""

    def leave(self) -> None:
        """Does nothing."""

    def login(self) -> tuple[str, str] | None:
        """None was."""
        return None

    def refused(self, user: str, password: str) -> bool:
        """Nothing is known."""
        return False

    def refuse(self, user: str, password: str) -> None:
        """Forgotten at once."""


@dataclass
class Context:
    """One attempt of one job; used by its thread alone. `fetched_bytes` adds up bodies, tries included.

    `fence` is called before anything leaves this machine: it raises Cancelled when the message is no longer
    ours, since another node runs the job by now. A kind whose Params have a `recorder`, with a `netloc`, has a `turn`
    at it.
    """

    job: Job
    settings: Settings
    tools: Tools
    log: JobLog
    progress: Progress
    tell_output: Callable[[Output], None]
    fence: Callable[[], None] = lambda: None
    cache: Cache | None = None
    connections: Connections | None = None
    space: Space | None = None
    book: Book = field(default_factory=Book)
    turn: Turn = field(default_factory=NoTurn)
    fetched_bytes: int = 0
    outputs: list[Output] = field(default_factory=list)

    @property
    def scratch(self) -> Path:
        """The folder of this attempt, made when first asked for; nobody else may look into it."""
        self.tools.prepare()
        return self.tools.scratch

    def output(self, made: Output) -> None:
        """One result is where it belongs and confirmed."""
        self.outputs.append(made)
        self.tell_output(made)

    def output_once(self, made: Output) -> None:
        """The same, and no later attempt has to make it again: see `kept`."""
        self.outputs.append(made)
        self.book.announce([Said(str(made.n), made.as_dict(), output=made)])

    @cached_property
    def before(self) -> Mapping[str, Any]:
        """What earlier attempts have marked: {field: mark}."""
        return self.book.marks()

    @cached_property
    def put(self) -> Mapping[str, Mapping[str, int]]:
        """What earlier attempts have put, or were about to: {place: {SHA-256: size}}."""
        found: dict[str, dict[str, int]] = {}
        for name, size in self.before.items():
            if name.startswith("at "):
                _, place, digest = name.split(" ")
                found.setdefault(place, {})[digest] = size
        return found

    def kept(self) -> set[int]:
        """The numbers of what earlier attempts have made, which are outputs of this one, too."""
        before = [Output(**mark) for field, mark in self.before.items() if field.isdigit()]
        self.outputs += before
        return {made.n for made in before}
