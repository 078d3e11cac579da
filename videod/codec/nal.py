"""NAL units: out of samples, where each stands behind its length, and out of byte streams, behind start codes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum

from videod.codec.bits import BadBitstream

# of one sample; the levels allow some hundred slices a picture
MOST_NALS = 10_000
LENGTH_SIZES = (1, 2, 4)
_START = re.compile(rb"\x00\x00\x01")


class Avc(IntEnum):
    """nal_unit_type of H.264."""

    SLICE = 1
    PARTITION_A = 2
    PARTITION_B = 3
    PARTITION_C = 4
    IDR = 5
    SEI = 6
    SPS = 7
    PPS = 8
    AUD = 9
    END_OF_SEQUENCE = 10
    END_OF_STREAM = 11
    FILLER = 12
    SPS_EXTENSION = 13
    PREFIX = 14
    SUBSET_SPS = 15
    AUXILIARY = 19
    EXTENSION = 20
    DEPTH_EXTENSION = 21


def avc_type(nal: bytes) -> int:
    """nal_unit_type of an H.264 NAL unit, which must not be empty."""
    return nal[0] & 31


def split(sample: bytes, length_size: int) -> list[bytes]:
    """The NAL units of a sample, without empty ones.

    Raises BadBitstream if their lengths (of 1, 2 or 4 bytes each) do not fill the sample exactly.
    """
    found: list[bytes] = []
    at, end, count = 0, len(sample), 0
    while at < end:
        size = int.from_bytes(sample[at : at + length_size], "big")
        at += length_size
        count += 1
        if size > end - at or at > end:
            raise BadBitstream(f"NAL unit {count} of {size} bytes runs past the end of its sample of {end}")
        if count > MOST_NALS:
            raise BadBitstream(f"a sample has more than {MOST_NALS} NAL units")
        if size:
            found.append(sample[at : at + size])
        at += size
    return found


def join(nals: Iterable[bytes], length_size: int) -> bytes:
    """A sample of these NAL units. Raises BadBitstream if one is too long for `length_size` bytes."""
    parts: list[bytes] = []
    for nal in nals:
        if len(nal) >> 8 * length_size:
            raise BadBitstream(f"a NAL unit of {len(nal)} bytes does not fit a length of {length_size} bytes")
        parts += (len(nal).to_bytes(length_size, "big"), nal)
    return b"".join(parts)


def trimmed(nal: bytes) -> bytes:
    """A NAL unit without zeros behind it, which some copy from a byte stream into records; none ends with one."""
    return nal.rstrip(b"\0") or nal


def split_stream(data: bytes) -> list[bytes]:
    """The NAL units of a byte stream (Annex B). Raises BadBitstream if other data stands before the first."""
    found: list[bytes] = []
    at = -1
    for match in _START.finditer(data):
        piece = data[at : match.start()] if at >= 0 else data[: match.start()]
        # zeros before a start code belong to it: a NAL unit never ends with one
        piece = piece.rstrip(b"\0")
        if at < 0 and piece:
            raise BadBitstream("the byte stream does not begin with a start code")
        if at >= 0 and piece:
            found.append(piece)
        at = match.end()
        if len(found) > MOST_NALS:
            raise BadBitstream(f"a byte stream has more than {MOST_NALS} NAL units")
    if at < 0 and data.strip(b"\0"):
        raise BadBitstream("no start code in the byte stream")
    last = data[at:].rstrip(b"\0") if at >= 0 else b""
    return [*found, last] if last else found


def join_stream(nals: Iterable[bytes]) -> bytes:
    """A byte stream of these NAL units, each behind a start code of four bytes."""
    return b"".join(b"\0\0\0\1" + nal for nal in nals)
