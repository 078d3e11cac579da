"""Decoder configuration records (ISO 14496-15): what avcC and hvcC hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from videod.codec.bits import BadBitstream
from videod.codec.nal import LENGTH_SIZES, trimmed

_MOST_AVC_SPS, _MOST_AVC_PPS = 31, 255
_MOST_ARRAYS, _MOST_NALS = 255, 65535
_HEVC_HEAD = 22
_HEVC_SETS = (32, 33, 34)


@dataclass(frozen=True)
class AvcConfig:
    """AVCDecoderConfigurationRecord.

    `profile`, `compat`, `level`: the three bytes as stored; `length_size`: bytes of a NAL unit's length;
    `sps`, `pps`: NAL units; `ext`: what follows them, verbatim (chroma format, depths, SPS extensions).
    """

    profile: int
    compat: int
    level: int
    length_size: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    ext: bytes = b""

    @classmethod
    def read(cls, data: bytes) -> AvcConfig:
        """The body of an avcC box. Raises BadBitstream."""
        cursor = _Cursor(data, "avcC")
        version, profile, compat, level, lengths = cursor.take(5)
        _version(version, "avcC")
        sps = tuple(cursor.nal() for _ in range(cursor.take(1)[0] & 31))
        pps = tuple(cursor.nal() for _ in range(cursor.take(1)[0]))
        return cls(profile, compat, level, _length_size(lengths, "avcC"), sps, pps, cursor.rest())

    def write(self) -> bytes:
        """The body of an avcC box. Raises BadBitstream if there are too many sets for one."""
        if len(self.sps) > _MOST_AVC_SPS or len(self.pps) > _MOST_AVC_PPS:
            raise BadBitstream("more parameter sets than avcC holds")
        head = bytes([1, self.profile, self.compat, self.level, 0xFC | self.length_size - 1, 0xE0 | len(self.sps)])
        return head + _nals(self.sps) + bytes([len(self.pps)]) + _nals(self.pps) + self.ext


@dataclass(frozen=True)
class HevcArray:
    """The parameter sets of one NAL unit type; `complete`: none of that type is in the samples."""

    nal_type: int
    complete: bool
    nals: tuple[bytes, ...]


@dataclass(frozen=True)
class HevcConfig:
    """HEVCDecoderConfigurationRecord: its first 22 bytes verbatim, and the arrays of sets in their order."""

    head: bytes
    arrays: tuple[HevcArray, ...]

    @classmethod
    def read(cls, data: bytes) -> HevcConfig:
        """The body of an hvcC box. Raises BadBitstream."""
        cursor = _Cursor(data, "hvcC")
        head = cursor.take(_HEVC_HEAD)
        _version(head[0], "hvcC")
        _length_size(head[21], "hvcC")
        arrays = []
        for _ in range(cursor.take(1)[0]):
            kind = cursor.take(1)[0]
            count = int.from_bytes(cursor.take(2), "big")
            arrays.append(HevcArray(kind & 63, bool(kind & 128), tuple(cursor.nal() for _ in range(count))))
        return cls(head, tuple(arrays))

    def write(self) -> bytes:
        """The body of an hvcC box. Raises BadBitstream if there are too many sets for one."""
        if len(self.arrays) > _MOST_ARRAYS or any(len(array.nals) > _MOST_NALS for array in self.arrays):
            raise BadBitstream("more parameter sets than hvcC holds")
        parts = [self.head, bytes([len(self.arrays)])]
        for array in self.arrays:
            parts.append(bytes([array.complete << 7 | array.nal_type]))
            parts += (len(array.nals).to_bytes(2, "big"), _nals(array.nals))
        return b"".join(parts)

    @property
    def length_size(self) -> int:
        """Bytes of a NAL unit's length."""
        return (self.head[21] & 3) + 1

    @property
    def sets(self) -> tuple[bytes, ...]:
        """VPS, SPS and PPS, without zeros behind them; x265 has an array of SEI besides."""
        found = (nal for array in self.arrays if array.nal_type in _HEVC_SETS for nal in array.nals)
        return tuple(trimmed(nal) for nal in found)

    def incomplete(self) -> HevcConfig:
        """The same, saying that sets may stand in the samples, too: what `hev1` is, and `hvc1` tolerates."""
        return HevcConfig(self.head, tuple(HevcArray(a.nal_type, False, a.nals) for a in self.arrays))


class _Cursor:
    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._at, self._name = data, 0, name

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) < count:
            raise BadBitstream(f"{self._name} ends after {len(self._data)} bytes, too early")
        self._at += count
        return piece

    def nal(self) -> bytes:
        nal = self.take(int.from_bytes(self.take(2), "big"))
        if not nal:
            raise BadBitstream(f"{self._name} holds an empty parameter set")
        return nal

    def rest(self) -> bytes:
        return self._data[self._at :]


def _version(version: int, name: str) -> None:
    if version != 1:
        raise BadBitstream(f"{name} has version {version}, only 1 is known")


def _length_size(value: int, name: str) -> int:
    size = (value & 3) + 1
    if size not in LENGTH_SIZES:
        raise BadBitstream(f"{name}: lengths of {size} bytes do not exist")
    return size


def _nals(nals: Iterable[bytes]) -> bytes:
    parts: list[bytes] = []
    for nal in nals:
        if len(nal) >> 16:
            raise BadBitstream(f"a parameter set of {len(nal)} bytes")
        parts += (len(nal).to_bytes(2, "big"), nal)
    return b"".join(parts)
