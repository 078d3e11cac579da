"""SEI messages of HEVC that say how all pictures are to be shown: what an encoded edge must repeat (ISO 23008-2, D)."""

from __future__ import annotations

from collections.abc import Iterable

from videod.codec.bits import escape, unescape
from videod.codec.hevc import Hevc, hevc_type, layer_id
from videod.codec.sei import LONGEST_SEI, messages

# mastering display colour volume, content light level, alternative transfer characteristics, ambient viewing
# environment: each of some bytes
_DISPLAY = frozenset({137, 144, 147, 148})
_LONGEST_MESSAGE = 254
_HEADER = bytes([Hevc.PREFIX_SEI << 1, 1])


def display_sei(nals: Iterable[bytes]) -> bytes:
    """One prefix SEI NAL unit with the messages about display among these NAL units; empty if there are none.

    Raises BadBitstream.
    """
    found: dict[int, bytes] = {}
    for nal in nals:
        if hevc_type(nal) == Hevc.PREFIX_SEI and not layer_id(nal):
            for kind, payload in messages(unescape(nal[2:LONGEST_SEI])):
                if kind in _DISPLAY and len(payload) <= _LONGEST_MESSAGE:
                    found.setdefault(kind, payload)
    body = b"".join(bytes([kind, len(payload)]) + payload for kind, payload in sorted(found.items()))
    return _HEADER + escape(body + b"\x80") if body else b""
