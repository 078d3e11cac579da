"""Bits of a raw byte sequence payload (RBSP): reading, writing, emulation prevention (ISO 14496-10, 7.2 to 7.4, 9.1).

All data is foreign: what does not fit raises BadBitstream, and no loop here is longer than its data.
"""

from __future__ import annotations

import re

# of ue(v) and se(v): 2^32 - 2 has 31, more than 32 belong to no syntax element
MOST_ZEROS = 32
_WINDOW = 9
_ESCAPED = re.compile(rb"\x00\x00(?=[\x00-\x03]|\Z)")


class BadBitstream(ValueError):
    """Coded video, or a record about it, that breaks its own syntax; the text says what and where."""


class BitReader:
    """Reads an RBSP. `at` is the next bit's place; `size` the number of bits."""

    __slots__ = ("_data", "at", "size")

    def __init__(self, rbsp: bytes, at: int = 0) -> None:
        self._data = rbsp
        self.at = at
        self.size = 8 * len(rbsp)

    def u(self, bits: int) -> int:
        """An unsigned number of so many bits. Raises BadBitstream past the end."""
        value = self.span(self.at, self.at + bits)
        self.at += bits
        return value

    def flag(self) -> bool:
        """One bit."""
        return self.u(1) == 1

    def ue(self, most: int | None = None, name: str = "ue(v)") -> int:
        """An Exp-Golomb number of at most `most`."""
        first = self.at >> 3
        window = self._data[first : first + _WINDOW]
        left = 8 * len(window) - (self.at & 7)
        ahead = int.from_bytes(window, "big") & ((1 << max(0, left)) - 1)
        zeros = left - ahead.bit_length()
        if not ahead or zeros > MOST_ZEROS:
            raise BadBitstream(f"{name}: no end of the zeros at bit {self.at}")
        value = self.span(self.at + zeros, self.at + 2 * zeros + 1) - 1
        if most is not None and value > most:
            raise BadBitstream(f"{name}: {value}, at most {most} is allowed")
        self.at += 2 * zeros + 1
        return value

    def se(self, name: str = "se(v)") -> int:
        """A signed Exp-Golomb number."""
        code = self.ue(None, name)
        return (code + 1) // 2 if code & 1 else -(code // 2)

    def span(self, start: int, end: int) -> int:
        """The bits from `start` up to `end` as one number; the place of reading stays."""
        if end > self.size:
            raise BadBitstream(f"the data ends at bit {self.size}, before bit {end}")
        piece = self._data[start >> 3 : (end + 7) >> 3]
        return (int.from_bytes(piece, "big") >> (-end & 7)) & ((1 << (end - start)) - 1)

    def stop(self) -> int:
        """Where the stop bit is: the last bit that is one. Raises BadBitstream if there is none."""
        whole = self._data.rstrip(b"\0")
        if not whole:
            raise BadBitstream("no stop bit")
        last = whole[-1]
        return 8 * len(whole) - (last & -last).bit_length()

    def more(self) -> bool:
        """more_rbsp_data(): whether syntax follows before the stop bit."""
        return self.at < self.stop()


class BitWriter:
    """Writes an RBSP; made for few small elements and at most one long copy, which costs time in proportion."""

    __slots__ = ("_value", "size")

    def __init__(self) -> None:
        self._value = 0
        self.size = 0

    def u(self, bits: int, value: int) -> None:
        """An unsigned number in so many bits."""
        if value < 0 or value >> bits:
            raise ValueError(f"{value} does not fit into {bits} bits")
        self._value = self._value << bits | value
        self.size += bits

    def ue(self, value: int) -> None:
        """An Exp-Golomb number."""
        self.u(2 * (value + 1).bit_length() - 1, value + 1)

    def se(self, value: int) -> None:
        """A signed Exp-Golomb number."""
        self.ue(2 * value - 1 if value > 0 else -2 * value)

    def copy(self, reader: BitReader, start: int, end: int) -> None:
        """The bits of `reader` from `start` up to `end`."""
        self.u(end - start, reader.span(start, end))

    def align(self, bit: int) -> None:
        """Up to the next whole byte, with that bit."""
        bits = -self.size & 7
        self.u(bits, (1 << bits) - 1 if bit else 0)

    def trailing(self) -> None:
        """rbsp_trailing_bits(): the stop bit, then zeros up to a whole byte."""
        self.u(1, 1)
        self.align(0)

    def data(self) -> bytes:
        """What was written; it must be whole bytes."""
        assert self.size % 8 == 0
        return self._value.to_bytes(self.size // 8, "big")


def unescape(data: bytes) -> bytes:
    """A NAL unit's bytes (after its header) without the emulation prevention bytes."""
    return data.replace(b"\0\0\3", b"\0\0")


def escape(rbsp: bytes) -> bytes:
    """The bytes with emulation prevention: no start code within, no zero at the end."""
    made = _ESCAPED.sub(b"\0\0\3", rbsp)
    return made + b"\3" if made.endswith(b"\0") else made
