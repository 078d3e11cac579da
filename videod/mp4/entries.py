"""Sample entries: what stsd says of a track's coding, as far as the container goes."""

from __future__ import annotations

import struct

from videod.mp4.boxes import SHORT, BadMp4, Box, Data, fields, find, walk

# bytes before the boxes inside an entry, size and fourcc included (14496-12, 12.1.3 and 12.2.3)
_PICTURE, _SOUND = 86, 36
# what QuickTime's versions 1 and 2 of the sound entry have more
_SOUND_MORE = {1: 16, 2: 36}
_ENCRYPTED = frozenset({b"encv", b"enca", b"enct", b"encs", b"encm", b"encf", b"drms", b"drmi", b"p608"})
# one byte a moment and channel, whatever the entry says
_LOGARITHMIC = frozenset({b"ulaw", b"alaw"})
# a picture's colour tables and parameter sets are kilobytes; it is kept for the life of an index
MOST_ENTRY = 1 << 20


def read_entry(data: Data, stsd: Box, number: int) -> bytes:
    """The sample entry of this number, from 1, with its size and fourcc."""
    (count,) = fields(data, stsd, "I", 4)
    if not 1 <= number <= count:
        raise BadMp4(f"stsd has no entry {number}")
    for at, box in enumerate(walk(data, stsd.body + 8, stsd.end), 1):
        if at == number:
            if not SHORT + 8 <= box.end - box.start <= MOST_ENTRY:
                raise BadMp4(f"the sample entry {box.name} has a size of {box.end - box.start}")
            return bytes(data[box.start : box.end])
    raise BadMp4(f"stsd has no entry {number}")


def data_reference(entry: bytes) -> int:
    """The number, from 1, of the entry of dref that says where the samples are."""
    return int.from_bytes(entry[14:16], "big")


def first_reference(entry: bytes) -> bytes:
    """The entry for a file that has one data reference, which is itself."""
    return entry[:14] + b"\0\1" + entry[16:]


def inside(entry: bytes, handler: bytes) -> Box:
    """The part of an entry that holds boxes, as a container."""
    start = _PICTURE if handler == b"vide" else _SOUND if handler == b"soun" else 16
    if handler == b"soun" and len(entry) >= _SOUND:
        start += _SOUND_MORE.get(_version(entry), 0)
    return Box(entry[4:8], 0, min(start, len(entry)), len(entry))


def child(entry: bytes, handler: bytes, kind: bytes) -> bytes | None:
    """The body of a box inside an entry, such as avcC; None if it is not there."""
    box = find(entry, inside(entry, handler), kind)
    return None if box is None else entry[box.body : box.end]


def is_encrypted(entry: bytes, handler: bytes) -> bool:
    """Whether samples need a key: by the fourcc, or by a sinf in the entry."""
    if entry[4:8] in _ENCRYPTED:
        return True
    try:
        return handler in {b"vide", b"soun"} and find(entry, inside(entry, handler), b"sinf") is not None
    except BadMp4:
        # old writers leave what is no box at the end of an entry; encrypted ones have a fourcc of their own
        return False


def raw_unit(entry: bytes, fixed: int) -> int:
    """Bytes of one moment of raw sound with the fixed sample size of stsz.

    QuickTime's older files say 1 there, and the size of a moment in the entry. Raises BadMp4 where a moment is no
    whole number of bytes.
    """
    if fixed != 1 or len(entry) < _SOUND:
        return fixed
    channels, bits = struct.unpack_from(">HH", entry, 24)
    if _version(entry) == 1 and len(entry) >= _SOUND + 16:
        per_packet, _, per_frame, _ = struct.unpack_from(">4I", entry, _SOUND)
        if per_packet != 1:
            raise BadMp4("sound in packets of a fixed number of samples is not read")
        return int(per_frame) or 1
    return max(1, int(channels) * (8 if entry[4:8] in _LOGARITHMIC else int(bits)) // 8)


def _version(entry: bytes) -> int:
    return int.from_bytes(entry[16:18], "big")
