"""EBML (RFC 8794), of which Matroska is made: numbers, and elements that hold others."""

from __future__ import annotations

from collections.abc import Iterator


class BadMatroska(ValueError):
    """The file is broken, or of a shape that is not read in parts. The text says why."""


def vint(data: bytes, at: int, *, marked: bool) -> tuple[int | None, int]:
    """A number of EBML and its length; None: all ones, which means unknown. `marked`: with its mark, as names are."""
    if at >= len(data) or not data[at]:
        raise BadMatroska("a number of no length")
    length = 9 - data[at].bit_length()
    if at + length > len(data) or (marked and length > 4):
        raise BadMatroska("a number breaks off")
    value = int.from_bytes(data[at : at + length], "big")
    if marked:
        return value, length
    ones = (1 << 7 * length) - 1
    return (None if value & ones == ones else value & ones), length


def children(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements in the content of another."""
    at = 0
    while at < len(data):
        name, used = vint(data, at, marked=True)
        length, more = vint(data, at + used, marked=False)
        at += used + more
        if length is None or at + length > len(data):
            raise BadMatroska("an element ends behind what holds it")
        yield name or 0, data[at : at + length]
        at += length


def named(data: bytes, wanted: int) -> Iterator[tuple[int, bytes]]:
    """Those of one name."""
    return ((name, value) for name, value in children(data) if name == wanted)


def number(data: bytes) -> int:
    """An unsigned integer."""
    if len(data) > 8:
        raise BadMatroska("a number is too long")
    return int.from_bytes(data, "big")
