"""The debug log: one line a fact, secrets hidden, safe against what tools and messages write into it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from videod.config.settings import Settings
from videod.errors import ConfigError
from videod.events import stamp
from videod.redact import hide

TAIL_LINES = 60
LONGEST = 8000
# a line costs less than a look whether its file was moved away
LOOK_SECONDS = 0.1
# what ends a line or steers a terminal: also what UTF-8 has of both, and the marks that turn the order of letters
_BIDI = (*range(0x2028, 0x202F), *range(0x2066, 0x206A))
_CONTROL = {n: f"\\x{n:02x}" for n in (*range(32), *range(127, 160))} | {n: f"\\u{n:04x}" for n in _BIDI}
_CONTROL |= {10: " | ", 13: "", 9: " "}


def visible(text: str) -> str:
    """`text` as one line without control characters and half surrogates: it can forge no line and steer no terminal."""
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_CONTROL).encode("utf-8", "backslashreplace").decode()


def one_line(text: str) -> str:
    """The beginning of `text`, `visible`."""
    return visible(text[:LONGEST])


class _Format(logging.Formatter):
    def __init__(self, node: str, as_json: bool, secrets: Iterable[str]) -> None:
        super().__init__()
        self._node, self._json, self._secrets = node, as_json, tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """One line of text, or of JSON."""
        job: dict[str, Any] = getattr(record, "job", {})
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        if not job or record.exc_info:  # else JobLog has done it already
            text = one_line(hide(text, self._secrets))
        at = stamp(record.created)
        if self._json:
            facts = {"at": at, "level": record.levelname, "node": self._node, **job, "text": text}
            return json.dumps(facts, ensure_ascii=False)
        about = f"job={job['job']} attempt={job['attempt']} {job['kind']}: " if job else ""
        return f"{at} {record.levelname} {self._node} {about}{text}"


class _Lines(logging.Handler):
    """Appends lines to a file that logrotate may move away, or to stderr: one write(2) a line, no lock held.

    The lock that a handler of the library holds while it writes makes the threads stand in a row, which cost a
    tenth of a short job. A log that cannot be written must not stop the job that writes it.
    """

    def __init__(self, path: str | None) -> None:
        super().__init__()
        self._path = path
        self._fd = os.dup(sys.stderr.fileno()) if path is None else self._open(path)
        self._is, self._looked = os.fstat(self._fd), 0.0

    @staticmethod
    def _open(path: str) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY, 0o666)

    def handle(self, record: logging.LogRecord) -> bool:
        """Write one line; without the library's lock."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            self._follow()
            os.write(self._fd, (self.format(record) + "\n").encode())
        except OSError:
            self.handleError(record)

    def _follow(self) -> None:
        now = time.monotonic()
        if self._path is None or now < self._looked + LOOK_SECONDS:
            return
        self._looked = now
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            self.reopen()
            return
        if not os.path.samestat(named, self._is):
            self.reopen()

    def reopen(self) -> None:
        """Open the path again, under the same descriptor: another thread may be writing to it."""
        if self._path is not None:
            fd = self._open(self._path)
            os.dup2(fd, self._fd, inheritable=False)
            self._is = os.fstat(fd)
            os.close(fd)


class Logs:
    """Owns the log's file. One for each process."""

    def __init__(self, settings: Settings, *, foreground: bool) -> None:
        logging.raiseExceptions = False
        # we show neither thread nor place of a line: not looking for them halves what a line costs
        logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
        logging._srcfile = None
        self.log = logging.getLogger("videod")
        self.log.propagate = False
        try:
            self._handler = _Lines(None if foreground else settings.debug_log)
        except OSError as error:
            raise ConfigError(f"cannot write the log: {settings.debug_log}: {error.strerror}") from None
        self.configure(settings)
        self.log.handlers[:] = [self._handler]

    def configure(self, settings: Settings) -> None:
        """Take up level and format."""
        as_json = settings.log_format == "json"
        self._handler.setFormatter(_Format(settings.node, as_json, settings.secret_values))
        self.log.setLevel(settings.log_level.upper())

    def reopen(self) -> None:
        """After logrotate moved the file away. One that cannot be opened is tried again with each line."""
        with contextlib.suppress(OSError):
            self._handler.reopen()


class JobLog:
    """The log of one job: each line carries its id; keeps the tail and the warnings for the job record."""

    def __init__(self, log: logging.Logger, job: str, attempt: int, kind: str, secrets: Iterable[str] = ()) -> None:
        self._log, self._secrets = log, tuple(secrets)
        self._extra = {"job": {"job": job, "attempt": attempt, "kind": kind}}
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.warnings: list[str] = []

    def info(self, text: str) -> None:
        """A fact."""
        self._log.info("%s", self._keep(text), extra=self._extra)

    def debug(self, text: str) -> None:
        """A fact for who looks closely; not in the record's tail."""
        self._log.debug("%s", one_line(hide(text, self._secrets)), extra=self._extra)

    def warn(self, text: str) -> None:
        """Something that the producer should know: also in the job record."""
        self.warnings.append(hide(text, self._secrets))
        self._log.warning("%s", self._keep(text), extra=self._extra)

    def error(self, text: str, *, trace: bool = False) -> None:
        """What ended the job; `trace` adds the stack, for faults of our own."""
        self._log.error("%s", self._keep(text), extra=self._extra, exc_info=trace)

    def _keep(self, text: str) -> str:
        shown = one_line(hide(text, self._secrets))  # hidden first: half a secret would not be found
        self.tail.append(f"{stamp()} {shown}")
        return shown
