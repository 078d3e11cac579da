"""Boxes, as MP4 and QuickTime files are made of. Whatever the bytes are, only BadMp4 is raised.

A box is its size, its kind and a body. All that is read goes through `fields` and `column`, which compare what
they want with the end of the box first: a count is never believed before there are bytes for it.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

Data = bytes | memoryview
# in one container; a box may be 8 bytes short, so that a large container could hold millions
MOST_BOXES = 1 << 16
SHORT, LONG = 8, 16


class BadMp4(ValueError):
    """The file is broken, hostile or of a sort that is not read here; the text says which box and why."""


class Box(NamedTuple):
    """Positions in the data: of the box, of its body behind size and kind, of its end."""

    kind: bytes
    start: int
    body: int
    end: int

    @property
    def name(self) -> str:
        """The kind as text that is safe to print."""
        return shown(self.kind)


def shown(kind: bytes) -> str:
    """Four characters as text that is safe to print: in hexadecimal if any is no ASCII."""
    text = kind.decode("latin-1")
    return text if text.isascii() and text.isprintable() else "0x" + kind.hex()


def header(data: Data, at: int, limit: int, base: int = 0) -> Box:
    """The box at `at`, whose container ends at `limit`. Both count from `base`, the place of data[0].

    `limit` may lie behind the data: no more than the header must be there.
    """
    here = at - base
    if not 0 <= here <= len(data) - SHORT or limit - at < SHORT:
        raise BadMp4(f"no room for a box at {at}")
    size, kind = struct.unpack_from(">I4s", data, here)
    length = SHORT
    if size == 1:
        if here > len(data) - LONG:
            raise BadMp4(f"{shown(kind)} at {at} is cut off")
        size, length = struct.unpack_from(">Q", data, here + SHORT)[0], LONG
    elif size == 0:
        size = limit - at
    if not length <= size <= limit - at:
        raise BadMp4(f"{shown(kind)} at {at} has a size of {size}, its place ends at {limit}")
    return Box(kind, at, at + length, at + size)


def walk(data: Data, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes that lie side by side from `start` to `end`."""
    stop = len(data) if end is None else end
    if not 0 <= start <= stop <= len(data):
        raise BadMp4("a container of boxes is cut off")
    for _ in range(MOST_BOXES):
        if stop - start < SHORT:
            # QuickTime ends some lists by 32 zero bits
            if any(data[start:stop]):
                raise BadMp4(f"bytes that are no box at {start}")
            return
        box = header(data, start, stop)
        yield box
        start = box.end
    raise BadMp4(f"more than {MOST_BOXES} boxes side by side")


def pick(data: Data, container: Box, *kinds: bytes) -> dict[bytes, Box]:
    """The boxes of these kinds in a container. Each may be there once: of two, players would choose differently."""
    found: dict[bytes, Box] = {}
    for box in walk(data, container.body, container.end):
        if box.kind in kinds:
            if box.kind in found:
                raise BadMp4(f"{container.name} has two boxes {box.name}")
            found[box.kind] = box
    return found


def find(data: Data, container: Box, *path: bytes) -> Box | None:
    """The first box at a path below a container, None if there is none."""
    for kind in path:
        inner = next((box for box in walk(data, container.body, container.end) if box.kind == kind), None)
        if inner is None:
            return None
        container = inner
    return container


def need(found: dict[bytes, Box], container: Box, kind: bytes) -> Box:
    """One of the boxes that `pick` found."""
    if kind not in found:
        raise BadMp4(f"{container.name} has no {shown(kind)}")
    return found[kind]


def fields(data: Data, box: Box, layout: str, at: int = 0) -> tuple[Any, ...]:
    """Big-endian numbers, `at` bytes into the body, by a layout of `struct`."""
    layout = ">" + layout
    if at < 0 or box.body + at + struct.calcsize(layout) > min(box.end, len(data)):
        raise BadMp4(f"{box.name} is too short")
    return struct.unpack_from(layout, data, box.body + at)


def column(data: Data, box: Box, code: str, at: int, count: int) -> array[int]:
    """`count` big-endian integers, `at` bytes into the body; `code` is that of `array`."""
    found = array(code)
    start = box.body + at
    end = start + count * found.itemsize
    if at < 0 or count < 0 or end > min(box.end, len(data)):
        raise BadMp4(f"{box.name} is too short for {count} entries")
    found.frombytes(data[start:end])
    if sys.byteorder == "little":
        found.byteswap()
    return found
