"""SEI messages of HEVC that say how all pictures are to be shown: what an encoded edge must repeat (ISO 23008-2, D)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from videod.codec.bits import escape, unescape
from videod.codec.hevc import Hevc, hevc_type, layer_id

# mastering display colour volume, content light level, alternative transfer characteristics, ambient viewing
# environment: each of some bytes
_DISPLAY = frozenset({137, 144, 147, 148})
_LONGEST_MESSAGE = 254
# pictures may hide in another kind of message, and nothing here needs them
_LONGEST_SEI = 1 << 16
_HEADER = bytes([Hevc.PREFIX_SEI << 1, 1])


def display_sei(nals: Iterable[bytes]) -> bytes:
    """One prefix SEI NAL unit with the messages about display among these NAL units; empty if there are none.

    Raises BadBitstream.
    """
    found: dict[int, bytes] = {}
    for nal in nals:
        if hevc_type(nal) == Hevc.PREFIX_SEI and not layer_id(nal):
            for kind, payload in _messages(unescape(nal[2:_LONGEST_SEI])):
                if kind in _DISPLAY and len(payload) <= _LONGEST_MESSAGE:
                    found.setdefault(kind, payload)
    body = b"".join(bytes([kind, len(payload)]) + payload for kind, payload in sorted(found.items()))
    return _HEADER + escape(body + b"\x80") if body else b""


def _messages(rbsp: bytes) -> Iterator[tuple[int, bytes]]:
    """The messages in turn; a broken one ends them: no picture depends on it."""
    at, end = 0, len(rbsp.rstrip(b"\0")) - 1
    while at < end:
        kind, at = _code(rbsp, at)
        size, at = _code(rbsp, at)
        if at + size > end:
            return
        yield kind, rbsp[at : at + size]
        at += size


def _code(rbsp: bytes, at: int) -> tuple[int, int]:
    """A payload type or size: bytes of 255, then a last one; and where it ends."""
    begin = at
    while at < len(rbsp) and rbsp[at] == 255:
        at += 1
    last = rbsp[at] if at < len(rbsp) else 0
    return 255 * (at - begin) + last, at + 1
