"""moov: the tracks of a movie with all samples that it names.

What is not read is refused by name, not guessed at: compressed moov, reference movies, samples in other files.
"""

from __future__ import annotations

from dataclasses import replace

from videod.mp4 import entries
from videod.mp4.boxes import BadMp4, Box, Data, fields, find, need, pick, shown, walk
from videod.mp4.model import MOST_SAMPLES, Defaults, Edit, Movie, Samples, Track, TrackHeader
from videod.mp4.tables import Tables, check_places, most, read_tables, unfold, unfold_raw
from videod.mp4.titles import movie_title, track_title

MOST_TRACKS = 256
MOST_EDITS = 1 << 14
MOST_DESCRIPTIONS = 64
# kilobytes in real files, and kept
MOST_MEDIA_HEADER = 1 << 16
_MEDIA_HEADERS = (b"vmhd", b"smhd", b"gmhd", b"nmhd", b"sthd", b"hmhd")
# of QuickTime's own codes, in their order, three letters each
_LANGUAGES = "engfradeuitanldswespadanpornorhebjpnarafinellislmltturhrvzhourdhinthakor"


def read_movie(moov: bytes, size: int | None = None, brands: tuple[bytes, ...] = ()) -> Movie:
    """Read a whole moov box. `size`: that of the file, against which all places are checked; None if unknown.

    Samples of fragments are not in it: see `fragments`.
    """
    data = memoryview(moov)
    top = next(walk(data), None)
    if top is None or top.kind != b"moov":
        raise BadMp4("no moov")
    found = pick(data, top, b"mvhd", b"mvex", b"cmov", b"rmra")
    if b"cmov" in found:
        raise BadMp4("a compressed moov is not read")
    if b"rmra" in found:
        raise BadMp4("a movie that refers to other files is not read")
    mvhd = need(found, top, b"mvhd")
    (timescale,) = fields(data, mvhd, "I", 20 if _version(data, mvhd) else 12)
    if not timescale:
        raise BadMp4("mvhd has no timescale")
    defaults = _defaults(data, found[b"mvex"]) if b"mvex" in found else {}
    tracks: list[Track] = []
    room = MOST_SAMPLES
    for trak in walk(data, top.body, top.end):
        if trak.kind == b"trak":
            if len(tracks) == MOST_TRACKS:
                raise BadMp4(f"more than {MOST_TRACKS} tracks")
            tracks.append(_track(data, trak, defaults, room, size))
            room -= len(tracks[-1].samples)
    if len({track.id for track in tracks}) < len(tracks):
        raise BadMp4("two tracks have the same id")
    return Movie(timescale, tuple(tracks), b"mvex" in found, brands, movie_title(data, top))


def _track(data: Data, trak: Box, defaults: dict[int, Defaults], room: int, size: int | None) -> Track:
    found = pick(data, trak, b"tkhd", b"mdia", b"edts")
    number, header = _header(data, need(found, trak, b"tkhd"))
    mdia = need(found, trak, b"mdia")
    media = pick(data, mdia, b"mdhd", b"hdlr", b"minf")
    timescale, language = _media(data, need(media, mdia, b"mdhd"))
    handler = bytes(data[slice(*_four(data, need(media, mdia, b"hdlr"), 8))])
    minf = need(media, mdia, b"minf")
    inner = pick(data, minf, b"stbl", b"dinf", *_MEDIA_HEADERS)
    tables = read_tables(data, need(inner, minf, b"stbl"))
    default = defaults.get(number)
    used = _used(tables, default)
    for description in used:
        _is_here(data, inner.get(b"dinf"), entries.data_reference(entries.read_entry(data, tables.stsd, description)))
    entry = entries.read_entry(data, tables.stsd, used[0])
    track = Track(
        id=number,
        handler=handler,
        timescale=timescale,
        language=language,
        header=header,
        entry=entry,
        codec=entry[4:8],
        encrypted=entries.is_encrypted(entry, handler),
        description=used[0],
        descriptions=len(used),
        media_header=_media_header(data, inner),
        edits=_edits(data, found.get(b"edts")),
        samples=Samples(),
        sync_known=tables.sync is None or len(tables.sync) > 0 or not tables.sizes.total,
        defaults=default,
        title=track_title(data, trak),
    )
    return _filled(track, tables, room, size)


def _filled(track: Track, tables: Tables, room: int, size: int | None) -> Track:
    """The track with its samples."""
    room = min(room, most(track.handler))
    raw = track.handler == b"soun" and tables.is_raw and tables.sizes.total > 0
    unit = entries.raw_unit(track.entry, tables.sizes.fixed) if raw else 0
    # before anything is made of counts that only claim
    if size is not None and tables.sizes.total * (unit or tables.sizes.fixed) > size:
        raise BadMp4(f"the samples of track {track.id} are larger than the file")
    samples = unfold_raw(tables, unit, room) if raw else unfold(tables, room)
    check_places(samples, size)
    return replace(track, samples=samples, unit=unit)


def _used(tables: Tables, default: Defaults | None) -> list[int]:
    """The numbers of the sample entries in use, that of the first sample first."""
    if not tables.sizes.total:
        return [default.description if default else 1]
    numbers = tables.chunks.descriptions
    if max(numbers) > MOST_DESCRIPTIONS:
        raise BadMp4(f"stsc names the sample entry {max(numbers)}")
    return [numbers[0], *sorted(set(numbers) - {numbers[0]})]


def _version(data: Data, box: Box) -> int:
    return int(fields(data, box, "B")[0])


def _four(data: Data, box: Box, at: int) -> tuple[int, int]:
    fields(data, box, "4s", at)
    return box.body + at, box.body + at + 4


def _header(data: Data, tkhd: Box) -> tuple[int, TrackHeader]:
    flags = fields(data, tkhd, "I")[0] & 0xFFFFFF
    long = _version(data, tkhd)
    (number,) = fields(data, tkhd, "I", 20 if long else 12)
    layer, group, volume, _, *matrix, width, height = fields(data, tkhd, "hhhH9iII", 44 if long else 32)
    return number, TrackHeader(bool(flags & 1), layer, group, volume, tuple(matrix), width, height)


def _media(data: Data, mdhd: Box) -> tuple[int, str]:
    long = _version(data, mdhd)
    (timescale,) = fields(data, mdhd, "I", 20 if long else 12)
    (code,) = fields(data, mdhd, "H", 32 if long else 20)
    if not timescale:
        raise BadMp4("mdhd has no timescale")
    if code < 0x400:
        return timescale, _LANGUAGES[3 * code : 3 * code + 3] or "und"
    letters = [(code >> bits & 31) + 0x60 for bits in (10, 5, 0)]
    return timescale, "".join(map(chr, letters)) if all(0x61 <= n <= 0x7A for n in letters) else "und"


def _media_header(data: Data, inner: dict[bytes, Box]) -> bytes:
    box = next((inner[kind] for kind in _MEDIA_HEADERS if kind in inner), None)
    if box is None:
        return b""
    if box.end - box.start > MOST_MEDIA_HEADER:
        raise BadMp4(f"{box.name} has a size of {box.end - box.start}")
    return bytes(data[box.start : box.end])


def _is_here(data: Data, dinf: Box | None, number: int) -> None:
    """Refuse samples that lie in another file. Without a dref they can only be here."""
    dref = find(data, dinf, b"dref") if dinf else None
    if dref is None:
        return
    fields(data, dref, "II")
    for at, box in enumerate(walk(data, dref.body + 8, dref.end), 1):
        if at == number:
            if not fields(data, box, "I")[0] & 1:
                raise BadMp4(f"samples in another file ({shown(box.kind)} in dref) are not read")
            return
    raise BadMp4(f"dref has no entry {number}")


def _edits(data: Data, edts: Box | None) -> tuple[Edit, ...]:
    elst = find(data, edts, b"elst") if edts else None
    if elst is None:
        return ()
    (count,) = fields(data, elst, "I", 4)
    long = _version(data, elst)
    width = 20 if long else 12
    if count > MOST_EDITS:
        raise BadMp4(f"elst has {count} edits")
    layout = "Qqi" if long else "Iii"
    return tuple(Edit(*fields(data, elst, layout, 8 + n * width)) for n in range(count))


def _defaults(data: Data, mvex: Box) -> dict[int, Defaults]:
    found: dict[int, Defaults] = {}
    for box in walk(data, mvex.body, mvex.end):
        if box.kind == b"trex":
            number, *rest = fields(data, box, "5I", 4)
            if number in found:
                raise BadMp4(f"track {number} has two trex")
            found[number] = Defaults(*rest)
    return found
