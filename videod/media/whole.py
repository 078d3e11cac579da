"""Is a file as long as its own structure says? Looks at a few bytes, decodes nothing.

ffmpeg reads a truncated file to where it breaks off and exits 0; the containers themselves tell the length
that they should have: MP4 boxes, the Matroska segment, RIFF chunks, the last tag of FLV.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

MAX_BOXES = 100_000


def looks_like_video(head: bytes) -> bool:
    """Whether the first bytes (64 are enough, 600 for MPEG-TS) claim to be one of the formats we serve."""
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"moof", b"styp"}:
        return True
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    starts = (b"\x1aE\xdf\xa3", b"FLV\x01", b"OggS", b"\x30\x26\xb2\x75", b"GIF8", b"\x00\x00\x01\xba", b"IMKH")
    return head.startswith(starts) or _transport(head)


def is_whole(path: str, formats: tuple[str, ...]) -> bool:
    """False if the container says that it goes on behind the end of the file. Raises OSError."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        if "mov" in formats:
            return _boxes_fit(file, size)
        if "matroska" in formats:
            return _segment_fits(file, size)
        if "avi" in formats:
            return _riff_fits(file, size)
        if "flv" in formats:
            return _last_tag_fits(file, size)
    return True


def index_is_cut(path: str, formats: tuple[str, ...]) -> bool:
    """Whether an MP4 breaks off within its index: what is left of that may lack whole tracks. Raises OSError."""
    if "mov" not in formats:
        return False
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        return any(kind == b"moov" and end > size for kind, end in _boxes(file, size))


def _transport(head: bytes) -> bool:
    return any(head[at : at + 1] == b"G" == head[at + step : at + step + 1] for step in (188, 192) for at in (0, 4))


def _boxes_fit(file: BinaryIO, size: int) -> bool:
    return all(end <= size for _, end in _boxes(file, size))


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """The kind of each box and where it should end; the last may end behind the file."""
    at = 0
    for _ in range(MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return  # a few bytes behind the last box are common and harmless
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0:
            return  # goes on to the end of the file, by definition
        if length < 8 or not head[4:8].isascii():
            return  # no box: junk behind the last
        at += length
        yield head[4:8], at
        if at > size:
            return


def _number(data: bytes, *, marked: bool) -> tuple[int, int]:
    """An EBML number and its length; -1 for "unknown"."""
    if not data or not data[0]:
        return -1, 1
    length = 9 - data[0].bit_length()
    value = int.from_bytes(data[:length], "big")
    if marked:
        return value, length
    value &= (1 << 7 * length) - 1
    return (-1 if value == (1 << 7 * length) - 1 else value), length


def _segment_fits(file: BinaryIO, size: int) -> bool:
    at = 0
    for _ in range(8):
        file.seek(at)
        head = file.read(16)
        name, used = _number(head, marked=True)
        length, more = _number(head[used:], marked=False)
        if length < 0:
            return True  # written live: its size was never filled in
        at += used + more + length
        if name == 0x18538067:
            return at <= size
        if at >= size:
            break
    return True


def _riff_fits(file: BinaryIO, size: int) -> bool:
    at = 0
    for _ in range(MAX_BOXES):  # a gigabyte of empty ones would take minutes
        if at + 8 > size:
            return at <= size
        file.seek(at)
        head = file.read(8)
        if head[:4] != b"RIFF":
            return True
        at += 8 + int.from_bytes(head[4:8], "little")
    return True


def _last_tag_fits(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - 4))
    length = int.from_bytes(file.read(4), "big")
    if not 11 <= length <= size - 17:
        return False
    file.seek(size - 4 - length)
    tag = file.read(4)
    return tag[0] & 0x1F in {8, 9, 18} and int.from_bytes(tag[1:4], "big") == length - 11
