"""Where the pictures of a Matroska or WebM file are: its header, its Cues and the begin of its first Cluster.

Only these are read (RFC 9559). Whatever is unusual raises BadMatroska: such a file is fetched whole.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from math import isfinite

from videod.media.ebml import BadMatroska, children, named, number, vint
from videod.mp4.boxes import BadMp4
from videod.mp4.window import Window

Read = Callable[[int, int], bytes]

CLUSTER = b"\x1f\x43\xb6\x75"
MARK = b"\x1a\x45\xdf\xa3"
# a Segment of unknown size
SEGMENT = b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"
MOST_READS = 200
# a name and a size
LONGEST = 12
MOST_ELEMENTS = 256
MOST_BLOCKS = 4096
MOST_HEADER = 4 << 20
MOST_CUES = 16 << 20
PIECE = 64 << 10
_SEGMENT, _SEEK_HEAD, _INFO, _TRACKS, _CUES, _CLUSTER = (
    0x18538067, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1F43B675,
)  # fmt: skip
_SEEK, _SEEK_ID, _SEEK_POSITION, _SCALE, _DURATION = 0x4DBB, 0x53AB, 0x53AC, 0x2AD7B1, 0x4489
_ENTRY, _NUMBER, _TYPE, _CODEC, _DELAY, _TRACK_SCALE = 0xAE, 0xD7, 0x83, 0x86, 0x56AA, 0x23314F
_ENCODINGS, _ENCODING, _ENCRYPTION = 0x6D80, 0x6240, 0x5035
_CUE, _CUE_TIME, _CUE_PLACES, _CUE_TRACK, _CUE_CLUSTER = 0xBB, 0xB3, 0xB7, 0xF7, 0xF1
_TIME, _SIMPLE, _GROUP, _BLOCK, _REFERENCE = 0xE7, 0xA3, 0xA0, 0xA1, 0xFB
_PICTURE = 1
# codecs whose blocks tell when they are shown, unlike V_MS/VFW/FOURCC
_CODECS = ("V_MPEG", "V_AV1", "V_VP8", "V_VP9", "V_THEORA", "V_PRORES", "V_FFV1")


@dataclass(frozen=True)
class Element:
    """One element: `at` is where it begins, `body` its content, `end` the next element; None: unknown."""

    id: int
    at: int
    body: int
    end: int | None


@dataclass(frozen=True)
class Index:
    """`header`: what a file of some clusters begins with. `times`, in ticks of `time_base`, and `offsets` of the
    clusters that Cues name, in order; the last of them ends at or before `end`. `zero`: when the first key frame is
    shown; `seconds`: how long the header says it lasts, None where it does not."""

    header: bytes
    times: list[int]
    offsets: list[int]
    end: int
    zero: int
    time_base: Fraction
    seconds: Fraction | None = None


@dataclass
class _File:
    """What is known so far. `start`, `end`: of the Segment's content."""

    window: Window
    start: int = 0
    end: int = 0
    head: bytes = b""
    found: dict[int, Element] = field(default_factory=dict)
    sought: dict[int, int] = field(default_factory=dict)

    def read(self, at: int, length: int) -> bytes:
        """Exactly these bytes."""
        return self.window.get(at, length, PIECE)

    def element(self, at: int, limit: int) -> Element:
        """The element at an offset, which ends at `limit` or before."""
        data = self.read(at, min(LONGEST, max(0, limit - at)))
        name, used = vint(data, 0, marked=True)
        length, more = vint(data, used, marked=False)
        body = at + used + more
        if length is not None and body + length > limit:
            raise BadMatroska("an element ends behind what holds it")
        return Element(name or 0, at, body, None if length is None else body + length)

    def content(self, element: Element, most: int) -> bytes:
        """All of a small element."""
        if element.end is None or element.end - element.body > most:
            raise BadMatroska("a part of its header is too large")
        return self.read(element.body, element.end - element.body)


def load(read: Read, size: int) -> Index:
    """Read the index of a file of `size` bytes by `read(offset, length)`. Raises BadMatroska, and what `read` does."""
    try:
        return _loaded(_File(Window(read, size, MOST_READS)))
    except BadMp4 as error:  # of the window
        raise BadMatroska(str(error)) from None


def _loaded(file: _File) -> Index:
    _open(file)
    _walk(file)
    cluster, info, tracks = (file.found.get(kind) for kind in (_CLUSTER, _INFO, _TRACKS))
    if cluster is None or info is None or tracks is None:
        raise BadMatroska("its header is not in front")
    told = file.content(info, MOST_HEADER)
    scale = _scale(told)
    track = _picture(file.content(tracks, MOST_HEADER))
    times, offsets = _cues(file, track, cluster.at)
    behind = [at for at in (file.start + position for position in file.sought.values()) if at > offsets[-1]]
    header = file.head + SEGMENT + _verbatim(file, info) + _verbatim(file, tracks)
    base = Fraction(scale, 10**9)
    return Index(
        header, times, offsets, min([file.end, *behind]), _zero(file, cluster, track), base, _lasts(told, base)
    )


def _open(file: _File) -> None:
    size = file.window.size
    head = file.element(0, size)
    if file.read(0, 4) != MARK or head.end is None or head.end > 4096:
        raise BadMatroska("this is no Matroska")
    segment = file.element(head.end, size)
    if segment.id != _SEGMENT:
        raise BadMatroska("no Segment follows the head")
    file.head = file.read(0, head.end)
    file.start, file.end = segment.body, segment.end or size


def _walk(file: _File) -> None:
    """The elements in front of the first Cluster."""
    at = file.start
    for _ in range(MOST_ELEMENTS):
        element = file.element(at, file.end)
        if element.id == _SEEK_HEAD:
            file.sought |= _places(file.content(element, MOST_HEADER))
        file.found.setdefault(element.id, element)
        if element.id == _CLUSTER:
            return
        if element.end is None:
            break
        at = element.end
    raise BadMatroska("there is no Cluster in front")


def _places(data: bytes) -> dict[int, int]:
    """Where SeekHead says that things are, in bytes from the start of the Segment's content."""
    places = {}
    for _, seek in named(data, _SEEK):
        values = dict(children(seek))
        if _SEEK_ID in values and _SEEK_POSITION in values:
            places[number(values[_SEEK_ID])] = number(values[_SEEK_POSITION])
    return places


def _scale(info: bytes) -> int:
    """Nanoseconds of a tick."""
    found = dict(children(info)).get(_SCALE)
    scale = 1_000_000 if found is None else number(found)
    if not 0 < scale <= 10**9:
        raise BadMatroska("its clock cannot be")
    return scale


def _lasts(info: bytes, base: Fraction) -> Fraction | None:
    """Seconds, as the header has them."""
    found = dict(children(info)).get(_DURATION, b"")
    if len(found) not in (4, 8):
        return None
    (ticks,) = struct.unpack(">f" if len(found) == 4 else ">d", found)
    return Fraction(ticks) * base if isfinite(ticks) and ticks > 0 else None


def _picture(tracks: bytes) -> int:
    """The number of the one track that is a picture."""
    found = []
    for _, entry in named(tracks, _ENTRY):
        values = dict(children(entry))
        encodings = named(values.get(_ENCODINGS, b""), _ENCODING)
        if any(name == _ENCRYPTION for _, encoding in encodings for name, _ in children(encoding)):
            raise BadMatroska("it is encrypted")
        if number(values.get(_TYPE, b"")) == _PICTURE:
            found.append(values)
    if len(found) != 1:
        raise BadMatroska("it has not one picture")
    values = found[0]
    if not values.get(_CODEC, b"").decode("latin-1").startswith(_CODECS) or _TRACK_SCALE in values or _DELAY in values:
        raise BadMatroska("its picture has a clock of its own")
    return number(values.get(_NUMBER, b""))


def _cues(file: _File, track: int, first: int) -> tuple[list[int], list[int]]:
    """When the clusters begin that hold key frames of the picture, and where."""
    element = file.found.get(_CUES)
    if element is None:
        if _CUES not in file.sought:
            raise BadMatroska("it has no Cues")
        element = file.element(min(file.start + file.sought[_CUES], file.end), file.end)
        if element.id != _CUES:
            raise BadMatroska("its Cues are not where they should be")
    times, offsets = list[int](), list[int]()
    for _, cue in named(file.content(element, MOST_CUES), _CUE):
        time = -1
        for name, value in children(cue):
            time = number(value) if name == _CUE_TIME else time
            if name != _CUE_PLACES:
                continue
            places = dict(children(value))
            if number(places.get(_CUE_TRACK, b"")) != track or _CUE_CLUSTER not in places:
                continue
            offset = file.start + number(places[_CUE_CLUSTER])
            if offsets and (offset < offsets[-1] or time < times[-1]):
                raise BadMatroska("its Cues are not in order")
            if not offsets or offset > offsets[-1]:
                times.append(time)
                offsets.append(offset)
    if not offsets or offsets[0] != first or times[0] < 0 or offsets[-1] >= file.end:
        raise BadMatroska("its Cues do not begin with the picture")
    return times, offsets


def _zero(file: _File, cluster: Element, track: int) -> int:
    """When the first key frame of the track is shown."""
    at, end, time = cluster.body, cluster.end or file.end, -1
    for _ in range(MOST_BLOCKS):
        element = file.element(at, end)
        if element.end is None:
            break
        if element.id == _TIME:
            time = number(file.content(element, 8))
        elif element.id in (_SIMPLE, _GROUP):
            found = _block(file, element, track)
            if found is not None and time >= 0:
                return time + found
        at = element.end
    raise BadMatroska("no key frame is at its begin")


def _block(file: _File, element: Element, track: int) -> int | None:
    """When a key frame of the track is shown, from its cluster's time on; None for what is none."""
    block, key = element, True
    if element.id == _GROUP and element.end is not None:
        children, at = dict[int, Element](), element.body
        for _ in range(MOST_ELEMENTS):
            if at >= element.end:
                break
            child = file.element(at, element.end)
            children[child.id] = child
            if child.end is None:
                raise BadMatroska("a block of unknown size")
            at = child.end
        if _BLOCK not in children:
            return None
        block, key = children[_BLOCK], _REFERENCE not in children
    data = file.read(block.body, min(LONGEST, (block.end or block.body) - block.body))
    owner, used = vint(data, 0, marked=False)
    if len(data) < used + 3:
        raise BadMatroska("a block breaks off")
    if element.id == _SIMPLE:
        key = bool(data[used + 2] & 0x80)
    return int.from_bytes(data[used : used + 2], "big", signed=True) if key and owner == track else None


def _verbatim(file: _File, element: Element) -> bytes:
    assert element.end is not None
    return file.read(element.at, element.end - element.at)
