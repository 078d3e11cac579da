"""The response of an HTTP server: its head, its body as it comes, and whether its connection can be used again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPException, HTTPResponse, IncompleteRead, parse_headers
from typing import Any, cast

BLOCK = 1 << 18
# of chunks so much is waited for at once
CHUNKS = 1 << 16
# answers that only announce another
MOST_HINTS = 32
_NAME, _VALUE = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", rb"[\t\x20-\x7e]*"
_PLAIN = re.compile(rb"HTTP/1\.1 (200|206) ([\x20-\x7e]*)\r\n((?:" + _NAME + rb":" + _VALUE + rb"\r\n){1,64})")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK = re.compile(rb"[ \t]*0*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
_LONGEST_LINE = 1 << 16


class Headers(Mapping[str, str]):
    """By name in any case; what came several times has its values joined by commas, as RFC 9110 reads them."""

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        self._all: dict[str, list[str]] = {}
        for name, value in lines:
            self._all.setdefault(name.lower(), []).append(value.strip(" \t"))

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._all[name.lower()])

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def getlist(self, name: str) -> list[str]:
        """Each value by itself."""
        return self._all.get(name.lower(), [])


class Response(HTTPResponse):
    """Read by one thread. `status`, `reason` and `headers` are there from the beginning; `length` is what is still to
    come, None where none was promised. Reading raises HTTPException and OSError."""

    headers: Headers  # type: ignore[assignment]
    _ended = False

    def begin(self) -> None:
        """Read the head, unless that is done."""
        if self.headers is not None or self._begin_plain():
            return
        super().begin()
        read = cast(Any, self.headers)
        # a line that is no header ends them for the library, but what ends the body may stand behind it
        rest = text.split("\n") if isinstance(text := read.get_payload(), str) else []
        lost = (line.rstrip("\r").partition(":") for line in rest if ":" in line)
        self.headers = Headers([*read.items(), *((name.strip(), value) for name, _, value in lost)])
        self._find_end()

    def _read_status(self) -> tuple[str, int, str]:
        """The library knows 100 alone, and takes any other announcement for the answer, which would then be read as
        that of the next request."""
        for _ in range(MOST_HINTS):
            version, status, reason = cast(Any, super())._read_status()
            if not 100 <= status < 200:
                return version, status, reason
            if status == 101:
                raise HTTPException("the server goes on in another protocol, which nobody asked for")
            parse_headers(cast(Any, self.fp))
        raise HTTPException("the server only announces answers")

    def _find_end(self) -> None:
        """What ends the body, by RFC 9112: the library looks at the first header of a name and at one spelling."""
        lengths = {length.strip() for length in self.headers.get("content-length", "").split(",")}
        if self.status in (204, 304):
            self.chunked = False  # for their end the library would wait
            # of 304 it is the length of what stands there, of 204 one that may come
            self.will_close = self.will_close or (self.status == 204 and lengths not in ({""}, {"0"}))
            return
        if cast(Any, self)._method == "HEAD":
            return
        codings = {coding.strip() for coding in self.headers.get("transfer-encoding", "identity").lower().split(",")}
        if "chunked" in codings and codings <= {"chunked", "identity", ""}:
            # with a length, too, somebody on the way may have gone by that
            self.will_close = self.will_close or lengths != {""}
            self.chunked, self.chunk_left, self.length = True, None, None
        elif not codings <= {"identity", ""}:
            raise HTTPException("the body is coded for its transfer, which nobody asked for")
        elif len(lengths) > 1:
            raise HTTPException("the server promises two lengths at once")
        elif _LENGTH.fullmatch(length := lengths.pop()):
            self.length = int(length)
        else:
            self.length, self.will_close = None, True

    def _begin_plain(self) -> bool:
        """Take the head apart at once where it is plain.

        The library reads it line by line into a parser for mail, a tenth of what a small file costs. What is not plain
        in any way is left to it, untouched: nothing is understood here that it would understand in another way.
        """
        fp = cast(Any, self.fp)
        came = fp.peek()
        end = came.find(b"\r\n\r\n") + 4
        found = _PLAIN.fullmatch(came, 0, end - 2) if end > 4 else None
        if not found or cast(Any, self)._method == "HEAD":
            return False
        lines = [line.partition(":") for line in found[3].decode("ascii").split("\r\n")[:-1]]
        headers = Headers((name, value) for name, _, value in lines)
        length = headers.get("content-length", "")
        if len(headers) < len(lines) or "transfer-encoding" in headers or not _LENGTH.fullmatch(length):
            return False
        fp.read(end)
        self.version, self.code, self.status = 11, int(found[1]), int(found[1])
        self.reason = found[2].decode("ascii").strip()
        self.headers = self.msg = headers  # type: ignore[assignment]
        self.chunked, self.length = False, int(length)
        self.will_close = "close" in headers.get("connection", "").lower()
        return True

    def _get_chunk_left(self) -> int | None:
        if self.chunk_left == 0:
            self.chunk_left = None
            if cast(Any, self.fp).read(2) != b"\r\n":
                raise IncompleteRead(b"")
        return cast("int | None", cast(Any, super())._get_chunk_left())

    def _read_next_chunk_size(self) -> int:
        """The library takes what Python takes for a number: below zero all that comes would be read at once. The line
        must be whole: of 000a the first digit alone would be the end of the body."""
        found = _CHUNK.fullmatch(cast(Any, self.fp).readline(_LONGEST_LINE))
        if not found:
            raise IncompleteRead(b"")
        return int(found[1], 16)

    def _read_and_discard_trailer(self) -> None:
        parse_headers(cast(Any, self.fp))  # no more than of a head

    def pieces(self, size: int) -> Iterator[bytes]:
        """What is left of the body, as it comes, in pieces of up to `size` bytes."""
        # of a chunk that was cut nothing is given on: what stands at its end may be anything
        read, size = (self.read, min(size, CHUNKS)) if self.chunked else (self.read1, size)
        while piece := read(size):
            yield piece
        if self.length:
            raise IncompleteRead(b"", self.length)
        self._ended = True

    def views(self, buffer: memoryview) -> Iterator[bytes | memoryview]:
        """The same, in the buffer: a piece stands only until the next one is asked for.

        New memory for each piece would cost a third of a large file's CPU time.
        """
        if not self.length:
            yield from self.pieces(len(buffer))
            return
        # what came before the connection was reset is not lost with it: readinto would wait for a full buffer
        while self.length and (came := cast(Any, self.fp).readinto1(buffer[: self.length])):
            self.length -= came
            yield buffer[:came]
        if self.length:
            raise IncompleteRead(b"", self.length)
        self._ended = True

    def _close_conn(self) -> None:
        """More than the answer may be here already. What of it is still to come would pass for the next answer."""
        fp = cast(Any, self.fp)
        fp.raw.readinto = lambda buffer: None  # nothing is waited for
        if fp.peek():
            self.will_close = True
        cast(Any, super())._close_conn()

    def end(self) -> bool:
        """Read on where that costs less than another connection; whether this one can be used again."""
        try:
            if not self.isclosed() and self.length is not None and self.length <= BLOCK:
                for _ in self.pieces(BLOCK):
                    pass
        except (HTTPException, OSError):
            self._ended = False
        self.close()
        return self._ended and not self.will_close
