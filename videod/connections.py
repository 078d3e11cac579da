"""Who may open a connection for a download: so many of the daemon, of a task, to a host; shared out fairly.

What becomes free goes to the task that was served longest ago: two small files do not wait behind a thousand of
another task.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable

from videod.config.settings import Settings

Start = Callable[[str, int], object]
Trim = Callable[[str], object]
# a host, and the number of what may begin
Turn = tuple[str, int]


class Connections:
    """What is open, and who waits. Thread-safe; one for each daemon."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self.lock = threading.Lock()
        self._lines: list[Line] = []
        self._hosts: Counter[str] = Counter()
        self._busy = 0

    def line(self, start: Start, trim: Trim = lambda host: None) -> Line:
        """A task's line; `start` is called with the host and the number of what may begin, `trim` with a host to which
        nothing may stay open that is not in use. They must not block, nor call back: the lock is held."""
        made = Line(self, start, trim)
        with self.lock:
            self._lines.append(made)
        return made

    def serve(self, ended: Line | None = None) -> Turn | None:
        """With the lock held: begin what may begin. Gives the first turn of the line where one has `ended`, in place of
        starting it: who ended goes on with it."""
        goes_on = None
        while self._busy < self._settings().connections and (found := self._next()):
            line, host = found
            waits = line.waiting.pop(host)
            number = waits.popleft()
            if waits:  # its other hosts come first
                line.waiting[host] = waits
            line.busy += 1
            self._busy += 1
            self._hosts[host] += 1
            self._lines.remove(line)
            self._lines.append(line)
            if line is ended and not goes_on:
                goes_on = host, number
            else:
                line.start(host, number)
        return goes_on

    def _next(self) -> tuple[Line, str] | None:
        settings = self._settings()
        for line in self._lines:
            if line.busy < settings.connections_per_task:
                for host in line.waiting:
                    if self._hosts[host] < settings.connections_per_host:
                        return line, host
        return None

    def freed(self, line: Line, host: str) -> Turn | None:
        """With the lock held: one connection of the line to the host is over, or goes on with its next file."""
        line.busy -= 1
        self._busy -= 1
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
        if self._next() != (line, host):
            line.trim(host)
        return self.serve(line)

    def left(self, line: Line) -> None:
        """With the lock held: the task is over."""
        self._lines.remove(line)


class Line:
    """What one task waits for, by host. The lock is that of its Connections."""

    def __init__(self, shared: Connections, start: Start, trim: Trim) -> None:
        self._shared = shared
        self.start, self.trim = start, trim
        self.waiting: dict[str, deque[int]] = {}
        self.busy = 0

    def add(self, host: str, *numbers: int) -> None:
        """These wait for a connection to the host each, in this order."""
        with self._shared.lock:
            self.waiting.setdefault(host, deque()).extend(numbers)
            self._shared.serve()

    def done(self, host: str) -> Turn | None:
        """One that was started is over. What its thread goes on with, where it is the line's turn: to wake another
        thread for it while this one goes to sleep costs a small file a twentieth."""
        with self._shared.lock:
            return self._shared.freed(self, host)

    def leave(self) -> None:
        """Nothing more is started; what was calls `done` all the same."""
        with self._shared.lock:
            self.waiting.clear()
            self._shared.left(self)
