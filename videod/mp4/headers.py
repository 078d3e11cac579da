"""The boxes of a file that say what it is: ftyp, mvhd, and those of trak around the sample tables."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction

from videod.mp4.boxes import BadMp4
from videod.mp4.model import NORMAL_RATE, UPRIGHT, TrackHeader
from videod.mp4.output import Media, TrackOut
from videod.mp4.packing import box, full

_IN_MOVIE = 2
# QuickTime's code of no language
_UNSPECIFIED = 0x7FFF
_NAMES = {b"vide": b"VideoHandler", b"soun": b"SoundHandler"}
_AVC = frozenset({b"avc1", b"avc3"})


def ftyp(tracks: Sequence[TrackOut], negative: bool, quicktime: bool) -> bytes:
    """Brands. `negative`: there are composition offsets below 0, which readers of isom and iso2 need not know."""
    if quicktime:
        return box(b"ftyp", b"qt  ", struct.pack(">I", 0x200), b"qt  ")
    brands = [b"iso6"] if negative else [b"isom", b"iso2"]
    if any(track.entry[4:8] in _AVC for track in tracks):
        brands.append(b"avc1")
    return box(b"ftyp", brands[0], struct.pack(">I", 0x200), *brands, b"mp41")


def mvhd(timescale: int, duration: int, tracks: int) -> bytes:
    """`duration` in the movie's timescale."""
    rest = struct.pack(">IH10x9i24xI", NORMAL_RATE, 0x100, *UPRIGHT, tracks + 1)
    if duration >> 32:
        return full(b"mvhd", struct.pack(">QQIQ", 0, 0, timescale, duration), rest, version=1)
    return full(b"mvhd", struct.pack(">IIII", 0, 0, timescale, duration), rest)


def tkhd(number: int, header: TrackHeader, duration: int) -> bytes:
    """`duration` in the movie's timescale, with the delay of an edit list."""
    rest = struct.pack(
        ">8xhhH2x9iII",
        header.layer,
        header.alternate_group,
        header.volume & 0xFFFF,
        *header.matrix,
        header.width,
        header.height,
    )
    flags = _IN_MOVIE | header.enabled
    if duration >> 32:
        return full(b"tkhd", struct.pack(">QQI4xQ", 0, 0, number, duration), rest, version=1, flags=flags)
    return full(b"tkhd", struct.pack(">III4xI", 0, 0, number, duration), rest, flags=flags)


def edts(media: Media, timescale: int) -> bytes:
    """The edit list, nothing if there is none; `timescale` is that of the movie."""
    if not media.edited:
        return b""
    # a duration of 0 would mean all
    rows = [(max(1, ticks(media.shown, timescale)), media.media_time)]
    if media.delay:
        rows.insert(0, (ticks(media.delay, timescale), -1))
    long = any(duration >> 32 or time >> 31 for duration, time in rows if time >= 0) or rows[0][0] >> 32
    layout = ">QqI" if long else ">IiI"
    entries = b"".join(struct.pack(layout, duration, time, NORMAL_RATE) for duration, time in rows)
    return box(b"edts", full(b"elst", struct.pack(">I", len(rows)), entries, version=1 if long else 0))


def mdia(track: TrackOut, media: Media, stbl: bytes, quicktime: bool) -> bytes:
    """All of a track but its header and edit list."""
    dref = full(b"dref", struct.pack(">I", 1), full(b"url ", flags=1))
    data_handler = _hdlr(b"dhlr", b"url ", b"DataHandler") if quicktime else b""
    minf = box(b"minf", track.media_header or _media_header(track, quicktime), data_handler, box(b"dinf", dref), stbl)
    name = _NAMES.get(track.handler, b"DataHandler")
    hdlr = _hdlr(b"mhlr", track.handler, name) if quicktime else _hdlr(bytes(4), track.handler, name)
    return box(b"mdia", _mdhd(track, media, quicktime), hdlr, minf)


def ticks(seconds: Fraction, timescale: int) -> int:
    """The nearest tick."""
    return round(seconds * timescale)


def _mdhd(track: TrackOut, media: Media, quicktime: bool) -> bytes:
    rest = struct.pack(">H2x", _language(track.language, quicktime))
    duration = media.dts[-1] + media.deltas[-1]
    if duration >> 32:
        return full(b"mdhd", struct.pack(">QQIQ", 0, 0, track.timescale, duration), rest, version=1)
    return full(b"mdhd", struct.pack(">IIII", 0, 0, track.timescale, duration), rest)


def _language(name: str, quicktime: bool) -> int:
    if quicktime and name == "und":
        return _UNSPECIFIED
    letters = name.encode("ascii", "replace")
    if len(letters) != 3 or not all(0x61 <= letter <= 0x7A for letter in letters):
        raise BadMp4(f"{name!a} is no language of three letters")
    return sum(letter - 0x60 << bits for letter, bits in zip(letters, (10, 5, 0), strict=True))


def _hdlr(component: bytes, handler: bytes, name: bytes) -> bytes:
    # QuickTime counts the letters of the name, MP4 ends it by a zero
    text = name + b"\0" if component == bytes(4) else bytes([len(name)]) + name
    return full(b"hdlr", component, handler, bytes(12), text)


def _media_header(track: TrackOut, quicktime: bool) -> bytes:
    if track.handler == b"vide":
        return full(b"vmhd", bytes(8), flags=1)
    if track.handler == b"soun":
        return full(b"smhd", bytes(4))
    if quicktime:
        # copy mode, and the colour for it
        return box(b"gmhd", full(b"gmin", struct.pack(">HHHHH2x", 0x40, 0x8000, 0x8000, 0x8000, 0)))
    return full(b"nmhd")
