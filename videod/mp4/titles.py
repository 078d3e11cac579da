"""The title of a movie and those of its tracks: all of its metadata that is read and written.

Players look for a movie's title in ilst (MP4) or directly in udta (QuickTime), for a track's in its name.
"""

from __future__ import annotations

import struct

from videod.mp4.boxes import BadMp4, Box, Data, fields, find
from videod.mp4.packing import box, full

_TITLE = b"\xa9nam"
# bytes; QuickTime counts them in 16 bits
MOST_TITLE = (1 << 16) - 1
_UTF_8, _UTF_16 = 1, 2
# a language below is a code of the Macintosh, and so are the letters
_ISO_CODES = 0x400
_UNDETERMINED = 0x55C4
_UNSPECIFIED = 0x7FFF


def movie_title(data: Data, moov: Box) -> str:
    """That of a movie; empty if it has none, or one that cannot be read."""
    try:
        return _listed(data, moov) or _plain(data, moov)
    except BadMp4:
        # no reason to refuse a film: writers leave all sorts of things in udta
        return ""


def track_title(data: Data, trak: Box) -> str:
    """That of a track; empty if it has none."""
    try:
        name = find(data, trak, b"udta", b"name")
    except BadMp4:
        return ""
    return _text(bytes(data[name.body : min(name.end, name.body + MOST_TITLE)]), "utf-8") if name else ""


def movie_udta(title: str, quicktime: bool) -> bytes:
    """udta of a movie; nothing without a title. Raises BadMp4 for a title that is too long."""
    if not title:
        return b""
    text = title.encode("utf-8", "replace")
    if len(text) > MOST_TITLE:
        raise BadMp4(f"a title of {len(text)} bytes")
    if quicktime:
        return box(b"udta", box(_TITLE, struct.pack(">HH", len(text), _UNDETERMINED), text))
    item = box(_TITLE, box(b"data", struct.pack(">II", _UTF_8, 0), text))
    return box(b"udta", full(b"meta", full(b"hdlr", bytes(4), b"mdirappl", bytes(9)), box(b"ilst", item)))


def track_udta(title: str) -> bytes:
    """udta of a track; nothing without a title."""
    return box(b"udta", box(b"name", title.encode("utf-8", "replace"))) if title else b""


def _listed(data: Data, moov: Box) -> str:
    meta = find(data, moov, b"udta", b"meta")
    if meta is None:
        return ""
    # a full box in MP4, in QuickTime none
    version = 0 if bytes(data[meta.body + 4 : meta.body + 8]) == b"hdlr" else 4
    found = find(data, meta._replace(body=min(meta.body + version, meta.end)), b"ilst", _TITLE, b"data")
    if found is None:
        return ""
    coding = {_UTF_8: "utf-8", _UTF_16: "utf-16-be"}.get(fields(data, found, "I")[0])
    return _text(_cut(data, found, 8), coding) if coding else ""


def _plain(data: Data, moov: Box) -> str:
    found = find(data, moov, b"udta", _TITLE)
    if found is None:
        return ""
    length, language = fields(data, found, "HH")
    mac = language < _ISO_CODES or language == _UNSPECIFIED
    return _text(_cut(data, found, 4)[:length], "mac_roman" if mac else "utf-8")


def _cut(data: Data, found: Box, at: int) -> bytes:
    return bytes(data[found.body + at : min(found.end, found.body + at + MOST_TITLE)])


def _text(raw: bytes, coding: str) -> str:
    return raw.decode(coding, "replace").partition("\0")[0]
