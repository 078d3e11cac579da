"""One run of wget: one request, no redirect, no retry, through the door.

Nothing secret stands in its argv: the address comes on stdin, headers, passwords and the door's address in a
wgetrc of mode 0600 that is removed afterwards. Status and headers are read from what --server-response
prints. Its exit code alone proves nothing: 0 for a chunked body that was cut within a chunk, and for an
answer without any status (measured with 1.21.3).
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from videod.config import Source
from videod.errors import EncodeFailed, FetchFailed, TooBig
from videod.process import Tools
from videod.redact import hide
from videod.transfer.door import Door
from videod.transfer.http import AGENT
from videod.transfer.urls import Url

# pipes.py cuts longer lines: what arrives at this length is not whole
LONGEST_HEADER = 4090


@dataclass
class Answer:
    """What the server said, and how wget ended. Header names are in lower case; the last of a name counts."""

    status: int = 0
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    code: int = 0
    said: str = ""

    @property
    def length(self) -> int | None:
        """Content-Length."""
        value = self.headers.get("content-length", "")
        return int(value) if value.isascii() and value.isdigit() else None


@dataclass(frozen=True)
class Request:
    """`url` into the file `path`, behind what it holds when `go_on`; at most `most` bytes, 0 for any number."""

    url: Url
    path: Path
    source: Source
    headers: tuple[str, ...] = ()
    go_on: bool = False
    most: int = 0


Look = Callable[[Answer], None]


def run(request: Request, door: Door, tools: Tools, look: Look, on_size: Callable[[int], None]) -> Answer:
    """Let wget do the request; `look` is called after each header line and may raise to end it.

    Raises TooBig when the file outgrows `most`, and what Tools.run raises.
    """
    printed = _Printed(look)

    def size() -> int:
        now = size_of(request.path)
        _check_size(now, request.most)
        on_size(now)
        return now

    limits = replace(tools.limits, file_size=request.most + 1) if request.most else tools.limits
    with _wgetrc(request, door, tools.scratch) as rc:
        try:
            result = tools.run(
                _argv(request, rc),
                stdin=request.url.text.encode() + b"\n",
                on_error_line=printed.line,
                alive=size,
                may_fail=True,
                limits=limits,
            )
        except EncodeFailed as error:
            _check_size(size_of(request.path), request.most)
            raise FetchFailed(error.message, detail=error.detail) from None
    answer = printed.answer
    answer.code, answer.said = result.code, hide("\n".join(printed.own_words[-4:]))
    return answer


class _Printed:
    """What wget prints: heads of answers, set in by two blanks, and words of its own."""

    def __init__(self, look: Look) -> None:
        self.answer = Answer()
        self.own_words: list[str] = []
        self._look = look

    def line(self, line: str) -> None:
        """One line of its stderr."""
        if not line.startswith("  "):
            self.own_words.append(line)
        elif _add(self.answer, line[2:]):
            self._look(self.answer)


def size_of(path: Path) -> int:
    """Its bytes; 0 when it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _check_size(now: int, most: int) -> None:
    if most and now > most:
        raise TooBig(f"the source is larger than {most} bytes: max_source_bytes: raise it if it should be served")


def _add(answer: Answer, line: str) -> bool:
    """Take one line of a head; whether it said something."""
    if line.startswith("HTTP/"):
        words = line.split(" ", 2)
        answer.status = int(words[1]) if len(words) > 1 and re.fullmatch(r"[0-9]{1,9}", words[1]) else 0
        answer.reason = words[2][:80] if len(words) > 2 else ""
        answer.headers = {}
        return True
    name, colon, value = line.partition(":")
    if not colon or not answer.status:
        return False
    name, value = name.strip().lower(), value.strip()
    if name == "content-length" and answer.headers.get(name, value) != value:
        value = "contradictory"
    answer.headers[name] = value
    return True


def _argv(request: Request, rc: Path) -> list[str]:
    # no time-outs of its own: the stall watch of Tools sees the file grow, and the door ends what is silent
    made = ["wget", f"--config={rc}", "--no-verbose", "--server-response", "--tries=1", "--timeout=0"]
    made += ["--max-redirect=0", "--no-hsts", "--no-cookies", "--no-iri"]
    return [*made, *(["--continue"] if request.go_on else []), "-O", str(request.path), "-i", "-"]


@contextmanager
def _wgetrc(request: Request, door: Door, folder: Path) -> Iterator[Path]:
    path = folder / f".wgetrc-{secrets.token_hex(4)}"
    lines = [f"{kind}_proxy = {door.address}" for kind in ("http", "https")]
    lines += ["use_proxy = on", f"proxy_user = {door.user}", f"proxy_password = {door.password}", "netrc = off"]
    lines += [f"user_agent = {request.source.user_agent or AGENT}"]
    lines += [f"header = {header}" for header in request.headers]
    lines += [f"ca_certificate = {request.source.ca_file}"] if request.source.ca_file else []
    lines += [f"limit_rate = {request.source.limit_rate}"] if request.source.limit_rate else []
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "w", encoding="utf-8") as file:
            # a line end inside a value would be a setting of its own
            file.writelines(" ".join(line.split()) + "\n" for line in lines)
        yield path
    finally:
        path.unlink()
