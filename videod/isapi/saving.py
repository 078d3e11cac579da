"""Bring one recording to a file. What arrives is a video by its first bytes, never because the status said 200.

Half of the downloads that follow one another are answered 400 and succeed seconds later; a busy recorder says 503, or
200 with XML or HTML for a body. Some want GET and some POST, and say 400 to the other: both are tried in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from videod.errors import FetchFailed, Stalled
from videod.isapi.client import PAUSES, Client, Refused
from videod.isapi.document import document, leaf, said
from videod.isapi.finding import Found
from videod.process import Tools
from videod.transfer.body import Broken, Silent, pieces
from videod.transfer.landing import land
from videod.transfer.response import BLOCK

PATH = "ContentMgmt/download"
HEAD = 16
# pack start code of MPEG-PS; the recorder's own header in front of one; MP4
_PACK, _OWN, _BOX = b"\0\0\1\xba", b"IMKH", b"ftyp"
# what else there may be where it is worth another try, and how many tries that makes
MISSES = (*PAUSES, 8.0, 8.0)
METHODS = ("GET", "POST")


@dataclass(frozen=True)
class Saved:
    """A recording that has been fetched; `ext` is mpg or mp4. `doubt`: why it may not be whole, '' if it is."""

    path: Path
    bytes: int
    ext: str
    doubt: str = ""


class NoVideo(Exception):
    """What came is something else."""


def ext_of(head: bytes) -> str:
    """What begins like this: mpg, mp4, or nothing."""
    if head.startswith((_PACK, _OWN)):
        return "mpg"
    return "mp4" if head[4:8] == _BOX else ""


class Saver:
    """Saves the recordings of one recorder, one after the other; knows by which method it gives them."""

    def __init__(self, client: Client, tools: Tools, most: int, on_bytes: Callable[[int], None]) -> None:
        self._client, self._tools, self._most, self._count = client, tools, most, on_bytes
        self._method = 0

    def save(self, found: Found, path: Path, on_size: Callable[[int], None] = lambda size: None) -> Saved:
        """The recording in the file `path`. Raises LoginRefused, FetchFailed, Stalled, TooBig, DiskFull, and what
        the client's check raises."""
        short: list[int] = []
        why: Exception = FetchFailed("nothing was tried")
        for pause in (0.0, *MISSES):
            self._tools.pause(pause)
            try:
                made, promised = self._once(found, path, on_size)
            except Silent:
                raise Stalled(f"the recorder sent nothing more: recording of {found.start}") from None
            except (Refused, Broken, NoVideo) as error:
                why = error
                # 404 and 405, too: of the method, or of a recorder that is busy
                self._method += isinstance(error, Refused) and error.status not in (429, 503)
                continue
            if promised or found.growing or not found.size or made.bytes >= found.size:
                return made
            # nobody said how much would come, and the address tells of more: the same once more is all there is
            short.append(made.bytes)
            if short.count(made.bytes) > 1:
                return Saved(path, made.bytes, made.ext, f"{made.bytes} bytes came, its address tells of {found.size}")
            why = Broken(f"{made.bytes} of {found.size} bytes came")
        raise FetchFailed(f"cannot fetch the recording of {found.start}: {why}: in {len(MISSES) + 1} tries")

    def _once(self, found: Found, path: Path, on_size: Callable[[int], None]) -> tuple[Saved, bool]:
        """One try; whether its length was promised, and so proven."""
        body = document("downloadRequest", leaf("playbackURI", found.uri))
        method = METHODS[self._method % len(METHODS)]
        size = 0

        def tell(now: int) -> None:
            nonlocal size
            size = now
            on_size(now)

        try:
            with self._client.answer(method, PATH, body) as response:
                coming = pieces(response, BLOCK)
                head = _head(coming)
                if not (ext := ext_of(head)):
                    raise NoVideo(_what(head, coming))
                size = land(chain([head], coming), path, self._tools, most=self._most, on_size=tell)
                # of chunks, the last one is the proof
                proven = any(name in response.headers for name in ("Content-Length", "Transfer-Encoding"))
        finally:
            self._count(size)
        return Saved(path, size, ext), proven


def _head(coming: Iterator[bytes]) -> bytes:
    """The first bytes: a slow recorder may send them one by one."""
    head = b""
    for piece in coming:
        head += piece
        if len(head) >= HEAD:
            break
    return head


def _what(head: bytes, coming: Iterator[bytes]) -> str:
    """What came in place of a video, in a few words."""
    text = head
    for piece in coming:
        text += piece
        if len(text) >= 4096:
            break
    if told := said(text):
        return f"it answered 200 and said {told}"
    begins = text[:64].lstrip().lower()
    kind = "HTML" if begins.startswith((b"<!doctype", b"<html")) else "XML" if begins.startswith(b"<") else ""
    return f"it answered 200 and sent {kind or ('nothing' if not text else 'what is no video')}"
